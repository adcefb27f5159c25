"""Norms of the function in its RKHS, and what points and groups add to them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problem import close, make_problem
from scipy.linalg import cho_factor, cho_solve

from ntkif import ntk, ridge_fit
from ntkif.influence.complexity import influence_groups, norm_increments, point_increments, rkhs_norm
from ntkif.regression.interpolant import interpolant


def norm(p, kept):
    """(Y^T K^-1 Y)^1/2 from the definition, by SciPy, for the points that are kept."""
    k, y = p.k_train_train[kept][:, kept].numpy(), p.y_train[kept].numpy()
    return float(np.sqrt((y * cho_solve(cho_factor(k), y)).sum()))


def without(p, group):
    return [i for i in range(len(p.y_train)) if i not in set(group)]


GROUPS = [[0], [5, 2], list(range(10, 30)), list(range(39))]


def test_increments_are_the_difference_of_two_norms(problem):
    p = problem
    fit = interpolant(p.k_train_train, p.y_train)
    whole = norm(p, without(p, []))
    truth = [whole - norm(p, without(p, group)) for group in GROUPS]
    assert rkhs_norm(fit) == pytest.approx(whole, rel=1e-10)
    assert close(norm_increments(fit, GROUPS), torch.tensor(truth, dtype=torch.float64))
    left = whole - float(norm_increments(fit, [list(range(40))]))
    assert left**2 < 1e-10 * whole**2  # ten digits of the square: a root of zero has half of them


def test_single_points_need_no_blocks(problem):
    fit = interpolant(problem.k_train_train, problem.y_train)
    assert close(point_increments(fit), norm_increments(fit, [[i] for i in range(40)]))


def test_it_is_the_norm_of_the_function(problem):
    """For f = Σ β_i K(x_i, .) the squared norm is β^T K β, and f passes through the targets."""
    p = problem
    fit = interpolant(p.k_train_train, p.y_train)
    assert rkhs_norm(fit) ** 2 == pytest.approx(float((fit.dual * (p.k_train_train @ fit.dual)).sum()), rel=1e-10)
    assert close(fit.predict(p.k_train_train), p.y_train)


def test_tiny_increments_keep_their_digits():
    """A point that the others predict almost exactly adds almost nothing; the difference of two norms would lose it."""
    p = make_problem(n=12)
    p.y_train[0] = interpolant(p.k_train_train[1:, 1:], p.y_train[1:]).predict(p.k_train_train[:1, 1:]) + 1e-9
    fit = interpolant(p.k_train_train, p.y_train)
    expected = 1e-18 * fit.inverse[0, 0] / (2 * rkhs_norm(fit))
    assert float(point_increments(fit)[0]) == pytest.approx(float(expected), rel=1e-5)


def test_with_a_ridge_the_kernel_is_k_plus_ridge(problem):
    p = problem
    noisy = p.k_train_train + 0.3 * torch.eye(40, dtype=torch.float64)
    one, other = ridge_fit(p.k_train_train, p.y_train, 0.3), interpolant(noisy, p.y_train)
    assert close(norm_increments(one, GROUPS), norm_increments(other, GROUPS))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 39), min_size=2, max_size=20, unique=True), st.integers(0, 3))
def test_a_larger_set_never_adds_less(group, seed):
    p = make_problem(seed=seed)
    fit = interpolant(p.k_train_train, p.y_train)
    smaller, larger = norm_increments(fit, [group[:-1], group]).tolist()
    assert 0 <= smaller <= larger + 1e-9 <= rkhs_norm(fit) + 2e-9


def test_groups_are_sorted_from_harmful_to_helpful():
    influence = torch.tensor([0.5, -2.0, 0.1, 3.0, -0.3, 0.0, 1.0])
    assert [group.tolist() for group in influence_groups(influence, 3)] == [[1, 4, 5], [2, 0], [6, 3]]


@pytest.mark.parametrize("influence", [torch.zeros(3), torch.zeros(20, 2)])
def test_groups_need_points(influence):
    with pytest.raises(ValueError, match=r"expected a vector of at least 10 numbers.* got shape"):
        influence_groups(influence)


@pytest.mark.parametrize(
    ("groups", "message"),
    [([], "expected at least one set"), ([[1, 1]], "distinct training rows"), ([[40]], "from 0 to 39")],
)
def test_bad_groups_are_refused(groups, message):
    p = make_problem()
    with pytest.raises(ValueError, match=message):
        norm_increments(interpolant(p.k_train_train, p.y_train), groups)


def test_targets_of_zero_add_nothing():
    p = make_problem()
    fit = interpolant(ntk(p.x_train), torch.zeros_like(p.y_train))
    assert (point_increments(fit) == 0).all() and (norm_increments(fit, [torch.tensor([1, 2])]) == 0).all()
