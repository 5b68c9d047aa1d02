"""What settings leave open is the plan's; what they state stands."""

from dataclasses import replace

import pytest

from data_prep.core.config import NetworkPlan, Plan
from sdunet.segmentation.config import NetworkConfig, TaskConfig, TrainingConfig
from sdunet.segmentation.models.planned import batch_size_of, planned, planned_network
from sdunet.segmentation.models.trained_model import network_for

FLAT, CUBE = (2, 2, 1), (2, 2, 2)
PLANNED = NetworkPlan((4, 6, 8), (FLAT, CUBE), ((3, 3, 1), (3, 3, 1), (3, 3, 3)), 3)
NONE = Plan(3, ("MR",), {"background": 0, "a": 1}, {}, "zscore", (1.0, 1.0, 4.0), (16, 16, 8))
PLAN = replace(NONE, network=PLANNED)


def test_open_settings_are_those_of_the_plan():
    task = planned(TaskConfig(), PLAN)
    assert task.network.features == (4, 6, 8)
    assert task.network.strides == (FLAT, CUBE)
    assert task.network.kernel_sizes == PLANNED.kernel_sizes
    assert task.training.batch_size == 3


def test_stated_settings_stand():
    stated = NetworkConfig(features=(8, 9), strides=((1, 1, 1),), kernel_sizes=((5, 5, 5),) * 2)
    assert planned_network(stated, PLAN) == stated
    assert batch_size_of(TrainingConfig(batch_size=7), PLAN) == 7


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_a_network_of_another_depth_takes_the_levels_there_are_and_halves_beyond(depth):
    network = planned_network(NetworkConfig(features=(4,) * depth), PLAN)
    assert network.strides == (FLAT, CUBE, CUBE, CUBE)[: depth - 1]
    assert network.kernel_sizes == (*PLANNED.kernel_sizes, *[(3, 3, 3)] * 2)[:depth]


@pytest.mark.parametrize("config", [NetworkConfig(), NetworkConfig(name="segresnet")])
def test_without_a_planned_network_the_usual_one_is_built(config):
    plan = NONE if config.name == "sdunet" else PLAN
    network = planned_network(config, plan)
    assert network == replace(config, features=(16, 32, 64, 128, 256))
    assert batch_size_of(TrainingConfig(), NONE) == 4


def test_settling_twice_changes_nothing():
    once = planned(TaskConfig(), PLAN)
    assert planned(once, PLAN) == once


def test_the_network_that_is_built_keeps_the_thin_axis():
    network = network_for(NetworkConfig(num_features=2), PLAN)
    assert network.covered[-1] == (4, 4, 2)
