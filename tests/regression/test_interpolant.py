"""Fits without a ridge, and the copies that spoil them, by name."""

import pytest
import torch
from numpy.linalg import LinAlgError
from problem import close, make_problem

from ntkif import ntk, ridge_fit
from ntkif.regression.interpolant import alike_pairs, interpolant


def test_copies_are_named_with_the_condition_number():
    p = make_problem(n=20)
    x = torch.cat([p.x_train, p.x_train[[3, 7]]])
    y = torch.cat([p.y_train, p.y_train[[3, 7]]])
    message = r"condition number .*alike to rounding are 2 pairs of training points: \(3, 20\), \(7, 21\)\. .*keep one"
    with pytest.raises(LinAlgError, match=message):
        interpolant(ntk(x), y)


@pytest.mark.parametrize(("distance", "fails"), [(1e-14, True), (1e-9, False)])
def test_near_copies_are_named_when_they_spoil_the_condition(distance, fails):
    p = make_problem(n=20)
    moved = torch.nn.functional.normalize(p.x_train[:1] + distance * p.x_train[1:2])
    kernel, y = ntk(torch.cat([p.x_train, moved])), torch.cat([p.y_train, -p.y_train[:1]])
    assert alike_pairs(kernel).tolist() == ([[0, 20]] if fails else [])
    if fails:
        with pytest.raises(LinAlgError, match=r"alike to rounding are 1 pairs of training points: \(0, 20\)"):
            interpolant(kernel, y)
    else:
        assert torch.allclose(interpolant(kernel, y).predict(kernel), y, rtol=0, atol=1e-3)


def test_pairs_are_found_across_blocks():
    x = torch.nn.functional.normalize(torch.randn(1100, 8, generator=torch.Generator().manual_seed(0)).double())
    x[1050] = x[10]
    x[700] = x[600]
    assert alike_pairs(ntk(x)).tolist() == [[10, 1050], [600, 700]]


def test_a_mixture_of_others_is_said_to_be_one():
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(LinAlgError, match="no two training points are alike, so some are mixtures of several others"):
        interpolant(features @ features.T, torch.ones(6, 1, dtype=torch.float64))


def test_it_passes_through_every_target(problem):
    fit = interpolant(problem.k_train_train, problem.y_train)
    assert close(fit.predict(problem.k_train_train), problem.y_train)
    assert close(fit.dual, ridge_fit(problem.k_train_train, problem.y_train, 0.0).dual)
