"""The memory that patches are planned for: what the device has, unless it is named."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data_prep.core.config import DataConfig, Rules
from data_prep.planning.fingerprint import Fingerprint
from data_prep.planning.fit import fit_plan
from data_prep.planning.memory import memory_of_device


def _gpus(monkeypatch, *totals):
    cards = [SimpleNamespace(total_memory=total) for total in totals]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(cards))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_device_properties", cards.__getitem__)


@pytest.mark.parametrize(
    ("totals", "planned"),
    [
        ((), 8.0),
        ((25_430_000_000,), 22.5),
        ((85_000_000_000, 11_700_000_000), 10.5),  # every GPU trains the same patch
        ((85_020_000_000,), 76.5),
        ((85_030_000_000,), 76.5),  # another driver, the same card
        ((300_000_000,), 0.5),
    ],
)
def test_the_smallest_gpu_says_what_memory_there_is(monkeypatch, totals, planned):
    _gpus(monkeypatch, *totals)
    assert memory_of_device() == planned


def test_a_patch_is_planned_for_the_gpu_unless_memory_is_named(monkeypatch):
    extent, fractions = [(0.0, 1.0)], np.zeros((1, 1), np.float32)
    scan = Fingerprint(
        (512, 512, 512), (1.0,) * 3, "", {}, [1, 1], [0.0], extent, fractions, "", np.zeros(1)
    )
    rules = Rules(("a",), {"background": 0, "organ": 1})
    _gpus(monkeypatch, 2_000_000_000)
    small = fit_plan(DataConfig(), rules, [scan])
    named = fit_plan(DataConfig(memory_gb=8.0), rules, [scan])
    assert "1.5 GB" in small.why["patch_size"]
    assert "8 GB" in named.why["patch_size"]
    assert np.prod(small.patch_size) * 2 * 4000 <= 1.5e9 < np.prod(named.patch_size) * 2 * 4000
    _gpus(monkeypatch)
    assert fit_plan(DataConfig(), rules, [scan]) == named
