"""Run `sdunet bench sweep` and `sdunet bench net` on the GPU if there is one, else on the CPU."""

import sys

from sdunet.__main__ import main

if __name__ == "__main__":
    status = [main(["bench", what, *sys.argv[1:]]) for what in ("sweep", "net")]
    sys.exit(max(status))
