"""Some columns of the inverse, against the inverse."""

import pytest
import torch

from ntkif.data import load
from ntkif.kernels.infinite import ntk
from ntkif.regression.columns import solve_columns
from ntkif.regression.nystrom import nystrom_fit
from ntkif.regression.ridge import ridge_fit


@pytest.fixture(scope="module")
def points():
    data = load("mini-mnist-sample").head(200, 10)
    return data.x_train, data.y_train, nystrom_fit([(data.x_train, data.y_train)], data.x_train[:50], 0.5)


@pytest.mark.parametrize(("dtype", "most"), [(None, 1e-9), (torch.float32, 1e-4)])
def test_the_columns_are_those_of_the_inverse(points, dtype, most):
    x, y, features = points
    fit = ridge_fit(ntk(x), y, 0.5)
    right = torch.cat([y, torch.eye(len(x), dtype=x.dtype)[:, [3, 70]]], 1)
    tolerance = 1e-12 if dtype is None else 1e-6
    found, residual = solve_columns(x, right, features, dtype=dtype, tolerance=tolerance, tile=64)
    assert (residual < 100 * tolerance).all() and found.dtype == (dtype or x.dtype)
    expected = torch.cat([fit.dual, fit.inverse[:, [3, 70]]], 1)
    assert (found - expected).norm() < most * expected.norm()


def test_features_make_the_iteration_short(points):
    x, y, features = points
    few = nystrom_fit([(x, y)], x[:1], 0.5)
    left = [float(solve_columns(x, y, each, iterations=6, tolerance=0)[1].max()) for each in (few, features)]
    assert left[1] < left[0] / 5


def test_what_is_solved_exactly_stays_solved(points):
    """All points as landmarks: the first step ends it, and further ones do no harm."""
    x, y, _ = points
    whole = nystrom_fit([(x, y)], x, 0.5)
    found, residual = solve_columns(x, y, whole, iterations=5, tolerance=0)
    assert found.isfinite().all() and (residual < 1e-9).all()


def test_wrong_shapes_are_refused(points):
    x, y, features = points
    with pytest.raises(ValueError, match="right: expected"):
        solve_columns(x, y[:5], features)


def test_a_right_side_of_zeros_is_solved():
    data = load("mini-mnist-sample").head(60, 5)
    lead = nystrom_fit([(data.x_train, data.y_train)], data.x_train[:10], 1.0)
    solution, residual = solve_columns(data.x_train, torch.zeros_like(data.y_train), lead, tolerance=1e-12)
    assert (solution == 0).all() and (residual == 0).all()
