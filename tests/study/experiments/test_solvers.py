"""IHVP of finite networks and of solvers: each column from its definition, at small size."""

import pandas as pd
import pytest
import torch

from ntkif import ihvp_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.influence.ihvp import network_ihvp
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.study.experiments.solvers import proposition_1_errors, solver_errors

DATA = load("mnist-sample").head(60, 25)
KERNEL, TEST = ntk(DATA.x_train), ntk(DATA.x_test, DATA.x_train)
TRAINING = {"learning_rate": 0.03, "epochs": 600, "tolerance": 0.005}


def test_proposition_1_errors_by_hand():
    row = proposition_1_errors(DATA, 1.0, [64], [(1.0, True)], [2], **TRAINING).iloc[0]
    start = random_network(784, width=64, init_scale=1.0, symmetric=True, seed=2 * 1_000_003 + 64)
    network = train(start, DATA.x_train, DATA.y_train, 1.0, **TRAINING).network
    fit = ridge_fit(KERNEL, DATA.y_train, 1.0)
    limit = ihvp_influence(fit, TEST, DATA.y_test)
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
