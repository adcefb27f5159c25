"""Theorem 3, the leverage and what is above and below it, and Theorem 4's bounds in a cluster."""

import math

import pytest
import torch
from problem import RADIUS, make_problem

from ntkif import ihvp_influence, influence_terms, ntk, ridge_fit
from ntkif.data.mixture import sample_mixture
from ntkif.influence.bounds import (
    cluster_ceiling,
    cluster_spread,
    concentration,
    largest_eigenvalue,
    leverage_bounds,
    leverage_ceiling,
    leverage_floor,
    neighbour_ceiling,
    own_concentration,
    smallest_ridge,
    theorem_3_bound,
)
from ntkif.regression.tiled import tiled_fit
from ntkif.study.experiments.ihvp import rounding

RIDGES = (0.01, 0.5, 20.0)


@pytest.fixture(params=RIDGES)
def terms(problem, request):
    """(fit, exact, ihvp, term I, term II, what rounding explains) at a ridge."""
    fit = ridge_fit(problem.k_train_train, problem.y_train, request.param)
    one, two = influence_terms(fit, problem.k_test_train, problem.y_test)
    slack = rounding(fit.predict(problem.k_test_train) - problem.y_test, two, fit.condition)
    return fit, one + two, ihvp_influence(fit, problem.k_test_train, problem.y_test), one, two, slack


def smallest(problem):
    return float(torch.linalg.eigvalsh(problem.k_train_train)[0])


def test_theorem_3_holds_for_every_pair_and_could_fail(problem, terms):
    fit, exact, ihvp, _, two, slack = terms
    error = (exact - ihvp).abs()
    assert float(slack.max()) < 1e-11 * float(exact.abs().max())
    floor = smallest(problem)
    bound = theorem_3_bound(exact, two, floor, fit.ridge)
    assert torch.allclose(bound, floor / (floor + fit.ridge) * exact.abs() - two)
    assert (bound <= error + slack).all() and (bound > 0).any()
    # With the largest leverage in place of the least, the same formula is above the error somewhere.
    top = float(fit.leverage.max())
    too_high = theorem_3_bound(exact, two, top * fit.ridge / (1 - top), fit.ridge)
    assert (too_high > error + slack).any()


def test_the_leverage_bounds_the_error_and_meets_it(terms):
    fit, exact, ihvp, _, two, slack = terms
    error = (exact - ihvp).abs()
    assert float(slack.max()) < 1e-11 * float(exact.abs().max())
    low, high = leverage_bounds(exact, two, fit.leverage)
    assert (low <= error + slack).all() and (error <= high + slack).all()
    assert ((error - torch.where(exact > 0, high, low)).abs() <= slack).all()
    for wrong in (0.9, 1.1):
        low, high = leverage_bounds(exact, two, wrong * fit.leverage)
        assert ((low > error + slack) | (error > high + slack)).any()


def test_floor_and_ceiling_of_the_leverage(problem):
    for ridge in RIDGES:
        leverage = ridge_fit(problem.k_train_train, problem.y_train, ridge).leverage
        assert leverage_floor(smallest(problem), ridge) <= float(leverage.min())
        assert float(leverage.max()) <= leverage_ceiling(ridge) < leverage_floor(0.6, ridge)
    identity = torch.eye(5, dtype=torch.float64) / 2  # where all points are at right angles, both are met
    leverage = ridge_fit(identity, torch.ones(5, 1, dtype=torch.float64), 0.7).leverage
    assert torch.allclose(leverage, torch.full((5,), leverage_ceiling(0.7), dtype=torch.float64))
    assert leverage_floor(0.5, 0.7) == pytest.approx(leverage_ceiling(0.7))
    for function in (lambda: leverage_floor(0.1, 0.0), lambda: leverage_ceiling(-1.0)):
        with pytest.raises(ValueError, match="ridge: expected a positive number"):
            function()


def test_the_leverage_is_the_least_value_of_a_ridge_problem():
    """A_i = min |J_i - J a|^2 / ridge + |a|^2, on which `neighbour_ceiling` rests, by solving it."""
    p = make_problem(n=12, ridge=0.4)
    j = torch.linalg.cholesky(p.k_train_train).T  # features whose products are the kernel
    for i in range(12):
        a = torch.linalg.solve(j.T @ j + 0.4 * torch.eye(12, dtype=torch.float64), j.T @ j[:, i])
        value = (j[:, i] - j @ a).square().sum() / 0.4 + a.square().sum()
        assert float(value) == pytest.approx(float(p.fit.leverage[i]))


def test_the_neighbour_ceiling(problem):
    kernel, n = problem.k_train_train, len(problem.y_train)
    for ridge in RIDGES:
        leverage = ridge_fit(kernel, problem.y_train, ridge).leverage
        alone = neighbour_ceiling(kernel, ridge, [1])
        assert torch.allclose(alone, torch.full_like(alone, leverage_ceiling(ridge)))
        several = neighbour_ceiling(kernel, ridge, [1, 3, n])
        assert (leverage <= several + 1e-12).all() and (several <= alone).all()
    clustered = torch.block_diag(kernel, torch.full((40, 40), 0.45, dtype=torch.float64) + 0.05 * torch.eye(40))
    leverage = ridge_fit(clustered, torch.ones(80, 1, dtype=torch.float64), 1.0).leverage
    alone, several = (neighbour_ceiling(clustered, 1.0, sizes) for sizes in ([1], [1, 3, 40]))
    assert float((alone / leverage)[40:].min()) > 4 > 1.05 > float((several / leverage)[40:].max())
    i, s = 4, 3  # by hand
    near = kernel[i].argsort(descending=True)[:s]
    a, b = kernel[i, near].mean(), kernel[near][:, near].mean()
    assert float(neighbour_ceiling(kernel, 2.0, [s])[i]) == pytest.approx(float((0.5 - a**2 / (2 / s + b)) / 2))
    with pytest.raises(ValueError, match=r"sizes: expected numbers of neighbours from 1 to 40, got \[0, 3\]"):
        neighbour_ceiling(kernel, 1.0, [0, 3])


def test_the_neighbour_ceiling_of_copies_is_sharp():
    kernel = torch.block_diag(*[torch.full((s, s), 0.5, dtype=torch.float64) for s in (1, 2, 5)])
    leverage = ridge_fit(kernel, torch.ones(8, 1, dtype=torch.float64), 0.3).leverage
    assert torch.allclose(neighbour_ceiling(kernel, 0.3, range(1, 6)), leverage)
    assert torch.allclose(leverage, torch.tensor([1 / (s + 0.6) for s in (1, 2, 2, 5, 5, 5, 5, 5)]).double())


def test_concentration():
    assert concentration(torch.tensor([[2.0, -2.0, 2.0, 2.0], [0.0, 3.0, 0.0, 0.0]])).tolist() == [1.0, 4.0]
    p = make_problem()
    alpha = p.fit.coefficients(p.k_test_train)
    gamma = concentration(alpha)[:, None]
    assert (alpha.abs() <= (gamma / 40).sqrt() * alpha.norm(dim=1, keepdim=True) * (1 + 1e-12)).all()
    # the proof's bound on |α|, and a sharper one (Theorem 3's page)
    assert (alpha.square().sum(1) <= 1 / (8 * p.ridge)).all() and 1 / (8 * p.ridge) < 1 / p.ridge
    assert math.isclose(float(gamma[0]), 40 * float(alpha[0].abs().max() ** 2 / alpha[0].square().sum()))


def test_the_spread_bounds_the_features_within_a_cluster():
    for radius in (0.001, 0.1, 0.5):
        x = sample_mixture([200], radius=radius, seed=1, d=3).x_train[:200]
        spread = 1 - 2 * ntk(x)  # |J(x) - J(x')|^2
        assert float(spread.max()) <= cluster_spread(radius) < cluster_spread(radius, as_printed=True)
        assert float(spread.max()) > 0.6 * cluster_spread(radius)
    opposite = torch.tensor([[math.cos(a), math.sin(a)] for a in (-0.02, 0.02)], dtype=torch.float64)
    radius = float((opposite[0] - opposite[1]).norm() / 2)  # two points as far apart as a cluster allows
    assert float(1 - 2 * ntk(opposite)[0, 1]) == pytest.approx(cluster_spread(radius), rel=0.01)


def test_the_smallest_ridge_is_where_the_averaged_feature_is_feasible():
    least = smallest_ridge(RADIUS, 40.0)
    spread = cluster_spread(RADIUS, as_printed=True) ** 0.5
    assert least / (math.sqrt(2) * (least + 40)) == pytest.approx(spread)  # ε_r = ε_λ of the proof
    with pytest.raises(ValueError, match="radius: expected √2 ε_r below 1, got"):
        smallest_ridge(0.4, 40.0)


def test_own_concentration_by_definition(clusters):
    kernel = ntk(clusters.x_train)
    fit = ridge_fit(kernel, clusters.y_train, 0.3)
    alpha = kernel @ fit.inverse
    truth = len(alpha) * alpha.diagonal().square() / alpha.square().sum(1)
    for block_size in (7, 1000):
        assert torch.allclose(own_concentration(fit, block_size=block_size), truth, rtol=1e-9)


@pytest.mark.parametrize("tile", [13, 64, 200])
def test_own_concentration_of_a_fit_in_tiles(clusters, tile):
    dense = own_concentration(ridge_fit(ntk(clusters.x_train), clusters.y_train, 0.3))
    tiled = tiled_fit(clusters.x_train, clusters.y_train, 0.3, tile=tile, progress=False)
    for block_size in (7, 1000):
        assert torch.allclose(own_concentration(tiled, block_size=block_size), dense, rtol=1e-10, atol=0)


def test_the_ceiling_of_copies():
    assert cluster_ceiling(10, 1e-9, 0.5) == pytest.approx(1 / 11, rel=1e-6)
    with pytest.raises(ValueError, match="ridge: expected a positive number"):
        cluster_ceiling(10, 0.1, 0.0)


@pytest.mark.parametrize("radius", [-0.5, 0.0, 1.0000001, 3.0, math.inf, math.nan])
@pytest.mark.parametrize(
    "call",
    [
        cluster_spread,
        lambda radius: cluster_spread(radius, as_printed=True),
        lambda radius: smallest_ridge(radius, 40.0),
        lambda radius: cluster_ceiling(10, radius, 0.5),
    ],
    ids=["spread", "printed spread", "ridge", "ceiling"],
)
def test_a_radius_that_no_cluster_has(radius, call):
    with pytest.raises(ValueError, match=rf"radius: expected a number above 0 and at most 1, .*, got {radius}; give"):
        call(radius)
    assert cluster_spread(1.0) == 3 and cluster_ceiling(10, 1.0, 0.5) == pytest.approx(1 / 11 + 6)


def test_the_largest_eigenvalue_of_a_centred_kernel():
    kernel = torch.randn(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernel = kernel @ kernel.T
    centred = kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
    assert largest_eigenvalue(centred) == pytest.approx(float(torch.linalg.eigvalsh(centred)[-1]), rel=1e-10)
