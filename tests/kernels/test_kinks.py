"""Kernels of networks that rest on kinks, against projected Jacobians, and the pairs that rest."""

import pytest
import torch
from problem import jacobian, make_problem

from ntkif.data import load
from ntkif.kernels.kinks import kernel_on_kinks, next_step, resting_pairs
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.two_layer import random_network

DATA = load("mnist-sample").head(30, 20)
ARRAYS = DATA.x_train, DATA.y_train, DATA.x_test, DATA.y_test
RIDGE = 0.5


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


def test_the_next_step_is_that_of_training():
    start = random_network(784, width=32, init_scale=0.01, seed=0)
    steps = [train(start, *ARRAYS[:2], RIDGE, learning_rate=0.02, epochs=epochs).network for epochs in (40, 41)]
    after = next_step(steps[0], start, *ARRAYS[:2], RIDGE, learning_rate=0.02)
    moved = (steps[1].weights - steps[0].weights).norm()
    assert (after.weights - steps[1].weights).norm() < 1e-10 * moved
