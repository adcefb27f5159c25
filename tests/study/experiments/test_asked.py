"""What is asked of a recorded training: its own answers, in its own words, and rows that are drawn."""

import math

import pytest
import torch

from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.networks.modules import predict
from ntkif.study.experiments.asked import left_out, own_kernel_scores, recorded_and_asked
from ntkif.study.experiments.trained_networks import Case, draw, kernel_influence

CASE = Case("small", width=6, rate=0.1, batch_size=8, epochs=3)


@pytest.fixture(scope="module")
def asked():
    x, y, *test = draw(CASE, load("mini-mnist-sample"), 24, 6, 1, pool=7)
    return *recorded_and_asked(CASE, (x, y), test, 1, folds=4, alone=2), test


def test_what_is_told_is_what_the_recording_says(asked):
    run, ours, told, test = asked
    assert torch.equal(ours, run.influence(*test, trust=True)) and len(run.alone) == 2
    check = run.check(*test)
    assert (told["check"], told["of"], told["curvature"]) == tuple(
        check[name] for name in ("relative_error", "of", "curvature")
    )
    loss = -(predict(run.module, test[0]).log_softmax(1) * test[1]).sum(1).mean()
    assert told["test_loss"] == pytest.approx(float(loss), rel=1e-12)
    assert told["train_loss"] == pytest.approx(
        float(run.tape.loss.value(run.tape.function(run.theta, run.tape.x), run.tape.y).mean())
    )
    assert all(told[f"{name}_seconds"] > 0 for name in ("recording", "influence", "train"))


def test_rows_are_distinct_and_their_seeds_own():
    assert len(set(left_out(30, 20, 0))) == 20 and left_out(30, 20, 0) == left_out(30, 20, 0) != left_out(30, 20, 1)


def test_the_own_kernel_has_the_damping_that_the_truth_would_choose(asked, monkeypatch):
    run, _, _, test = asked
    rows = left_out(24, 8, 1)
    truth = run.without(rows, *test)
    errors = [agreement(each[:, rows], truth)["relative_error"] for each in kernel_influence(run, *test).values()]
    assert own_kernel_scores(run, rows, test, truth)["relative_error"] == min(errors)
    monkeypatch.setattr("ntkif.study.experiments.asked.kernel_influence", lambda *_: {})
    assert all(map(math.isnan, own_kernel_scores(run, rows, test, truth).values()))
