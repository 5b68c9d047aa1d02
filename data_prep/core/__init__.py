"""What everything here is made of: scans, errors and findings, settings, limits."""
