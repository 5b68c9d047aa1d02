"""One reader a file format, told apart by content; and the way back into bytes."""
