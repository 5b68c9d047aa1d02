"""A server that predicts the scans it is sent, one at a time, and keeps none."""
