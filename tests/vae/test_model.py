"""The VAE networks: sizes of the paper, any image size, decoding what was encoded."""

import json
from pathlib import Path

import pytest
import torch

from sdunet.cli.main import main
from sdunet.layers import ResSDNLayer, Sweep
from sdunet.vae.models.ladder import LadderVAE
from sdunet.vae.models.likelihoods import build_likelihood
from sdunet.vae.models.vanilla import VanillaVAE

CONFIGS = Path(__file__).parents[2] / "configs/vae"
# Counted from the published scripts, in millions, norms of weights apart; and lines of a decode.
# Those networks carry weights that nothing reads: what the topmost layer would pass further up,
# by two 3x3 convolutions. They are not built here.
DEAD = ((200 * 9 + 1) * 200 + (200 * 9 + 1) * 400) / 1e6
PAPER = {
    "cifar10": (121.4 - DEAD, 42.3 - DEAD, 1232),
    "imagenet32": (299.1 - DEAD, 46.1 - DEAD, 1384),
    "celebahq256": (100.1 - DEAD, 53.0 - DEAD, 820),
}
SMALL = {
    "depth": 3,
    "downsample_at": (0, 2),
    "z_channels": 2,
    "h_channels": 6,
    "context_channels": 5,
}
SWEEPING = {"sdn_max_scale": 8, "sdn_min_scale": 2, "sdn_features": 4, "sdn_directions": 3}


def small(size=(6, 11), channels=1, levels=17, **changes):
    torch.manual_seed(0)
    likelihood = build_likelihood("mixture", channels, levels, 2)
    return LadderVAE(channels, size, likelihood, **(SMALL | changes))


def images(count=3, size=(6, 11), channels=1, levels=17):
    return torch.randint(0, levels, (count, channels, *size), dtype=torch.uint8)


def info(config, capsys):
    assert main(["vae", "info", "--config", str(CONFIGS / config), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", PAPER)
def test_full_size_models_have_the_parameters_of_the_paper(name, capsys):
    sdn, cnn, steps = PAPER[name]
    found = info(f"{name}_sdn.yaml", capsys)
    assert found["parameters"]["total"] / 1e6 == pytest.approx(sdn, rel=0.002)
    assert found["sequential_steps"] == steps
    twin = info(f"{name}_cnn.yaml", capsys)
    assert twin["parameters"]["total"] / 1e6 == pytest.approx(cnn, rel=0.002)
    assert twin["sequential_steps"] == 0
    assert twin["sdn_scales"] == []


@pytest.mark.parametrize("name", [*PAPER, "shapes3d", "fashion", "digits"])
def test_matched_twins_have_as_many_parameters(name, capsys):
    sdn, matched = (info(f"{name}_{kind}.yaml", capsys) for kind in ("sdn", "cnn_matched"))
    assert matched["parameters"]["total"] == pytest.approx(sdn["parameters"]["total"], rel=0.03)
    assert matched["sdn_scales"] == []


def test_features_fall_by_scale_as_published(capsys):
    scales = info("cifar10_sdn.yaml", capsys)["sdn_scales"]
    assert scales == [
        {"scale": 32, "features": 360},
        {"scale": 16, "features": 232},
        {"scale": 8, "features": 104},
    ]


@pytest.mark.parametrize("posterior", ["iaf", "gaussian"])
@pytest.mark.parametrize("sdn", [{}, SWEEPING], ids=["cnn", "sdn"])
@pytest.mark.parametrize("size", [(6, 11), (8, 8), (1, 5)])
def test_any_size_is_encoded_decoded_and_trained(size, sdn, posterior):
    network = small(size, posterior=posterior, **sdn)
    x = images(3, size)
    terms = network(x)
    assert terms.log_likelihood.shape == (3,)
    assert terms.rates.shape == (3, 3)
    assert [tuple(t.z.shape[1:]) for t in terms.latents] == list(reversed(network.z_sizes))
    terms.objective().backward()
    unused = [n for n, p in network.named_parameters() if p.grad is None]
    assert unused == []
    for _, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all()
    params = network.decode(2)
    assert network.likelihood.sample(params).shape == (2, 1, *size)


@pytest.mark.parametrize("build", [small, lambda **_: vanilla()], ids=["ladder", "vanilla"])
def test_decoding_the_drawn_latents_gives_the_likelihood_that_was_scored(build):
    network = build(**SWEEPING)
    x = images(3, network.size, network.channels)
    terms = network(x)
    params = network.decode(3, [latent.z for latent in terms.latents])
    torch.testing.assert_close(network.likelihood.log_prob(params, x), terms.log_likelihood)


def test_sweeps_stand_where_the_scales_say_and_directions_are_dealt_in_turn():
    network = small((8, 8), **(SWEEPING | {"sdn_min_scale": 4}))
    dealt = []
    for layer, scale in zip(network.layers, (8, 4, 4), strict=True):
        assert isinstance(layer.down_a, ResSDNLayer) == (scale >= 4)
        for block in (layer.down_a, layer.down_b):
            dealt += [sweep.direction for sweep in block.sdn.sweeps]
        assert not any(isinstance(module, Sweep) for module in layer.up_a.modules())
    dealt += [sweep.direction for sweep in network.last.sdn.sweeps]
    turn = ["right", "left", "down", "up"]
    assert dealt == [turn[i % 4] for i in range(3 * 2 * 3 + 4)]
    plain = small((8, 8))
    assert not any(isinstance(module, Sweep) for module in plain.modules())


def test_sampling_repeats_by_seed_and_temperature_zero_has_no_noise():
    network = small()

    def decode(seed, temperature=1.0):
        torch.manual_seed(seed)
        return network.decode(2, temperature=temperature)

    assert torch.equal(decode(0), decode(0))
    assert not torch.equal(decode(0), decode(1))
    assert torch.equal(decode(0, 0.0), decode(1, 0.0))


def test_initial_weights_are_orthogonal_and_what_the_flow_hides_stays_zero():
    network = small()
    weight = network.layers[0].up_b.weight.flatten(1)
    torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight)), atol=1e-5, rtol=0)
    optimizer = torch.optim.Adamax(network.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(images()).objective().backward()
        optimizer.step()
    for layer in network.layers:
        for conv in layer.flow.children():
            direction = conv.parametrizations.weight.original1
            assert (direction * (1 - conv.mask()) == 0).all()
            norm = conv.weight.flatten(1).norm(dim=1)
            torch.testing.assert_close(norm, conv.parametrizations.weight.original0.flatten().abs())


def vanilla(**changes):
    torch.manual_seed(0)
    arguments = {"z_size": 3, "sdn_scales": (16,), "sdn_features": 4, "sdn_directions": 2} | changes
    return VanillaVAE(1, (32, 16), build_likelihood("logistic", 1, 17), **arguments)


def test_vanilla_sweeps_at_its_scales_and_trains():
    network = vanilla()
    assert network.sequential_steps() == (8 - 1) * 2
    network(images(2, (32, 16))).objective(beta=4.0).backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: small(sdn_max_scale=100, sdn_min_scale=50, sdn_features=4), r"scales are \[12, 6"),
        (lambda: small(sdn_max_scale=8), "sdn_features must be positive to sweep, got 0"),
        (lambda: small(downsample_at=(3,)), r"layers in 0\.\.2, got \[3\]"),
        (lambda: small(**(SWEEPING | {"sdn_directions": 5})), "from 1 to 4, got 5"),
        (lambda: small()(images(2, (11, 6))), r"\(N, 1, 6, 11\), got \(2, 1, 11, 6\)"),
        (lambda: vanilla(sdn_scales=(64,)), r"among \[4, 8, 16, 32\], got \[64\]"),
        (lambda: VanillaVAE(1, (28, 28), build_likelihood("logistic", 1, 256)), "multiples of 16"),
    ],
)
def test_impossible_networks_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("posterior", ["gaussian", "iaf"])
def test_bfloat16_rounds_the_maps_but_terms_are_summed_in_float32(posterior):
    network, x = small(posterior=posterior, **SWEEPING), images()
    torch.manual_seed(1)
    exact = network(x).elbo
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x).elbo
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=2**-7, atol=0)  # bfloat16 has 8 bits
