"""Experiments on the error of IHVP: each column from its definition, at small size."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from ntkif import ihvp_influence, influence_terms, loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.study.experiments.ihvp import decomposition, errors_by_point, errors_by_ridge

DATA = load("mnist-sample").head(60, 25)
KERNEL, TEST = ntk(DATA.x_train), ntk(DATA.x_test, DATA.x_train)


def parts(ridge, dataset=DATA):
    """Fit, exact influence, IHVP."""
    fit = ridge_fit(KERNEL, dataset.y_train, ridge)
    return fit, sum(influence_terms(fit, TEST, dataset.y_test)), ihvp_influence(fit, TEST, dataset.y_test)


def test_errors_by_ridge_by_hand():
    table, eigenvalues = errors_by_ridge(DATA, [0.1, 3.0]), torch.linalg.eigvalsh(KERNEL)
    for at, ridge in enumerate((0.1, 3.0)):
        row, (fit, exact, ihvp) = table.iloc[at], parts(ridge)
        error, two = (exact - ihvp).abs(), influence_terms(fit, TEST, DATA.y_test)[1]
        floor, top = (float(w / (w + ridge)) for w in (eigenvalues[0], eigenvalues[-1]))
        bound = floor * exact.abs() - two
        expected = {
            "ridge": ridge,
            "floor": floor,
            "least_leverage": float(fit.leverage.min()),
            "leverage": float((eigenvalues / (eigenvalues + ridge)).mean()),
            "largest_leverage": float(fit.leverage.max()),
            "ceiling": 0.5 / (0.5 + ridge),
            "paper_ceiling": top,
            "ratio_of_sums": float(error.sum() / exact.abs().sum()),
            "mean_of_ratios": float((error / exact.abs()).mean()),
            "helpful": float(error[exact > 0].sum() / exact[exact > 0].sum()),
            "harmful": float(error[exact < 0].sum() / -exact[exact < 0].sum()),
            "rescaled": float(((ihvp / (1 - fit.leverage)) - exact).abs().sum() / exact.abs().sum()),
            "informative": float((bound > 0).double().mean()),
            "looseness": float((error / bound)[bound > 0].median()),
            "slope": float((ihvp * exact).sum() / exact.square().sum()),
            "rescaled_slope": float((ihvp / (1 - fit.leverage) * exact).sum() / exact.square().sum()),
            "rescaled_relative_error": float((two / 1).norm() / exact.norm()),
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-9), name
        assert row["violations"] == 0 and row["leverage_violations"] == 0


def test_violations_are_counted(monkeypatch):
    monkeypatch.setattr("ntkif.study.experiments.ihvp.bounds.leverage_floor", lambda eigenvalue, ridge: 0.9)
    monkeypatch.setattr(
        "ntkif.study.experiments.ihvp.bounds.leverage_bounds", lambda i, two, leverage: (0 * i, 0.001 * i.abs())
    )
    row = errors_by_ridge(DATA, [3.0]).iloc[0]
    assert row["violations"] > 500 and row["leverage_violations"] > 500


def test_theorem_3_holds_on_ten_classes():
    table = errors_by_ridge(load("mini-mnist-sample").head(80, 30), [2.0**-4, 1.0, 16.0])
    assert (table["violations"] == 0).all() and (table["leverage_violations"] == 0).all()
    assert (table["floor"] < table["ratio_of_sums"]).all() and (table["leverage"] < table["ceiling"]).all()


def test_errors_by_point():
    fit, exact, ihvp = parts(0.5)
    table = errors_by_point(DATA, 0.5, [1, 4, 16])
    assert np.allclose(table["leverage"], fit.leverage)
    assert np.allclose(table["error_rate"], (exact - ihvp).abs().sum(0) / exact.abs().sum(0))
    assert np.allclose(table["median_rate"], ((exact - ihvp) / exact).abs().median(0).values)
    assert (table["leverage"] <= table["neighbour_ceiling"]).all() and (table["neighbour_ceiling"] <= 0.5).all()
    assert list(errors_by_point(DATA, 0.5).columns) == ["error_rate", "median_rate", "leverage"]


TEN = load("mini-mnist-sample").head(60, 25)


@pytest.mark.parametrize("dataset", [DATA, TEN], ids=["binary", "ten-class"])
def test_decomposition_against_the_definitions(dataset):
    row = decomposition(dataset, [0.5], top=5).iloc[0]
    fit, k_test = ridge_fit(ntk(dataset.x_train), dataset.y_train, 0.5), ntk(dataset.x_test, dataset.x_train)
    exact = loo_influence(fit, k_test, dataset.y_test)
    own_errors = fit.loo_residual.square().sum(1)
    two = fit.coefficients(k_test) ** 2 * own_errors / 2
    one = exact - two
    assert row["median_ratio"] == pytest.approx(float((two / one.abs()).median()))
    assert row["above_tenth"] == pytest.approx(float((two > one.abs() / 10).double().mean()))
    assert row["above_one"] == pytest.approx(float((two > one.abs()).double().mean()))
    assert row["sign_flips"] == pytest.approx(float(((one < 0) & (exact > 0)).double().mean()))
    assert row["relative_error"] == pytest.approx(float(two.norm() / exact.norm()))
    top = [exact[t].abs().argsort(descending=True)[:5] for t in range(25)]
    among = torch.stack([(two > one.abs() / 10)[t, rows] for t, rows in enumerate(top)])
    assert row["above_tenth_top"] == pytest.approx(float(among.double().mean()))
    misses = (fit.predict(k_test) - dataset.y_test).norm(dim=1).numpy()
    quarter = misses <= np.quantile(misses, 0.25)
    assert row["top_best_quarter"] == pytest.approx(float(among[quarter].double().mean()))
    assert row["top_others"] == pytest.approx(float(among[~quarter].double().mean()))
    rho = [spearmanr(one[t], exact[t]).statistic for t in range(25)]
    assert row["rank_low"] == pytest.approx(np.quantile(rho, 0.05))
