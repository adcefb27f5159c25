"""Two-layer networks: their random starts and their predictions."""

import pytest
import torch
from problem import points

from ntkif.networks.two_layer import random_network


@pytest.mark.parametrize("outputs", [1, 10])
def test_a_symmetric_start_is_zero_whatever_its_scale(outputs):
    x, _ = points(12)
    start = random_network(30, width=64, init_scale=1.0, seed=0, outputs=outputs, symmetric=True)
    assert float(start.predict(x).abs().max()) < 1e-14
    assert float(random_network(30, width=64, init_scale=1.0, seed=0, outputs=outputs).predict(x).abs().max()) > 0.1
    assert torch.equal(start.weights[:32], start.weights[32:]) and torch.equal(start.signs[:32], -start.signs[32:])


def test_the_start_has_the_stated_distribution():
    start = random_network(100, width=4000, init_scale=0.01, seed=0, outputs=3)
    assert float(start.weights.detach().std()) == pytest.approx(0.01, rel=0.01)
    assert abs(float(start.weights.detach().mean())) < 1e-4
    assert set(start.signs.unique().tolist()) == {-1.0, 1.0} and abs(float(start.signs.mean())) < 0.03
    corr = torch.corrcoef(start.signs.T) - torch.eye(3)
    assert float(corr.abs().max()) < 0.05


def test_the_start_is_the_same_in_every_precision_and_another_for_another_seed():
    single, double, other = (
        random_network(30, width=2000, init_scale=0.01, seed=seed, dtype=dtype)
        for seed, dtype in ((0, torch.float32), (0, torch.float64), (1, torch.float64))
    )
    assert torch.allclose(single.weights.double(), double.weights, rtol=2e-7, atol=0) and torch.equal(
        single.signs, double.signs.float()
    )
    assert not torch.equal(double.weights, other.weights)


def test_predictions_in_blocks():
    x, _ = points(60)
    start = random_network(30, width=1030, init_scale=0.5, seed=0, outputs=2)  # more than one block
    truth = torch.relu(x @ start.weights.T) @ start.signs / 1030**0.5
    assert torch.allclose(start.predict(x), truth, rtol=1e-12) and not start.predict(x).requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width: expected at least one neuron, got 0"),
        ({"width": 5, "symmetric": True}, "width: expected an even number of neurons, each with its copy, got 5"),
        ({"init_scale": 0.0}, "init_scale: expected a positive number"),
        ({"init_scale": float("nan")}, "init_scale: expected a positive number"),
    ],
)
def test_bad_starts(change, message):
    with pytest.raises(ValueError, match=message):
        random_network(30, **({"width": 8, "init_scale": 1.0, "seed": 0} | change))


def test_a_network_that_would_not_fit():
    with pytest.raises(MemoryError, match=r"the first layer .* use a smaller width"):
        random_network(10**6, width=10**9, init_scale=1.0, seed=0)
