"""The tangent kernel of any module against a plain product of Jacobians: a backward pass for each output and point."""

import pytest
import torch
from problem import make_problem, plain_jacobian
from tiny_modules import MODULES
from torch import nn

from ntkif.kernels.jacobian import _pieces, jacobian, module_kernel
from ntkif.kernels.tangent import tangent_kernel

BLOCKS = [
    {},
    {"point_block": 1},
    {"point_block": 3, "output_block": 1},
    {"parameter_block": 1},
    {"parameter_block": 7, "point_block": 2, "output_block": 2},
    {"parameter_block": 10_000},
]


@pytest.fixture(params=MODULES)
def module(request):
    torch.manual_seed(3)
    return MODULES[request.param]().eval()


@pytest.mark.parametrize("blocks", BLOCKS, ids=str)
def test_the_kernel_is_a_product_of_plain_jacobians_in_any_blocks(module, blocks):
    p = make_problem(n=8, k=5)
    one, other = plain_jacobian(module, p.x_test), plain_jacobian(module, p.x_train)
    full = torch.einsum("iap,jbp->ijab", one, other)
    found = tangent_kernel(module, p.x_test, p.x_train, **blocks)
    single = full.shape[2] == 1
    assert found.shape == (full.shape[:2] if single else full.shape)
    assert torch.allclose(found.reshape(full.shape), full, rtol=0, atol=1e-13)
    traced = tangent_kernel(module, p.x_test, p.x_train, traced=True, **blocks)
    assert torch.allclose(traced, full.diagonal(dim1=2, dim2=3).mean(2), rtol=0, atol=1e-13)
    symmetric = tangent_kernel(module, p.x_train, **blocks)
    assert torch.allclose(symmetric, tangent_kernel(module, p.x_train, p.x_train), rtol=0, atol=1e-13)
    assert torch.equal(symmetric, symmetric.transpose(0, 1) if single else symmetric.permute(1, 0, 3, 2))


def test_the_jacobian_itself(module):
    x = make_problem(n=8).x_train
    assert torch.allclose(jacobian(module, x), plain_jacobian(module, x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1, 4, 7, 40, 1000])
def test_pieces_hold_each_parameter_once(module, size):
    seen = {name: [] for name, value in module.named_parameters() if value.requires_grad}
    for piece in _pieces(module, size):
        numbers = 0
        for name, rows in piece.items():
            value = module.get_parameter(name)
            seen[name] += range(rows.start, rows.stop)
            numbers += (rows.stop - rows.start) * (value[0].numel() if value.ndim else 1)
        assert numbers <= size or (len(piece) == 1 and rows.stop - rows.start == 1)
    sizes = {name: len(module.get_parameter(name)) if module.get_parameter(name).ndim else 1 for name in seen}
    assert {name: list(range(count)) for name, count in sizes.items()} == seen


def test_nothing_is_left_behind(module):
    before = [value.clone() for value in module.parameters()]
    module_kernel(module, make_problem(n=8).x_train, parameter_block=7)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, module.parameters(), strict=True))


def test_wrong_input(module, monkeypatch):
    x = make_problem(n=8).x_train
    with pytest.raises(TypeError, match="x: expected a torch tensor like the parameters"):
        module_kernel(module, x.float())
    with pytest.raises(ValueError, match="z: expected finite points"):
        module_kernel(module, x, torch.full_like(x, torch.nan))
    with pytest.raises(ValueError, match="parameter_block: expected at least one parameter at once, got -1"):
        module_kernel(module, x, parameter_block=-1)
    with pytest.raises(ValueError, match=r"block_size is the number of rows .* got -2"):
        module_kernel(module, x, point_block=-2)
    with pytest.raises(ValueError, match=r"call module\.eval\(\) first"):
        module_kernel(module.train(), x)
    module.eval().requires_grad_(False)
    with pytest.raises(ValueError, match="at least one parameter with requires_grad=True"):
        module_kernel(module, x)
    module.requires_grad_(True)
    monkeypatch.setattr("ntkif.checks.available_bytes", lambda device: 100)
    with pytest.raises(MemoryError, match="the tangent kernel of shape"):
        module_kernel(module, x)


def test_outputs_that_are_no_matrix():
    module = nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)).double().eval()
    with pytest.raises(ValueError, match="let it return a column for a single output"):
        module_kernel(module, make_problem(n=8).x_train)


def test_mixed_dtypes():
    module = nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 2).double()).eval()
    with pytest.raises(TypeError, match="expected parameters of one dtype"):
        module_kernel(module, make_problem(n=8).x_train)
