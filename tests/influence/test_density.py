"""Densities of points against SciPy's and scikit-learn's."""

import math

import numpy as np
import pytest
import torch
from problem import make_problem
from scipy.special import logsumexp
from scipy.stats import gaussian_kde, spearmanr
from sklearn.decomposition import PCA
from sklearn.neighbors import KernelDensity

from ntkif.influence.density import median_distance, nearest_distance, pca_density, sphere_density

X = make_problem(n=60).x_train


def distances(x):
    return torch.cdist(x, x)


def test_sphere_density_leaves_the_point_out():
    for h in (0.05, 0.4, 3.0):
        squares = distances(X).square().numpy()
        truth = [logsumexp(np.delete(-row / (2 * h**2), i)) - math.log(59) for i, row in enumerate(squares)]
        for block_size in (7, 512):
            assert np.allclose(sphere_density(X, h, block_size=block_size), truth, rtol=1e-9, atol=1e-9)


def test_the_point_itself_does_not_change_ranks():
    """Against scikit-learn's estimate, which counts each point as its own neighbour."""
    whole = KernelDensity(bandwidth=0.4).fit(X.numpy()).score_samples(X.numpy())
    assert spearmanr(sphere_density(X, 0.4), whole).statistic == pytest.approx(1)


def test_bandwidth_rules():
    apart = distances(X)
    above = apart[np.triu_indices(60, 1)]
    assert median_distance(X) == pytest.approx(float(above.median()))
    nearest = (apart + 9 * torch.eye(60)).min(1).values
    for block_size in (7, 512):
        assert nearest_distance(X, block_size=block_size) == pytest.approx(float(nearest.median()), rel=1e-10)
    assert nearest_distance(X) < median_distance(X)


@pytest.mark.parametrize("components", [1, 3])
def test_pca_density(components):
    scores = PCA(components).fit_transform(X.numpy())
    truth = gaussian_kde(scores.T).logpdf(scores.T)
    assert np.allclose(pca_density(X, components), truth)


def test_wrong_input():
    with pytest.raises(ValueError, match="bandwidth: expected a positive distance"):
        sphere_density(X, 0.0)
    with pytest.raises(ValueError, match="x: expected at least two points, got one"):
        median_distance(X[:1])
    with pytest.raises(ValueError, match="x: expected rows of norm 1"):
        nearest_distance(2 * X)
    for components in (0, 6):
        with pytest.raises(ValueError, match="components: expected from 1 to 5, got"):
            pca_density(X, components)
