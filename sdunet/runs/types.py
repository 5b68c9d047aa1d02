"""Types of settings that jsonargparse does not bring."""

from jsonargparse.typing import restricted_number_type

ShareBelowOne = restricted_number_type("ShareBelowOne", float, [(">=", 0), ("<", 1)])
