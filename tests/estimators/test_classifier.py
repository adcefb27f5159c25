"""The classifier: scikit-learn's own checks, and every method against the regressor on its targets."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_problem import LABELS, RIDGE, STEPS, TARGETS, WEIGHTS, X_TEST, X, check_estimator
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_wine, make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntkif import NTKInfluence, NTKInfluenceClassifier
from ntkif.estimators.calibration import calibrated


@parametrize_with_checks(
    [
        NTKInfluenceClassifier(),
        NTKInfluenceClassifier(class_weight="balanced", fit_intercept=False),
        make_pipeline(StandardScaler(), NTKInfluenceClassifier()),
    ],
    expected_failed_checks=lambda each: STEPS if isinstance(each, Pipeline) else {},
)
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


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_what_is_left_out_is_what_a_model_without_it_says(y):
    model, y, rows = NTKInfluenceClassifier(RIDGE).fit(X, y[:30]), y[:30], np.arange(30)
    decision, margin, shares = model.loo_decision(), model.loo_margin(), model.loo_predict_proba()
    for i in (0, 7, 22):
        unseen = clone(model).fit(X[rows != i], y[rows != i]).decision_function(X[[i]])[0]
        assert decision[i] == pytest.approx(unseen)
        own = list(model.classes_).index(y[i])
        two = np.ndim(unseen) == 0
        others = [value for place, value in enumerate(np.atleast_1d(unseen)) if place != own]
        assert margin[i] == pytest.approx(unseen * (2 * own - 1) if two else unseen[own] - max(others))
        logits = model._slope * (np.array([-unseen, unseen]) / 2 if two else unseen)
        assert shares[i] == pytest.approx(np.exp(logits) / np.exp(logits).sum())
    assert ((margin > 0) == (model.loo_predict() == y)).all()
    assert (model.classes_[shares.argmax(1)] == model.loo_predict()).all()


def test_probabilities_are_calibrated_on_new_points():
    """As scikit-learn's own temperature scaling, whose folds refit the model; training outputs would be too sure."""
    x, y = make_classification(600, 10, n_informative=4, flip_y=0.2, class_sep=0.7, random_state=0)
    model = NTKInfluenceClassifier(0.01).fit(x[:300], y[:300])
    folds = CalibratedClassifierCV(NTKInfluenceClassifier(0.01), method="temperature", ensemble=False, cv=50)
    wanted = log_loss(y[300:], folds.fit(x[:300], y[:300]).predict_proba(x[300:]))
    found = log_loss(y[300:], model.predict_proba(x[300:]))
    seen, ones = torch.tensor(model.decision_function(x[:300])[:, None]), torch.ones(300).double()
    model._slope = calibrated(seen, torch.tensor(y[:300]), ones)
    assert found == pytest.approx(wanted, abs=0.01) and found < log_loss(y[300:], model.predict_proba(x[300:])) - 0.1


def test_probabilities_are_saved(tmp_path):
    model = NTKInfluenceClassifier(RIDGE).fit(X, LABELS["three"][:30])
    model.save(tmp_path / "model")
    again = NTKInfluenceClassifier.load(tmp_path / "model")
    assert (again.predict_proba(X_TEST) == model.predict_proba(X_TEST)).all()
    assert isinstance(model.predict_proba(torch.tensor(X_TEST)), torch.Tensor)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_class_weights_multiply_the_weights(weight):
    y = np.array([4, 7, 9])[[0] * 18 + [1] * 8 + [2] * 4]
    given = np.ones(30) if weight is None else weight
    totals = np.array([given[y == label].sum() for label in (4, 7, 9)])
    for class_weight, each in (({4: 1.0, 7: 2.0, 9: 5.0}, [1, 2, 5]), ("balanced", totals.sum() / (3 * totals))):
        model = NTKInfluenceClassifier(RIDGE, class_weight=class_weight).fit(X, y, weight)
        by_hand = NTKInfluenceClassifier(RIDGE).fit(X, y, given * np.array(each)[np.searchsorted([4, 7, 9], y)])
        assert model.decision_function(X_TEST) == pytest.approx(by_hand.decision_function(X_TEST))
        assert model.influence(X_TEST, y[:7]) == pytest.approx(by_hand.influence(X_TEST, y[:7]))
    assert np.bincount(model.predict(X), minlength=10)[9] >= 4


def test_a_class_without_weight_is_an_error():
    y = LABELS["three"][:30]
    for options, weight in (({}, y > 4), ({"class_weight": {4: 0.0, 7: 1.0, 9: 1.0}}, None)):
        with pytest.raises(ValueError, match=r"got 2 class.* with one, \[7, 9\], of \[4, 7, 9\]; drop the rows"):
            NTKInfluenceClassifier(**options).fit(X, y, weight)


def test_cleanlab_finds_flipped_labels_by_left_out_probabilities():
    filters = pytest.importorskip("cleanlab.filter")
    x, y = load_wine(return_X_y=True)
    flipped = np.arange(3, len(y), 15)
    y[flipped] = (y[flipped] + 1) % 3
    model = NTKInfluenceClassifier(0.1).fit(StandardScaler().fit_transform(x), y)
    found = filters.find_label_issues(y, model.loo_predict_proba(), return_indices_ranked_by="self_confidence")
    assert len(set(found) & set(flipped)) >= 0.9 * len(flipped) and len(found) <= 2 * len(flipped)
    assert set(np.argsort(model.loo_margin())[: len(flipped)]) == set(flipped)


def test_errors_say_what_to_do():
    model = NTKInfluenceClassifier().fit(X, LABELS["two"][:30])
    with pytest.raises(ValueError, match=r"labels among \['no', 'yes'\], got .*maybe"):
        model.influence(X_TEST, ["maybe"] * 7)
    with pytest.raises(ValueError, match="7 test points with 1 output"):
        model.influence(X_TEST, LABELS["two"][:6])
    with pytest.raises(ValueError, match="ridge"):
        NTKInfluence(-1.0).fit(X, TARGETS["one"][:30])


@pytest.mark.parametrize("given", [list, np.array, lambda labels: pd.Series(labels, dtype="string")])
def test_labels_that_are_missing_are_named(given):
    labels = ["no", "yes", None] * 10
    with pytest.raises(
        ValueError, match=r"y: expected a label for each point, got none in 10 row\(s\), .* row 2; drop"
    ):
        NTKInfluenceClassifier().fit(X, given(labels))


def test_labels_of_two_kinds_are_named():
    labels = np.array(["no", "yes", 1] * 10, dtype=object)
    with pytest.raises(TypeError, match="y: expected labels of one kind, got int and str; make them texts"):
        NTKInfluenceClassifier().fit(X, labels)


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
