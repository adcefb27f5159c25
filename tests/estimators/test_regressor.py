"""The regressor: scikit-learn's own checks, its predictions by scikit-learn's models, and what it makes of rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_problem import (
    LABELS,
    LEFT_OUT,
    RIDGE,
    STEPS,
    TARGETS,
    WEIGHTS,
    X_TEST,
    X,
    check_estimator,
    half_squares,
    points,
    unit,
)
from problem import linear
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneOut, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntkif import NTKInfluence, NTKInfluenceClassifier, loo_influence, ntk, ntk_influence, ridge_fit
from ntkif.kernels.infinite import deep_ntk


@parametrize_with_checks(
    [
        NTKInfluence(),
        NTKInfluence(kernel="deep_ntk", fit_intercept=False),
        NTKInfluence("loo", normalize="append-one"),
        make_pipeline(StandardScaler(), NTKInfluence()),
    ],
    expected_failed_checks=lambda each: (
        STEPS if isinstance(each, Pipeline) else LEFT_OUT if each.ridge == "loo" else {}
    ),
)
def test_scikit_learn(estimator, check):
    check_estimator(estimator, check)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_with_a_linear_kernel_it_is_ridge_regression(weight):
    y, options = TARGETS["three"][:30], {"kernel": linear, "normalize": False}
    ridge = Ridge(RIDGE, solver="cholesky").fit(X, y, weight)
    model = NTKInfluence(RIDGE, **options).fit(X, y, weight)
    assert model.predict(X_TEST) == pytest.approx(ridge.predict(X_TEST), rel=1e-10, abs=1e-10)
    assert model.fit_.intercept.numpy() == pytest.approx(ridge.intercept_, rel=1e-10)
    if weight is None:
        left_out = cross_val_predict(Ridge(RIDGE, solver="cholesky"), X, y, cv=LeaveOneOut())
        assert model.loo_predict() == pytest.approx(left_out, rel=1e-10, abs=1e-10)


def test_an_intercept_is_a_large_constant_in_the_kernel():
    y, kernel, k_test_train = TARGETS["one"][:30], ntk(unit(X)).numpy(), ntk(unit(X_TEST), unit(X)).numpy()
    model = NTKInfluence(RIDGE).fit(X, y)
    for size in (1e3, 1e6):
        large = KernelRidge(alpha=RIDGE, kernel="precomputed").fit(kernel + size, y)
        assert model.predict(X_TEST) == pytest.approx(large.predict(k_test_train + size), abs=1 / size)


def test_targets_far_from_zero_change_nothing_but_the_predictions():
    y, far = TARGETS["one"], TARGETS["one"] + 100
    model, moved = NTKInfluence(RIDGE).fit(X, y[:30]), NTKInfluence(RIDGE).fit(X, far[:30])
    assert moved.predict(X_TEST) == pytest.approx(model.predict(X_TEST) + 100, rel=1e-10)
    assert moved.influence(X_TEST, far[30:]) == pytest.approx(model.influence(X_TEST, y[30:]), rel=1e-8, abs=1e-10)


def test_tensors_come_back_as_tensors():
    y = TARGETS["three"]
    arrays, tensors = NTKInfluence(RIDGE).fit(X, y[:30]), NTKInfluence(RIDGE).fit(torch.tensor(X), torch.tensor(y[:30]))
    for method, rest in (("predict", ()), ("influence", (y[30:],)), ("influence_at", (y[30:],))):
        first = (0.5,) if method == "influence_at" else ()
        array = getattr(arrays, method)(*first, X_TEST, *rest)
        tensor = getattr(tensors, method)(*first, torch.tensor(X_TEST), *map(torch.tensor, rest))
        assert isinstance(array, np.ndarray) and isinstance(tensor, torch.Tensor)
        assert tensor.numpy() == pytest.approx(array)


def test_lengths_of_rows_do_not_matter_and_zeros_predict_zero():
    y, scale = TARGETS["one"], np.linspace(0.1, 9, 30)[:, None]
    paper = NTKInfluence(RIDGE, fit_intercept=False)
    model, scaled = clone(paper).fit(X, y[:30]), clone(paper).fit(scale * X, y[:30])
    assert scaled.influence(5 * X_TEST, y[30:]) == pytest.approx(model.influence(X_TEST, y[30:]))
    exact = ntk_influence(unit(X), torch.tensor(y[:30, None]), unit(X_TEST), torch.tensor(y[30:, None]), RIDGE)
    assert model.influence(X_TEST, y[30:]) == pytest.approx(exact.numpy())
    padded = clone(paper).fit(np.vstack([X, np.zeros(5)]), y[:31])
    assert padded.predict(np.zeros((1, 5))) == pytest.approx([0]) and padded.leverage_[-1] == pytest.approx(0)
    assert padded.influence(X_TEST, y[30:]) == pytest.approx(
        np.hstack([model.influence(X_TEST, y[30:]), np.zeros((7, 1))])
    )
    with pytest.raises(ValueError, match="norm"):
        NTKInfluence(normalize=False).fit(X, y[:30])
    with pytest.raises(ValueError, match=r"norm 0; .* drop it, or give all rows a 1"):
        NTKInfluence(normalize=False).fit(np.vstack([unit(X).numpy(), np.zeros(5)]), y[:31])
    unscaled = NTKInfluence(RIDGE, fit_intercept=False, normalize=False).fit(unit(X).numpy(), y[:30])
    assert unscaled.predict(unit(X_TEST).numpy()) == pytest.approx(model.predict(X_TEST))


def test_parameters_that_are_changed_wait_for_the_next_fit():
    y = TARGETS["one"]
    model = NTKInfluence(RIDGE).fit(X, y[:30])
    wanted = model.influence(X_TEST, y[30:])
    model.set_params(ridge=100.0, normalize=False, fit_intercept=False, kernel=linear)
    assert model.influence(X_TEST, y[30:]) == pytest.approx(wanted)
    assert model.influence_at(np.inf, X_TEST, y[30:]) == pytest.approx(wanted)


@pytest.mark.parametrize("scale", [1e200, 1e-300])
def test_very_long_and_very_short_rows(scale):
    y = TARGETS["one"]
    model, scaled = NTKInfluence(RIDGE).fit(X, y[:30]), NTKInfluence(RIDGE).fit(scale * X, y[:30])
    assert scaled.leverage_ == pytest.approx(model.leverage_)


@pytest.mark.parametrize("kernel", ["deep_ntk", linear])
def test_other_kernels(kernel):
    y, function = TARGETS["three"], deep_ntk if kernel == "deep_ntk" else kernel
    model = NTKInfluence(RIDGE, kernel=kernel, fit_intercept=False, block_size=4).fit(5 * X, y[:30])
    fit, k_test_train = ridge_fit(function(unit(X)), torch.tensor(y[:30]), RIDGE), function(unit(X_TEST), unit(X))
    assert model.predict(X_TEST) == pytest.approx(fit.predict(k_test_train).numpy())
    wanted = loo_influence(fit, k_test_train, torch.tensor(y[30:])).numpy()
    assert model.influence(X_TEST, y[30:]) == pytest.approx(wanted)
    assert model.influence_at(np.inf, X_TEST, y[30:]) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="kernel: expected 'ntk' or 'deep_ntk', or a function"):
        NTKInfluence(kernel="rbf").fit(X, y[:30])


@pytest.mark.parametrize("landmarks", [None, 99])
def test_a_function_may_give_numbers_of_another_precision(landmarks):
    y, options = TARGETS["one"], {"ridge": RIDGE, "landmarks": landmarks}
    model = NTKInfluence(kernel=lambda a, b: linear(a.float(), b.float()), **options).fit(X, y[:30])
    wanted = NTKInfluence(kernel=linear, **options).fit(X, y[:30])
    assert model.influence(X_TEST, y[30:]).dtype == np.float64
    assert model.predict(X_TEST) == pytest.approx(wanted.predict(X_TEST), abs=1e-4)


def test_a_function_gets_the_rows_as_they_are_where_none_is_normalized():
    y = TARGETS["one"]
    model = NTKInfluence(RIDGE, kernel=linear, normalize=False, fit_intercept=False).fit(X, y[:30])
    fit = ridge_fit(linear(torch.tensor(X)), torch.tensor(y[:30, None]), RIDGE)
    wanted = fit.predict(linear(torch.tensor(X_TEST), torch.tensor(X)))[:, 0].numpy()
    assert model.predict(X_TEST) == pytest.approx(wanted)


def test_a_table_has_the_names_of_a_frame(tmp_path):
    frame = pd.DataFrame(X, index=[f"train {i}" for i in range(30)])
    test = pd.DataFrame(X_TEST, index=pd.date_range("2020-01-01", periods=7))
    frame.columns = test.columns = list("abcde")
    y = TARGETS["one"]
    model = NTKInfluence(RIDGE).fit(frame, y[:30])
    table = model.table(test, y[30:])
    assert np.array_equal(table.influence, model.influence(test, y[30:]))
    assert table.names == list(frame.index) and table.test_names[1] == "2020-01-02 00:00:00"
    model.save(tmp_path / "model")
    assert NTKInfluence.load(tmp_path / "model").table(test, y[30:]).names == list(frame.index)
    plain = NTKInfluence(RIDGE).fit(X, y[:30]).table(X_TEST, y[30:], test_names=["some"] * 7)
    assert plain.names == list(range(30)) and plain.test_names == ["some"] * 7


def test_a_one_at_the_end_is_a_network_with_biases():
    y, ones = TARGETS["one"], np.ones((30, 1))
    model = NTKInfluence(RIDGE, normalize="append-one").fit(X, y[:30])
    by_hand = NTKInfluence(RIDGE).fit(np.hstack([X, ones]), y[:30])
    x_test = np.hstack([X_TEST, ones[:7]])
    assert model.influence(X_TEST, y[30:]) == pytest.approx(by_hand.influence(x_test, y[30:]))
    assert np.ptp(model.predict([[0.0] * 5, [1.0] * 5, [9.0] * 5])) > 0.1
    with pytest.raises(ValueError, match="normalize: expected True, False or 'append-one', got 'l2'"):
        NTKInfluence(normalize="l2").fit(X, y[:30])


@pytest.mark.parametrize("x", [np.arange(1.0, 21)[:, None], points(20, 0, 1) * [3.0, -4.0]], ids=["column", "line"])
def test_rows_of_one_direction_are_warned_of_and_a_one_at_the_end_helps(x, recwarn):
    y = x[:, 0] ** 2
    with pytest.warns(UserWarning, match=r"same direction .* normalize='append-one'"):
        lost = NTKInfluence(0.01).fit(x, y)
    assert recwarn.list == []
    kept = NTKInfluence(0.01, normalize="append-one").fit(x, y)
    NTKInfluence().fit(X, TARGETS["one"][:30])
    assert not recwarn.list and lost.score(x, y) < 0.5 < 0.9 < kept.score(x, y)


def test_what_it_cannot_take_it_refuses_and_says_what_to_do():
    y = TARGETS["one"][:30]
    for ridge in (None, "auto", [1.0], np.ones(1)):
        with pytest.raises(TypeError, match=r"ridge: expected a number, at least zero, or 'loo', .* got"):
            NTKInfluence(ridge).fit(X, y)
    with pytest.raises(ValueError, match=r"got shape \(30, 28, 28\); flatten each .* X.reshape\(30, -1\)"):
        NTKInfluence().fit(np.zeros((30, 28, 28)), y)
    with pytest.raises(ValueError, match="flatten each"):
        NTKInfluence().fit(X, y).predict(torch.zeros(2, 28, 28))
    with pytest.raises(TypeError, match=r"[Ss]parse .*toarray"):
        NTKInfluence().fit(csr_array(X), y)
    with pytest.raises(ValueError, match="got n_samples = 1"):
        NTKInfluence().fit(X[:1], y[:1])
    assert NTKInfluence(fit_intercept=False).fit(X[:1], y[:1]).loo_predict() == pytest.approx(0)


def refused(model, x, y, **options):
    """Every method of an estimator whose fit is refused says that it is not fitted."""
    with pytest.raises((ValueError, TypeError, np.linalg.LinAlgError, MemoryError)):
        model.fit(x, y, **options)
    for method in ("predict", "self_influence", "loo_predict", "diagnose", "influence", "table", "influence_at"):
        first = {"influence_at": (1.0,)}.get(method, ())
        given = {"predict": (X_TEST,), "influence": (X_TEST, y[:7])}
        given |= dict.fromkeys(("table", "influence_at"), given["influence"])
        with pytest.raises(NotFittedError):
            getattr(model, method)(*first, *given.get(method, ()))


@pytest.mark.parametrize("kind", [NTKInfluence, NTKInfluenceClassifier])
def test_an_estimator_whose_fit_is_refused_is_not_fitted(kind, tmp_path, monkeypatch):
    y = TARGETS["one"][:30] if kind is NTKInfluence else LABELS["three"][:30]
    model, fitted = kind(ridge=0.0), kind(ridge=0.0).fit(X, y)
    copies = np.vstack([X[:15], X[:15]])
    for options in ({"sample_weight": -np.ones(30)}, {"sample_weight": np.ones(29)}):
        refused(model.fit(X, y), X, y, **options)
    refused(model.fit(X, y), copies, y)
    refused(model.fit(X, y), X * np.nan, y)
    refused(model.fit(X, y).set_params(ridge="none"), X, y)
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model")
    assert not hasattr(model, "leverage_")
    model.set_params(ridge=0.0).fit(X, y)
    assert (model.influence(X_TEST, y[:7]) == fitted.influence(X_TEST, y[:7])).all()

    def fails(*arguments):
        raise MemoryError

    monkeypatch.setattr(kind, "_calibrate", fails)  # even at the very end
    refused(model, X, y)


def test_weights_are_numbers_at_least_zero_one_a_row():
    y, model = TARGETS["one"][:30], NTKInfluence()
    for weight, problem in (
        ([1.0] * 29, r"expected 30 numbers, one for each row, got shape \(29,\)"),
        ([-1.0] + [1.0] * 29, "expected zero or positive numbers, got -1"),
        ([1.0] + [0.0] * 29, "expected at least 2 training point.* got n_samples = 1"),
        ([np.nan] * 30, "sample_weight"),
    ):
        with pytest.raises(ValueError, match=problem):
            model.fit(X, y, weight)
    with pytest.raises(ValueError, match="positive ones where the ridge is zero; drop"):
        NTKInfluence(0.0).fit(X, y, [0.0] + [1.0] * 29)
    twice = NTKInfluence(RIDGE).fit(np.vstack([X, X[:3]]), np.append(y, y[:3])).predict(X_TEST)
    assert NTKInfluence(RIDGE).fit(X, y, [2.0] * 3 + [1.0] * 27).predict(X_TEST) == pytest.approx(twice)


def test_in_a_pipeline_with_names_the_preprocessing_is_held_fixed():
    table, y = load_diabetes(as_frame=True, return_X_y=True)
    table = table.assign(sex=np.where(table.sex > 0, "f", "m"))
    steps = [("number", StandardScaler(), ["bmi", "bp"]), ("kind", OneHotEncoder(sparse_output=False), ["sex"])]
    columns = ColumnTransformer(steps).set_output(transform="pandas")
    pipe = make_pipeline(columns, NTKInfluence(normalize="append-one")).fit(table[:80], y[:80])
    model, rows = pipe[-1], pipe[:-1].transform(table[:80])
    assert model.feature_names_in_.tolist() == ["number__bmi", "number__bp", "kind__sex_f", "kind__sex_m"]
    without = clone(model).fit(rows.drop(index=7), y[:80].drop(7)).predict(rows[:5])
    wanted = half_squares(without, y[:5].to_numpy()) - half_squares(pipe.predict(table[:5]), y[:5].to_numpy())
    assert model.influence(rows[:5], y[:5])[:, 7] == pytest.approx(wanted, rel=1e-8)
    search = GridSearchCV(pipe, {"ntkinfluence__ridge": [1.0, "loo"]}, cv=3).fit(table, y)
    assert search.best_score_ > 0.3
