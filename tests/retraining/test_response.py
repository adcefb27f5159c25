"""The response of a network to a removal against its definition."""

import copy

import pytest
import torch
from problem import close
from torch import nn

from ntkif.influence.network import NetworkInfluence
from ntkif.networks.losses import LOSSES
from ntkif.networks.modules import predict
from ntkif.retraining import response as response_module
from ntkif.retraining.response import response


def some(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(hidden, ridge=1.0, **how):
    torch.manual_seed(0)
    parts = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)] if hidden else [nn.Linear(4, 2)]
    network = nn.Sequential(*parts).double().eval()
    how = {"projections": 1000} | how
    return network, NetworkInfluence(network, some(20, 4), 0.3 * some(20, 2, seed=1), ridge, start=None, **how)


def test_in_a_linear_network_it_is_what_was_predicted(monkeypatch):
    monkeypatch.setattr(response_module, "_POINT_BLOCK", 6)
    network, model = made(hidden=False)
    test, before = some(5, 4, seed=2), copy.deepcopy(network.state_dict())
    for row in (0, 13):
        found, left = response(model, row)
        assert left < 1e-5 and close(predict(found, test) - predict(network, test), model.change(test)[:, row], 1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("loss", ["squares", "cross-entropy"])
def test_in_a_network_that_bends_the_objective_is_at_a_minimum(loss):
    """Written out once more: the divergences of the others, less the slope of the point, and the ridge."""
    network, x, ridge = made(hidden=True)[0], some(20, 4), 5.0
    y = (some(20, 2, seed=1) > 0).double()
    y[:, 1] = 1 - y[:, 0]
    model = NetworkInfluence(network, x, y, ridge, start=None, loss=loss, projections=1000)
    found, _ = response(model, 3)
    at, value = predict(network, x), LOSSES[loss].value
    slope = LOSSES[loss].gradient(at, y)
    outputs = found(x)
    divergence = value(outputs, y) - value(at, y) - (slope * (outputs - at)).sum(1)
    kept = torch.arange(20) != 3
    values = list(found.parameters())
    away = sum((a - b.detach()).square().sum() for a, b in zip(values, network.parameters(), strict=True))
    total = divergence[kept].sum() - (slope[3] * outputs[3]).sum() + ridge / 2 * away
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(total, values)])
    assert gradient.norm() < 1e-4 * slope[3].norm() and away > 1e-6


def test_part_of_a_hessian_will_not_do():
    for how in ({"projections": 5}, {"projections": None}):
        with pytest.raises(ValueError, match=r"model: expected a column for each parameter; pass projections=10\*\*6"):
            response(made(hidden=True, **how)[1], 0)


@pytest.mark.parametrize("row", [-1, 20])
def test_a_point_that_is_not_there(row):
    with pytest.raises(ValueError, match=f"row: expected a training point from 0 to 19, got {row}"):
        response(made(hidden=False)[1], row)
