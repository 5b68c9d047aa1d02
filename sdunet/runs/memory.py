"""How much memory a process has taken."""

import sys


def peak_memory() -> float:
    """Return the most memory this process has held, in gigabytes; NaN where it is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
