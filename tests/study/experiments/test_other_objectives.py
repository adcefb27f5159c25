"""Networks that stopped early or were trained on cross-entropy, by hand at small size."""

import pytest
import torch

from ntkif.data import load
from ntkif.influence.flow import influence_at
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.network import network_influence
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement
from ntkif.networks.descent import train
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.networks.modules import Antisymmetric, Mlp, train_module
from ntkif.networks.two_layer import random_network
from ntkif.regression.flow import kernel_flow
from ntkif.retraining.selection import most_influential
from ntkif.study.experiments.other_objectives import cross_entropy_scores, early_stopped_scores

DATA = load("mnist-sample").head(30, 20)


def test_early_stopped_networks_by_hand():
    settings = {"width": 512, "removals": 3, "seeds": [2]}
    table = early_stopped_scores(DATA, [0.5, 2.0], [1.0, 2.0], **settings)
    assert table.groupby(["time", "method"]).size().to_dict() == {
        (t, m): n
        for t in (0.5, 2.0)
        for m, n in (("damping", 2), ("own kernel, flow", 1), ("analytic kernel, flow", 1))
    }
    rows = most_influential(DATA, 0.5, 3)
    start = random_network(784, width=512, init_scale=1.0, symmetric=True, seed=2)
    losses, networks = [], []
    for left_out in (None, *rows):
        kept = [i for i in range(30) if i != left_out]
        x, y = DATA.x_train[kept], DATA.y_train[kept]
        network = train(start, x, y, 0.0, learning_rate=0.05, epochs=40).network
        networks.append(network)
        losses.append((network.predict(DATA.x_test) - DATA.y_test).square()[:, 0] / 2)
    full = networks[0]
    truth = torch.stack([loss - losses[0] for loss in losses[1:]], 1)
    k, k_test = tangent_kernel(full, DATA.x_train), tangent_kernel(full, DATA.x_test, DATA.x_train)
    fit = linearized_fit(k, full.predict(DATA.x_train) - DATA.y_train, 0.0, damping=0.5)
    test_residual = full.predict(DATA.x_test) - DATA.y_test
    expected = agreement(fit.loo_influence(k_test, test_residual)[:, rows], truth)
    found = table.query("time == 2.0 and factor == 1.0").iloc[0]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    flow = kernel_flow(k, DATA.y_train, 0.0)
    targets = flow.predict(k_test, 2.0) - test_residual
    expected = agreement(influence_at(flow, k_test, targets, 2.0).influence[:, rows], truth)
    found = table.query("time == 2.0 and method == 'own kernel, flow'").iloc[0]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    best = table.set_index(["time", "method"]).xs("own kernel, flow", level="method")["relative_error"]
    assert (best < table.query("method == 'damping'").groupby("time")["relative_error"].min()).all()


def test_cross_entropy_by_hand():
    table = cross_entropy_scores(DATA, [1.0], width=32, removals=3, seeds=[0], iterations=60).set_index("method")
    y, y_test = (torch.cat([t > 0, t < 0], 1).double() for t in (DATA.y_train, DATA.y_test))
    start, rows = Antisymmetric(Mlp(784, width=32, outputs=2)), most_influential(DATA, 1.0, 3)
    losses, networks = [], []
    for left_out in (None, *rows):
        kept = [i for i in range(30) if i != left_out]
        options = {"loss": CROSS_ENTROPY, "iterations": 60}
        networks.append(train_module(start, DATA.x_train[kept], y[kept], 1.0, **options))
        losses.append(CROSS_ENTROPY.value(networks[-1](DATA.x_test), y_test).detach())
    truth = torch.stack([loss - losses[0] for loss in losses[1:]], 1)
    options = {"start": None, "loss": CROSS_ENTROPY}
    influence = network_influence(networks[0], DATA.x_train, y, DATA.x_test, y_test, 1.0, **options)[:, rows]
    expected = agreement(influence, truth)
    assert {n: table.loc["leave-one-out", n] for n in expected} == pytest.approx(expected, rel=1e-6)
    error = table["relative_error"]
    assert error["leave-one-out"] < error["as if squared"] and error["leave-one-out"] < error["IHVP"]
