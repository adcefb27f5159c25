"""A module by one vector: outputs, copies, other parameters, and the numbers on a point's way."""

import pytest
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


class Keeping(torch.nn.Module):
    """Keeps what was on its way, as some do to look at it."""

    def __init__(self):
        super().__init__()
        self.whole = network()

    def forward(self, x):
        self.kept = self.whole[0](x)
        return self.whole[2](self.whole[1](self.kept))


def test_a_module_that_keeps_what_was_on_its_way_is_given_back():
    function = FlatModule(Keeping())
    torch.func.grad(lambda theta: function(theta, X).sum())(function.start)
    assert torch.equal(function.at(function.start + 1)(X), function(function.start + 1, X))
    used = Keeping()
    used(X)
    with pytest.raises(ValueError, match=r"expected one that can be copied, .* or keep them with detach"):
        FlatModule(used)


@pytest.mark.filterwarnings("error:There is a performance drop")
def test_recurrent_layers_in_single_precision_are_differentiated_in_batches():
    torch.manual_seed(0)

    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.along = torch.nn.LSTM(1, 3, batch_first=True)

        def forward(self, x):
            return self.along(x[..., None])[0][:, -1]

    module = Last()

    def gradients(dtype):
        function = FlatModule(module.to(dtype))
        starts, x = torch.stack([function.start, 2 * function.start]), X.to(dtype)
        return torch.func.vmap(torch.func.grad(lambda theta: function(theta, x).square().sum()))(starts).double()

    torch.testing.assert_close(gradients(torch.float32), gradients(torch.float64), rtol=1e-4, atol=1e-5)
