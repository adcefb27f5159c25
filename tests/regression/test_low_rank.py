"""Fits by the features of landmarks: those of `ridge_fit` on the kernel that the features have."""

import pytest
import torch
from numpy.linalg import LinAlgError
from problem import close, make_problem

from ntkif import checks, group_influence, loo_influence, ntk, ridge_fit
from ntkif.regression.low_rank import landmark_root, low_rank_errors, low_rank_fit
from ntkif.regression.weighted_flow import loo_errors, weighted_flow


@pytest.fixture(params=(7, 40))
def features(request, problem):
    """Of training and of test points, by some of the 40 training points or all."""
    marks = problem.x_train[: request.param]
    root = landmark_root(ntk(marks))
    return ntk(problem.x_train, marks) @ root, ntk(problem.x_test, marks) @ root


@pytest.mark.parametrize("outputs", (1, 3))
def test_it_is_the_fit_on_their_kernel(features, outputs):
    p, (phi, phi_test) = make_problem(outputs=outputs), features
    low, fit, k_test = low_rank_fit(phi, p.y_train, 0.5), ridge_fit(phi @ phi.T, p.y_train, 0.5), phi_test @ phi.T
    assert close(low.dual, fit.dual) and close(low.leverage, fit.leverage)
    assert close(low.inverse[[3, 17]], fit.inverse[[3, 17]]) and low.inverse.shape == (40, 40)
    assert close(low.inverse[:, torch.tensor([3, 17])], fit.inverse[:, [3, 17]])
    assert close(low.loo_predict(k_test), fit.loo_predict(k_test))
    groups = [torch.tensor([0, 39]), torch.tensor([5])]
    for influence, more in ((loo_influence, ()), (group_influence, (groups,))):
        assert close(influence(low, k_test, p.y_test, *more), influence(fit, k_test, p.y_test, *more))
    values = torch.linalg.eigvalsh(phi @ phi.T) + 0.5
    assert low.condition == pytest.approx(float(values[-1]) / 0.5)


def test_with_all_points_it_is_the_exact_fit(problem):
    phi = ntk(problem.x_train) @ landmark_root(ntk(problem.x_train))
    assert close(phi @ phi.T, ntk(problem.x_train))
    assert close(low_rank_fit(phi, problem.y_train, problem.ridge).dual, problem.fit.dual)


def test_landmarks_may_be_the_same(problem):
    marks = torch.cat([problem.x_train[:6], problem.x_train[:4]])
    root, once = landmark_root(ntk(marks)), landmark_root(ntk(marks[:6]))
    assert root.shape == (10, 6)
    phi, wanted = ntk(problem.x_train, marks) @ root, ntk(problem.x_train, marks[:6]) @ once
    assert close(phi @ phi.T, wanted @ wanted.T)


@pytest.mark.parametrize("intercept", [True, False])
def test_errors_of_ridges_are_those_of_their_kernel(features, problem, intercept):
    phi, scale = features[0], torch.linspace(0, 2, 40, dtype=torch.float64)
    ridges = [0.0, 0.01, 1.0, 30.0]
    flow = weighted_flow(phi @ phi.T, problem.y_train, 0.0, scale, intercept=intercept)
    found = low_rank_errors(phi, problem.y_train, scale, intercept, ridges)
    assert found[0] == torch.inf
    assert found[1:].tolist() == pytest.approx(loo_errors(flow, ridges[1:]).tolist(), rel=1e-8)


def test_what_cannot_be_is_refused(features, problem, monkeypatch):
    phi, y = features[0], problem.y_train
    with pytest.raises(ValueError, match="ridge: expected a positive number, got 0"):
        low_rank_fit(phi, y, 0.0)
    with pytest.raises(LinAlgError, match="ridge: expected one that the precision can see"):
        low_rank_fit(torch.cat([phi, phi], 1), y, 1e-17)
    monkeypatch.setattr(checks, "available_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match="use fewer landmarks"):
        low_rank_fit(phi, y, 1.0)
