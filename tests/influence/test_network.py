"""Influence in a trained network, and how far its training is from a minimum."""

import math

import pytest
import torch
from linear_model import RIDGE, Mixed
from problem import close, make_problem
from torch import nn

from ntkif import ihvp_influence, loo_influence
from ntkif.influence.ihvp import network_ihvp
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.network import NotStationaryError, gradient_share, network_influence
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.losses import CROSS_ENTROPY
from ntkif.networks.modules import predict
from ntkif.networks.two_layer import random_network


def test_network_influence_from_the_module(fitted):
    p, module = fitted.p, fitted.trained()
    influence = torch.stack([fitted.influence([i]) for i in range(15)], 1)
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    assert close(network_influence(module, *arrays, RIDGE, start=fitted.start, block_size=2), influence)
    assert gradient_share(module, fitted.start, p.x_train, p.y_train, RIDGE) < 1e-12


def test_damping_is_added_to_the_ridge(fitted):
    p, module = fitted.p, fitted.trained()
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    apart = network_influence(module, *arrays, 0.1, start=None, damping=RIDGE - 0.1)
    assert close(apart, network_influence(module, *arrays, RIDGE, start=fitted.start))


def test_a_network_that_is_not_trained(fitted):
    p = fitted.p
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    assert gradient_share(fitted.start, fitted.start, p.x_train, p.y_train, RIDGE) == pytest.approx(1, rel=1e-12)
    with pytest.raises(NotStationaryError, match=r"is 1 of that of its losses, above the tolerance 0\.3"):
        network_influence(fitted.start, *arrays, RIDGE, start=fitted.start)
    near = fitted.trained()
    with torch.no_grad():
        near.trained.weight.mul_(0.95)
    share = gradient_share(near, fitted.start, p.x_train, p.y_train, RIDGE)
    assert 0.01 < share < 0.3
    with pytest.warns(UserWarning, match=f"trained weights is {share:.2g} of that of its losses"):
        network_influence(near, *arrays, RIDGE, start=fitted.start)
    network_influence(near, *arrays, RIDGE, start=None)  # no check, and so no warning: they are errors here


def test_the_share_by_plain_gradients(fitted):
    module, p = fitted.start, fitted.p
    moved = fitted.trained()
    with torch.no_grad():
        moved.trained.bias += 1
    parameters = [moved.trained.weight, moved.trained.bias]
    loss = (moved(p.x_train) - p.y_train).square().sum() / 2
    penalty = sum(
        (a - b).square().sum() for a, b in zip(parameters, (module.trained.weight, module.trained.bias), strict=True)
    )
    whole, pull = (
        torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)]).norm()
        for value in (loss + RIDGE / 2 * penalty, loss)
    )
    assert gradient_share(moved, module, p.x_train, p.y_train, RIDGE) == pytest.approx(float(whole / pull), rel=1e-12)


@pytest.mark.parametrize("kind", ["module", "two-layer network"])
def test_a_perfect_fit_is_a_minimum_where_the_network_has_not_moved(fitted, kind):
    """Where the losses have no gradient: with nothing to learn no point matters; else the ridge pulls back."""
    p, start, moved = fitted.p, fitted.start, fitted.trained()
    if kind == "two-layer network":
        start, moved = (random_network(6, width=32, init_scale=1.0, seed=s, outputs=fitted.outputs) for s in (0, 1))
    arrays = p.x_train, predict(start, p.x_train), p.x_test, p.y_test
    assert gradient_share(start, start, *arrays[:2], RIDGE) == 0
    assert not network_influence(start, *arrays, RIDGE, start=start).any()
    arrays = p.x_train, predict(moved, p.x_train), p.x_test, p.y_test
    assert gradient_share(moved, start, *arrays[:2], RIDGE) == math.inf
    with pytest.raises(NotStationaryError, match=r"is only that of its ridge, as its losses have none, above the tol"):
        network_influence(moved, *arrays, RIDGE, start=start)
    assert not network_influence(moved, *arrays, RIDGE, start=None).any()


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.filterwarnings("ignore:the gradient")
def test_two_layer_networks_take_the_functions_of_the_analytic_kernel(outputs):
    """With one output, or the traced kernel, the matrices are those of `closed_form` on moved targets."""
    p = make_problem(n=15, k=5, outputs=outputs)
    start = random_network(6, width=64, init_scale=1.0, symmetric=True, seed=0, outputs=outputs)
    rate = safe_learning_rate(start, p.x_train, RIDGE)
    network = train(start, p.x_train, p.y_train, RIDGE, learning_rate=rate, epochs=2000).network
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    k, k_test = (tangent_kernel(network, x, p.x_train, traced=True) for x in (p.x_train, p.x_test))
    residual, test_residual = network.predict(p.x_train) - p.y_train, network.predict(p.x_test) - p.y_test
    fit = linearized_fit(k, residual, RIDGE)
    assert close(fit.fit.residual, residual)
    targets = fit.fit.predict(k_test) - test_residual
    assert torch.equal(fit.loo_influence(k_test, test_residual), loo_influence(fit.fit, k_test, targets))
    assert torch.equal(fit.ihvp_influence(k_test, test_residual), ihvp_influence(fit.fit, k_test, targets))
    assert close(
        network_influence(network, *arrays, RIDGE, start=start, traced=True), fit.loo_influence(k_test, test_residual)
    )
    full = linearized_fit(tangent_kernel(network, p.x_train), residual, RIDGE)
    found = full.ihvp_influence(tangent_kernel(network, p.x_test, p.x_train), test_residual)
    assert close(found, network_ihvp(network, *arrays, RIDGE))


def test_wrong_input_of_a_network(fitted):
    p, module, c = fitted.p, fitted.trained(), fitted.outputs
    arrays = [p.x_train, p.y_train, p.x_test, p.y_test]
    with pytest.raises(ValueError, match=r"y_train: expected a matrix of shape \(15, \d\), got shape \(15,\)"):
        network_influence(module, p.x_train, p.y_train[:, 0], *arrays[2:], RIDGE, start=None)
    with pytest.raises(ValueError, match=r"y_test: expected a matrix of shape \(5, \d\)"):
        network_influence(module, *arrays[:3], p.y_test.T, RIDGE, start=None)
    with pytest.raises(ValueError, match="damping: expected a positive number where the network was trained without a"):
        network_influence(module, *arrays, 0.0, start=None)
    with pytest.raises(ValueError, match="start: expected None where the network was trained without a ridge"):
        network_influence(module, *arrays, 0.0, start=fitted.start, damping=1.0)
    other = Mixed(c).double().eval()
    other.trained = nn.Linear(21, 4)
    with pytest.raises(ValueError, match=r"start: expected the network before training, with parameters {'trained.we"):
        network_influence(module, *arrays, RIDGE, start=other)
    with pytest.raises(ValueError, match="loss: expected half squares with the traced kernel or a single output"):
        network_influence(module, *arrays, RIDGE, start=None, loss=CROSS_ENTROPY, traced=True)
    module.features.train()
    with pytest.raises(ValueError, match="network: expected one in evaluation mode, all parts of it"):
        network_influence(module, *arrays, RIDGE, start=None)
    network = random_network(6, width=8, init_scale=1.0, seed=0, outputs=c)
    with pytest.raises(ValueError, match=r"x_test: expected points of shape \(6,\) as the training points, got \(3,\)"):
        network_influence(network, *arrays[:2], p.x_test[:, :3], p.y_test, RIDGE, start=None)
