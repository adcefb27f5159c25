"""The estimators: scikit-learn's own checks, and every method against scikit-learn's kernel ridge fitted again."""

import pickle
import unittest

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_wine
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntkif import NTKInfluence, NTKInfluenceClassifier, ntk, ntk_influence
from ntkif.regression.flow import flow_without, kernel_flow
from ntkif.regression.tiled import TiledInverse

# scikit-learn skips this one itself unless SCIPY_ARRAY_API is set before scipy is imported, which would change scipy
# for all other tests; the estimators make no claim to array API input (the tag is off).
SKIPPED = {"check_array_api_input"}
RIDGE = 0.3


@parametrize_with_checks([NTKInfluence(), NTKInfluenceClassifier()])
def test_scikit_learn(estimator, check):
    try:
        check(estimator)
    except unittest.SkipTest:
        assert check.func.__name__ in SKIPPED
        raise


def points(n, seed, d=5):
    return np.random.RandomState(seed).randn(n, d)


X, X_TEST = points(30, 0), points(7, 1)
TARGETS = {"one": points(37, 2, 1)[:, 0], "three": points(37, 2, 3)}
LABELS = {"two": np.array(["no", "yes"])[np.arange(37) % 5 % 2], "three": np.array([4, 7, 9])[np.arange(37) % 3]}


def unit(x):
    return torch.nn.functional.normalize(torch.tensor(x))


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


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_classifier_is_the_regressor_on_its_targets(y):
    model, classes = NTKInfluenceClassifier(RIDGE).fit(X, y[:30]), np.unique(y)
    targets = np.where(y == classes[1], 1.0, -1.0) if len(classes) == 2 else (y[:, None] == classes).astype(float)
    regressor = NTKInfluence(RIDGE).fit(X, targets[:30])
    assert model.decision_function(X_TEST) == pytest.approx(regressor.predict(X_TEST))
    assert model.influence(X_TEST, y[30:]) == pytest.approx(regressor.influence(X_TEST, targets[30:]))
    outputs = {"predict": regressor.predict(X), "loo": regressor.loo_predict()}
    for found, output in ((model.predict(X), outputs["predict"]), (model.loo_predict(), outputs["loo"])):
        wanted = classes[(output > 0).astype(int) if output.ndim == 1 else output.argmax(1)]
        assert (found == wanted).all() and found.dtype == y.dtype
    assert model.score(X, y[:30]) == (model.predict(X) == y[:30]).mean()


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


def test_block_size_changes_nothing():
    y = LABELS["three"]
    one, other = (NTKInfluenceClassifier(RIDGE, block_size=size).fit(X, y[:30]) for size in (3, None))
    assert one.decision_function(X_TEST) == pytest.approx(other.decision_function(X_TEST))
    assert one.influence(X_TEST, y[30:]) == pytest.approx(other.influence(X_TEST, y[30:]))


def test_diagnosis_says_how_wrong_ihvp_would_be():
    for ridge in (0.01, 4.0, 100.0):
        model = NTKInfluence(ridge).fit(X, TARGETS["one"][:30])
        found, leverage = model.diagnose(), model.leverage_
        assert (found.leverage_min, found.leverage_max) == (leverage.min(), leverage.max())
        assert found.leverage_median == np.median(leverage) and found.condition == model.fit_.condition
        assert found.ihvp_within_tenth == np.mean(leverage <= 0.1)
        assert f"{found.ihvp_within_tenth:.0%} of the training points" in str(found)


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_saved_model_is_the_model(tmp_path, y):
    model, file = NTKInfluenceClassifier(RIDGE, block_size=11).fit(X, y[:30]), tmp_path / "model.pt"
    model.save(file)
    assert [each.name for each in tmp_path.iterdir()] == ["model.pt"]
    for again in (NTKInfluenceClassifier.load(file), pickle.loads(pickle.dumps(model))):
        assert again.get_params() == model.get_params() and (again.classes_ == model.classes_).all()
        assert (again.predict(X_TEST) == model.predict(X_TEST)).all()
        assert (again.influence(X_TEST, y[30:]) == model.influence(X_TEST, y[30:])).all()
        assert again.influence_at(1.0, X_TEST, y[30:]) == pytest.approx(model.influence_at(1.0, X_TEST, y[30:]))
    for content in (b"", b"some text", pickle.dumps({"a": 1}), b"PK"):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(ValueError, match="expected a NTKInfluenceClassifier that"):
            NTKInfluenceClassifier.load(tmp_path / "other")
    with pytest.raises(ValueError, match=r"expected a NTKInfluence that .* got NTKInfluenceClassifier"):
        NTKInfluence.load(file)


def test_errors_say_what_to_do():
    model = NTKInfluenceClassifier().fit(X, LABELS["two"][:30])
    with pytest.raises(ValueError, match=r"labels among \['no', 'yes'\], got .*maybe"):
        model.influence(X_TEST, ["maybe"] * 7)
    with pytest.raises(ValueError, match="7 test points with 1 output"):
        model.influence(X_TEST, LABELS["two"][:6])
    with pytest.raises(ValueError, match="ridge"):
        NTKInfluence(-1.0).fit(X, TARGETS["one"][:30])


def test_in_a_pipeline_and_a_search_over_ridges():
    x, y = load_wine(return_X_y=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), NTKInfluenceClassifier()), {"ntkinfluenceclassifier__ridge": [0.1, 1.0]}, cv=3
    ).fit(x, y)
    assert search.best_score_ > 0.95


def test_tables_and_lists_with_names(tmp_path):
    table, labels = pd.DataFrame(X, columns=list("abcde")), pd.Series(["u", "v", "w"] * 10, dtype=object)
    model = NTKInfluenceClassifier(RIDGE).fit(table, labels)
    assert model.predict(table[:1]).shape == (1,) and model.influence(table[:4], labels[:4]).shape == (4, 30)
    assert model.top(30, table[:1], ["u"]).helpful.shape == (1, 30)
    model.save(tmp_path / "model.pt")
    again = NTKInfluenceClassifier.load(tmp_path / "model.pt")
    assert again.feature_names_in_.tolist() == list("abcde") and (again.predict(table) == model.predict(table)).all()
    numbers = NTKInfluence(RIDGE).fit(X.tolist(), list(range(30)))
    assert numbers.predict(X[:1].tolist()) == pytest.approx(NTKInfluence(RIDGE).fit(X, np.arange(30)).predict(X[:1]))


def test_parameters_of_numpy_are_saved(tmp_path):
    labels = np.array([np.str_(letter) for letter in "uvw" * 10], dtype=object)
    model = NTKInfluenceClassifier(np.float64(0.5), block_size=np.int64(7)).fit(X, labels)
    model.save(tmp_path / "model.pt")
    assert (NTKInfluenceClassifier.load(tmp_path / "model.pt").predict(X) == model.predict(X)).all()


def test_parameters_that_are_changed_wait_for_the_next_fit():
    y = TARGETS["one"]
    model = NTKInfluence(RIDGE).fit(X, y[:30])
    wanted = model.influence(X_TEST, y[30:])
    model.set_params(ridge=100.0, normalize=False)
    assert model.influence(X_TEST, y[30:]) == pytest.approx(wanted)
    assert model.influence_at(np.inf, X_TEST, y[30:]) == pytest.approx(wanted)


def test_names_for_tensors_come_as_arrays():
    model = NTKInfluenceClassifier(RIDGE).fit(torch.tensor(X), LABELS["two"][:30])
    assert model.predict(torch.tensor(X_TEST)).dtype.kind == "U"
    assert isinstance(model.influence(torch.tensor(X_TEST), LABELS["two"][30:]), torch.Tensor)


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
