"""A module by one vector: outputs, copies, other parameters, and the numbers on a point's way."""

import torch
from recorded_problem import network, problem

from ntkif.training.flat_module import FlatModule

X, _, _, _ = problem()


def test_the_module_is_given_back_with_other_parameters():
    module = network()
    function = FlatModule(module)
    theta = function.start + 1
    assert torch.equal(function.at(theta)(X), function(theta, X))
    assert torch.equal(FlatModule(module).start, function.start)


def test_the_numbers_of_a_point_are_those_of_all_parts():
    assert FlatModule(network(hidden=6)).numbers_of(X) == 6 + 6 + 3


def test_other_parameters_keep_signs_where_they_are_near_and_start_from_zero_too():
    module = torch.nn.Linear(5, 3).double()
    torch.nn.init.zeros_(module.bias)
    function = FlatModule(module)
    near = function.moved(1e-3)
    assert torch.equal(function.moved(0), function.start) and torch.equal(near, FlatModule(module).moved(1e-3))
    weights, bias = near[:15], near[15:]
    assert torch.equal(weights.sign(), function.start[:15].sign()) and not torch.equal(weights, function.start[:15])
    assert (bias != 0).all() and float(bias.abs().max()) < 0.01
