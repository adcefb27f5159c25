"""A comparison of methods with retraining, of any module and any kernel, and its tables."""

import pandas as pd
import pytest
import torch
from problem import linear

from ntkif import ihvp_influence, ridge_fit
from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.networks.modules import train_module
from ntkif.study.experiments.comparison import (
    METHODS,
    Comparison,
    compare_methods,
    method_scores,
    removal_errors,
    smaller_error,
)

DATA = load("mnist-sample").head(30, 20)
RIDGE = 0.5


def test_compare_needs_no_name_of_a_network():
    """Any module and any kernel: a linear model, whose own kernel and linear kernel agree and are exact."""
    start = torch.nn.Linear(784, 1, bias=False, dtype=torch.float64).eval()
    with torch.no_grad():
        start.weight.zero_()

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


def made_up(seed):
    """A comparison of random influences, with numbers that tell it from others."""
    generator = torch.Generator().manual_seed(seed)
    truth, *predicted = torch.randn(4, 6, 3, generator=generator, dtype=torch.float64)
    predicted = dict(zip(METHODS, predicted, strict=True))
    seconds = {name: seed + place for place, name in enumerate((*METHODS, "train"))}
    by_removal = {"leverage": [0.1, 0.2, 0.6], "flips": [seed, 0.5, 0.25]}
    return Comparison({"seed": seed}, [7, 2, 9], truth, predicted, seconds, {"gradient": 0.5 * seed}, by_removal)


def test_scores_are_those_of_each_method():
    made = [made_up(seed) for seed in (0, 1)]
    table = method_scores(made)
    assert table[["seed", "method"]].to_numpy().tolist() == [[seed, name] for seed in (0, 1) for name in METHODS]
    for row in table.to_dict("records"):
        one = made[row["seed"]]
        expected = agreement(one.predicted[row["method"]], one.truth)
        expected |= {"removals": 3, "leverage": 0.3, "gradient": 0.5 * row["seed"]}
        expected |= {"seconds": one.seconds[row["method"]], "train_seconds": one.seconds["train"]}
        assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_errors_are_those_of_each_removal():
    made = [made_up(seed) for seed in (0, 1)]
    table = removal_errors(made, METHODS[1])
    assert table["seed"].tolist() == [0] * 3 + [1] * 3 and table["removed"].tolist() == [7, 2, 9] * 2
    errors = [(one.predicted[METHODS[1]] - one.truth).norm(dim=0) / one.truth.norm(dim=0) for one in made]
    assert table["relative_error"].tolist() == pytest.approx(torch.cat(errors).tolist())
    assert table["flips"].tolist() == [0, 0.5, 0.25, 1, 0.5, 0.25]
    own = removal_errors(made[:1])["relative_error"].tolist()  # of the network's own kernel, where none is named
    assert (
        own == removal_errors(made[:1], METHODS[2])["relative_error"].tolist() != table["relative_error"].tolist()[:3]
    )
