"""The test error over training images, from its definition, and the rates that are fitted to it."""

import numpy as np
import pandas as pd
import pytest

from ntkif import ntk
from ntkif.data import load
from ntkif.study.experiments.learning_curve import learning_curve, learning_rates

DATA = load("mini-mnist-sample").head(60, 25)


def squared_error(ridge, n):
    x, y = DATA.x_train[:n], DATA.y_train[:n].numpy()
    dual = np.linalg.solve(ntk(x).numpy() + ridge * np.eye(n), y)
    residual = ntk(DATA.x_test, x).numpy() @ dual - DATA.y_test.numpy()
    return float((residual**2).sum() / len(residual))


def test_the_error_is_that_of_the_first_images_summed_over_outputs():
    curve = learning_curve(DATA, [0.5, 2.0], [20, 40, 60])
    assert curve[["ridge", "n"]].values.tolist() == [[ridge, n] for ridge in (0.5, 2.0) for n in (20, 40, 60)]
    expected = [squared_error(ridge, n) for ridge, n in zip(curve["ridge"], curve["n"], strict=True)]
    assert curve["squared_error"].tolist() == pytest.approx(expected, rel=1e-10)


def test_the_rate_is_that_of_each_ridge_by_itself():
    sizes = np.array([10, 100, 1000])
    errors = {0.5: 3 * sizes**-0.5, 2.0: 2 * sizes**-0.25}
    curve = pd.concat(pd.DataFrame({"ridge": ridge, "n": sizes, "squared_error": e}) for ridge, e in errors.items())
    rates = learning_rates(curve)
    assert rates["exponent"].to_dict() == pytest.approx({0.5: -0.5, 2.0: -0.25})
    # A residual sum of rounding errors, whose root is not smaller than 1e-8.
    assert (rates["uncertainty"] < 1e-6).all()
