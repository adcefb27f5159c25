"""IHVP of a finite network against the explicit inverse of the Hessian."""

import pytest
import torch
from problem import close
from tiny_network import RIDGE

from ntkif.influence.ihvp import hessian_product, network_ihvp


def test_hessian_product(trained):
    v = torch.randn(2, 12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = hessian_product(trained.network, trained.arrays[0], v, RIDGE)
    assert close(found.flatten(1), v.flatten(1) @ trained.hessian(), 1e-12)


def test_training_ridge_and_damping_add_in_the_hessian_alone(trained):
    whole = network_ihvp(trained.network, *trained.arrays, RIDGE + 0.7)
    assert close(network_ihvp(trained.network, *trained.arrays, RIDGE, damping=0.7), whole, 1e-12)
    assert not close(network_ihvp(trained.network, *trained.arrays, RIDGE), whole, 0.1)


def test_wrong_settings(trained):
    x_train, y_train, x_test, y_test = trained.arrays
    net = trained.network
    with pytest.raises(ValueError, match=r"ridge: expected a positive number, got 0\.0: without a ridge the Hessian"):
        network_ihvp(net, *trained.arrays, 0.0)
    assert torch.isfinite(network_ihvp(net, *trained.arrays, 0.0, damping=0.1)).all()
    with pytest.raises(ValueError, match="damping: expected zero or a positive number, got -1"):
        network_ihvp(net, *trained.arrays, RIDGE, damping=-1)
    with pytest.raises(ValueError, match=r"x_test: expected rows of norm 1"):
        network_ihvp(net, x_train, y_train, 2 * x_test, y_test, RIDGE)
    with pytest.raises(ValueError, match=r"y_train: expected a matrix of shape \(15, "):
        network_ihvp(net, x_train, y_train[:7], x_test, y_test, RIDGE)
