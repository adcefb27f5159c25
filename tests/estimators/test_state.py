"""What a fitted estimator tells of itself and keeps in a file."""

import pickle

import numpy as np
import pytest
from estimator_problem import LABELS, RIDGE, TARGETS, X_TEST, X
from problem import linear

from ntkif import NTKInfluence, NTKInfluenceClassifier


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


def test_parameters_of_numpy_are_saved(tmp_path):
    labels = np.array([np.str_(letter) for letter in "uvw" * 10], dtype=object)
    model = NTKInfluenceClassifier(np.float64(0.5), block_size=np.int64(7)).fit(X, labels)
    model.save(tmp_path / "model.pt")
    assert (NTKInfluenceClassifier.load(tmp_path / "model.pt").predict(X) == model.predict(X)).all()


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


def test_labels_that_are_dates_are_saved(tmp_path):
    dates = np.array(["2020-01-01", "2021-03-05"] * 4, "datetime64[D]")
    x = np.random.default_rng(0).normal(size=(8, 3))
    model = NTKInfluenceClassifier().fit(x, dates)
    model.save(tmp_path / "model")
    loaded = NTKInfluenceClassifier.load(tmp_path / "model")
    assert loaded.classes_.dtype == dates.dtype and (loaded.predict(x) == model.predict(x)).all()
