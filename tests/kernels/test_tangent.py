"""The tangent features of a network against its plain Jacobian."""

import pytest
import torch
from problem import jacobian, make_problem, plain_jacobian
from tiny_modules import MODULES
from torch import nn

from ntkif.kernels.tangent import pull_back, push_forward, tangent_kernel
from ntkif.networks.two_layer import TwoLayer, random_network


@pytest.fixture(params=[1, 3], ids=["one-output", "three-outputs"])
def network(request):
    return random_network(6, width=30, init_scale=0.7, seed=1, outputs=request.param)


def test_the_kernel_is_a_product_of_jacobians(network):
    p = make_problem(n=8, k=5)
    one, other = (jacobian(network, x).flatten(2) for x in (p.x_test, p.x_train))
    product = torch.einsum("iap,jbp->ijab", one, other)
    found = tangent_kernel(network, p.x_test, p.x_train)
    assert found.shape == ((5, 8) if network.signs.shape[1] == 1 else (5, 8, 3, 3))
    assert torch.allclose(found.reshape(product.shape), product, rtol=0, atol=1e-14)
    assert torch.equal(tangent_kernel(network, p.x_train), tangent_kernel(network, p.x_train, p.x_train))


def test_products_with_the_jacobian(network):
    p, generator = make_problem(n=8), torch.Generator().manual_seed(5)
    j = jacobian(network, p.x_train)
    v = torch.randn(2, 30, 6, generator=generator, dtype=torch.float64)
    u = torch.randn(2, *j.shape[:2], generator=generator, dtype=torch.float64)
    assert torch.allclose(push_forward(network, p.x_train, v), torch.einsum("iamd,bmd->bia", j, v), atol=1e-13)
    assert torch.allclose(pull_back(network, p.x_train, u), torch.einsum("iamd,bia->bmd", j, u), atol=1e-13)
    assert torch.allclose(push_forward(network, p.x_train, v[0]), push_forward(network, p.x_train, v)[0], atol=1e-13)


def test_wrong_input(network, monkeypatch):
    p = make_problem(n=8)
    with pytest.raises(ValueError, match=r"z: expected a matrix of shape \('any', 6\), got shape \(8, 3\)"):
        tangent_kernel(network, p.x_train, p.x_train[:, :3])
    with pytest.raises(TypeError, match=r"x: expected torch\.float64 on cpu as the other matrices, got torch\.float32"):
        tangent_kernel(network, p.x_train.float())
    monkeypatch.setattr("ntkif.checks.available_bytes", lambda device: 100)
    with pytest.raises(MemoryError, match="the tangent kernel of shape"):
        tangent_kernel(network, p.x_train)


@pytest.fixture(params=MODULES)
def module(request):
    torch.manual_seed(3)
    return MODULES[request.param]().eval()


def test_a_two_layer_network_as_a_module():
    """The closed form with gates against the general code, for several outputs and both kinds of kernel."""
    network, p = random_network(6, width=40, init_scale=0.5, seed=2, outputs=3), make_problem(n=8, k=5)
    module = nn.Sequential(nn.Linear(6, 40, bias=False), nn.ReLU(), nn.Linear(40, 3, bias=False)).double().eval()
    module[0].weight.data, module[2].weight.data = network.weights, network.signs.T / 40**0.5
    module[2].weight.requires_grad = False
    for traced in (False, True):
        closed = tangent_kernel(network, p.x_test, p.x_train, traced=traced)
        assert torch.allclose(tangent_kernel(module, p.x_test, p.x_train, traced=traced), closed, rtol=0, atol=1e-14)


def test_blocks_mean_nothing_to_the_closed_form():
    network = random_network(6, width=40, init_scale=0.5, seed=2)
    with pytest.raises(TypeError, match="point_block are for other modules"):
        tangent_kernel(network, make_problem(n=8).x_train, point_block=2)


class Scaled(TwoLayer):
    def forward(self, x):
        return 3 * super().forward(x)


def test_what_is_no_network_of_equation_1():
    """A subclass predicts otherwise, and a second layer of other weights has other squares."""
    p, generator = make_problem(n=8), torch.Generator().manual_seed(0)
    weights = torch.randn(20, 6, dtype=torch.float64, generator=generator)
    for outputs in (1, 2):
        signs = torch.randn(20, outputs, dtype=torch.float64, generator=generator)
        for network in (TwoLayer(weights, signs), Scaled(weights, signs.sign())):
            whole = torch.einsum("iap,jbp->ijab", *[plain_jacobian(network, p.x_train)] * 2)
            kernel, traced = (tangent_kernel(network, p.x_train, traced=traced) for traced in (False, True))
            assert torch.allclose(kernel, whole.reshape(kernel.shape), rtol=0, atol=1e-12)
            mean = whole.diagonal(dim1=2, dim2=3).mean(2)
            assert torch.allclose(traced, mean, rtol=0, atol=1e-12)
