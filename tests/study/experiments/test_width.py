"""Networks of finite width: each column from its definition, at small size."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from problem import jacobian

from ntkif import ntk, ridge_fit
from ntkif.data import load
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.retraining.protocol import Protocol
from ntkif.retraining.retrain import retrain
from ntkif.retraining.selection import chosen_points
from ntkif.study.experiments.width import (
    bound_quotients,
    coupling,
    fitted_rates,
    network_errors,
    start_name,
    width_exponents,
)

DATA = load("mnist-sample").head(40, 30)
POINTS = chosen_points(DATA, 1.0, 5)
PROTOCOL = Protocol(
    ridge=1.0, width=256, init_scale=1.0, symmetric=True, learning_rate=0.04, epochs=400, precision="float64"
)


@pytest.fixture(scope="module")
def trained():
    protocols = [PROTOCOL, replace(PROTOCOL, seed=1), replace(PROTOCOL, init_scale=0.01, symmetric=False)]
    return [retrain(DATA, protocol, POINTS, progress=False) for protocol in protocols]


@pytest.mark.parametrize("start", [(0.01, False), (1.0, True)])
def test_what_the_lemmas_bound_by_plain_jacobians(start):
    """Every column of `network_errors` from its definition, with the network's own Jacobian."""
    small = load("mnist-sample").head(12, 7)
    x, y, x_test = small.x_train, small.y_train, small.x_test
    settings = {"learning_rate": 0.05, "epochs": 300}
    row = network_errors(small, 0.5, [64], [start], [2], **settings).iloc[0]
    begin = random_network(784, width=64, init_scale=start[0], symmetric=start[1], seed=2 * 1_000_003 + 64)
    end = train(begin, x, y, 0.5, **settings).network
    j, j_test = ([jacobian(net, points)[:, 0].flatten(1) for net in (begin, end)] for points in (x, x_test))
    moved = (end.weights - begin.weights).detach().flatten()
    k_begin, k_end = (a @ a.T for a in j)
    gain = j_test[0] @ j[0].T @ torch.linalg.inv(k_begin + 0.5 * torch.eye(12))
    linear = begin.predict(x_test) + gain @ (y - begin.predict(x))
    gain_train = k_begin @ torch.linalg.inv(k_begin + 0.5 * torch.eye(12))
    linear_train = begin.predict(x) + gain_train @ (y - begin.predict(x))
    truth = ridge_fit(ntk(x), y, 0.5).predict(ntk(x_test, x))
    rms = lambda values: float(values.square().mean().sqrt())  # noqa: E731
    expected = {
        "error": rms(end.predict(x_test) - truth),
        "network_linear": rms(end.predict(x_test) - linear),
        "linear_kernel": rms(linear - truth),
        "start": rms(begin.predict(x_test)),
        "train_linear": float((end.predict(x) - linear_train).norm()),
        "movement": float(moved.reshape(64, -1).norm(dim=1).max()),
        "kernel_change": float(torch.linalg.matrix_norm(k_end - k_begin, 2)),
        "test_kernel_change": rms((j_test[1] @ j[1].T - j_test[0] @ j[0].T).norm(dim=1)),
        "jacobian_change": float(((j[1] - j[0]) @ begin.weights.detach().flatten()).norm()),
        "kernel_noise": float(torch.linalg.matrix_norm(k_begin - ntk(x), 2)),
        "flips": float((end.gates(x) != begin.gates(x)).double().mean()),
    }
    for name, value in expected.items():
        tolerance = 0.2 if name == "movement" else 1e-9  # the largest on the way, not at the end
        assert row[name] == pytest.approx(value, rel=tolerance, abs=1e-12), name
    assert row["movement"] >= expected["movement"] * (1 - 1e-9)


def test_the_linearisation_is_where_a_linear_model_ends():
    """Gradient descent on the first-order expansion itself tends to the closed form of Eq. 46."""
    small = load("mnist-sample").head(12, 7)
    x, y = small.x_train, small.y_train
    begin = random_network(784, width=64, init_scale=0.3, seed=64)
    j, j_test, move = (
        jacobian(begin, x)[:, 0].flatten(1),
        jacobian(begin, small.x_test)[:, 0].flatten(1),
        torch.zeros(64 * 784, dtype=torch.float64),
    )
    for _ in range(3000):
        residual = begin.predict(x)[:, 0] + j @ move - y[:, 0]
        move -= 0.1 * (j.T @ residual + 0.5 * move)
    settings = {"learning_rate": 0.05, "epochs": 5}
    row = network_errors(small, 0.5, [64], [(0.3, False)], [0], **settings).iloc[0]
    trained = train(begin, x, y, 0.5, **settings).network.predict(small.x_test)[:, 0]
    linear = begin.predict(small.x_test)[:, 0] + j_test @ move
    assert row["network_linear"] == pytest.approx(float((trained - linear).square().mean().sqrt()), rel=1e-9)


def test_networks_of_one_seed_and_two_widths_share_no_neurons():
    table = network_errors(DATA, 1.0, [8, 16], [(1.0, False)], [0, 1], learning_rate=0.04, epochs=5)
    assert list(table["width"]) == [8, 8, 16, 16] and list(table["seed"]) == [0, 1, 0, 1]
    seeds = [1_000_003 * seed + width for seed in (0, 1) for width in (8, 16)]
    starts = [random_network(784, width=8, init_scale=1.0, seed=seed).weights for seed in seeds]
    assert all(not torch.equal(a, b) for i, a in enumerate(starts) for b in starts[:i])


def test_fitted_rates():
    widths = [10, 20, 40, 80]
    table = pd.DataFrame({"width": widths * 2, "init_scale": [1.0] * 8, "symmetric": [True] * 4 + [False] * 4})
    table["falls"] = table["width"] ** -0.5 * np.where(table["symmetric"], 1, 3)
    table["zero"] = np.where(table["symmetric"], 1e-17, table["width"])  # as a symmetric start is, to rounding
    rates = fitted_rates(table, ["falls", "zero"])
    assert list(rates.index) == ["κ = 1", "κ = 1, symmetric"]
    assert list(rates["falls"]) == ["-0.50 ± 0.00"] * 2
    assert rates["zero"].isna().tolist() == [False, True] and rates["zero"].iloc[0] == "1.00 ± 0.00"


def test_start_names():
    assert start_name(0.01, False) == "κ = 0.01" and start_name(1.0, True) == "κ = 1, symmetric"


def test_width_exponents_of_chosen_starts():
    table = pd.DataFrame(
        {"width": [10, 20, 40] * 2, "init_scale": [1.0] * 3 + [0.1] * 3, "symmetric": [True] * 3 + [False] * 3}
    )
    table["error"] = 3 * table["width"] ** np.where(table["symmetric"], -0.5, 0.25)
    both = [(0.1, False), (1.0, True)]
    assert width_exponents(table, "error", both) == pytest.approx({"κ = 0.1": 0.25, "κ = 1, symmetric": -0.5})
    assert list(width_exponents(table, "error", both[1:])) == ["κ = 1, symmetric"]
    with pytest.raises(KeyError):
        width_exponents(table, "error", [(1.0, False)])


def test_outputs_of_a_wide_network_are_separate_and_those_of_a_narrow_one_are_not():
    ten = load("mini-mnist-sample").head(20, 10)
    settings = {"learning_rate": 0.1, "epochs": 100}
    narrow, wide = (coupling(ten, 1.0, width, 1.0, True, **settings) for width in (32, 4096))
    assert wide < 0.5 * narrow
    one = replace(ten, y_train=ten.y_train[:, :1], y_test=ten.y_test[:, :1])
    assert coupling(one, 1.0, 32, 1.0, True, **settings) == 0  # nothing else to be coupled to


def test_what_is_measured_is_set_against_the_bounds_by_hand():
    row = {"width": 400, "init_scale": 0.5, "symmetric": True, "movement": 2.0, "kernel_change": 3.0}
    row |= {
        "test_kernel_change": 0.2,
        "jacobian_change": 1.0,
        "train_linear": 5.0,
        "network_linear": 7.0,
        "error": 11.0,
    }
    found = bound_quotients(pd.DataFrame([row]), n=10, ridge=2.0, delta=0.25).iloc[0]
    gauss = (2 * np.pi) ** 0.5 * 0.5 * 0.25
    assert found["Lemma 1"] == pytest.approx(2 / (10 / (0.5 * 20 * 2)))
    assert found["Lemma 2"] == pytest.approx(3 * gauss / (4 * 100 * 2))
    assert found["Lemma 3"] == pytest.approx(5 * (4 * 0.0625 * 0.5 * 20) / 10**3.5)
    lemma_4 = 10**4 / (8 * 0.0625 * 0.5 * 20)
    assert found["Lemma 4"] == pytest.approx(7 / lemma_4)
    rest = 0.5 / 0.5 + 10 * 0.5 / (0.5 * 2) + 100 * np.log(40) ** 0.5 / (20 * 4)
    assert found["Theorem 1"] == pytest.approx(11 / (lemma_4 + rest))
    others = [{"test_kernel_change": 30.0}, {"jacobian_change": 900.0}]
    bounds = (4 * 10 * 2 / gauss, 2 * 20 * 10 * 4 / gauss)
    for change, bound in zip(others, bounds, strict=True):
        found = bound_quotients(pd.DataFrame([row | change]), n=10, ridge=2.0, delta=0.25).iloc[0]
        assert found["Lemma 2"] == pytest.approx(next(iter(change.values())) / bound)
