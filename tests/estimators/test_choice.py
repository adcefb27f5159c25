"""Kernel and ridge by leave-one-out errors: scikit-learn's, and those of refits."""

import numpy as np
import pytest
import torch
from estimator_problem import RIDGE, TARGETS, WEIGHTS, X_TEST, X, refit
from problem import linear
from sklearn.linear_model import RidgeCV

from ntkif import NTKInfluence, NTKInfluenceClassifier, ntk
from ntkif.kernels.infinite import deep_ntk

RIDGES = [0.01, 0.1, 1.0, 10.0]


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
def test_errors_and_choice_are_those_of_ridge_cv(y, intercept):
    y = y[:30]
    oracle = RidgeCV(RIDGES, fit_intercept=intercept, store_cv_results=True).fit(X, y)
    errors = oracle.cv_results_.reshape(30, -1, len(RIDGES)).sum(1).mean(0)
    options = {"kernel": linear, "normalize": False, "fit_intercept": intercept}
    model = NTKInfluence("loo", ridges=RIDGES, **options).fit(X, y)
    assert model.loo_errors_[0] == pytest.approx(errors, rel=1e-10) and model.ridge_ == oracle.alpha_
    assert model.predict(X_TEST) == pytest.approx(oracle.predict(X_TEST), rel=1e-10)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_of_kernels_and_ridges_the_pair_that_refits_say(weight):
    y, kernels = TARGETS["three"][:30], {"ntk": ntk, "deep_ntk": deep_ntk}
    model = NTKInfluence("loo", kernel=list(kernels), ridges=RIDGES).fit(X, y, weight)
    for found, kernel in zip(model.loo_errors_, kernels.values(), strict=True):
        for error, ridge in zip(found, RIDGES, strict=True):
            left_out = [
                refit(y, set(range(30)) - {i}, weight=weight, ridge=ridge, kernel=kernel)[1][i] for i in range(30)
            ]
            squares = np.square(left_out - y).sum(1)
            assert error == pytest.approx(np.average(squares, weights=weight), rel=1e-10)
    best, at = np.unravel_index(model.loo_errors_.argmin(), model.loo_errors_.shape)
    assert (model.kernel_, model.ridge_) == (list(kernels)[best], RIDGES[at])
    chosen = NTKInfluence(model.ridge_, kernel=model.kernel_).fit(X, y, weight)
    assert model.influence(X_TEST, y[:7]) == pytest.approx(chosen.influence(X_TEST, y[:7]))
    left_out = np.square(model.loo_predict() - y).sum(1)
    assert model.loo_errors_.min() == pytest.approx(np.average(left_out, weights=weight))


def test_kernels_alone_and_a_grid_that_follows_the_kernel():
    y = TARGETS["one"][:30]
    model = NTKInfluence(RIDGE, kernel=("ntk", linear)).fit(X, y)
    assert model.ridges_.tolist() == [[RIDGE]] * 2 and model.ridge_ == RIDGE
    assert model.kernel_ == ("ntk", linear)[model.loo_errors_.argmin()]
    plain, large = (NTKInfluence("loo", kernel=kernel).fit(X, y) for kernel in (ntk, lambda x, z: 100 * ntk(x, z)))
    assert plain.ridges_[0] == pytest.approx(0.5 * 10.0 ** np.arange(-4, 3.5, 0.5))
    assert large.ridge_ == pytest.approx(100 * plain.ridge_) and large.loo_errors_ == pytest.approx(plain.loo_errors_)
    assert large.predict(X_TEST) == pytest.approx(plain.predict(X_TEST))


def test_a_ridge_at_which_the_kernel_is_singular_is_not_chosen():
    x, y = np.vstack([X, X[:2]]), TARGETS["one"][:32]
    model = NTKInfluence("loo", ridges=[0.0, 0.1]).fit(x, y)
    assert model.loo_errors_[0, 0] == np.inf and model.ridge_ == 0.1


def test_a_classifier_and_a_second_fit():
    model = NTKInfluenceClassifier("loo", kernel=["deep_ntk", "ntk"]).fit(X, X[:, 0] > 0)
    assert model.ridge_ in model.ridges_ and model.kernel_ in model.kernel
    model.set_params(ridge=1.0, kernel="ntk").fit(X, X[:, 0] > 0)
    assert (model.ridge_, model.kernel_, model.ridges_, model.loo_errors_) == (1.0, "ntk", None, None)


def test_nothing_to_choose_from_and_what_is_no_ridge():
    for options, problem in (
        ({"ridges": []}, "ridges: expected a list of numbers"),
        ({"ridges": 1.0}, "ridges: expected a list of numbers"),
        ({"ridges": [-1.0]}, "ridge: expected zero or a positive"),
        ({"kernel": []}, "kernel: expected at least one"),
        ({"kernel": ["ntk", "rbf"]}, "kernel: expected 'ntk' or 'deep_ntk'"),
    ):
        with pytest.raises(ValueError, match=problem):
            NTKInfluence("loo", **options).fit(X, TARGETS["one"][:30])
    with pytest.raises(ValueError, match="ridge: expected zero or a positive"):
        NTKInfluence(-1.0).fit(X, TARGETS["one"][:30])
    with pytest.raises(ValueError, match=r"ridges: expected none with ridge=1.0, .* set ridge='loo'"):
        NTKInfluence(1.0, ridges=[1.0]).fit(X, TARGETS["one"][:30])


@pytest.mark.parametrize("landmarks", [None, 4])
def test_ridges_of_blank_rows_are_asked_for(landmarks):
    blank = np.zeros((30, 5))
    with pytest.raises(ValueError, match=r"ridges: expected a list of numbers .* is 0, as of blank rows"):
        NTKInfluence("loo", landmarks=landmarks).fit(blank, TARGETS["one"][:30])
    model = NTKInfluence("loo", ridges=[0.1, 1.0], landmarks=landmarks).fit(blank, TARGETS["one"][:30])
    assert model.predict(blank[:2]) == pytest.approx(TARGETS["one"][:30].mean())


def test_numbers_of_torch():
    y = TARGETS["one"][:30]
    assert NTKInfluence("loo", ridges=torch.tensor([0.1, 1.0])).fit(X, y).ridge_ in (pytest.approx(0.1), 1.0)
    assert type(NTKInfluence(torch.tensor(0.5)).fit(X, y).ridge_) is float
