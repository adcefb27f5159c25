"""Comparisons of two-layer and deeper networks with retraining, by hand at small size."""

import pandas as pd
import pytest
import torch

from ntkif import loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.influence.ihvp import network_ihvp
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.network import network_influence
from ntkif.influence.stationary import gradient_share
from ntkif.kernels.infinite import deep_ntk
from ntkif.kernels.kinks import kernel_on_kinks, resting_pairs
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.modules import Antisymmetric, Mlp, train_module
from ntkif.networks.two_layer import random_network
from ntkif.study.experiments.comparison import KINKS, METHODS, method_scores
from ntkif.study.experiments.empirical_ntk import deep_comparisons, deep_scores, two_layer_comparisons, two_layer_scores

DATA = load("mnist-sample").head(30, 20)
ARRAYS = DATA.x_train, DATA.y_train, DATA.x_test, DATA.y_test
RIDGE = 0.5


@pytest.fixture(scope="module")
def comparison():
    return next(two_layer_comparisons(DATA, RIDGE, [64], [(1.0, True)], [3], 4))


def trained(left_out=None, epochs=10_000, tolerance=0.005):
    start = random_network(784, width=64, init_scale=1.0, symmetric=True, seed=3_000_009 + 64)
    kept = [i for i in range(30) if i != left_out]
    rate = safe_learning_rate(start, DATA.x_train, RIDGE)
    x, y = DATA.x_train[kept], DATA.y_train[kept]
    return start, train(start, x, y, RIDGE, learning_rate=rate, epochs=epochs, tolerance=tolerance)


def test_truth_is_the_networks_retrained_without_each_point(comparison):
    whole = trained()[1].network
    loss = (whole.predict(DATA.x_test) - DATA.y_test).square()[:, 0] / 2
    for place, row in enumerate(comparison.rows):
        without = trained(row)[1].network
        truth = (without.predict(DATA.x_test) - DATA.y_test).square()[:, 0] / 2 - loss
        assert torch.allclose(comparison.truth[:, place], truth, rtol=0, atol=1e-12)
        flips = (whole.gates(DATA.x_train) != without.gates(DATA.x_train)).double().mean()
        assert comparison.by_removal["flips"][place] == pytest.approx(float(flips))
        flips = (whole.gates(DATA.x_test) != without.gates(DATA.x_test)).double().mean()
        assert comparison.by_removal["test_flips"][place] == pytest.approx(float(flips))


@pytest.mark.filterwarnings("ignore:the gradient")
def test_each_method_is_that_of_the_package(comparison):
    start, training = trained()
    network, rows = training.network, comparison.rows
    fit = ridge_fit(ntk(DATA.x_train), DATA.y_train, RIDGE)
    rate = safe_learning_rate(start, DATA.x_train, RIDGE)
    resting = resting_pairs(network, start, *ARRAYS[:2], RIDGE, learning_rate=rate)
    kernels = [kernel_on_kinks(network, resting, DATA.x_train, x, DATA.x_train) for x in (DATA.x_train, DATA.x_test)]
    held = linearized_fit(kernels[0], network.predict(DATA.x_train) - DATA.y_train, RIDGE)
    expected = {
        METHODS[0]: loo_influence(fit, ntk(DATA.x_test, DATA.x_train), DATA.y_test),
        METHODS[1]: network_ihvp(network, *ARRAYS, RIDGE),
        METHODS[2]: network_influence(network, *ARRAYS, RIDGE, start=start),
        KINKS: held.loo_influence(kernels[1], network.predict(DATA.x_test) - DATA.y_test),
    }
    assert set(comparison.predicted) == set(expected)
    for name, influence in expected.items():
        assert torch.allclose(comparison.predicted[name], influence[:, rows], rtol=0, atol=1e-12), name
    assert comparison.diagnostics["gradient"] == gradient_share(network, start, *ARRAYS[:2], RIDGE)


def test_ten_classes_couple():
    data = load("mini-mnist-sample").head(20, 10)
    table = two_layer_scores(data, 20, 10, ridge=0.5, widths=[512], starts=[(1.0, True)], seeds=[0], removals=3)
    error = table.set_index("method")["relative_error"]
    assert set(error.index) == set(METHODS)
    assert error[METHODS[2]] < 0.5 * error[METHODS[1]] and error[METHODS[2]] < error[METHODS[0]]


def test_a_deeper_network_by_hand():
    settings = {"networks": ["antisymmetric MLP, width 64"], "seeds": [1], "removals": 2, "iterations": 30}
    found = next(deep_comparisons(DATA, RIDGE, **settings))
    start = Antisymmetric(Mlp(784, width=64, seed=1))
    losses = []
    for left_out in (None, *found.rows):
        kept = [i for i in range(30) if i != left_out]
        network = train_module(start, DATA.x_train[kept], DATA.y_train[kept], RIDGE, iterations=30)
        losses.append(((network(DATA.x_test) - DATA.y_test).square()[:, 0] / 2).detach())
    truth = torch.stack([loss - losses[0] for loss in losses[1:]], 1)
    assert torch.allclose(found.truth, truth, rtol=0, atol=1e-10)
    fit = ridge_fit(deep_ntk(DATA.x_train), DATA.y_train, RIDGE)
    analytic = loo_influence(fit, deep_ntk(DATA.x_test, DATA.x_train), DATA.y_test)[:, found.rows]
    assert torch.equal(found.predicted[METHODS[0]], analytic)
    assert found.key == {"network": settings["networks"][0], "seed": 1, "parameters": 2 * (784 + 64 + 1) * 64}
    assert list(found.by_removal) == ["leverage"]
    table = deep_scores(load("mnist-sample"), 30, 20, ridge=RIDGE, **settings)
    assert table["relative_error"].tolist() == method_scores([found])["relative_error"].tolist()


def test_unknown_networks():
    with pytest.raises(ValueError, match=r"expected some of MLP, width 64; .* got resnet"):
        next(deep_comparisons(DATA, RIDGE, ["antisymmetric resnet"], [0], 2, 5))


def test_the_tables_are_those_of_the_comparisons(comparison):
    settings = {"ridge": RIDGE, "widths": [64], "starts": [(1.0, True)], "seeds": [3], "removals": 4}
    again = two_layer_scores(load("mnist-sample"), 30, 20, **settings)
    timed = ["seconds", "train_seconds"]
    pd.testing.assert_frame_equal(again.drop(columns=timed), method_scores([comparison]).drop(columns=timed))
