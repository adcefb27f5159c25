"""Training with an intercept and weights, and leave-one-out errors at many ridges, against doing it anew."""

import math

import pytest
import torch
from problem import close, make_problem

from ntkif.influence.flow import influence_at
from ntkif.regression.weighted import weighted_fit
from ntkif.regression.weighted_flow import loo_errors, weighted_flow

N, RIDGE = 14, 0.5
WEIGHT = torch.arange(N).double().sin().square() + 0.1
WEIGHT[3] = 0
CASES = [(weight, intercept) for weight in (WEIGHT, torch.ones(N).double()) for intercept in (True, False)]


def trained(p, kept, time, weight, intercept, ridge=RIDGE):
    """Predictions of g = K a, da/dt = W (y - b - K a) - λ a with b = Σ w (y - K a) / Σ w, by the matrix exponential."""
    kernel, w, y = p.k_train_train[kept][:, kept], weight[kept], p.y_train[kept]
    mean = w[None] / w.sum() if intercept else torch.zeros_like(w)[None]
    slope = -(w[:, None] * (kernel - mean @ kernel)) - ridge * torch.eye(len(w)).double()
    force = w[:, None] * (y - mean @ y)
    block = torch.zeros(len(w) + y.shape[1], len(w) + y.shape[1]).double()
    block[: len(w), : len(w)], block[: len(w), len(w) :] = slope, force
    dual = torch.linalg.matrix_exp(time * block)[: len(w), len(w) :]
    return p.k_test_train[:, kept] @ dual + mean @ (y - kernel @ dual)


@pytest.mark.parametrize(("weight", "intercept"), CASES)
def test_the_flow_and_every_removal_is_training_anew(weight, intercept):
    p = make_problem(n=N, k=5, outputs=3)
    flow = weighted_flow(p.k_train_train, p.y_train, RIDGE, weight.sqrt(), intercept=intercept)
    k_test_train, everything = flow.test_kernel(p.k_test_train), list(range(N))
    for time in (0.0, 0.4, 3.0):
        whole = trained(p, everything, time, weight, intercept)
        timed = influence_at(flow, k_test_train, p.y_test, time)
        assert torch.allclose(timed.prediction, whole, rtol=0, atol=1e-12)
        for i in range(N):
            without = trained(p, [j for j in everything if j != i], time, weight, intercept)
            wanted = ((without - p.y_test) ** 2 / 2 - (whole - p.y_test) ** 2 / 2).sum(1)
            assert torch.allclose(timed.influence[:, i], wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("weight", "intercept"), CASES)
def test_its_end_is_the_ridge_fit(weight, intercept):
    p = make_problem(n=N, k=5, outputs=3)
    flow = weighted_flow(p.k_train_train, p.y_train, RIDGE, weight.sqrt(), intercept=intercept)
    fit = weighted_fit(p.k_train_train, p.y_train, RIDGE, weight=weight, intercept=intercept)
    assert close(flow.predict(flow.test_kernel(p.k_test_train), math.inf), fit.predict(p.k_test_train))


@pytest.mark.parametrize(("weight", "intercept"), CASES)
def test_errors_are_those_of_the_fits(weight, intercept):
    p, ridges = make_problem(n=N, k=5, outputs=3), [0.01, 0.5, 3.0]
    flow = weighted_flow(p.k_train_train, p.y_train, RIDGE, weight.sqrt(), intercept=intercept)
    for ridge, error in zip(ridges, loo_errors(flow, ridges), strict=True):
        fit = weighted_fit(p.k_train_train, p.y_train, ridge, weight=weight, intercept=intercept)
        assert close(error, (weight[:, None] * fit.loo_residual.square()).sum() / weight.sum())


def test_copies_have_no_error_without_a_ridge():
    p = make_problem(n=N)
    rows = [0, 0, *range(N - 2)]
    kernel = p.k_train_train[rows][:, rows]
    flow = weighted_flow(kernel, p.y_train, 0.0, torch.ones(N).double())
    assert loo_errors(flow, [0.0, 1.0]).isinf().tolist() == [True, False]
    with pytest.raises(ValueError, match="scale: expected"):
        weighted_flow(kernel, p.y_train, 0.0, torch.ones(N - 1).double())


def test_a_large_constant_in_the_kernel_is_the_intercepts():
    p, scale = make_problem(n=N, k=5), WEIGHT.sqrt()
    plain = weighted_flow(p.k_train_train, p.y_train, RIDGE, scale)
    large = weighted_flow(p.k_train_train + 1e6, p.y_train, RIDGE, scale)
    found = large.predict(large.test_kernel(p.k_test_train + 1e6), 0.7)
    assert close(found, plain.predict(plain.test_kernel(p.k_test_train), 0.7), 1e-6)
