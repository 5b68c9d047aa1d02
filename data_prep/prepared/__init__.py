"""The prepared dataset: written, read, and shown on a page."""
