"""Experiments on the error of IHVP: each column from its definition, at small size."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from ntkif import ihvp_influence, influence_terms, ntk, ridge_fit
from ntkif.data import load
from ntkif.influence.density import median_distance, nearest_distance, pca_density, sphere_density
from ntkif.influence.ihvp import network_ihvp
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.study.experiments.density import density_correlations, density_deciles, density_matrix, point_densities
from ntkif.study.experiments.ihvp import errors_by_point, errors_by_ridge
from ntkif.study.experiments.solvers import proposition_1_errors, solver_errors

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


def test_densities_and_their_rank_correlations():
    nearest = nearest_distance(DATA.x_train)
    table = density_correlations(DATA, [0.5, 4.0], [0.5, 1.0], [3])
    assert table[["ridge", "kind", "parameter"]].to_numpy().tolist() == [
        [ridge, *kind] for ridge in (0.5, 4.0) for kind in (("sphere", 0.5), ("sphere", 1.0), ("pca", 3))
    ]
    densities = [sphere_density(DATA.x_train, factor * nearest) for factor in (0.5, 1.0)]
    densities.append(pca_density(DATA.x_train, 3))
    assert np.allclose(point_densities(DATA.x_train, [0.5, 1.0], [3]), torch.stack(densities, 1))
    for row, density in zip(table[table["ridge"] == 4.0].itertuples(), densities, strict=True):
        points = errors_by_point(DATA, 4.0)
        assert row.error_rho == pytest.approx(spearmanr(density, points["error_rate"]).statistic)
        assert row.median_rho == pytest.approx(spearmanr(density, points["median_rate"]).statistic)
        assert row.leverage_rho == pytest.approx(spearmanr(density, points["leverage"]).statistic)
    assert table["bandwidth"].tolist()[:2] == pytest.approx([0.5 * nearest, nearest])
    assert table["over_median"][1] == pytest.approx(nearest / median_distance(DATA.x_train))
    assert np.isnan(table["bandwidth"][2])


def test_a_matrix_has_a_row_for_each_ridge_and_a_column_for_each_choice():
    table = pd.DataFrame(
        {"ridge": [4.0, 0.5, 4.0, 0.5, 4.0], "kind": ["sphere"] * 4 + ["pca"], "parameter": [1.0, 1.0, 0.25, 0.25, 10]}
    ).assign(error_rho=[1, 2, 3, 4, 5], leverage_rho=[6, 7, 8, 9, 10])
    sphere = density_matrix(table, "sphere")
    assert sphere.to_dict() == {"0.25": {0.5: 4, 4.0: 3}, "1": {0.5: 2, 4.0: 1}}
    assert density_matrix(table, "pca", "leverage_rho").to_dict() == {"10": {4.0: 10}}


def test_deciles_go_from_sparse_to_dense():
    table = density_deciles(DATA, [1.0], [1.0], [3])
    assert len(table) == 20 and list(table["decile"]) == [*range(1, 11)] * 2
    density, rate = point_densities(DATA.x_train, [1.0], [3]), errors_by_point(DATA, 1.0)["error_rate"]
    sparsest = rate[density["sphere", 1.0].argsort()[:6]]
    assert table["median"][0] == pytest.approx(sparsest.median())
    assert table[["low", "high"]].iloc[0].tolist() == pytest.approx(np.quantile(sparsest, [0.1, 0.9]))
    assert table["median"][0] > table["median"][9]


TRAINING = {"learning_rate": 0.03, "epochs": 600, "tolerance": 0.005}


def test_proposition_1_errors_by_hand():
    row = proposition_1_errors(DATA, 1.0, [64], [(1.0, True)], [2], **TRAINING).iloc[0]
    start = random_network(784, width=64, init_scale=1.0, symmetric=True, seed=2 * 1_000_003 + 64)
    network = train(start, DATA.x_train, DATA.y_train, 1.0, **TRAINING).network
    fit, _, limit = parts(1.0)
    found = network_ihvp(network, DATA.x_train, DATA.y_train, DATA.x_test, DATA.y_test, 1.0)
    assert row["relative_error"] == pytest.approx(float((found - limit).norm() / limit.norm()))
    assert row["slope"] == pytest.approx(float((found * limit).sum() / limit.square().sum()))
    residual = network.predict(DATA.x_train) - DATA.y_train, network.predict(DATA.x_test) - DATA.y_test
    truth = fit.residual, fit.predict(TEST) - DATA.y_test
    for name, r, t in zip(("train_residual", "test_residual"), residual, truth, strict=True):
        assert row[name] == pytest.approx(float((r - t).norm() / t.norm()))
    coefficients = found / (residual[1] @ residual[0].T)  # one output: of the network's own kernel
    assert row["hessian"] == pytest.approx(
        float((coefficients * (truth[1] @ truth[0].T) - limit).norm() / limit.norm())
    )
    assert row["flips"] == pytest.approx(
        float((network.gates(DATA.x_train) != start.gates(DATA.x_train)).double().mean())
    )
    unit = network.weights / network.weights.norm(dim=1, keepdim=True)
    assert row["on_kink"] == pytest.approx(float(((unit @ DATA.x_train.T).abs() < 1e-6).double().mean()))


def test_wider_networks_are_nearer_to_the_limit_with_ten_outputs_too():
    data = load("mini-mnist-sample").head(30, 20)
    table = proposition_1_errors(data, 1.0, [128, 2048], [(1.0, True)], [0], **TRAINING)
    assert table["relative_error"][1] < 0.5 * table["relative_error"][0]


def test_solver_errors():
    start = random_network(784, width=32, init_scale=1.0, seed=0, symmetric=True)
    network = train(start, DATA.x_train, DATA.y_train, 1.0, **TRAINING).network
    settings = [
        {"solver": "cg", "max_iterations": 2},
        {"solver": "cg"},
        {"solver": "cg", "damping": 5.0},
        {"solver": "cg", "dtype": torch.float32},
        {"solver": "lissa", "depth": 300, "scale": 0.5},
        {"solver": "lissa", "depth": 300, "scale": 30.0},
    ]
    table = solver_errors(network, DATA, 1.0, settings, 4)
    assert table["solver"].tolist() == ["cg"] * 4 + ["lissa"] * 2
    assert table["converged"].tolist() == [False, True, True, False, False, True]
    assert table["diverged"].tolist() == [False] * 4 + [True, False]
    assert table.loc[4, ["pearson", "residual", "iterations"]].isna().all()
    errors = table["relative_error"]
    assert errors[1] < 1e-9 < errors[3] < 1e-4 and errors[0] > 0.01 and errors[5] < 0.01
    assert table["slope"][2] < 0.9  # damped and solved to ten digits: the wrong system
    truth = network_ihvp(network, DATA.x_train, DATA.y_train, DATA.x_test[:4], DATA.y_test[:4], 1.0)
    damped = network_ihvp(network, DATA.x_train, DATA.y_train, DATA.x_test[:4], DATA.y_test[:4], 1.0, damping=5.0)
    assert errors[2] == pytest.approx(float((damped - truth).norm() / truth.norm()), rel=1e-6)
    assert isinstance(table, pd.DataFrame) and table["dtype"].dropna().tolist() == ["torch.float32"]
