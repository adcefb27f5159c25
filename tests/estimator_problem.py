"""Rows, targets and labels that the tests of the estimators share."""

import unittest

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from ntkif import ntk

# scikit-learn skips this one itself unless SCIPY_ARRAY_API is set before scipy is imported, which would change scipy
# for all other tests; the estimators make no claim to array API input (the tag is off).
SKIPPED = {"check_array_api_input"}
#: What fails of any `Pipeline`, and is listed so by scikit-learn for its own.
STEPS = dict.fromkeys(
    ("check_dont_overwrite_parameters", "check_estimators_overwrite_params"), "a pipeline copies its list of steps"
)
#: A point is left out with all of its weight, a copy without the other copies: so for the ridge "loo".
LEFT_OUT = {"check_sample_weight_equivalence_on_dense_data": "leaving out a weight is not leaving out a copy"}
RIDGE = 0.3


def points(n, seed, d=5):
    return np.random.RandomState(seed).randn(n, d)


X, X_TEST = points(30, 0), points(7, 1)
TARGETS = {"one": points(37, 2, 1)[:, 0], "three": points(37, 2, 3)}
LABELS = {"two": np.array(["no", "yes"])[np.arange(37) % 5 % 2], "three": np.array([4, 7, 9])[np.arange(37) % 3]}


def unit(x):
    return torch.nn.functional.normalize(torch.tensor(x))


WEIGHTS = {"plain": None, "weighted": np.where(np.arange(30) % 7 == 3, 0.0, 0.2 + points(30, 3, 1)[:, 0] ** 2)}


def refit(y, kept, *, weight=None, intercept=True, ridge=RIDGE, kernel=ntk, x=X, x_test=X_TEST):
    """Predictions at test points and at all training points of scikit-learn's ridge regression, fitted to some rows.

    It works on features whose products are the kernel, with an intercept and weights of its own.
    """
    values, vectors = np.linalg.eigh(kernel(unit(np.vstack([x, x_test]))).numpy())
    features = vectors * np.sqrt(values.clip(0))
    kept = [i for i in kept if weight is None or weight[i] > 0]
    model = Ridge(alpha=ridge, fit_intercept=intercept, solver="cholesky")
    model.fit(features[kept], y[kept], None if weight is None else weight[kept])
    prediction = model.predict(features).reshape(len(features), *y.shape[1:])
    return prediction[len(x) :], prediction[: len(x)]


def half_squares(prediction, y):
    return (np.square(prediction - y).reshape(len(y), -1) / 2).sum(1)


GROUPS = [[0], [3, 5, 8], list(range(20)), list(range(1, 30))]


def assert_equals_refits(model, y, weight, intercept, **oracle):
    """To ten digits, relative to numbers of the size of one."""
    train, test, exact = y[:30], y[30:], {"rel": 1e-10, "abs": 1e-10}
    oracle |= {"weight": weight, "intercept": intercept}
    whole, seen = refit(train, range(30), **oracle)
    assert model.predict(X_TEST) == pytest.approx(whole, **exact)
    influence, own, left_out = model.influence(X_TEST, test), model.self_influence(), model.loo_predict()
    for i in range(30):
        without, unseen = refit(train, [j for j in range(30) if j != i], **oracle)
        wanted = half_squares(without, test) - half_squares(whole, test)
        assert influence[:, i] == pytest.approx(wanted, **exact)
        assert left_out[i] == pytest.approx(unseen[i], **exact)
        assert own[i] == pytest.approx((half_squares(unseen, train) - half_squares(seen, train))[i], **exact)
    for group, column in zip(GROUPS, model.group_influence(GROUPS, X_TEST, test).T, strict=True):
        without, _ = refit(train, [j for j in range(30) if j not in group], **oracle)
        assert column == pytest.approx(half_squares(without, test) - half_squares(whole, test), **exact)


def check_estimator(estimator, check):
    """One of scikit-learn's own checks, which may skip itself only if it is known to."""
    try:
        check(estimator)
    except unittest.SkipTest:
        assert check.func.__name__ in SKIPPED
        raise
