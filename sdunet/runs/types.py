"""Types of settings that jsonargparse does not bring, besides those of `data_prep.types`."""

from jsonargparse.typing import restricted_number_type

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])
