"""Clusters as Definition 1 has them, and Theorem 4 on them."""

import math

import pytest
import torch

from ntkif import ntk, ridge_fit
from ntkif.data.mixture import sample_mixture
from ntkif.influence.bounds import (
    cluster_ceiling,
    cluster_spread,
    largest_eigenvalue,
    own_concentration,
    smallest_ridge,
)
from ntkif.regression.tiled import tiled_fit
from ntkif.study.experiments.density import errors_by_cluster

COUNTS, RADIUS = (5, 10, 20, 40), 0.001


@pytest.fixture(scope="module")
def points():
    return sample_mixture(COUNTS, radius=RADIUS, seed=0, d=30, n_test=50)


def test_the_mixture_is_as_defined(points):
    for x, cluster, y in (
        (points.x_train, points.cluster_train, points.y_train),
        (points.x_test, points.cluster_test, points.y_test),
    ):
        assert torch.allclose(x.norm(dim=1), torch.ones(len(x), dtype=torch.float64), rtol=1e-14)
        assert ((y[:, 0] == 1) == (cluster < 4)).all()
    assert points.counts == COUNTS * 2 and torch.bincount(points.cluster_train).tolist() == list(COUNTS * 2)
    assert len(points.x_test) == 50 and len(sample_mixture(COUNTS, radius=0.1, seed=0).x_test) == 15
    again = sample_mixture(COUNTS, radius=RADIUS, seed=0, d=30, n_test=50)
    assert torch.equal(again.x_train, points.x_train)
    assert not torch.equal(sample_mixture(COUNTS, radius=RADIUS, seed=1, d=30).x_train, points.x_train)


@pytest.mark.parametrize("radius", [0.001, 0.5, 1.0])
def test_points_are_within_the_radius_of_their_mean_and_fill_it(radius):
    """(A2), from the centre, and from the mean of a large sample for the expectation."""
    drawn = sample_mixture([4000], radius=radius, seed=0, d=5)
    x = drawn.x_train[:4000]
    assert 0.99 * radius < float((x - drawn.centres[0]).norm(dim=1).max()) <= radius
    distance = (x - x.mean(0)).norm(dim=1)
    assert 0.85 * radius < float(distance.max()) < radius * 1.02
    assert float(distance.min()) < 0.4 * radius


def test_test_points_come_from_the_mixture():
    many = sample_mixture([10, 30], radius=0.1, seed=0, n_test=40000)
    share = torch.bincount(many.cluster_test).double() / 40000
    assert torch.allclose(share, torch.tensor([0.125, 0.375, 0.125, 0.375], dtype=torch.float64), atol=0.01)


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


def test_own_concentration_by_definition(points):
    kernel = ntk(points.x_train)
    fit = ridge_fit(kernel, points.y_train, 0.3)
    alpha = kernel @ fit.inverse
    truth = len(alpha) * alpha.diagonal().square() / alpha.square().sum(1)
    for block_size in (7, 1000):
        assert torch.allclose(own_concentration(fit, block_size=block_size), truth, rtol=1e-9)


@pytest.mark.parametrize("tile", [13, 64, 200])
def test_own_concentration_of_a_fit_in_tiles(points, tile):
    dense = own_concentration(ridge_fit(ntk(points.x_train), points.y_train, 0.3))
    tiled = tiled_fit(points.x_train, points.y_train, 0.3, tile=tile, progress=False)
    for block_size in (7, 1000):
        assert torch.allclose(own_concentration(tiled, block_size=block_size), dense, rtol=1e-10, atol=0)


def test_theorem_4_holds_in_every_cluster_where_its_condition_does(points):
    largest = float(torch.linalg.eigvalsh(ntk(points.x_train))[-1])
    assert largest_eigenvalue(ntk(points.x_train)) == pytest.approx(largest, rel=1e-12)
    least = smallest_ridge(RADIUS, largest)
    table = errors_by_cluster(points, [1.001 * least, 10 * least, 1e-4 * least])
    assert table["smallest_ridge"].unique() == pytest.approx([least], rel=1e-6)
    allowed = table[table["ridge"] > least]
    assert (allowed["violations"] == 0).all()
    assert (allowed["error"] < allowed["bound"]).all()
    for column in ("paper_ceiling", "own_ceiling"):
        assert (allowed["largest_leverage"] <= allowed[column]).all()
    # Far below the condition it fails, so it can fail; the ceiling without γ needs no condition.
    assert table[table["ridge"] < least]["violations"].sum() > 0
    assert (table["largest_leverage"] <= table["ceiling"]).all()
    assert (allowed["ceiling"] < 1.1 * allowed["largest_leverage"]).all()
    assert (table.groupby("ridge")["count"].apply(list).map(lambda c: c == list(COUNTS * 2))).all()


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


@pytest.mark.parametrize("wrong", [{"counts": ()}, {"counts": (3, 0)}, {"radius": 0.0}, {"radius": 1.1}, {"d": 1}])
def test_wrong_mixtures(wrong):
    settings = {"counts": (3, 4), "radius": 0.1, "d": 5} | wrong
    with pytest.raises(ValueError, match="expected clusters of at least one point, a radius above 0"):
        sample_mixture(settings.pop("counts"), seed=0, **settings)
