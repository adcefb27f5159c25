"""Where layers are used: what went in, what comes back, and what is used otherwise."""

import pytest
import torch
from kinds import KINDS, made
from otherwise import otherwise
from torch import nn

from ntkif.kernels import uses as uses_module
from ntkif.kernels.uses import uses_of
from ntkif.networks.inputs import Reading, points_of
from ntkif.networks.modules import predict, prepare


def uses_in(module, x):
    reading, points, c = prepare(module, x)
    return uses_of(reading, points, c)


def test_derivatives_by_what_comes_out_and_inputs_make_the_gradient():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Flatten(), nn.Linear(8, 2)).double().eval()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    (first, pulls), (last, _) = uses_in(module, x)[0]
    assert first.inputs.shape == (5, 2, 3) and pulls.shape == (5, 2, 2, 4) and last.inputs.shape == (5, 1, 8)
    assert (first.weight, first.bias) == ("module.0.weight", "module.0.bias")
    for point in range(5):
        for output in range(2):
            weight, bias = torch.autograd.grad(module(x[point : point + 1])[0, output], list(module[0].parameters()))
            assert torch.allclose(pulls[point, output].T @ first.inputs[point], weight, rtol=0, atol=1e-14)
            assert torch.allclose(pulls[point, output].sum(0), bias, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["a second pass for some points", "a mixture of experts"])
def test_a_weight_that_some_points_alone_use_is_used_elsewhere(name):
    module, x = otherwise(name)
    weights = {
        "a second pass for some points": "module.inner.weight",
        "a mixture of experts": "module.experts.0.weight",
    }
    assert weights[name] in uses_in(module, x)[1]


def test_what_comes_out_may_be_changed_in_place():
    module, x = otherwise("changed in place")
    found, _ = uses_in(module, x)
    inner = next(pulls for use, pulls in found if use.weight == "module.inner.weight")
    assert inner[:, 0][x == 0].abs().max() == 0
    assert inner[:, 0][x != 0].abs().min() > 0


def test_every_kind_is_predicted_as_by_itself():
    """Watching changes no output."""
    for name in KINDS:
        module, x, output = made(name)
        reading = Reading(module, output)
        points = points_of(x, reading)
        names = {id(value): name for name, value in reading.named_parameters()}
        with uses_module._Watching(names, len(points)):
            seen = points.predicted_by(reading).detach()
        torch.testing.assert_close(seen, predict(reading, points), rtol=0, atol=1e-14)
