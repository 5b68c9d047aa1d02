"""What settings may hold: numbers within ranges, and regions of several classes."""
