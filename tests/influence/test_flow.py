"""Influence along training against a flow without each point."""

import math

import pytest
import torch
from problem import close, make_problem

from ntkif import loo_influence, ridge_fit
from ntkif.influence.flow import influence_along, influence_at, loo_change_at, loo_predict_train
from ntkif.regression.flow import flow_without, kernel_flow

TIMES = [1e-4, 0.1, 3.0, 100.0, 1e4]
RIDGES = [0.0, 0.5]


def flow_of(p, ridge):
    return kernel_flow(p.k_train_train, p.y_train, ridge)


def without_each(p, k_test_train, ridge, time):
    """(k, n, c) predictions of n eigendecompositions."""
    refits = [flow_without(p.k_train_train, k_test_train, p.y_train, ridge, time, [i]) for i in range(len(p.y_train))]
    return torch.stack(refits, dim=1)


def relative(got, truth):
    return float((got - truth).abs().max() / truth.abs().max())


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("ridge", RIDGES)
def test_every_removal_at_every_time_is_that_of_refitting(problem, ridge, time):
    p = problem
    flow = flow_of(p, ridge)
    truth, with_all = without_each(p, p.k_test_train, ridge, time), flow.predict(p.k_test_train, time)
    assert relative(loo_change_at(flow, p.k_test_train, time), truth - with_all[:, None]) < 1e-11
    got = influence_at(flow, p.k_test_train, p.y_test, time)
    loss = (truth - p.y_test[:, None]).square().sum(2) / 2 - (with_all - p.y_test).square().sum(1, keepdim=True) / 2
    assert relative(got.influence, loss) < 1e-9
    assert torch.equal(got.prediction, with_all) and got.time == time and got.error < 1e-10


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("ridge", RIDGES)
def test_predictions_of_the_point_left_out(problem, ridge, time):
    p, every = problem, torch.arange(len(problem.y_train))
    truth = without_each(p, p.k_train_train, ridge, time)[every, every]
    flow = flow_of(p, ridge)
    assert relative(loo_predict_train(flow, time), truth) < 1e-11
    assert relative(influence_at(flow, p.k_test_train, p.y_test, time).loo_prediction, truth) < 1e-11


@pytest.mark.parametrize("time", [1e4, math.inf])
def test_at_the_end_it_is_equation_9(problem, time):
    p = problem
    truth = loo_influence(p.fit, p.k_test_train, p.y_test)
    assert relative(influence_at(flow_of(p, p.ridge), p.k_test_train, p.y_test, time).influence, truth) < 1e-11
    loo = p.y_train + p.fit.loo_residual
    assert relative(loo_predict_train(flow_of(p, p.ridge), time), loo) < 1e-11


def test_without_a_ridge_it_ends_at_equation_9_too(problem):
    p = problem
    truth = loo_influence(ridge_fit(p.k_train_train, p.y_train, 0.0), p.k_test_train, p.y_test)
    assert relative(influence_at(flow_of(p, 0.0), p.k_test_train, p.y_test, math.inf).influence, truth) < 1e-9


def test_at_the_start_each_point_adds_its_own_gradient(problem):
    """f(x; t) = t K(x, X) Y + O(t^2), so that removing i takes t K(x, x_i) y_i away."""
    p, time = problem, 1e-8
    first_order = -time * p.k_test_train[:, :, None] * p.y_train
    assert relative(loo_change_at(flow_of(p, 0.5), p.k_test_train, time), first_order) < 1e-6
    assert not influence_at(flow_of(p, 0.5), p.k_test_train, p.y_test, 0.0).influence.any()
    assert not loo_change_at(flow_of(p, 0.5), p.k_test_train, 0.0).any()


def test_gradient_descent_without_each_point_follows_it():
    """n small networks of kernel gradient descent, all at once; the error of explicit Euler halves with the step."""
    p, time, ridge, errors = make_problem(n=12, k=5), 2.0, 0.5, []
    n = len(p.y_train)
    alive = 1 - torch.eye(n, dtype=torch.float64)  # column i: without point i
    for steps in (2000, 4000):
        dual = torch.zeros(n, n, dtype=torch.float64)
        for _ in range(steps):
            dual += time / steps * alive * (p.y_train - p.k_train_train @ dual - ridge * dual)
        flow = flow_of(p, ridge)
        change = p.k_test_train @ dual - flow.predict(p.k_test_train, time)
        errors.append(relative(loo_change_at(flow, p.k_test_train, time)[:, :, 0], change))
    assert errors[0] < 0.01 and errors[0] / errors[1] == pytest.approx(2, rel=0.02)


def test_block_size_and_company_do_not_matter(problem):
    p = problem
    flow = flow_of(p, 0.5)
    one, other = (influence_at(flow, p.k_test_train, p.y_test, 2.0, block_size=size) for size in (7, 512))
    assert close(one.influence, other.influence)
    several = list(influence_along(flow, p.k_test_train, p.y_test, [0.1, 2.0]))
    assert [timed.time for timed in several] == [0.1, 2.0]
    assert torch.equal(several[1].influence, other.influence)
    changes = [loo_change_at(flow, p.k_test_train, 2.0, block_size=size) for size in (7, 512)]
    assert close(*changes)
    assert close(*[loo_predict_train(flow, 2.0, block_size=size) for size in (7, 512)])


def test_copies_of_a_point_replace_each_other():
    p = make_problem()
    x, y = torch.cat([p.x_train, p.x_train[:1]]), torch.cat([p.y_train, p.y_train[:1]])
    copied = type(p)(x, y, p.x_test, p.y_test, p.ridge)
    flow = kernel_flow(copied.k_train_train, copied.y_train)
    for time in (0.1, 1e3):
        truth = without_each(copied, copied.k_test_train, 0.0, time) - flow.predict(copied.k_test_train, time)[:, None]
        got = loo_change_at(flow, copied.k_test_train, time)
        assert relative(got, truth) < 1e-10 and torch.allclose(got[:, 0], got[:, -1], rtol=0, atol=1e-12)


def test_the_estimate_bounds_the_error_and_follows_the_tolerance(problem):
    p, time = problem, 3.0
    flow = flow_of(p, 0.0)
    truth = without_each(p, p.k_test_train, 0.0, time) - flow.predict(p.k_test_train, time)[:, None]
    nodes = []
    for tolerance in (1e-3, 1e-6, 1e-9):
        got = influence_at(flow, p.k_test_train, p.y_test, time, tolerance=tolerance)
        assert 1e-4 * tolerance < got.error <= tolerance
        assert relative(loo_change_at(flow, p.k_test_train, time, tolerance=tolerance), truth) < got.error
        nodes.append(got.nodes)
    assert nodes == sorted(set(nodes))


def test_a_tolerance_below_rounding_is_refused():
    p = make_problem()
    with pytest.raises(ArithmeticError, match=r"agree to .*e-1\d between two rules, not to the 1.0e-18 asked for"):
        influence_at(flow_of(p, 0.0), p.k_test_train, p.y_test, 1.0, tolerance=1e-18)


def test_an_output_that_is_zero_everywhere_never_changes():
    p = make_problem(outputs=3)
    p.y_train[:, 1] = 0
    change = loo_change_at(flow_of(p, 0.5), p.k_test_train, 1.0)
    assert not change[:, :, 1].any() and change[:, :, 0].any()
    p.y_train[:] = 0
    assert not loo_change_at(flow_of(p, 0.5), p.k_test_train, 1.0).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: (p.k_test_train[:, :-1], p.y_test, 1.0), "k_test_train: expected a matrix of shape"),
        (lambda p: (p.k_test_train, p.y_test[:-1], 1.0), "y_test: expected a matrix of shape"),
        (lambda p: (p.k_test_train, p.y_test, -1.0), "time: expected zero or a positive number"),
        (lambda p: (p.k_test_train * math.nan, p.y_test, 1.0), "k_test_train: expected finite numbers"),
    ],
)
def test_bad_input_is_refused(change, message):
    p = make_problem()
    with pytest.raises(ValueError, match=message):
        influence_at(flow_of(p, 0.5), *change(p))


def test_results_too_large_are_refused_before_the_work(monkeypatch):
    p = make_problem()
    flow = flow_of(p, 0.5)
    monkeypatch.setattr("ntkif.checks.available_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match="pass fewer test points at once"):
        influence_at(flow, p.k_test_train, p.y_test, 1.0)
    with pytest.raises(MemoryError, match="pass fewer test points at once"):
        loo_change_at(flow, p.k_test_train, 1.0)
