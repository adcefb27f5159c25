"""A wide network along its training, against the kernel."""

import pytest
import torch

from ntkif.data import load
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.regression.flow import flow_without
from ntkif.study.experiments.network_dynamics import network_influence_along, train_until

DATA = load("mnist-sample").head(30, 20)
SETTINGS = {"learning_rate": 0.01, "seed": 0}


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_training_goes_on_where_it_was(ridge):
    start = random_network(784, width=64, init_scale=1.0, seed=0, symmetric=True)
    along = train_until(start, DATA.x_train, DATA.y_train, [0.1, 0.5], learning_rate=0.01, ridge=ridge)
    for network, epochs in zip(along, (10, 50), strict=True):
        whole = train(start, DATA.x_train, DATA.y_train, ridge, learning_rate=0.01, epochs=epochs).network
        assert torch.allclose(network.weights, whole.weights, rtol=0, atol=1e-10)


@pytest.mark.parametrize("times", [[0.105], [0.5, 0.1], [0.1, 0.1], [0.0, 0.1]])
def test_times_are_steps(times):
    start = random_network(784, width=4, init_scale=1.0, seed=0, symmetric=True)
    with pytest.raises(ValueError, match=r"expected rising multiples of the learning rate 0.01, got"):
        train_until(start, DATA.x_train, DATA.y_train, times, learning_rate=0.01)


def test_the_table_by_hand():
    table = network_influence_along(DATA, [0.2, 1.0], [3, 8], width=64, **SETTINGS)
    start = random_network(784, width=64, init_scale=1.0, seed=0, symmetric=True)
    kernel, test = ntk(DATA.x_train), ntk(DATA.x_test, DATA.x_train)
    predicted, actual = [], []
    for group in ([], [3], [8]):
        kept = [i for i in range(30) if i not in group]
        network = train(start, DATA.x_train[kept], DATA.y_train[kept], 0.0, learning_rate=0.01, epochs=100).network
        by_kernel = flow_without(kernel, test, DATA.y_train, 0.0, 1.0, group)
        for values, into in ((network.predict(DATA.x_test), actual), (by_kernel, predicted)):
            into.append((values - DATA.y_test).square()[:, 0] / 2)
    scores = agreement(
        *(torch.stack([without - losses[0] for without in losses[1:]], dim=1) for losses in (predicted, actual))
    )
    for name, value in scores.items():
        assert table[name][1] == pytest.approx(value, rel=1e-6), name


def test_wider_networks_follow_the_kernel_more_closely():
    narrow, wide = (
        network_influence_along(DATA, [0.2, 1.0], [3, 8, 11], width=width, **SETTINGS) for width in (64, 4096)
    )
    assert (wide["relative_error"] < 0.5 * narrow["relative_error"]).all()
    assert (wide["prediction_error"] < 0.05).all() and (wide["pearson"] > 0.99).all()
