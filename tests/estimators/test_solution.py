"""Estimators by landmarks: exact in their span, the kernel itself where they are all points."""

import warnings

import numpy as np
import pytest
import torch
from estimator_problem import LABELS, RIDGE, TARGETS, WEIGHTS, X_TEST, X, assert_equals_refits, check_estimator, unit
from problem import linear
from sklearn.utils.estimator_checks import parametrize_with_checks

from ntkif import NTKInfluence, NTKInfluenceClassifier, ntk
from ntkif.estimators.solution import DOUBTFUL
from ntkif.influence.unseen import loo_residual_without
from ntkif.regression.low_rank import LowRankInverse

pytestmark = pytest.mark.filterwarnings("ignore:landmarks")
#: Copies of a point are drawn more often than a point of as much weight.
LANDMARKS = dict.fromkeys(["check_sample_weight_equivalence_on_dense_data"], "landmarks are drawn without the weights")


def spanned(model):
    """The kernel that the landmarks of a model span, as a function."""
    marks = unit(X)[model._landmarks]

    def kernel(points):
        k = ntk(points, marks)
        return k @ torch.linalg.pinv(ntk(marks), hermitian=True) @ k.T

    return kernel


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("landmarks", [9, 30, 99])
def test_every_method_equals_refits_in_their_span(landmarks, weight, intercept):
    y = TARGETS["three"]
    model = NTKInfluence(RIDGE, landmarks=landmarks, fit_intercept=intercept, block_size=16).fit(X, y[:30], weight)
    assert isinstance(model.fit_.inverse, LowRankInverse) and len(model._landmarks) == min(landmarks, 30)
    assert_equals_refits(model, y, weight, intercept, kernel=spanned(model))
    at_the_end = model.influence_at(np.inf, X_TEST, y[30:])
    assert at_the_end == pytest.approx(model.influence(X_TEST, y[30:]), rel=1e-8, abs=1e-8)


def test_with_all_points_it_is_the_exact_model():
    y, wanted = LABELS["three"], NTKInfluenceClassifier(RIDGE).fit(X, LABELS["three"][:30])
    model = NTKInfluenceClassifier(RIDGE, landmarks=30).fit(X, y[:30])
    assert wanted.missed_ is None and model.missed_ == pytest.approx(0, abs=1e-6)
    # What the probabilities are scaled by is the minimum of a flat function.
    for method, within in (("loo_margin", 1e-9), ("self_influence", 1e-9), ("loo_predict_proba", 1e-6)):
        assert getattr(model, method)() == pytest.approx(getattr(wanted, method)(), abs=within)


def test_half_are_drawn_and_half_matter_most_to_themselves():
    y = TARGETS["one"][:30]
    model, drawn = NTKInfluence(RIDGE, landmarks=10).fit(X, y), NTKInfluence(RIDGE, landmarks=5).fit(X, y)
    order = np.random.RandomState(0).permutation(30)
    assert model._landmarks[:5].tolist() == order[:5].tolist() and drawn._landmarks[:2].tolist() == order[:2].tolist()
    first = NTKInfluence(RIDGE, landmarks=5).fit(X, y)
    first._landmarks = torch.as_tensor(order[:5])
    first._features = None
    fit = first._fit_to(first._spanned())
    own = (fit.loo_residual.square() - fit.residual.square())[:, 0].numpy()
    own[order[:5]] = -np.inf
    assert set(model._landmarks[5:].tolist()) == set(own.argsort()[-5:].tolist())
    other = NTKInfluence(RIDGE, landmarks=10, random_state=1).fit(X, y)
    assert other._landmarks.tolist() != model._landmarks.tolist()


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_what_they_miss_is_bounded(weight, intercept):
    y, options = TARGETS["one"][:30], {"fit_intercept": intercept}
    for ridge in (0.01, RIDGE, 30.0):
        whole = NTKInfluence(ridge, **options).fit(X, y, weight).leverage_.sum()
        for landmarks in (4, 12, 29):
            model = NTKInfluence(ridge, landmarks=landmarks, **options).fit(X, y, weight)
            held = model.leverage_.sum()
            assert held <= whole + 1e-9 and (whole - held) / whole <= model.missed_ + 1e-9
            trace = (ntk(unit(X)).diagonal() - spanned(model)(unit(X)).diagonal()).clamp_min(0).numpy()
            missed = trace @ (np.ones(30) if weight is None else weight) / ridge
            assert model.missed_ == pytest.approx(missed / (missed + held), rel=1e-6)


def test_many_that_are_missed_are_warned_of():
    y = TARGETS["one"][:30]
    with pytest.warns(UserWarning, match=r"landmarks: up to \d+% of .* more landmarks than 4, .* above 0.001"):
        doubtful = NTKInfluence(1e-3, landmarks=4).fit(X, y)
    assert doubtful.missed_ > DOUBTFUL
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert NTKInfluence(30.0, landmarks=12).fit(X, y).missed_ < 0.3
        blank = NTKInfluence(1e-3, landmarks=31).fit(np.vstack([X, np.zeros((1, 5))]), np.arange(31.0))
    assert blank.missed_ == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
def test_landmarks_may_be_blank(intercept):
    y, blank = TARGETS["three"], np.zeros((30, 5))
    exact, model = (NTKInfluence(RIDGE, landmarks=p, fit_intercept=intercept).fit(blank, y[:30]) for p in (None, 4))
    assert model.missed_ == pytest.approx(0)
    for method, given in (("loo_predict", ()), ("predict", (X_TEST,)), ("influence", (X_TEST, y[30:]))):
        assert getattr(model, method)(*given) == pytest.approx(getattr(exact, method)(*given))
    some = blank.copy()
    live = np.random.RandomState(0).permutation(30)[-4:]  # so that the drawn are blank
    some[live] = X[live]
    model = NTKInfluence(RIDGE, landmarks=8, fit_intercept=intercept).fit(some, y[:30])
    assert len(set(model._landmarks.tolist())) == 8 and np.isfinite(model.influence(X_TEST, y[30:])).all()


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_ridge_and_kernel_are_chosen_in_the_span_of_the_drawn(weight):
    y, ridges = TARGETS["three"][:30], [0.01, 0.1, 1.0]
    model = NTKInfluence("loo", ridges=ridges, kernel=["ntk", linear], landmarks=30).fit(X, y, weight)
    wanted = NTKInfluence("loo", ridges=ridges, kernel=["ntk", linear]).fit(X, y, weight)
    assert model.loo_errors_ == pytest.approx(wanted.loo_errors_, rel=1e-7)
    assert (model.ridge_, model.kernel_) == (wanted.ridge_, wanted.kernel_)
    few = NTKInfluence("loo", landmarks=6).fit(X, y, weight)
    assert few.ridge_ == few.ridges_[0][few.loo_errors_[0].argmin()]


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
def test_what_is_left_when_a_set_goes_is_fitted_again(intercept):
    y = TARGETS["three"][:30]
    model = NTKInfluence(RIDGE, landmarks=9, fit_intercept=intercept).fit(X, y, WEIGHTS["weighted"] + 0.1)
    dense = NTKInfluence(RIDGE, kernel=lambda a, b: model._features_at(a) @ model._features_at(b).T, normalize=False)
    dense = dense.set_params(fit_intercept=intercept).fit(unit(X).numpy(), y, WEIGHTS["weighted"] + 0.1)
    for group in ([0], [3, 5, 8], list(range(20))):
        found, wanted = (loo_residual_without(each.fit_, torch.tensor(group)) for each in (model, dense))
        assert found.numpy() == pytest.approx(wanted.numpy(), rel=1e-9, abs=1e-9, nan_ok=True)


def test_a_number_that_is_none_is_refused():
    for wrong in (0, 1, -3, 2.5, True, "many"):
        with pytest.raises(ValueError, match="landmarks: expected a whole number, at least 2, or None"):
            NTKInfluence(landmarks=wrong).fit(X, TARGETS["one"][:30])
    with pytest.raises(ValueError, match="ridge: expected a positive number, got 0"):
        NTKInfluence(0.0, landmarks=4).fit(X, TARGETS["one"][:30])


@parametrize_with_checks(
    [NTKInfluence(landmarks=4), NTKInfluenceClassifier("loo", landmarks=4, normalize="append-one")],
    expected_failed_checks=lambda _: LANDMARKS,
)
def test_scikit_learns_own_checks(estimator, check):
    check_estimator(estimator, check)
