"""Layers taken by themselves: which, and that their products are those of the Jacobian."""

import pytest
import torch
from kinds import made
from torch import nn
from torch.nn import functional

from ntkif.kernels import layers as layers_module
from ntkif.kernels.jacobian import few_of, jacobian
from ntkif.kernels.layers import layers_of, parts_of
from ntkif.kernels.module_kernel import module_kernel
from ntkif.networks.modules import prepare


def found_in(module, x, output=None):
    reading, points, c = prepare(module, x, output=output)

    return layers_of(reading, few_of(points, c), c), reading, points, c


#: Kinds of modules, and the places of each of their layers that is taken by itself.
TAKEN = {
    "token ids": [1],
    "transformer layer": [3, 3],
    "layer norm": [1],
    "convolution": [9, 1],
    "one-dimensional convolution": [4, 1],
    "channels last": [9],
    "groups, strides, dilation": [1],
    "transposed convolution": [1],
    "frozen parameters": [1],
    "a parameter that is not used": [1],
    "hooks": [1, 1],
    "weight norm": [],
    "tied weights": [],
    "LSTM": [],
    "script": [],
    "a sequence through a linear layer": [2, 1],
    "two inputs": [],
}


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_which_layers_are_taken_by_themselves(name):
    layers, reading, points, c = found_in(*made(name))
    assert [layer.places for layer in layers] == TAKEN[name]
    for layer, part in zip(layers, parts_of(reading, points, c, layers), strict=True):
        whole = jacobian(reading, points, {each: slice(None) for each in layer.names()})
        torch.testing.assert_close(layers_module._in_order(layer, part.jacobian()), whole, rtol=0, atol=1e-13)
        kept = part.pulls.numel() + (0 if part.inputs is None else part.inputs.numel())
        assert kept == len(points) * layer.numbers(c)


class Twice(nn.Module):
    """A layer at two places, one beside it by hand, and a bias of two layers."""

    def __init__(self, by_hand):
        super().__init__()
        self.one, self.two, self.three = (nn.Linear(4, 4) for _ in range(3))
        self.three.bias = self.two.bias
        self.by_hand = by_hand

    def forward(self, x):
        h = torch.tanh(self.one(torch.tanh(self.one(x))))
        h = h + (x @ self.one.weight if self.by_hand else 0)
        return self.three(torch.tanh(self.two(h)))


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_is_shared(by_hand):
    """A layer that is used twice is one with two places; what is used in another way too is not taken, nor a bias."""
    torch.manual_seed(0)
    module, x = Twice(by_hand).double().eval(), torch.randn(5, 4, dtype=torch.float64)
    layers, *_ = found_in(module, x)
    assert [(layer.weight, layer.places) for layer in layers] == ([] if by_hand else [("module.one.weight", 2)])
    j = jacobian(module, x)
    torch.testing.assert_close(module_kernel(module, x), torch.einsum("iap,jbp->ijab", j, j), rtol=0, atol=1e-12)


def test_a_product_that_is_not_the_jacobian_is_not_taken(monkeypatch):
    """As of a layer whose points are not the first index, when there happen to be as many of another."""
    module, x, _ = made("convolution")
    right = module_kernel(module, x)
    unfold = functional.unfold
    monkeypatch.setattr(layers_module.functional, "unfold", lambda *how: 1.01 * unfold(*how))
    assert [layer.places for layer in found_in(module, x)[0]] == [1]
    torch.testing.assert_close(module_kernel(module, x), right, rtol=0, atol=1e-13)
