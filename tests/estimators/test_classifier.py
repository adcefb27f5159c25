"""The classifier: scikit-learn's own checks, and every method against the regressor on its targets."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_problem import LABELS, RIDGE, TARGETS, X_TEST, X, check_estimator
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntkif import NTKInfluence, NTKInfluenceClassifier


@parametrize_with_checks([NTKInfluenceClassifier()])
def test_scikit_learn(estimator, check):
    check_estimator(estimator, check)


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


def test_block_size_changes_nothing():
    y = LABELS["three"]
    one, other = (NTKInfluenceClassifier(RIDGE, block_size=size).fit(X, y[:30]) for size in (3, None))
    assert one.decision_function(X_TEST) == pytest.approx(other.decision_function(X_TEST))
    assert one.influence(X_TEST, y[30:]) == pytest.approx(other.influence(X_TEST, y[30:]))


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


def test_names_for_tensors_come_as_arrays():
    model = NTKInfluenceClassifier(RIDGE).fit(torch.tensor(X), LABELS["two"][:30])
    assert model.predict(torch.tensor(X_TEST)).dtype.kind == "U"
    assert isinstance(model.influence(torch.tensor(X_TEST), LABELS["two"][30:]), torch.Tensor)
