"""Influence through training: exact where the derivation says so, and against retraining where it does not."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from recorded_problem import INPUTS, TORCH, linear, network, problem, recording

from ntkif.influence.linearized import linearized_fit
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement
from ntkif.networks.losses import CROSS_ENTROPY, SQUARES
from ntkif.training.conversion import from_torch
from ntkif.training.optimizers import SGD
from ntkif.training.tape import Tape
from ntkif.training.verdict import NotPredictableError

X, Y, X_TEST, Y_TEST = problem()
N = len(X)
ALL = list(range(N))


def shortened(tape, steps):
    """The same training, stopped after so many steps."""
    return Tape(tape.function, tape.x, tape.y, tape.loss, tape.optimizer, tape.batches[:steps])


def near(found, truth, tolerance):
    return float((found - truth).abs().max()) < tolerance * float(truth.abs().max())


@pytest.fixture(scope="module")
def run():
    return recording()


@pytest.fixture(scope="module")
def truth(run):
    return run.without(ALL, X_TEST, Y_TEST)


@pytest.mark.parametrize("name", ["descent", "momentum", "nesterov"])
def test_a_linear_model_is_exact_at_any_time_with_the_outputs_of_trainings_without_the_point(name):
    kind, settings = TORCH[name]
    module = linear()
    run = recording(
        module, optimizer=from_torch(kind(module.parameters(), **settings)), loss=SQUARES, folds=N, epochs=5
    )
    truth = run.without(ALL, X_TEST, Y_TEST)
    assert near(run.influence(X_TEST, Y_TEST), truth, 1e-10)
    assert run.check(X_TEST, Y_TEST)["relative_error"] < 1e-10
    assert agreement(run.first_order(X_TEST, Y_TEST), truth)["relative_error"] > 0.05


def test_at_a_ridge_minimum_it_is_the_leave_one_out_formula():
    """Eq. 9 with the kernel and the residuals of the model, of several outputs."""
    how = {"optimizer": SGD(0.3), "batch_size": None, "epochs": 600, "ridge": 2.0}
    run = recording(linear(), loss=SQUARES, folds=N, **how)
    kernel, k_test = tangent_kernel(run.module.eval(), X), tangent_kernel(run.module, X_TEST, X)
    fit = linearized_fit(kernel.detach(), (run.module(X) - Y).detach(), 2.0)
    assert near(run.change(X_TEST), fit.loo_change(k_test.detach()), 1e-8)
    assert near(
        run.influence(X_TEST, Y_TEST), fit.loo_influence(k_test.detach(), (run.module(X_TEST) - Y_TEST).detach()), 1e-8
    )
    first = run.first_order(X_TEST, Y_TEST)
    assert near(first, fit.ihvp_influence(k_test.detach(), (run.module(X_TEST) - Y_TEST).detach()), 1e-8)


def test_a_group_that_is_a_fold_is_exact_for_a_linear_model():
    run = recording(linear(), loss=SQUARES, optimizer=SGD(0.1, momentum=0.9))
    sets = [(run.fold == number).nonzero()[:, 0] for number in range(6)]
    found = run.group(sets, X_TEST, Y_TEST, trust=True)
    assert near(found, run.without(sets, X_TEST, Y_TEST), 1e-10)


def test_groups_as_users_name_them(run):
    """Sets, series, arrays, a mapping; what is really left out too, where a row may stand for itself."""
    several = [{8, 3}, pd.Series([3, 8], index=["a", "b"]), np.array([8, 3]), range(3, 9, 5)]
    one, *same = run.group(several, X_TEST, Y_TEST).T
    assert all(torch.allclose(each, one, rtol=1e-10, atol=1e-14) for each in same)
    named = run.group({"some": [3, 8]}, X_TEST, Y_TEST)
    assert torch.allclose(named[:, 0], one, rtol=1e-10, atol=1e-14)
    alone = run.without([3, np.int64(8), {3, 8}], X_TEST, Y_TEST)
    assert torch.equal(alone, run.without([[3], [8], [3, 8]], X_TEST, Y_TEST))


def test_a_large_group_is_predicted_from_folds_of_its_size(run):
    sets = [torch.arange(first, first + 8) for first in (0, 8, 16)]
    found, truth = run.group(sets, X_TEST, Y_TEST), run.without(sets, X_TEST, Y_TEST)
    summed = torch.stack([run.influence(X_TEST, Y_TEST)[:, rows].sum(1) for rows in sets], 1)
    assert set(run._of_count) == {6, 3}
    scores, of_sum = agreement(found, truth), agreement(summed, truth)
    assert abs(scores["slope"] - 1) < 0.2 < abs(of_sum["slope"] - 1)
    assert scores["relative_error"] < 0.85 * of_sum["relative_error"]


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, SQUARES], ids=["cross-entropy", "squares"])
def test_a_network_is_predicted_better_than_to_first_order(loss):
    run = recording(loss=loss, folds=N)
    truth = run.without(ALL, X_TEST, Y_TEST)
    ours, first = agreement(run.influence(X_TEST, Y_TEST), truth), agreement(run.first_order(X_TEST, Y_TEST), truth)
    assert ours["relative_error"] < 0.2 and ours["relative_error"] < 0.5 * first["relative_error"]
    assert abs(ours["slope"] - 1) < 0.1 and first["slope"] < 0.9


def test_the_change_of_outputs_is_that_of_trainings_without_the_point():
    run = recording(folds=N)
    real = torch.stack([run.tape.function(theta, X_TEST) - run.module(X_TEST) for theta in run._folds.theta])
    scores = agreement(run.change(X_TEST)[:, run.fold.argsort()], real.transpose(0, 1).detach())
    assert scores["relative_error"] < 0.15


def test_losses_are_those_of_each_visit_with_and_without_the_points_fold():
    batches = [torch.arange(0, 12), torch.arange(12, 24), torch.arange(6)]
    run = recording(batches=batches, folds=6)
    seen, unseen = run.losses(), run.losses(unseen=True)
    assert seen.shape == unseen.shape == (2, N)
    assert torch.allclose(seen[0, :12], CROSS_ENTROPY.value(network()(X[:12]), Y[:12]))
    assert seen[1, 6:].isnan().all() and not seen[1, :6].isnan().any() and not seen[0].isnan().any()
    for step, (row, visit) in {1: (12, 0), 2: (3, 1)}.items():
        weights = torch.ones(1, N, dtype=torch.float64)
        weights[0, run.fold == run.fold[row]] = 0
        theta = shortened(run.tape, step).run(weights, lambda *_: None)[0]
        truth = CROSS_ENTROPY.value(run.tape.function(theta, X[[row]]), Y[[row]])
        assert unseen[visit, row] == pytest.approx(float(truth), rel=1e-9)


def test_the_truth_is_a_training_whose_batches_lack_the_point(run, truth):
    """By torch's own SGD, with the divisor of the whole batch."""
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    for rows in run.tape.batches:
        optimizer.zero_grad()
        kept = rows[rows != 3]
        (CROSS_ENTROPY.value(module(X[kept]), Y[kept]).sum() / len(rows)).backward()
        optimizer.step()
    with torch.no_grad():
        change = CROSS_ENTROPY.value(module(X_TEST), Y_TEST) - CROSS_ENTROPY.value(run.module(X_TEST), Y_TEST)
    assert torch.allclose(truth[:, 3], change, atol=1e-11)


def test_the_largest_influences_come_first(run):
    influence = run.influence(X_TEST, Y_TEST)
    values, rows = run.top(3, X_TEST, Y_TEST)
    for count in (0, N + 1):
        with pytest.raises(ValueError, match=f"count: expected between 1 and {N} training points, got {count}"):
            run.top(count, X_TEST, Y_TEST)
    assert torch.equal(influence.gather(1, rows), values)
    assert torch.equal(values.abs()[:, 0], influence.abs().amax(1))


def test_a_table_names_its_points(run):
    table = run.table(X_TEST, Y_TEST, names=[f"point {i}" for i in range(N)], retrain=1)
    assert torch.equal(table.influence, run.influence(X_TEST, Y_TEST, retrain=1))
    assert table.names[3] == "point 3" and table.test_names == [0, 1, 2, 3]


def test_the_points_that_matter_most_can_be_retrained(run, truth):
    estimate = run.influence(X_TEST, Y_TEST)
    found = run.influence(X_TEST, Y_TEST, retrain=3)
    rows = estimate.norm(dim=0).argsort(descending=True)
    assert torch.allclose(found[:, rows[:3]], truth[:, rows[:3]], atol=1e-12)
    assert torch.equal(found[:, rows[3:]], estimate[:, rows[3:]])
    assert torch.equal(run.influence(X_TEST, Y_TEST), estimate)


def test_the_largest_of_any_estimate_can_be_retrained(run, truth):
    first = run.first_order(X_TEST, Y_TEST)
    found = run.with_retrained(first, 5, X_TEST, Y_TEST)
    rows = first.norm(dim=0).argsort(descending=True)
    assert torch.allclose(found[:, rows[:5]], truth[:, rows[:5]], atol=1e-12)
    assert torch.equal(found[:, rows[5:]], first[:, rows[5:]]) and torch.isfinite(found).all()


def test_the_check_decides_what_is_said(run, monkeypatch):
    estimate = run._estimates.best(X_TEST, Y_TEST)
    outcomes = {0.2: None, 0.4: UserWarning, 0.6: NotPredictableError, float("nan"): NotPredictableError}
    for error, outcome in outcomes.items():
        told = replace(estimate, check={"relative_error": error})
        monkeypatch.setattr(run._estimates, "best", lambda *_, told=told: told)
        if outcome is UserWarning:
            with pytest.warns(UserWarning, match="relative error of 0.4; expect"):
                run.influence(X_TEST, Y_TEST)
        elif outcome:
            with pytest.raises(NotPredictableError, match=r"smaller learning rate .*trust=True"):
                run.influence(X_TEST, Y_TEST)
        assert run.influence(X_TEST, Y_TEST, trust=True).shape == (4, N)


def test_the_edge_of_stability_is_refused():
    run = recording(loss=SQUARES, optimizer=SGD(0.3, momentum=0.9), epochs=30)
    with pytest.raises(NotPredictableError, match="nobody can know"):
        run.influence(X_TEST, Y_TEST)


def test_test_points_are_checked(run):
    with pytest.raises(ValueError, match="x_test: expected at least one point like the training points"):
        run.influence(X_TEST[:, :3], Y_TEST)
    with pytest.raises(TypeError, match="x_test: expected a torch tensor, got ndarray"):
        run.influence(X_TEST.numpy(), Y_TEST)
    with pytest.raises(TypeError, match="y_test: expected a torch tensor, got ndarray"):
        run.influence(X_TEST, Y_TEST.numpy())
    with pytest.raises(ValueError, match="y_test: expected probabilities, which are not negative"):
        run.influence(X_TEST, Y_TEST * 2 - 1)
    with pytest.raises(ValueError, match="distinct training rows"):
        run.without([N], X_TEST, Y_TEST)


def test_test_points_with_gradients_or_without_sense(run):
    asked = X_TEST.clone().requires_grad_()
    found = run.influence(asked, Y_TEST)
    assert not found.requires_grad and torch.equal(found, run.influence(X_TEST, Y_TEST))
    wrong = X_TEST.clone()
    wrong[2, 1] = torch.nan
    for ask in (run.influence, run.first_order, partial(run.without, [0]), lambda x, _: run.change(x)):
        with pytest.raises(ValueError, match="x_test: expected finite points, got NaN or infinity in row 2"):
            ask(wrong, Y_TEST)
    for ask, said in (
        (partial(run.influence, retrain=2.5), "retrain: expected a whole number"),
        (partial(run.top, 2.0), "count: expected a whole number"),
        (partial(run.without, 3), "sets: expected a list of sets of training rows, got 3"),
    ):
        with pytest.raises(TypeError, match=said):
            ask(X_TEST, Y_TEST)
    with pytest.raises(ValueError, match="retrain: expected at least 0, got -1"):
        run.influence(X_TEST, Y_TEST, retrain=-1)


@pytest.mark.parametrize("loss", ["cross-entropy", torch.nn.CrossEntropyLoss(label_smoothing=0.1)], ids=str)
def test_a_recording_goes_through_a_pickle(loss):
    run = recording(loss=loss, epochs=2, alone=2)
    again = pickle.loads(pickle.dumps(run))
    assert torch.equal(*(each.influence(X_TEST, Y_TEST, trust=True) for each in (run, again)))


def test_what_is_given_and_what_was_given_may_be_changed():
    x, y = X.clone(), Y.clone()
    run = recording(x=x, y=y)
    kept = [run.influence(X_TEST, Y_TEST), run.first_order(X_TEST, Y_TEST), run.without([3], X_TEST, Y_TEST)]
    for each in (x, y, run.influence(X_TEST, Y_TEST), run.first_order(X_TEST, Y_TEST)):
        each.zero_()
    again = [run.influence(X_TEST, Y_TEST), run.first_order(X_TEST, Y_TEST), run.without([3], X_TEST, Y_TEST)]
    assert all(map(torch.equal, kept, again))


def test_the_truth_has_digits_where_the_loss_has_none_left():
    """In single precision a loss below 1e-8 is 1 - 1; through the log-odds it is not."""
    scales = torch.tensor([5.0, 10.0, 20.0, 40.0], dtype=torch.float64)
    x_test = (scales[:, None, None] * X_TEST).reshape(-1, INPUTS)
    single, double = recording(linear().float(), x=X.float(), y=Y.float(), epochs=40), recording(linear(), epochs=40)
    y_test = torch.eye(3, dtype=torch.float64)[double.module(x_test).argmax(1)]
    loss = CROSS_ENTROPY.value(double.module(x_test), y_test)
    small = (loss > 1e-30) & (loss < 1e-8)
    assert small.sum() > 2 and (CROSS_ENTROPY.value(single.module(x_test.float()), y_test.float())[small] == 0).any()
    found, truth = single.without(ALL, x_test.float(), y_test.float()), double.without(ALL, x_test, y_test)
    for one, other in zip(found[small].double(), truth[small], strict=True):
        assert float((one - other).norm()) < 0.01 * float(other.norm())


def test_nothing_is_given_where_influence_is_refused():
    run = recording(loss=SQUARES, optimizer=SGD(0.3, momentum=0.9), epochs=30)
    for ask in (run.influence, partial(run.group, [[0]]), partial(run.top, 2)):
        with pytest.raises(NotPredictableError):
            ask(X_TEST, Y_TEST)
        assert len(ask(X_TEST, Y_TEST, trust=True)) in (2, 4)


def test_what_is_asked_for_wrongly_is_said(run):
    for wrong, ask in {
        "curvature: expected one of": lambda: run.change(X_TEST, curvature="hessian"),
        "at least one point": lambda: run.influence(X_TEST[:0], Y_TEST[:0]),
        "sets: expected at least one set": lambda: run.group([], X_TEST, Y_TEST),
        "sets: expected at least one set of": lambda: run.without([], X_TEST, Y_TEST),
        "forces: expected one for each of 30 steps": lambda: run.influence_by(run.forces()[:2], X_TEST, Y_TEST),
        "of its batch by 3 outputs": lambda: run.influence_by([f[:, :1] for f in run.forces()], X_TEST, Y_TEST),
    }.items():
        with pytest.raises(ValueError, match=wrong):
            ask()
