"""A comparison of methods with retraining, of any module and any kernel, and its tables."""

import pandas as pd
import torch

from ntkif import ihvp_influence, ridge_fit
from ntkif.data import load
from ntkif.networks.modules import train_module
from ntkif.study.experiments.comparison import METHODS, compare_methods, smaller_error

DATA = load("mnist-sample").head(30, 20)
RIDGE = 0.5


def test_compare_needs_no_name_of_a_network():
    """Any module and any kernel: a linear model, whose own kernel and linear kernel agree and are exact."""
    start = torch.nn.Linear(784, 1, bias=False, dtype=torch.float64).eval()
    with torch.no_grad():
        start.weight.zero_()

    def linear(x, z=None):
        return x @ (x if z is None else z).T

    found = compare_methods(
        {}, DATA, RIDGE, [2, 5], start, lambda x, y: train_module(start, x, y, RIDGE), kernel=linear
    )
    for name in (METHODS[0], METHODS[2]):
        assert torch.allclose(found.predicted[name], found.truth, rtol=0, atol=1e-8)
    fit = ridge_fit(linear(DATA.x_train), DATA.y_train, RIDGE)
    classic = ihvp_influence(fit, linear(DATA.x_test, DATA.x_train), DATA.y_test)[:, [2, 5]]
    assert torch.allclose(found.predicted[METHODS[1]], classic, rtol=0, atol=1e-8)


def test_a_smaller_error_wins_network_by_network():
    kernel, ihvp, own = METHODS
    errors = {("a", 0): (0.3, 0.1, 0.2), ("a", 1): (0.1, 0.4, 0.2), ("b", 0): (0.2, 0.3, 0.2)}
    rows = [
        {"network": n, "seed": s, "method": m, "relative_error": error}
        for (n, s), each in errors.items()
        for m, error in zip(METHODS, each, strict=True)
    ]
    by = ["network", "seed"]
    assert smaller_error(pd.DataFrame(rows), by, kernel).to_dict() == dict(
        zip(errors, [True, False, False], strict=True)
    )
    assert smaller_error(pd.DataFrame(rows), by, ihvp).to_dict() == dict(zip(errors, [False, True, True], strict=True))
    assert smaller_error(pd.DataFrame(rows), by, own, ihvp).to_dict() == {
        ("a", 0): True,
        ("a", 1): False,
        ("b", 0): False,
    }
