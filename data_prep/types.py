"""Types of settings that jsonargparse does not bring: its own take infinity for a number."""

import math

from jsonargparse.typing import restricted_number_type

PositiveNumber = restricted_number_type("PositiveNumber", float, [(">", 0), ("<", math.inf)])
NumberFrom0 = restricted_number_type("NumberFrom0", float, [(">=", 0), ("<", math.inf)])
ShareBelowOne = restricted_number_type("ShareBelowOne", float, [(">=", 0), ("<", 1)])
