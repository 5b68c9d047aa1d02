"""From a scan to its labels: sliding windows, ensembles, postprocessing."""
