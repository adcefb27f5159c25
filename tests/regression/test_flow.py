"""Kernel gradient flow against its differential equation, and the rule that inverts Laplace transforms."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from problem import close, make_problem, sklearn_without
from scipy.linalg import expm

from ntkif.regression.flow import flow_without, kernel_flow, paper_time, quadrature_error, talbot

TIMES = [1e-4, 0.1, 3.0, 100.0]
RIDGES = [0.0, 0.5]


def flow_of(p, ridge):
    return kernel_flow(p.k_train_train, p.y_train, ridge)


def by_exponential(p, kept, ridge, time):
    """The independent oracle: d/dt (dual, 1) = (Y - (K + λI) dual, 0) as one matrix exponential."""
    n, c = len(kept), p.y_train.shape[1]
    generator = torch.zeros(n + c, n + c, dtype=torch.float64)
    generator[:n, :n] = -(p.k_train_train[kept][:, kept] + ridge * torch.eye(n))
    generator[:n, n:] = p.y_train[kept]
    return p.k_test_train[:, kept] @ torch.from_numpy(expm(time * generator.numpy()))[:n, n:]


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("ridge", RIDGES)
def test_prediction_solves_the_differential_equation(problem, ridge, time):
    p, everything = problem, list(range(len(problem.y_train)))
    flow = flow_of(p, ridge)
    truth = by_exponential(p, everything, ridge, time)
    assert close(flow.predict(p.k_test_train, time), truth)
    assert close(flow.predict_train(time), flow.predict(p.k_train_train, time))


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("ridge", RIDGES)
def test_brute_force_solves_it_without_the_group(problem, ridge, time):
    p, kept = problem, [i for i in range(len(problem.y_train)) if i not in (3, 17)]
    got = flow_without(p.k_train_train, p.k_test_train, p.y_train, ridge, time, [3, 17])
    assert close(got, by_exponential(p, kept, ridge, time))


def test_it_ends_at_the_ridge_fit(problem):
    p = problem
    assert close(flow_of(p, p.ridge).predict(p.k_test_train, math.inf), sklearn_without(p, []))
    assert close(flow_of(p, p.ridge).predict(p.k_test_train, 1e4), sklearn_without(p, []))


def test_it_starts_at_zero_along_the_targets(problem):
    p, time = problem, 1e-9
    flow = flow_of(p, p.ridge)
    assert not flow.predict(p.k_test_train, 0).any()
    assert torch.allclose(flow.predict(p.k_test_train, time), time * p.k_test_train @ p.y_train, rtol=0, atol=1e-16)


@pytest.mark.parametrize("ridge", RIDGES)
def test_gradient_descent_with_small_steps_follows_it(problem, ridge):
    """The error of explicit Euler is proportional to the step."""
    p, time, errors = problem, 2.0, []
    flow, system = flow_of(p, ridge), p.k_train_train + ridge * torch.eye(len(p.y_train))
    for steps in (2000, 4000):
        dual = torch.zeros_like(p.y_train)
        for _ in range(steps):
            dual += time / steps * (p.y_train - system @ dual)
        errors.append(float((p.k_test_train @ dual - flow.predict(p.k_test_train, time)).abs().max()))
    assert errors[0] < 2e-3 and errors[0] / errors[1] == pytest.approx(2, rel=0.01)


def test_the_papers_formula_is_the_ridgeless_case(problem):
    """Eq. 20 as printed, with its own time."""
    p, time = problem, 0.7
    n, k = len(p.y_train), p.k_train_train
    flowed = torch.eye(n) - torch.from_numpy(expm(-2 * paper_time(time, n) / n * k.numpy()))
    assert close(
        flow_of(p, 0.0).predict(p.k_test_train, time), p.k_test_train @ torch.linalg.solve(k, flowed @ p.y_train)
    )


def test_another_ridge_needs_no_other_decomposition(problem):
    p = problem
    assert close(replace(flow_of(p, 0.0), ridge=2.0).dual(1.5), flow_of(p, 2.0).dual(1.5))


def test_copies_of_a_point_do_no_harm_at_finite_times():
    p = make_problem()
    x = torch.cat([p.x_train, p.x_train[:3]])
    copied = type(p)(x, torch.cat([p.y_train, p.y_train[:3]]), p.x_test, p.y_test, p.ridge)
    everything = list(range(len(x)))
    flow = kernel_flow(copied.k_train_train, copied.y_train)
    assert close(flow.predict(copied.k_test_train, 5.0), by_exponential(copied, everything, 0.0, 5.0))
    with pytest.raises(ValueError, match="K \\+ ridge I is singular to rounding and training has no end; name a time"):
        flow.dual(math.inf)


@pytest.mark.parametrize("time", [-1.0, math.nan])
def test_a_bad_time_is_refused(time):
    p = make_problem()
    with pytest.raises(ValueError, match=r"time: expected zero or a positive number, or math.inf .*, got"):
        flow_of(p, 0.0).dual(time)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda k, y: (k.float(), y.float(), 0.0), TypeError, "expected float64, got torch.float32"),
        (lambda k, y: (k - torch.eye(len(k)), y, 0.0), ValueError, "which has no negative eigenvalue, got one with -"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    p = make_problem()
    with pytest.raises(error, match=message):
        kernel_flow(*change(p.k_train_train, p.y_train))


def test_a_kernel_too_large_is_refused_before_the_work(monkeypatch):
    p = make_problem()
    monkeypatch.setattr("ntkif.checks.available_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match=r"the eigendecomposition .* needs .* use fewer training points"):
        flow_of(p, 0.0)


@pytest.mark.parametrize("rate", [0.0, 1e-3, 1.0, 50.0, 1e6])
def test_the_rule_inverts_known_transforms(rate):
    """1/(s + a) is that of e^{-at}; 1/(s + a)^2, that of t e^{-at}."""
    nodes, weights = talbot(26)
    for time in (0.01, 1.0, 30.0):
        s = nodes / time
        decay, ramp = ((weights / (s + rate) ** power).sum().real / time for power in (1, 2))
        assert float(decay) == pytest.approx(math.exp(-rate * time), abs=1e-11)
        assert float(ramp) == pytest.approx(time * math.exp(-rate * time), abs=1e-11 * time)


def test_its_error_falls_geometrically():
    errors = [quadrature_error(count) for count in (8, 12, 16, 20, 24)]
    for one, other in itertools.pairwise(errors):
        assert (one / other) ** (1 / 4) == pytest.approx(3.6, abs=0.2)
    assert errors[-1] < 1e-11


@pytest.mark.parametrize("count", [0, -2, 7])
def test_an_odd_rule_is_refused(count):
    with pytest.raises(ValueError, match="expected a positive even number of nodes"):
        talbot(count)
