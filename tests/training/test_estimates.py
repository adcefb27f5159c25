"""Estimates by either curvature: what their check scores, which is chosen, and what is remembered."""

import pytest
import torch
from recorded_problem import linear, problem, recording

from ntkif.metrics import agreement
from ntkif.networks.losses import SQUARES
from ntkif.training.optimizers import SGD
from ntkif.training.verdict import Estimate, NotPredictableError

_, _, X_TEST, Y_TEST = problem()


@pytest.fixture(scope="module")
def run():
    return recording()


def test_the_check_scores_the_removal_of_each_fold(run):
    only = recording(alone=0)
    sets = [(run.fold == number).nonzero()[:, 0] for number in range(6)]
    found, truth = only.group(sets, X_TEST, Y_TEST), run.without(sets, X_TEST, Y_TEST)
    told = only.check(X_TEST, Y_TEST)
    assert (told.pop("curvature"), told.pop("of")) == ("Hessian", "folds")
    assert told == pytest.approx(agreement(found, truth), rel=1e-9)


def test_the_check_scores_points_that_were_left_out_alone():
    """Where folds are large, only these know that a point's force is not that of its fold."""
    run = recording(linear(), loss=SQUARES, optimizer=SGD(0.1, momentum=0.9), epochs=20, folds=3, alone=8)
    told = run.check(X_TEST, Y_TEST)
    assert told.pop("curvature") and told.pop("of") == "points alone"
    found, truth = run.influence(X_TEST, Y_TEST, trust=True), run.without(run.alone, X_TEST, Y_TEST)
    assert told == pytest.approx(agreement(found[:, run.alone], truth), rel=1e-9)
    assert told["relative_error"] > 0.3
    blind = recording(linear(), loss=SQUARES, optimizer=SGD(0.1, momentum=0.9), epochs=20, folds=3, alone=0)
    assert blind.check(X_TEST, Y_TEST)["relative_error"] < 1e-10


@pytest.mark.parametrize("errors", [(0.2, 0.1), (0.4, 0.35), (0.35, 0.4)])
def test_the_hessian_is_taken_unless_it_fails_and_the_other_is_better(run, monkeypatch, errors):
    asked = []

    def by(curvature, *_):
        asked.append(curvature)
        error = errors[len(asked) - 1]
        return Estimate(curvature, torch.zeros(4, 1), torch.zeros(4, 1), {"relative_error": error})

    monkeypatch.setattr(run._estimates, "by", by)
    expected = "Hessian" if errors[0] < max(0.3, errors[1]) else "Gauss-Newton"
    assert run._estimates.best(X_TEST, Y_TEST).curvature == expected
    assert len(asked) == 1 + (errors[0] > 0.3)


def test_the_estimates_of_the_last_test_points_are_remembered(run):
    found = run._estimates.by("Hessian", X_TEST, Y_TEST)
    assert run._estimates.by("Hessian", X_TEST.clone(), Y_TEST.clone()) is found
    other = run._estimates.by("Hessian", X_TEST[:2], Y_TEST[:2])
    assert torch.allclose(other.influence, found.influence[:2], rtol=0, atol=1e-12)
    assert other.check != found.check and run._estimates.by("Hessian", X_TEST, Y_TEST) is not found


def test_an_estimate_that_is_not_finite_is_refused(run, monkeypatch):
    estimates = run._estimates
    moved = estimates.moved
    monkeypatch.setattr(estimates, "_last", None)
    monkeypatch.setattr(estimates, "moved", lambda *args: [each * torch.inf for each in moved(*args)])
    with pytest.raises(NotPredictableError, match="relative error of inf"):
        run.influence(X_TEST, Y_TEST)
    monkeypatch.setattr(estimates, "_last", None)
