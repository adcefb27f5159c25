"""IHVP of a finite network against the explicit inverse of the Hessian."""

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
