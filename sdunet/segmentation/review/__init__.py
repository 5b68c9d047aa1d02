"""Show where predictions are wrong: pictures, contact sheets, pages."""
