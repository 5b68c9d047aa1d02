"""Known factors and the metrics of disentanglement, on encoders whose score is known."""

import numpy as np
import pytest

from sdunet.cli.main import main
from sdunet.vae.data.factors import FACTORS, SIZES, render_factors
from sdunet.vae.evaluation.disentanglement import beta_vae_score, factor_vae_score

IMAGES, TRUE, _ = render_factors()
SCORES = [factor_vae_score, beta_vae_score]
QUICK = {factor_vae_score: {"votes": 300}, beta_vae_score: {"points": 200, "batch": 16}}


def score(metric, codes, seed=0):
    """Score the encoder that gives the n-th image the n-th code."""
    where = iter(np.array_split(codes, range(256, len(codes), 256)))
    return metric(lambda images: next(where), IMAGES, TRUE, seed=seed, **QUICK[metric])


@pytest.fixture
def perfect():
    return (TRUE - TRUE.mean(0)) / TRUE.std(0)


def test_every_combination_is_there_once_and_looks_different():
    assert len(IMAGES) == np.prod(SIZES) == len(np.unique(TRUE, axis=0))
    assert len(np.unique(IMAGES.reshape(len(IMAGES), -1), axis=0)) == len(IMAGES)
    assert len(SIZES) == len(FACTORS)


def test_each_factor_changes_what_it_names():
    masks = (IMAGES != 20).any(1)
    of = {tuple(f): i for i, f in enumerate(TRUE)}

    def masked(**changes):
        values = [0, 0, 0, 2, 3]
        for name, value in changes.items():
            values[FACTORS.index(name)] = value
        return masks[of[tuple(values)]]

    np.testing.assert_array_equal(masked(), masked(colour=2))
    np.testing.assert_array_equal(np.roll(masked(), 4, axis=1), masked(x=3))
    np.testing.assert_array_equal(np.roll(masked(), -4, axis=0), masked(y=2))
    assert masked(shape=1).sum() < masked().sum() < masked(size=1).sum()


@pytest.mark.parametrize("metric", SCORES)
def test_true_factors_score_one_in_any_order_sign_and_scale(metric, perfect):
    assert score(metric, perfect) == 1.0
    order = [3, 0, 4, 2, 1]
    assert score(metric, perfect[:, order] * [-3, 2, 5, -1, 9]) == 1.0


def test_turned_factors_score_lower_by_the_factor_vae_metric(perfect):
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))
    assert score(factor_vae_score, perfect @ rotation) < 0.9


@pytest.mark.parametrize("metric", SCORES)
def test_noise_scores_like_chance_and_mistakes_cost(metric, perfect):
    rng = np.random.default_rng(0)
    assert score(metric, rng.normal(size=perfect.shape)) < 0.45
    swapped = perfect.copy()
    half = rng.random(len(swapped)) < 0.5
    swapped[np.ix_(half, [3, 4])] = swapped[np.ix_(half, [4, 3])]
    assert score(metric, swapped) < 0.98


def test_unused_latents_do_not_count(perfect):
    idle = 1e-3 * np.random.default_rng(0).normal(size=(len(perfect), 3))
    assert score(factor_vae_score, np.hstack([idle, perfect])) == 1.0
    assert score(factor_vae_score, idle) == 0.0


def test_latents_of_small_scale_count_up_to_the_threshold_of_their_deviation(perfect):
    assert score(factor_vae_score, 0.051 * perfect) == 1.0
    assert score(factor_vae_score, 0.049 * perfect) == 0.0


@pytest.mark.parametrize("metric", SCORES)
def test_scores_repeat_by_seed(metric, perfect):
    codes = perfect + np.random.default_rng(0).normal(size=perfect.shape)
    assert score(metric, codes, 3) == score(metric, codes, 3)
    assert len({score(metric, codes, seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("metric", SCORES)
def test_factors_that_do_not_fit_are_refused(metric):
    with pytest.raises(
        ValueError, match=r"factors must be \(N, F\) for 576 images, got \(575, 5\)"
    ):
        metric(lambda images: images, IMAGES, TRUE[1:])
    with pytest.raises(ValueError, match="at least one factor must vary"):
        metric(lambda images: images, IMAGES, np.zeros_like(TRUE))


def test_vanilla_vae_is_trained_traversed_and_scored(tmp_path, capsys):
    data, run, out = (str(tmp_path / name) for name in ("data", "run", "out"))
    assert main(["vae", "prepare", "factors", data, "--kind", "factors"]) == 0
    settings = {
        "images.size": [32, 32],
        "model": "vanilla",
        "likelihood.name": "logistic",
        "vanilla.sdn_scales": [16],
        "vanilla.sdn_features": 4,
        "vanilla.z_size": 3,
        "training.epochs": 1,
        "training.steps_per_epoch": 3,
        "training.beta_steps": 2,
        "training.device": "cpu",
    }
    given = [f"--{name}={value}" for name, value in settings.items()]
    assert main(["vae", "train", "--data", data, "--out", run, *given]) == 0
    assert main(["vae", "traverse", "--model", run, "--data", data, "-o", out]) == 0
    assert (tmp_path / "out/traversal.png").is_file()
    assert main(["vae", "disentangle", "--model", run, "--data", data]) == 0
    assert "FactorVAE" in capsys.readouterr().out
