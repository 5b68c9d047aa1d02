"""Files in and out: read without harm, written whole, kept apart from what is not ours."""
