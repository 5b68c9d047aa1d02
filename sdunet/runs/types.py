"""Types of settings that jsonargparse does not bring."""

import math

from jsonargparse.typing import restricted_number_type

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
ShareBelowOne = restricted_number_type("ShareBelowOne", float, [(">=", 0), ("<", 1)])
Distance = restricted_number_type("Distance", float, [(">=", 0), ("<", math.inf)])
