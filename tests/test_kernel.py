import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problem import make_problem
from torch.func import functional_call, grad, vmap

from ntkif import ntk, ntk_monte_carlo


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


def test_kernel_matrix_is_symmetric_positive_definite_with_diagonal_one_half():
    k = make_problem(n=60).k_train_train
    assert torch.equal(k, k.T)
    assert torch.allclose(k.diagonal(), torch.full((60,), 0.5, dtype=torch.float64), rtol=0, atol=1e-14)  # 90 roundings
    assert torch.linalg.eigvalsh(k)[0] > 1e-3
    assert torch.allclose(ntk(make_problem(n=60).x_train, make_problem(n=60).x_train), k, atol=1e-15)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 1e-5, 1e-3, 1.0, math.pi - 1e-3, math.pi - 1e-8, math.pi])
def test_kernel_keeps_full_precision_near_equal_and_opposite_points(angle):
    """Against 40 digits; plain arccos errs by 2e-9 for equal points."""
    x, z = torch.tensor([[[1.0, 0.0]], [[math.cos(angle), math.sin(angle)]]], dtype=torch.float64)
    with mpmath.workdps(40):
        cosine = mpmath.mpf(float(z[0, 0])) / mpmath.hypot(*map(mpmath.mpf, z[0].tolist()))
        true_angle = mpmath.atan2(mpmath.mpf(float(z[0, 1])), mpmath.mpf(float(z[0, 0])))
        truth = cosine * (mpmath.pi - true_angle) / (2 * mpmath.pi)
        assert abs(mpmath.mpf(float(ntk(x, z))) - truth) < 1e-13


@pytest.mark.parametrize("angle", [1e-4, 1.5e-3, 1e-2, 0.1])
def test_kernel_keeps_precision_in_float32(angle):
    x, z = torch.tensor([[[1.0, 0.0]], [[math.cos(angle), math.sin(angle)]]])
    assert abs(float(ntk(x, z)) - float(ntk(x.double(), z.double()))) < 2e-6


def test_dtype_follows_the_input():
    p = make_problem()
    single = ntk(p.x_train.float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), p.k_train_train, atol=1e-5)
