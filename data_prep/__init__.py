"""From raw scans to a prepared dataset: read, check, plan, preprocess, split, write."""
