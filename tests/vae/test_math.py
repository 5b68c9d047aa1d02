"""The distributions, the flow and the bounds of the VAEs, against what is known of them."""

import itertools
import math
import weakref

import pytest
import torch
from scipy import stats
from torch.distributions import Normal, kl_divergence

from sdunet.vae.evaluation.bounds import Moments, bounds
from sdunet.vae.models.flows import AutoregressiveFlow
from sdunet.vae.models.gaussian import gaussian_kl, gaussian_log_prob
from sdunet.vae.models.likelihoods import (
    build_likelihood,
    centred,
    discretised_logistic_log_prob,
    to_levels,
)
from sdunet.vae.models.terms import Latent, Terms

LEVELS = (2, 5, 17, 32, 256)


def every_image(channels, levels):
    """All images of one pixel, `(levels ** channels, channels, 1, 1)`."""
    every = torch.tensor(list(itertools.product(range(levels), repeat=channels)))
    return every.to(torch.uint8)[:, :, None, None]


def parameters(likelihood, scale, seed=0):
    torch.manual_seed(seed)
    return scale * torch.randn(1, likelihood.parameters_per_pixel, 1, 1)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize(
    ("name", "channels", "levels"),
    [
        *(("mixture", 1, levels) for levels in LEVELS),
        *(("logistic", 1, levels) for levels in LEVELS),
        ("bernoulli", 1, 2),
        ("bernoulli", 3, 2),
        ("logistic", 3, 5),
        ("mixture", 3, 2),
        ("mixture", 3, 17),
        ("mixture", 3, 32),
    ],
)
def test_probabilities_sum_to_one(name, channels, levels, scale):
    likelihood = build_likelihood(name, channels, levels, 5)
    images = every_image(channels, levels)
    for seed in range(3):
        params = parameters(likelihood, scale, seed)
        log_prob = likelihood.log_prob(params.expand(len(images), -1, 1, 1), images)
        assert torch.isfinite(log_prob).all()
        assert log_prob.double().exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("levels", LEVELS)
def test_discretised_logistic_is_the_difference_of_distribution_functions(levels):
    torch.manual_seed(0)
    mean, log_scale = torch.randn(2, 200, 1).double()
    x = centred(torch.arange(levels), levels).double()
    got = discretised_logistic_log_prob(x, mean, log_scale, levels)
    half = 1 / (levels - 1)
    at = stats.logistic(mean.numpy(), log_scale.exp().numpy())
    upper, lower = at.cdf(x.numpy() + half), at.cdf(x.numpy() - half)
    upper[:, -1], lower[:, 0] = 1, 0
    torch.testing.assert_close(got.exp(), torch.from_numpy(upper - lower), atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("distance", [10.0, 1e3, 1e5])
def test_far_tails_keep_a_finite_logarithm_and_gradient(distance):
    mean = torch.tensor([distance], requires_grad=True)
    log_scale = torch.tensor([-7.0], requires_grad=True)
    x = centred(torch.tensor([100]), 256)
    log_prob = discretised_logistic_log_prob(x, mean, log_scale, 256)
    log_prob.sum().backward()
    for value in (log_prob, mean.grad, log_scale.grad):
        assert torch.isfinite(value)
    assert mean.grad < 0


@pytest.mark.parametrize(
    ("name", "channels", "levels"),
    [("mixture", 1, 17), ("mixture", 3, 4), ("logistic", 1, 5), ("bernoulli", 1, 2)],
)
def test_samples_come_as_often_as_their_probability_says(name, channels, levels):
    likelihood = build_likelihood(name, channels, levels, 3)
    params = parameters(likelihood, 1.0, seed=1)
    images = every_image(channels, levels)
    chances = likelihood.log_prob(params.expand(len(images), -1, 1, 1), images).exp()
    count = 200_000
    drawn = likelihood.sample(params.expand(1, -1, count, 1))[0, :, :, 0]  # (C, count)
    places = torch.tensor([levels**c for c in reversed(range(channels))])
    seen = torch.bincount((drawn.long() * places[:, None]).sum(0), minlength=len(images)) / count
    # Five standard errors of a share, for every one of the outcomes.
    assert ((seen - chances).abs() < 5 * (chances / count).sqrt() + 1e-5).all()


def test_green_leans_on_red_and_blue_on_both():
    likelihood = build_likelihood("mixture", 3, 256, 1)
    params = parameters(likelihood, 0.5)
    image = torch.tensor([200, 30, 90]).view(1, 3, 1, 1)
    red, green, blue = centred(image, 256).flatten()
    _, *values = params.flatten()
    means, log_scales, (a, b, c) = values[:3], values[3:6], torch.stack(values[6:]).tanh()
    means = torch.stack([means[0], means[1] + a * red, means[2] + b * red + c * green])
    x = torch.stack([red, green, blue])
    want = discretised_logistic_log_prob(x, means, torch.stack(log_scales), 256).sum()
    torch.testing.assert_close(likelihood.log_prob(params, image)[0], want)


@pytest.mark.parametrize("levels", LEVELS)
def test_levels_survive_the_way_to_floats_and_back(levels):
    x = torch.arange(levels)
    assert torch.equal(to_levels(centred(x, levels), levels).long(), x)
    assert centred(x, levels)[[0, -1]].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mixture", 2, 256), "channels must be 1 or 3, got 2"),
        (("mixture", 1, 1), "levels must be from 2 to 256, got 1"),
        (("logistic", 1, 257), "levels must be from 2 to 256, got 257"),
        (("bernoulli", 1, 256), "likelihood bernoulli needs levels 2, got 256"),
    ],
)
def test_impossible_likelihoods_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_likelihood(*arguments)


def test_gaussians_are_those_of_torch():
    torch.manual_seed(0)
    z, mean, log_var, to_mean, to_log_var = torch.randn(5, 100).double()
    one, other = (Normal(m, (v / 2).exp()) for m, v in ((mean, log_var), (to_mean, to_log_var)))
    torch.testing.assert_close(gaussian_log_prob(z, mean, log_var), one.log_prob(z))
    torch.testing.assert_close(
        gaussian_kl(mean, log_var, to_mean, to_log_var), kl_divergence(one, other)
    )


@pytest.fixture
def flow_and_jacobian():
    torch.manual_seed(0)
    flow = AutoregressiveFlow(2, 6).double()
    with torch.no_grad():
        flow.last.weight.mul_(30)  # the 0.1 of the definition would hide a wrong derivative
    z = torch.randn(1, 2, 3, 4).double()
    context = torch.randn(1, 6, 3, 4).double()
    by_latent = torch.autograd.functional.jacobian(lambda v: flow(v, context)[0], z)
    by_context = torch.autograd.functional.jacobian(lambda v: flow(z, v)[0], context)
    order = (1, 2, 0)  # cells in reading order, channels inside
    cells = [
        j[0, :, :, :, 0].permute(*order, *(3 + i for i in order)) for j in (by_latent, by_context)
    ]
    return flow, z, context, [c.reshape(24, -1) for c in cells]


def test_log_determinant_is_that_of_the_jacobian(flow_and_jacobian):
    flow, z, context, (jacobian, _) = flow_and_jacobian
    _, log_det = flow(z, context)
    torch.testing.assert_close(log_det.sum(), torch.linalg.slogdet(jacobian).logabsdet)
    assert log_det.abs().max() > 0.1


def test_a_cell_sees_only_cells_read_before(flow_and_jacobian):
    *_, (by_latent, by_context) = flow_and_jacobian
    places = list(itertools.product(range(3), range(4)))
    before = [[abs(r - s) < 2 and abs(c - d) < 2 and (s, d) < (r, c) for s, d in places]
              for r, c in places]  # fmt: skip
    before = torch.tensor(before).float()
    one_or_stay = before + torch.eye(12)
    reached = (one_or_stay @ one_or_stay @ before > 0).repeat_interleave(2, 0)  # three layers
    assert torch.equal(reached.repeat_interleave(2, 1), (by_latent != 0) & ~torch.eye(24).bool())
    of_context = (one_or_stay @ one_or_stay > 0).repeat_interleave(2, 0).repeat_interleave(6, 1)
    assert torch.equal(of_context, by_context != 0)


SLOPE, NOISE = 1.3, 0.5
POSTERIOR_VARIANCE = 1 / (1 + SLOPE**2 / NOISE**2)


def gaussian_toy(count, *, shift, variance):
    """Model z ~ N(0, 1), x ~ N(SLOPE z, NOISE^2): its terms, data from it, their likelihood.

    The posterior is exact for `shift` 0 and `POSTERIOR_VARIANCE`.
    """
    torch.manual_seed(0)
    marginal = Normal(0, math.hypot(SLOPE, NOISE))
    x = marginal.sample((count,)).double()

    def network(x):
        mean = SLOPE / NOISE**2 * POSTERIOR_VARIANCE * x + shift
        log_var = torch.full_like(x, math.log(variance))
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        zero = torch.zeros_like(x)
        log_ratio = gaussian_log_prob(z, mean, log_var) - gaussian_log_prob(z, zero, zero)
        log_x = Normal(SLOPE * z, NOISE).log_prob(x)
        return Terms(log_x, [Latent(z, mean, gaussian_kl(mean, log_var, zero, zero), log_ratio)])

    return network, x, marginal.log_prob(x)


def test_importance_weighted_bound_grows_with_samples_up_to_the_exact_likelihood():
    network, x, exact = gaussian_toy(20_000, shift=0.2, variance=0.25)
    found = {k: bounds(network, x, k) for k in (1, 2, 5, 20, 200)}
    elbo = found[200][0].mean()
    weighted = [found[k][1].mean() for k in found]
    assert weighted == sorted(weighted)
    torch.testing.assert_close(weighted[0], elbo, atol=0.03, rtol=0)
    assert elbo < exact.mean() - 0.05
    torch.testing.assert_close(weighted[-1], exact.mean(), atol=0.01, rtol=0)


def test_exact_posterior_makes_every_weight_the_exact_likelihood():
    network, x, exact = gaussian_toy(100, shift=0.0, variance=POSTERIOR_VARIANCE)
    for k in (1, 7):
        torch.testing.assert_close(bounds(network, x, k)[1], exact)


def test_bounds_need_no_more_memory_for_more_samples():
    seen = []

    def network(x):
        alive = [ref for ref in seen if ref() is not None]
        assert len(alive) < 2, "draws of earlier samples are still held"
        terms = Terms(torch.zeros(3), [Latent(torch.zeros(3), torch.zeros(3), *torch.ones(2, 3))])
        seen.append(weakref.ref(terms))
        return terms

    _, weighted, _, rates = bounds(network, torch.zeros(3), 50)
    torch.testing.assert_close(weighted, -torch.ones(3))
    torch.testing.assert_close(rates, torch.ones(1, 3))


def terms_of(rates):
    return Terms(torch.zeros(rates.shape[1]), [Latent(rate, rate, rate, rate) for rate in rates])


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_free_bits_spare_layers_below_them_and_no_others(batch):
    rates = torch.stack([torch.full((batch,), 0.3), torch.full((batch,), 2.0)]).requires_grad_()
    terms_of(rates).objective(free_bits=0.5).backward()
    torch.testing.assert_close(rates.grad, torch.tensor([[0.0], [1 / batch]]).expand(2, batch))
    plain = rates.detach().clone().requires_grad_()
    terms_of(plain).objective(beta=3.0).backward()
    torch.testing.assert_close(plain.grad, torch.full((2, batch), 3 / batch))


def test_objective_without_free_bits_is_the_negative_bound():
    rates = torch.rand(3, 5)
    terms = Terms(torch.randn(5), terms_of(rates).latents)
    torch.testing.assert_close(terms.objective(), -terms.elbo.mean())


def test_running_moments_are_those_of_all_at_once():
    torch.manual_seed(0)
    values = 1e4 + torch.tensor([0.05, 0.5]) * torch.randn(500, 2).double()
    moments = Moments()
    for block in values.split(37):
        moments.add(block)
    torch.testing.assert_close(moments.squares / 500, values.var(0, correction=0))
    assert moments.active() == 1
