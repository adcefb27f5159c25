"""Clusters as Definition 1 has them."""

import pytest
import torch
from problem import COUNTS, RADIUS

from ntkif.data.mixture import sample_mixture


def test_the_mixture_is_as_defined(clusters):
    for x, cluster, y in (
        (clusters.x_train, clusters.cluster_train, clusters.y_train),
        (clusters.x_test, clusters.cluster_test, clusters.y_test),
    ):
        assert torch.allclose(x.norm(dim=1), torch.ones(len(x), dtype=torch.float64), rtol=1e-14)
        assert ((y[:, 0] == 1) == (cluster < 4)).all()
    assert clusters.counts == COUNTS * 2 and torch.bincount(clusters.cluster_train).tolist() == list(COUNTS * 2)
    assert len(clusters.x_test) == 50 and len(sample_mixture(COUNTS, radius=0.1, seed=0).x_test) == 15
    again = sample_mixture(COUNTS, radius=RADIUS, seed=0, d=30, n_test=50)
    assert torch.equal(again.x_train, clusters.x_train)
    assert not torch.equal(sample_mixture(COUNTS, radius=RADIUS, seed=1, d=30).x_train, clusters.x_train)


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


@pytest.mark.parametrize("wrong", [{"counts": ()}, {"counts": (3, 0)}, {"radius": 0.0}, {"radius": 1.1}, {"d": 1}])
def test_wrong_mixtures(wrong):
    settings = {"counts": (3, 4), "radius": 0.1, "d": 5} | wrong
    with pytest.raises(ValueError, match="expected clusters of at least one point, a radius above 0"):
        sample_mixture(settings.pop("counts"), seed=0, **settings)
