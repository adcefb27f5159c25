"""Kernels of infinite width against gradients, random networks, quadrature and many digits."""

import math
from functools import partial

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from many_digits import ROUNDING, SETS, by_many_digits
from problem import make_problem
from torch.func import functional_call, grad, vmap

from ntkif import ntk, ntk_monte_carlo
from ntkif.kernels.infinite import deep_ntk, kernel_of, of_the_sphere
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.modules import Mlp


def test_kernel_is_the_gradient_product_of_a_wide_network():
    """Eq. 1 differentiated by autograd, contracted as in the first line of Eq. 4, at a width where it must be close."""
    p, width = make_problem(n=6, k=4, d=5), 20_000
    hidden = torch.nn.Linear(5, width, bias=False, dtype=torch.float64)
    torch.nn.init.normal_(hidden.weight, std=0.01, generator=torch.Generator().manual_seed(3))
    signs = torch.randint(2, (width,), generator=torch.Generator().manual_seed(4)) * 2.0 - 1

    def network(weights, x):
        return (torch.relu(functional_call(hidden, weights, x)) * signs).sum() / math.sqrt(width)

    jacobian = [
        vmap(grad(network), (None, 0))(dict(hidden.named_parameters()), x)["weight"].detach().flatten(1)
        for x in (p.x_test, p.x_train)
    ]
    gradient_product = jacobian[0] @ jacobian[1].T
    assert torch.allclose(gradient_product, p.k_test_train, atol=5 * 0.25 / math.sqrt(width))

    gates = [(x @ hidden.weight.detach().T >= 0).double() for x in (p.x_test, p.x_train)]
    exact = (p.x_test @ p.x_train.T) * (gates[0] @ gates[1].T) / width
    assert torch.allclose(gradient_product, exact, atol=1e-13)


def test_monte_carlo_error_has_the_variance_of_the_gates():
    """Each neuron adds x.z Bernoulli(p) with p = K / x.z, so the error has standard deviation x.z sqrt(p(1-p)/m)."""
    p, width = make_problem(n=30, k=30), 4000
    sampled = ntk_monte_carlo(p.x_test, p.x_train, width=width, generator=torch.Generator().manual_seed(1))
    open_share = p.k_test_train / (p.x_test @ p.x_train.T)
    expected = (p.x_test @ p.x_train.T).abs() * (open_share * (1 - open_share) / width).sqrt()
    scores = (sampled - p.k_test_train) / expected
    assert scores.abs().max() < 5
    assert 0.6 < scores.square().mean().sqrt() < 1.4


@given(n=st.integers(1, 30), k=st.integers(1, 20), block_size=st.integers(1, 40))
def test_blocks_of_any_size_give_the_same_matrix(n, k, block_size):
    p = make_problem(n, k)
    assert torch.allclose(ntk(p.x_train, block_size=block_size), ntk(p.x_train), rtol=0, atol=1e-14)
    assert torch.allclose(ntk(p.x_test, p.x_train, block_size=block_size), p.k_test_train, rtol=0, atol=1e-14)


def test_monte_carlo_is_the_kernel_of_its_network():
    p = make_problem()
    sampled = ntk_monte_carlo(p.x_test, p.x_train, width=30, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(30, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gates = [(x @ weights.T >= 0).double() for x in (p.x_test, p.x_train)]
    assert torch.allclose(sampled, (p.x_test @ p.x_train.T) * (gates[0] @ gates[1].T) / 30, atol=1e-15)


def test_monte_carlo_is_repeated_by_its_seed():
    p = make_problem()
    draws = [ntk_monte_carlo(p.x_train, width=30, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("block_size", [1, 7, 5000])
def test_monte_carlo_draws_the_same_neurons_in_any_blocks(block_size):
    p = make_problem()
    how = [{}, {"block_size": block_size}]
    whole, found = (ntk_monte_carlo(p.x_train, width=30, generator=torch.Generator().manual_seed(0), **h) for h in how)
    assert torch.allclose(found, whole, rtol=0, atol=1e-15)


def test_kernel_matrix_is_symmetric_positive_definite_with_diagonal_one_half():
    k = make_problem(n=60).k_train_train
    assert torch.equal(k, k.T)
    assert torch.allclose(k.diagonal(), torch.full((60,), 0.5, dtype=torch.float64), rtol=0, atol=1e-14)  # 90 roundings
    assert torch.linalg.eigvalsh(k)[0] > 1e-3
    assert torch.allclose(ntk(make_problem(n=60).x_train, make_problem(n=60).x_train), k, atol=1e-15)


@pytest.mark.parametrize("angle", [1e-4, 1.5e-3, 1e-2, 0.1])
def test_kernel_keeps_precision_in_float32(angle):
    x, z = torch.tensor([[[1.0, 0.0]], [[math.cos(angle), math.sin(angle)]]])
    assert abs(float(ntk(x, z)) - float(ntk(x.double(), z.double()))) < 2e-6


def test_dtype_follows_the_input():
    p = make_problem()
    single = ntk(p.x_train.float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), p.k_train_train, atol=1e-5)


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
def test_the_deep_kernel_is_its_recursion(hidden_layers, cosine):
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
def test_random_deep_networks_tend_to_the_deep_kernel(hidden_layers):
    """Ten networks of width 3000: the error of their mean is the Monte Carlo error, by their own spread."""
    x = make_problem(n=6).x_train
    draws = torch.stack(
        [tangent_kernel(Mlp(6, width=3000 // hidden_layers, hidden_layers=hidden_layers, seed=s), x) for s in range(10)]
    )
    error = (draws.mean(0) - deep_ntk(x, hidden_layers=hidden_layers)) / (draws.std(0) / 10**0.5)
    assert float(error.square().mean().sqrt()) < 2.5
    assert float(draws.std(0).mean()) < 0.25  # or the test above would say little


def test_symmetry_diagonal_and_blocks_of_the_deep_kernel():
    x = make_problem(n=12).x_train
    x = torch.cat([x, x[:1], -x[:1], torch.nn.functional.normalize(x[:1] + 1e-9)])
    k = deep_ntk(x, hidden_layers=3)
    assert torch.equal(k, k.T)
    assert torch.allclose(k, deep_ntk(x, hidden_layers=3, block_size=4), rtol=0, atol=1e-14)
    assert torch.allclose(k.diagonal(), torch.full((15,), 4.0, dtype=torch.float64), rtol=0, atol=1e-14)
    assert torch.allclose(k, deep_ntk(x, x.clone(), hidden_layers=3), rtol=0, atol=1e-14)
    assert abs(float(k[0, 12]) - 4) < 1e-14 and abs(float(k[0, 14]) - 4) < 1e-7
    assert torch.linalg.eigvalsh(k)[0] > -1e-10


def test_wrong_input_of_the_deep_kernel():
    x = make_problem(n=8).x_train
    with pytest.raises(ValueError, match="hidden_layers: expected at least one, got 0"):
        deep_ntk(x, hidden_layers=0)
    with pytest.raises(ValueError, match=r"x: expected rows of norm 1"):
        deep_ntk(2 * x)


@pytest.mark.parametrize("name", SETS)
def test_kernels_of_copies_and_of_opposite_points(name):
    x = SETS[name]
    for z in (x, -x):
        truth = by_many_digits(x, z, lambda angle: mpmath.cos(angle) * (mpmath.pi - angle) / (2 * mpmath.pi))
        assert torch.allclose(ntk(x, z), truth, rtol=0, atol=ROUNDING[name])
    copies = (x[:, None] == x).all(2)
    assert torch.allclose(ntk(x)[copies], torch.tensor(0.5, dtype=torch.float64), rtol=0, atol=1e-15)
    assert not ntk(x, -x)[copies].any()
    assert torch.allclose(deep_ntk(x)[copies], torch.tensor(3.0, dtype=torch.float64), rtol=1e-15)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kernel", [ntk, deep_ntk])
def test_a_pair_alone_and_in_a_crowd_are_the_same(name, kernel):
    x = torch.cat([SETS[name], -SETS[name]])
    alone = torch.stack([torch.cat([kernel(row[None], other[None])[0] for other in x]) for row in x])
    for block_size in (3, 1000):
        for whole in (kernel(x, block_size=block_size), kernel(x, x.clone(), block_size=block_size)):
            assert torch.allclose(whole, alone, rtol=0, atol=2 * ROUNDING[name])


def test_a_kernel_has_a_name_or_is_a_function():
    assert kernel_of("ntk") is ntk and kernel_of("deep_ntk") is deep_ntk
    assert kernel_of(torch.matmul) is torch.matmul and not of_the_sphere(torch.matmul)
    assert of_the_sphere(ntk) and of_the_sphere(partial(deep_ntk, hidden_layers=2))
    with pytest.raises(ValueError, match=r"kernel: expected 'ntk' or 'deep_ntk', or a function of two .*, got 'rbf'"):
        kernel_of("rbf")
