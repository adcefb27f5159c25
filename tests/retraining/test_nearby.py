"""Retraining from trained weights against the minimum itself."""

import copy

import pytest
import torch
from problem import close
from torch import nn

from ntkif.influence.network import NetworkInfluence
from ntkif.influence.stationary import gradient_share
from ntkif.networks.modules import predict, train_module
from ntkif.retraining import nearby as nearby_module
from ntkif.retraining.nearby import settled

RIDGE = 0.5


def some(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=["linear", "tanh"])
def trained(request):
    torch.manual_seed(0)
    hidden = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)]
    start = nn.Sequential(*(hidden if request.param == "tanh" else [nn.Linear(4, 2)])).double().eval()
    x, y = some(20, 4), some(20, 2, seed=1)
    return start, train_module(start, x, y, RIDGE, iterations=20), x, y


@pytest.mark.parametrize("without", [None, 7])
def test_it_is_the_minimum_without_the_point(trained, without, monkeypatch):
    monkeypatch.setattr(nearby_module, "_POINT_BLOCK", 6)
    start, network, x, y = trained
    model = NetworkInfluence(network, x, y, RIDGE, start=None, projections=1000)
    before = copy.deepcopy(network.state_dict())
    found, left = settled(model, network, start, without=without, steps=400)
    kept = torch.arange(20) != (20 if without is None else without)
    assert gradient_share(found, start, x[kept], y[kept], RIDGE) < 1e-5
    assert left < 1e-4 or without is None  # then it may be at the minimum already
    if len(start) == 1:  # a network with a hidden layer has more than one minimum
        right = train_module(start, x[kept], y[kept], RIDGE, iterations=400)
        assert close(predict(found, x), predict(right, x), 1e-5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_removal_in_a_linear_network_is_what_was_predicted():
    start, x, y, test = nn.Linear(4, 2).double().eval(), some(20, 4), some(20, 2, seed=1), some(5, 4, seed=2)
    rough = train_module(start, x, y, RIDGE, iterations=3)
    near = NetworkInfluence(rough, x, y, RIDGE, start=None, projections=1000)
    network, _ = settled(near, rough, start)
    model = NetworkInfluence(network, x, y, RIDGE, start=start, projections=1000)
    moved = predict(settled(near, network, start, without=3)[0], test) - predict(network, test)
    assert close(moved, model.change(test)[:, 3], 1e-6)


def test_part_of_a_hessian_will_not_do(trained):
    start, network, x, y = trained
    for how in ({"projections": 5}, {}):
        model = NetworkInfluence(network, x, y, RIDGE, start=None, **how)
        with pytest.raises(ValueError, match=r"model: expected a column for each parameter; pass projections=10\*\*6"):
            settled(model, network, start)
