"""The networks of the density models and the terms of their bound."""
