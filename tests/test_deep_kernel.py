"""The deep NTK against its recursion by quadrature, against `ntk`, and against random networks (Monte Carlo)."""

import math

import pytest
import torch
from problem import make_problem

from ntkif import ntk
from ntkif.kernels.infinite import deep_ntk
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.modules import Mlp


def by_quadrature(u, hidden_layers):
    """The recursion with both Gaussian means as sums over an angle and a radius: an oracle without arc-cosines.

    For unit vectors at angle ω in the plane, E[relu relu] and E[gates] are integrals over the direction of a Gaussian
    vector, whose radius has E[r²] = 2.
    """
    directions = (torch.arange(400_000, dtype=torch.float64) + 0.5) * 2 * math.pi / 400_000
    kernel, cosine = u, u
    for _ in range(hidden_layers):
        one, two = directions.cos(), (directions - math.acos(cosine)).cos()
        product = 2 * 2 * float((one.relu() * two.relu()).mean())
        gates = 2 * float(((one > 0) & (two > 0)).double().mean())
        kernel, cosine = product + kernel * gates, product
    return kernel


@pytest.mark.parametrize("hidden_layers", [1, 2, 4])
@pytest.mark.parametrize("cosine", [-0.9, 0.0, 0.3, 0.99])
def test_the_recursion(hidden_layers, cosine):
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    z = torch.tensor([[cosine, math.sqrt(1 - cosine**2)]], dtype=torch.float64)
    assert float(deep_ntk(x, z, hidden_layers=hidden_layers)) == pytest.approx(
        by_quadrature(cosine, hidden_layers), abs=2e-5
    )


def test_one_hidden_layer_contains_the_kernel_of_the_paper():
    """What is left besides the first layer's part is the kernel of the last layer, E[relu relu]."""
    p = make_problem(n=8, k=5)
    u = p.x_test @ p.x_train.T
    last = ((1 - u**2).sqrt() + (math.pi - u.arccos()) * u) / math.pi
    rest = deep_ntk(p.x_test, p.x_train, hidden_layers=1) - 2 * ntk(p.x_test, p.x_train)
    assert torch.allclose(rest, last, rtol=0, atol=1e-14)


@pytest.mark.parametrize("hidden_layers", [1, 2, 3])
def test_random_networks_tend_to_it(hidden_layers):
    """Ten networks of width 3000: the error of their mean is the Monte Carlo error, by their own spread."""
    x = make_problem(n=6).x_train
    draws = torch.stack(
        [tangent_kernel(Mlp(6, width=3000 // hidden_layers, hidden_layers=hidden_layers, seed=s), x) for s in range(10)]
    )
    error = (draws.mean(0) - deep_ntk(x, hidden_layers=hidden_layers)) / (draws.std(0) / 10**0.5)
    assert float(error.square().mean().sqrt()) < 2.5
    assert float(draws.std(0).mean()) < 0.25  # or the test above would say little


def test_symmetry_diagonal_and_blocks():
    x = make_problem(n=12).x_train
    x = torch.cat([x, x[:1], -x[:1], torch.nn.functional.normalize(x[:1] + 1e-9)])
    k = deep_ntk(x, hidden_layers=3)
    assert torch.equal(k, k.T)
    assert torch.allclose(k, deep_ntk(x, hidden_layers=3, block_size=4), rtol=0, atol=1e-14)
    assert torch.allclose(k.diagonal(), torch.full((15,), 4.0, dtype=torch.float64), rtol=0, atol=1e-14)
    assert torch.allclose(k, deep_ntk(x, x.clone(), hidden_layers=3), rtol=0, atol=1e-14)
    assert abs(float(k[0, 12]) - 4) < 1e-14 and abs(float(k[0, 14]) - 4) < 1e-7
    assert torch.linalg.eigvalsh(k)[0] > -1e-10


def test_wrong_input():
    x = make_problem(n=8).x_train
    with pytest.raises(ValueError, match="hidden_layers: expected at least one, got 0"):
        deep_ntk(x, hidden_layers=0)
    with pytest.raises(ValueError, match=r"x: expected rows of norm 1"):
        deep_ntk(2 * x)
