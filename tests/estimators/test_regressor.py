"""The regressor: scikit-learn's own checks, and every method against scikit-learn's kernel ridge fitted again."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_problem import RIDGE, TARGETS, X_TEST, X, check_estimator, unit
from problem import linear, make_problem
from sklearn.kernel_ridge import KernelRidge
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntkif import NTKInfluence, loo_influence, ntk, ntk_influence, ridge_fit
from ntkif.kernels.infinite import deep_ntk
from ntkif.regression.flow import flow_without, kernel_flow
from ntkif.regression.tiled import TiledInverse


@parametrize_with_checks([NTKInfluence(), NTKInfluence(kernel="deep_ntk")])
def test_scikit_learn(estimator, check):
    check_estimator(estimator, check)


def refit(rows, targets, ridge=RIDGE):
    """Predictions of scikit-learn's kernel ridge, fitted to some rows, at test points and at all training points."""
    kernel, k_test_train = ntk(unit(X)).numpy(), ntk(unit(X_TEST), unit(X)).numpy()
    fit = KernelRidge(alpha=ridge, kernel="precomputed").fit(kernel[np.ix_(rows, rows)], targets[rows])
    return fit.predict(k_test_train[:, rows]), fit.predict(kernel[:, rows])


def half_squares(prediction, y):
    return (np.square(prediction - y).reshape(len(y), -1) / 2).sum(1)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_regressor_is_kernel_ridge_and_its_influence_that_of_refits(y):
    model, (train, test) = NTKInfluence(RIDGE).fit(X, y[:30]), (y[:30], y[30:])
    whole, seen = refit(range(30), train)
    assert model.predict(X_TEST) == pytest.approx(whole) and model.predict(X_TEST).shape == test.shape
    influence, own = model.influence(X_TEST, test), model.self_influence()
    for i in range(30):
        without, unseen = refit([j for j in range(30) if j != i], train)
        assert influence[:, i] == pytest.approx(half_squares(without, test) - half_squares(whole, test))
        assert model.loo_predict()[i] == pytest.approx(unseen[i])
        assert own[i] == pytest.approx((half_squares(unseen, train) - half_squares(seen, train))[i])
    groups = [[0], [3, 5, 8], list(range(20))]
    for group, column in zip(groups, model.group_influence(groups, X_TEST, test).T, strict=True):
        without, _ = refit([j for j in range(30) if j not in group], train)
        assert column == pytest.approx(half_squares(without, test) - half_squares(whole, test))


def test_influence_at_a_time_is_that_of_training_without_the_point():
    y = TARGETS["three"]
    model = NTKInfluence(RIDGE).fit(X, y[:30])
    assert model.influence_at(np.inf, X_TEST, y[30:]) == pytest.approx(model.influence(X_TEST, y[30:]))
    kernel, k_test_train, targets = ntk(unit(X)), ntk(unit(X_TEST), unit(X)), torch.tensor(y[:30])
    whole = kernel_flow(kernel, targets, RIDGE).predict(k_test_train, 0.7).numpy()
    without = flow_without(kernel, k_test_train, targets, RIDGE, 0.7, [4]).numpy()
    wanted = half_squares(without, y[30:]) - half_squares(whole, y[30:])
    assert model.influence_at(0.7, X_TEST, y[30:])[:, 4] == pytest.approx(wanted)


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
    model, scaled = NTKInfluence(RIDGE).fit(X, y[:30]), NTKInfluence(RIDGE).fit(scale * X, y[:30])
    assert scaled.influence(5 * X_TEST, y[30:]) == pytest.approx(model.influence(X_TEST, y[30:]))
    exact = ntk_influence(unit(X), torch.tensor(y[:30, None]), unit(X_TEST), torch.tensor(y[30:, None]), RIDGE)
    assert model.influence(X_TEST, y[30:]) == pytest.approx(exact.numpy())
    padded = NTKInfluence(RIDGE).fit(np.vstack([X, np.zeros(5)]), y[:31])
    assert padded.predict(np.zeros((1, 5))) == pytest.approx([0]) and padded.leverage_[-1] == pytest.approx(0)
    assert padded.influence(X_TEST, y[30:]) == pytest.approx(
        np.hstack([model.influence(X_TEST, y[30:]), np.zeros((7, 1))])
    )
    with pytest.raises(ValueError, match="norm"):
        NTKInfluence(normalize=False).fit(X, y[:30])
    with pytest.raises(ValueError, match="norm 0"):
        NTKInfluence(normalize=False).fit(np.vstack([unit(X).numpy(), np.zeros(5)]), y[:31])
    unscaled = NTKInfluence(RIDGE, normalize=False).fit(unit(X).numpy(), y[:30])
    assert unscaled.predict(unit(X_TEST).numpy()) == pytest.approx(model.predict(X_TEST))


def test_parameters_that_are_changed_wait_for_the_next_fit():
    y = TARGETS["one"]
    model = NTKInfluence(RIDGE).fit(X, y[:30])
    wanted = model.influence(X_TEST, y[30:])
    model.set_params(ridge=100.0, normalize=False)
    assert model.influence(X_TEST, y[30:]) == pytest.approx(wanted)
    assert model.influence_at(np.inf, X_TEST, y[30:]) == pytest.approx(wanted)


@pytest.mark.parametrize("scale", [1e200, 1e-300])
def test_very_long_and_very_short_rows(scale):
    y = TARGETS["one"]
    model, scaled = NTKInfluence(RIDGE).fit(X, y[:30]), NTKInfluence(RIDGE).fit(scale * X, y[:30])
    assert scaled.leverage_ == pytest.approx(model.leverage_)


def test_where_kernel_and_inverse_do_not_fit_the_fit_is_in_tiles(tmp_path, monkeypatch):
    x = np.vstack([X, np.zeros_like(X[:1])])  # a row of zeros too
    y, x_test, y_test = TARGETS["three"][:31], X_TEST, TARGETS["three"][30:]
    exact = NTKInfluence(ridge=0.5).fit(x, y)
    few = 2 * 8 * len(x) ** 2 - 1
    monkeypatch.setattr("ntkif.estimators.regressor.available_bytes", lambda device: few)
    tiled = NTKInfluence(ridge=0.5, block_size=16).fit(x, y)
    assert isinstance(tiled.fit_.inverse, TiledInverse) and not isinstance(exact.fit_.inverse, TiledInverse)
    tiled.save(tmp_path / "model")
    for model in (tiled, NTKInfluence.load(tmp_path / "model")):
        assert np.allclose(model.influence(x_test, y_test), exact.influence(x_test, y_test), rtol=1e-10, atol=1e-12)
        assert np.allclose(model.leverage_, exact.leverage_) and np.allclose(model.loo_predict(), exact.loo_predict())
        groups = [[0, 3], [30]]
        both = (each.group_influence(groups, x_test, y_test) for each in (model, exact))
        assert np.allclose(*both, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kernel", ["deep_ntk", linear])
def test_other_kernels(kernel):
    y, function = TARGETS["three"], deep_ntk if kernel == "deep_ntk" else kernel
    model = NTKInfluence(RIDGE, kernel=kernel, block_size=4).fit(5 * X, y[:30])
    fit, k_test_train = ridge_fit(function(unit(X)), torch.tensor(y[:30]), RIDGE), function(unit(X_TEST), unit(X))
    assert model.predict(X_TEST) == pytest.approx(fit.predict(k_test_train).numpy())
    wanted = loo_influence(fit, k_test_train, torch.tensor(y[30:])).numpy()
    assert model.influence(X_TEST, y[30:]) == pytest.approx(wanted)
    assert model.influence_at(np.inf, X_TEST, y[30:]) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="kernel: expected 'ntk' or 'deep_ntk', or a function"):
        NTKInfluence(kernel="rbf").fit(X, y[:30])


def test_a_function_gets_the_rows_as_they_are_where_none_is_normalized():
    y = TARGETS["one"]
    model = NTKInfluence(RIDGE, kernel=linear, normalize=False).fit(X, y[:30])
    fit = ridge_fit(linear(torch.tensor(X)), torch.tensor(y[:30, None]), RIDGE)
    wanted = fit.predict(linear(torch.tensor(X_TEST), torch.tensor(X)))[:, 0].numpy()
    assert model.predict(X_TEST) == pytest.approx(wanted)


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
