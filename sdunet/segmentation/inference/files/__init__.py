"""Files of predictions: labels, probabilities, and those with names and colours for viewers."""
