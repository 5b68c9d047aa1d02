"""Image sets for density models: read, packed, loaded."""
