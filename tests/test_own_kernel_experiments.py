"""Comparisons of methods with retraining, by hand at small size; and kinks against projected Jacobians."""

import pandas as pd
import pytest
import torch
from problem import make_problem
from test_tangent import jacobian

from ntkif import ihvp_influence, loo_influence, ntk, ridge_fit
from ntkif.data import load
from ntkif.influence.flow import influence_at
from ntkif.influence.ihvp import network_ihvp
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.network import gradient_share, network_influence
from ntkif.kernels.infinite import deep_ntk
from ntkif.kernels.kinks import kernel_on_kinks, resting_pairs
from ntkif.kernels.tangent import tangent_kernel
from ntkif.metrics import agreement
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.networks.modules import Antisymmetric, Mlp, train_module
from ntkif.networks.two_layer import random_network
from ntkif.regression.flow import kernel_flow
from ntkif.retraining.selection import most_influential
from ntkif.study.experiments.comparison import KINKS, METHODS, compare, method_scores, removal_errors, smaller_error
from ntkif.study.experiments.empirical_ntk import deep_comparisons, deep_scores, two_layer_comparisons, two_layer_scores
from ntkif.study.experiments.other_objectives import cross_entropy_scores, early_stopped_scores

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


def test_rows_are_the_most_influential():
    fit = ridge_fit(ntk(DATA.x_train), DATA.y_train, RIDGE)
    size = loo_influence(fit, ntk(DATA.x_test, DATA.x_train), DATA.y_test).square().sum(0)
    assert most_influential(DATA, RIDGE, 4) == size.argsort(descending=True)[:4].tolist()


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
    assert comparison.measured["gradient"] == gradient_share(network, start, *ARRAYS[:2], RIDGE)


def test_tables(comparison):
    table = method_scores([comparison]).set_index("method")
    for name, predicted in comparison.predicted.items():
        for score, value in agreement(predicted, comparison.truth).items():
            assert table.loc[name, score] == value
    assert (table["width"] == 64).all() and (table["removals"] == 4).all()
    errors = removal_errors([comparison])
    off = comparison.predicted[METHODS[2]] - comparison.truth
    assert errors["removed"].tolist() == comparison.rows
    assert errors["relative_error"].tolist() == pytest.approx((off.norm(dim=0) / comparison.truth.norm(dim=0)).tolist())
    assert errors["flips"].tolist() == comparison.by_removal["flips"]
    settings = {"ridge": RIDGE, "widths": [64], "starts": [(1.0, True)], "seeds": [3], "removals": 4}
    again = two_layer_scores(load("mnist-sample"), 30, 20, **settings)
    timed = ["seconds", "train_seconds"]
    pd.testing.assert_frame_equal(again.drop(columns=timed), method_scores([comparison]).drop(columns=timed))


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


def test_a_kernel_on_kinks_is_that_of_projected_gradients():
    p = make_problem(n=8, k=5)
    network = random_network(6, width=30, init_scale=0.7, seed=1)
    resting = torch.rand(30, 8, generator=torch.Generator().manual_seed(0)) < 0.1
    one, other = jacobian(network, p.x_test)[:, 0], jacobian(network, p.x_train)[:, 0]
    for r in range(30):
        held = p.x_train[resting[r]]
        # The projection by a pseudo-inverse, where the code takes an orthonormal basis.
        free = torch.eye(6, dtype=torch.float64) - torch.linalg.pinv(held) @ held
        one[:, r], other[:, r] = one[:, r] @ free, other[:, r] @ free
    kernel = one.flatten(1) @ other.flatten(1).T
    assert torch.allclose(kernel_on_kinks(network, resting, p.x_train, p.x_test, p.x_train), kernel, rtol=0, atol=1e-13)
    none = torch.zeros_like(resting)
    assert torch.equal(kernel_on_kinks(network, none, p.x_train, p.x_test), tangent_kernel(network, p.x_test))
    with pytest.raises(ValueError, match=r"resting: expected pairs of shape \(30, 8\), got \(8, 30\)"):
        kernel_on_kinks(network, resting.T, p.x_train, p.x_test)
    with pytest.raises(ValueError, match="network: expected one output, got 2"):
        kernel_on_kinks(random_network(6, width=30, init_scale=1.0, seed=0, outputs=2), resting, p.x_train, p.x_test)


def test_dependent_points_hold_a_neuron_once():
    """Copies, a sum of two, and more points than dimensions; one alone is held beside a near copy, at 1e-6."""
    p = make_problem(n=8, k=5)
    network = random_network(6, width=4, init_scale=0.7, seed=1)
    made = torch.stack([p.x_train[0], -p.x_train[1], p.x_train[0] + p.x_train[1], p.x_train[2] + 1e-6 * p.x_train[3]])
    points = torch.cat([p.x_train, torch.nn.functional.normalize(made)])  # 8, 9 and 10 depend on 0 and 1; 11 on 2 and 3

    def kernel(*held):
        resting = torch.zeros(4, len(points), dtype=torch.bool)
        for neuron, rows in enumerate(held):
            resting[neuron, list(rows)] = True
        return kernel_on_kinks(network, resting, points, p.x_test)

    def same(one, other):
        return torch.allclose(one, other, rtol=0, atol=1e-9)

    assert same(kernel([0, 8], [0, 1, 8, 9], [0, 10], [8, 9, 10]), kernel([0], [0, 1], [0, 1], [0, 1]))
    assert same(kernel([2, 11], range(12)), kernel([2, 3], range(6)))
    assert not same(kernel([2, 11]), kernel([2]))
    assert torch.linalg.eigvalsh(kernel(*[range(12)] * 4)).abs().max() < 1e-14  # nothing is left to move


def test_pairs_that_rest():
    """Their gates hop to and fro, so the largest response of a step is near zero; the others stand still."""
    settings = {"width": 64, "init_scale": 0.01, "symmetric": False, "seed": 1}
    start = random_network(784, **settings)
    rate = safe_learning_rate(start, DATA.x_train, RIDGE)
    ended = train(start, *ARRAYS[:2], RIDGE, learning_rate=rate, epochs=10_000, tolerance=0.005)
    arguments = ended.network, start, *ARRAYS[:2], RIDGE
    resting = resting_pairs(*arguments, learning_rate=rate)
    one, other = (
        train(start, *ARRAYS[:2], RIDGE, learning_rate=rate, epochs=ended.epochs + more).network.gates(DATA.x_train)
        for more in (0, 1)
    )
    assert torch.equal(resting_pairs(*arguments, learning_rate=rate, looks=[1]), one != other)
    assert 0.01 < float(resting.double().mean()) < 0.2 and (resting | (one == other)).all()


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


def test_compare_needs_no_name_of_a_network():
    """Any module and any kernel: a linear model, whose own kernel and linear kernel agree and are exact."""
    start = torch.nn.Linear(784, 1, bias=False, dtype=torch.float64).eval()
    with torch.no_grad():
        start.weight.zero_()

    def linear(x, z=None):
        return x @ (x if z is None else z).T

    found = compare({}, DATA, RIDGE, [2, 5], start, lambda x, y: train_module(start, x, y, RIDGE), kernel=linear)
    for name in (METHODS[0], METHODS[2]):
        assert torch.allclose(found.predicted[name], found.truth, rtol=0, atol=1e-8)
    fit = ridge_fit(linear(DATA.x_train), DATA.y_train, RIDGE)
    classic = ihvp_influence(fit, linear(DATA.x_test, DATA.x_train), DATA.y_test)[:, [2, 5]]
    assert torch.allclose(found.predicted[METHODS[1]], classic, rtol=0, atol=1e-8)
