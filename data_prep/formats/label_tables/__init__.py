"""What values of a label are called: tables in its header, and in files beside it."""
