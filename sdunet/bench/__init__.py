"""Speed and memory of the sweep and of whole networks, against others in the same run."""
