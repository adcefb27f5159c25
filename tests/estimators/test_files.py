"""Fitted estimators in a file: what comes back is what was saved, and what cannot be is refused."""

import datetime
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_problem import LABELS, RIDGE, TARGETS, X_TEST, X
from problem import linear

from ntkif import NTKInfluence, NTKInfluenceClassifier


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


def test_in_tiles_with_weights_and_an_intercept(tmp_path, monkeypatch):
    y, weight = TARGETS["three"], np.arange(30) % 3
    monkeypatch.setattr("ntkif.estimators.solution.available_bytes", lambda device: 2 * 8 * 30**2 - 1)
    model = NTKInfluence(RIDGE, block_size=16, normalize="append-one").fit(X, y[:30], weight)
    model.save(tmp_path / "model")
    again = NTKInfluence.load(tmp_path / "model")
    assert (again.influence(X_TEST, y[30:]) == model.influence(X_TEST, y[30:])).all()
    assert (again.loo_predict() == model.loo_predict()).all() and again.fit_.lift == model.fit_.lift > 0


@pytest.mark.filterwarnings("ignore:landmarks")
def test_by_landmarks(tmp_path):
    y, weight = TARGETS["three"], np.arange(30) % 3
    for given in (None, weight):
        model = NTKInfluence(RIDGE, landmarks=8).fit(X, y[:30], given)
        model.save(tmp_path / "model")
        again = NTKInfluence.load(tmp_path / "model")
        assert (again.influence(X_TEST, y[30:]) == model.influence(X_TEST, y[30:])).all()
        assert (again.loo_predict() == model.loo_predict()).all() and again.missed_ == model.missed_


def test_parameters_of_numpy_are_saved(tmp_path):
    labels = np.array([np.str_(letter) for letter in "uvw" * 10], dtype=object)
    model = NTKInfluenceClassifier(np.float64(0.5), block_size=np.int64(7)).fit(X, labels)
    model.save(tmp_path / "model.pt")
    assert (NTKInfluenceClassifier.load(tmp_path / "model.pt").predict(X) == model.predict(X)).all()


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_class_weights_by_labels_of_numpy_are_saved(tmp_path, y):
    weights = dict(zip(np.unique(y), [1.0, 2.0, 5.0], strict=False))
    model = NTKInfluenceClassifier(RIDGE, class_weight=weights).fit(X, y[:30])
    model.save(tmp_path / "model")
    again = NTKInfluenceClassifier.load(tmp_path / "model")
    assert again.class_weight == weights and (again.predict(X_TEST) == model.predict(X_TEST)).all()
    assert (again.fit(X, y[:30]).leverage_ == model.leverage_).all()


def test_a_kernel_that_is_a_function_is_passed_again(tmp_path):
    y, file = TARGETS["one"], tmp_path / "model.pt"
    model = NTKInfluence(RIDGE, kernel=linear).fit(X, y[:30])
    model.save(file)
    with pytest.raises(ValueError, match=r"fitted with the kernel linear, a function, .*\.load\(file, kernel=\.\.\.\)"):
        NTKInfluence.load(file)
    again = NTKInfluence.load(file, kernel=linear)
    assert (again.predict(X_TEST) == model.predict(X_TEST)).all()
    assert again.influence_at(1.0, X_TEST, y[30:]) == pytest.approx(model.influence_at(1.0, X_TEST, y[30:]))
    NTKInfluence(RIDGE, kernel="deep_ntk").fit(X, y[:30]).save(file)
    assert NTKInfluence.load(file).kernel == "deep_ntk"


def test_what_was_chosen_is_saved(tmp_path):
    y, file = TARGETS["one"], tmp_path / "model.pt"
    for kernels in (["ntk", "deep_ntk"], [linear, "ntk"], ["ntk", linear]):
        model = NTKInfluence("loo", kernel=kernels, ridges=[0.1, 1.0]).fit(X, y[:30])
        model.save(file)
        again = NTKInfluence.load(file, kernel=linear)
        assert (again.kernel_, again.ridge_, again.ridge) == (model.kernel_, model.ridge_, "loo")
        assert (again.predict(X_TEST) == model.predict(X_TEST)).all()
        assert (again.loo_errors_ == model.loo_errors_).all() and (again.ridges_ == model.ridges_).all()


def test_labels_that_are_dates_are_saved(tmp_path):
    dates = np.array(["2020-01-01", "2021-03-05"] * 4, "datetime64[D]")
    labels = pd.Series(dates)
    x = np.random.default_rng(0).normal(size=(8, 3))
    model = NTKInfluenceClassifier().fit(x, labels)
    model.save(tmp_path / "model")
    loaded = NTKInfluenceClassifier.load(tmp_path / "model")
    assert loaded.classes_.dtype == model.classes_.dtype and (loaded.predict(x) == model.predict(x)).all()


def test_attributes_of_the_user_come_back_or_are_refused(tmp_path):
    model, file = NTKInfluence().fit(X, TARGETS["one"][:30]), tmp_path / "model"
    own = {"note": "of May", "rows": [1, (2, 3)], "table": {"a": np.arange(3), "b": None}, "point": torch.ones(2)}
    vars(model).update(own)
    model.save(file)
    again = NTKInfluence.load(file)
    assert (again.note, again.rows, again.table["b"]) == (model.note, model.rows, None)
    assert (again.table["a"] == [0, 1, 2]).all() and (again.point == 1).all()
    for name, value in (("day", datetime.date(2026, 5, 1)), ("frame", pd.DataFrame(X)), ("deep", [{"x": object()}])):
        setattr(model, name, value)
        with pytest.raises(TypeError, match=rf"{name}.*: expected .*, got .*; .* before saving"):
            model.save(file)
        delattr(model, name)
    assert NTKInfluence.load(file).note == "of May"
