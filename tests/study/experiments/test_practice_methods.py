"""Each method of the practitioner's page where its answer is known."""

import math
from dataclasses import replace

import pytest
import torch

from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.study.experiments import practice_methods
from ntkif.study.experiments.practice import Setting, record_setting
from ntkif.study.experiments.practice_methods import DAMPINGS, METHODS, balance, by_hand, estimates, start_of, timed
from ntkif.study.experiments.trained_networks import draw

DATA = load("mini-mnist-sample")
HOW = {"rate": 0.2, "batch_size": None, "epochs": 30}
LINEAR = Setting("linear", network="linear", decay=0.1, settles=True, **HOW)
SMALL = Setting("small", width=3, decay=0.1, settles=True, **HOW)


def made(setting):
    x, y, *test = draw(setting, DATA, 24, 6, 1, pool=7)
    run = record_setting(setting, x, y, 1, n_train=24, folds=4)
    found = estimates(run, test, setting.penalty(24))
    return run, test, {name: estimate for name, (estimate, *_) in found.items()}


def test_the_two_hessians_are_one_where_the_outputs_do_not_bend():
    exact, gauss = METHODS[3], METHODS[4]
    for setting in (LINEAR, replace(LINEAR, decay=0.0, ridge=2.0)):
        linear = made(setting)[2]
        assert torch.allclose(linear[exact], linear[gauss], rtol=1e-6, atol=1e-12)
    bent = made(SMALL)[2]
    assert not torch.allclose(bent[exact], bent[gauss], rtol=1e-2)


def test_the_exact_hessian_is_that_of_finite_differences():
    run, test, found = made(SMALL)
    tape, penalty, step = run.tape, SMALL.penalty(24), 1e-5

    def gradient(theta, x, y):
        theta = theta.detach().requires_grad_()
        total = tape.loss.value(tape.function(theta, x), y).sum()
        return torch.autograd.grad(total, theta)[0]

    eye = torch.eye(len(run.theta), dtype=torch.float64)
    columns = [
        gradient(run.theta + step * e, tape.x, tape.y) - gradient(run.theta - step * e, tape.x, tape.y) for e in eye
    ]
    hessian = torch.stack(columns) / (2 * step) + penalty * eye
    moved = torch.linalg.solve(hessian, gradient(run.theta, tape.x[3:4], tape.y[3:4]))
    expected = float(gradient(run.theta, test[0][2:3], test[1][2:3]) @ moved)
    assert float(found[METHODS[3]][2, 3]) == pytest.approx(expected, rel=1e-4)


def test_the_best_damping_is_the_one_of_the_smallest_error():
    run, test, _ = made(SMALL)
    rows = [0, 3, 9]
    truth = run.without(rows, *test)
    found = by_hand(run, test, rows, truth)
    errors = {name: agreement(estimate[:, rows], truth)["relative_error"] for name, (estimate, *_) in found.items()}
    assert len(found) == len(DAMPINGS) + 1 and errors[METHODS[7]] == min(errors.values())
    assert balance(run) > 0 and not torch.equal(start_of(run)[1].weight, run.module[1].weight)


def test_a_network_too_sure_of_its_labels_has_no_kernel_estimate(monkeypatch):
    def refuses(*_, **__):
        raise ValueError

    run, test, _ = made(SMALL)
    monkeypatch.setattr(practice_methods, "NetworkInfluence", refuses)
    found = estimates(run, test, 1.0)
    assert found[METHODS[5]][0].isnan().all() and found[METHODS[5]][0].shape == (6, 24)
    assert not found[METHODS[2]][0].isnan().any()


def test_the_time_is_that_of_the_processor():
    value, seconds = timed(lambda: sum(range(1000)))
    assert value == 499500 and 0 <= seconds < math.inf
