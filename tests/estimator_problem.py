"""Rows, targets and labels that the tests of the estimators share."""

import unittest

import numpy as np
import torch

# scikit-learn skips this one itself unless SCIPY_ARRAY_API is set before scipy is imported, which would change scipy
# for all other tests; the estimators make no claim to array API input (the tag is off).
SKIPPED = {"check_array_api_input"}
RIDGE = 0.3


def points(n, seed, d=5):
    return np.random.RandomState(seed).randn(n, d)


X, X_TEST = points(30, 0), points(7, 1)
TARGETS = {"one": points(37, 2, 1)[:, 0], "three": points(37, 2, 3)}
LABELS = {"two": np.array(["no", "yes"])[np.arange(37) % 5 % 2], "three": np.array([4, 7, 9])[np.arange(37) % 3]}


def unit(x):
    return torch.nn.functional.normalize(torch.tensor(x))


def check_estimator(estimator, check):
    """One of scikit-learn's own checks, which may skip itself only if it is known to."""
    try:
        check(estimator)
    except unittest.SkipTest:
        assert check.func.__name__ in SKIPPED
        raise
