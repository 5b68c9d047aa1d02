"""How many epochs fit a time."""

import pytest

from data_prep.core.errors import DataError
from sdunet.segmentation.training.pace import Pace, epochs_within


def test_epochs_fill_the_time_that_is_left():
    pace = Pace(epoch=10, validation=2)
    epochs = epochs_within(pace, 20, 60, 5, 1000)
    # Of 20 minutes one is spent; three validations and a package of 15 s follow each fold; a tenth
    # is left for what was not measured.
    left = 0.9 * (19 * 60 - 5 * (3 * 2 + 15))
    assert epochs * 5 * 10 <= left < (epochs + 1) * 5 * 10
    assert epochs_within(pace, 20, 60, 1, 1000) > 4 * epochs
    assert epochs_within(pace, 20, 60, 5, 3) == 3


def test_the_least_that_is_told_is_enough_and_little_less_is_not():
    pace = Pace(epoch=10, validation=2)
    with pytest.raises(DataError, match="PIPE_MINUTES") as error:
        epochs_within(pace, 1, 60, 2, 1000)
    least = float(error.value.found.rsplit(" ", 1)[1])
    assert epochs_within(pace, least, 60, 2, 1000) == 1
    with pytest.raises(DataError, match="PIPE_MINUTES"):
        epochs_within(pace, least - 0.2, 60, 2, 1000)
