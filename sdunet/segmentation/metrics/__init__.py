"""Scores of a prediction against its reference."""
