"""What removing training points does, by every method, against scikit-learn's ridge regression fitted again."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_problem import (
    GROUPS,
    LABELS,
    RIDGE,
    TARGETS,
    WEIGHTS,
    X_TEST,
    X,
    assert_equals_refits,
    half_squares,
    refit,
    unit,
)
from problem import make_problem

from ntkif import NTKInfluence, NTKInfluenceClassifier, ntk
from ntkif.regression.flow import flow_without, kernel_flow
from ntkif.regression.tiled import TiledInverse


def fitted(y, weight, intercept, **options):
    return NTKInfluence(RIDGE, fit_intercept=intercept, **options).fit(X, y[:30], weight)


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_every_method_equals_refits(y, weight, intercept):
    assert_equals_refits(fitted(y, weight, intercept), y, weight, intercept)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_in_tiles_too(weight, monkeypatch):
    monkeypatch.setattr("ntkif.estimators.solution.available_bytes", lambda device: 2 * 8 * 30**2 - 1)
    model = fitted(TARGETS["three"], weight, True, block_size=16)
    assert isinstance(model.fit_.inverse, TiledInverse)
    assert_equals_refits(model, TARGETS["three"], weight, True)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_leverage_is_the_share_of_a_target_in_its_own_prediction(weight):
    y, model = TARGETS["one"][:30], fitted(TARGETS["one"], weight, True)
    _, seen = refit(y, range(30), weight=weight)
    for i in (0, 3, 9):
        _, moved = refit(y + (np.arange(30) == i), range(30), weight=weight)
        assert model.leverage_[i] == pytest.approx((moved - seen)[i], abs=1e-10)
    found = model.diagnose()
    assert (found.leverage_min, found.leverage_max) == (model.leverage_.min(), model.leverage_.max())


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_at_the_end_of_training_it_is_the_influence(weight, intercept):
    y = TARGETS["three"]
    model = fitted(y, weight, intercept)
    wanted = pytest.approx(model.influence(X_TEST, y[30:]), rel=1e-10, abs=1e-10)
    assert model.influence_at(np.inf, X_TEST, y[30:]) == wanted


def test_influence_at_a_time_is_that_of_training_without_the_point():
    y = TARGETS["three"]
    model = fitted(y, None, False)
    kernel, k_test_train, targets = ntk(unit(X)), ntk(unit(X_TEST), unit(X)), torch.tensor(y[:30])
    whole = kernel_flow(kernel, targets, RIDGE).predict(k_test_train, 0.7).numpy()
    without = flow_without(kernel, k_test_train, targets, RIDGE, 0.7, [4]).numpy()
    wanted = half_squares(without, y[30:]) - half_squares(whole, y[30:])
    assert model.influence_at(0.7, X_TEST, y[30:])[:, 4] == pytest.approx(wanted)


def test_before_training_an_intercept_is_the_mean_with_the_point_and_without():
    y = TARGETS["one"]
    found = fitted(y, None, True).influence_at(0.0, X_TEST, y[30:])
    without = half_squares(np.full(7, np.delete(y[:30], 4).mean()), y[30:])
    assert found[:, 4] == pytest.approx(without - half_squares(np.full(7, y[:30].mean()), y[30:]))
    assert not fitted(y, None, False).influence_at(0.0, X_TEST, y[30:]).any()


def test_a_fit_forgets_the_training_of_the_fit_before():
    model, (y, other) = NTKInfluence(RIDGE), (TARGETS["one"], TARGETS["three"][:, 0])
    model.fit(X, other[:30]).influence_at(1.0, X_TEST, y[30:])
    fresh = NTKInfluence(RIDGE).fit(X, y[:30]).influence_at(1.0, X_TEST, y[30:])
    assert model.fit(X, y[:30]).influence_at(1.0, X_TEST, y[30:]) == pytest.approx(fresh)


def test_top_is_the_ends_of_the_influence():
    model, y = NTKInfluence(RIDGE).fit(X, TARGETS["one"][:30]), TARGETS["one"][30:]
    influence, top = model.influence(X_TEST, y), model.top(4, X_TEST, y)
    for row, helpful, harmful in zip(influence, top.helpful, top.harmful, strict=True):
        assert helpful.tolist() == np.argsort(-row)[:4].tolist() and harmful.tolist() == np.argsort(row)[:4].tolist()
    assert top.helpful_influence == pytest.approx(np.take_along_axis(influence, top.helpful, 1))
    assert top.harmful_influence == pytest.approx(np.take_along_axis(influence, top.harmful, 1))
    with pytest.raises(ValueError, match="whole number between 1 and 30"):
        model.top(31, X_TEST, y)


def test_a_point_of_weight_zero_is_absent():
    y, kept = TARGETS["three"], np.arange(30) % 4 > 0
    model = NTKInfluence(RIDGE).fit(X, y[:30], kept.astype(float))
    rest = NTKInfluence(RIDGE).fit(X[kept], y[:30][kept])
    for found, wanted in (
        (model.influence(X_TEST, y[30:]), rest.influence(X_TEST, y[30:])),
        (model.influence_at(2.0, X_TEST, y[30:]), rest.influence_at(2.0, X_TEST, y[30:])),
        (model.leverage_, rest.leverage_),
        (model.self_influence(), rest.self_influence()),
    ):
        assert found[..., kept] == pytest.approx(wanted) and found[..., ~kept] == pytest.approx(0, abs=1e-12)
    assert model.loo_predict()[kept] == pytest.approx(rest.loo_predict())
    assert model.loo_predict()[~kept] == pytest.approx(rest.predict(X[~kept]))
    both, alone = (
        model.group_influence([[0, 1, 2], [4, 8]], X_TEST, y[30:]).T,
        np.searchsorted(np.nonzero(kept)[0], [1, 2]),
    )
    assert both[0] == pytest.approx(rest.group_influence([alone], X_TEST, y[30:])[:, 0])
    assert both[1] == pytest.approx(0, abs=1e-12)


def test_a_group_of_all_points_leaves_no_intercept():
    model = NTKInfluence(RIDGE).fit(X, TARGETS["one"][:30], [1.0] * 25 + [0.0] * 5)
    with pytest.raises(ValueError, match=r"at least one point left, .* got all 25 points; fit without an intercept"):
        model.group_influence([range(25)], X_TEST, TARGETS["one"][30:])
    without = NTKInfluence(RIDGE, fit_intercept=False).fit(X, TARGETS["one"][:30])
    wanted = half_squares(np.zeros(7), TARGETS["one"][30:]) - half_squares(without.predict(X_TEST), TARGETS["one"][30:])
    assert without.group_influence([range(30)], X_TEST, TARGETS["one"][30:])[:, 0] == pytest.approx(wanted)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_of_a_classifier_too(y, weight):
    classes = np.unique(y)
    targets = np.where(y == classes[1], 1.0, -1.0) if len(classes) == 2 else (y[:, None] == classes).astype(float)
    model, test = NTKInfluenceClassifier(RIDGE).fit(X, y[:30], weight), targets[30:]
    whole, _ = refit(targets[:30], range(30), weight=weight)
    influence, groups = model.influence(X_TEST, y[30:]), model.group_influence(GROUPS, X_TEST, y[30:])
    for column, group in zip(np.hstack([influence, groups]).T, [[i] for i in range(30)] + GROUPS, strict=True):
        without, _ = refit(targets[:30], [j for j in range(30) if j not in group], weight=weight)
        assert column == pytest.approx(half_squares(without, test) - half_squares(whole, test), rel=1e-10, abs=1e-10)


def test_groups_and_numbers_as_people_have_them():
    """Sets, read-only series, groups by name; and numbers of half precision."""
    p = make_problem(n=12, k=3, outputs=1)
    arrays = p.x_test.numpy(), p.y_test[:, 0].numpy()
    model = NTKInfluence(0.5).fit(p.x_train.numpy(), p.y_train[:, 0].numpy())
    plain = model.group_influence([[0, 3], [1, 4]], *arrays)
    frozen = pd.Series([1, 4])
    frozen.values.flags.writeable = False
    assert np.array_equal(model.group_influence([{3, 0}, frozen], *arrays), plain)
    named = pd.DataFrame({"label": [0, 1, 2] * 4}).groupby("label").indices
    assert model.group_influence(named, *arrays).shape == (3, 3)
    rounded = p.x_train.bfloat16()
    half = NTKInfluence(0.5).fit(rounded, p.y_train[:, 0]).influence(*arrays)
    assert np.array_equal(half, NTKInfluence(0.5).fit(rounded.double(), p.y_train[:, 0]).influence(*arrays))
