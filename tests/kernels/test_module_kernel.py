"""The tangent kernel of any module against products of plain Jacobians, in parts of any size."""

import pytest
import torch
from kinds import made
from otherwise import OTHERWISE, otherwise
from problem import make_problem, plain_jacobian
from tiny_modules import MODULES
from torch import nn

from ntkif.kernels import module_kernel as kernel_module
from ntkif.kernels.module_kernel import TangentKernel, module_kernel
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


def test_nothing_is_left_behind(module):
    before = [value.clone() for value in module.parameters()]
    module_kernel(module, make_problem(n=8).x_train, parameter_block=7)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, module.parameters(), strict=True))


def test_wrong_input(module, monkeypatch):
    x = make_problem(n=8).x_train
    with pytest.raises(
        TypeError, match=r"x: expected points of torch\.float64 as the parameters, or integers, got torch\.float32"
    ):
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
    module = nn.Sequential(nn.Linear(6, 6), nn.Unflatten(1, (2, 3))).double().eval()
    with pytest.raises(
        ValueError, match=r"expected \(n, c\) or \(n,\) outputs of n points, got shape \(1, 2, 3\) of 1"
    ):
        module_kernel(module, make_problem(n=8).x_train)


def test_mixed_dtypes():
    module = nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 2).double()).eval()
    with pytest.raises(TypeError, match="expected parameters of one dtype"):
        module_kernel(module, make_problem(n=8).x_train)


@pytest.mark.parametrize("most", [None, 3])
def test_kernels_against_the_same_points(module, most, monkeypatch):
    """Whether the Jacobian of these is kept or does not fit."""
    if most:
        monkeypatch.setattr(kernel_module, "_kept", lambda like: most * 16)
    p = make_problem(n=8, k=5)
    for blocks in ({}, {"parameter_block": 7}, {"traced": True}):
        kernel = TangentKernel(module, p.x_train, **blocks)
        assert (kernel.kept is None) == bool(most)
        assert torch.allclose(kernel.square(), tangent_kernel(module, p.x_train, **blocks), rtol=0, atol=1e-13)
        across = tangent_kernel(module, p.x_test, p.x_train, **blocks)
        for _ in range(2):
            assert torch.allclose(kernel.against(p.x_test), across, rtol=0, atol=1e-13)


def test_complex_points_are_refused():
    with pytest.raises(TypeError, match=r"or integers, got torch\.complex128"):
        module_kernel(nn.Linear(4, 2).double().eval(), torch.zeros(3, 4, dtype=torch.complex128))


def test_a_precision_around_the_call_is_none_of_the_kernel():
    module, x = nn.Linear(4, 2).eval(), torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = module_kernel(module, x)
    torch.testing.assert_close(found, module_kernel(module, x), rtol=0, atol=0)


@pytest.mark.parametrize("most", [1, 20, 60, 200, 10_000])
@pytest.mark.parametrize(
    "name", ["convolution", "layer norm", "a sequence through a linear layer", "transformer layer"]
)
@pytest.mark.parametrize("traced", [False, True])
def test_as_many_at_once_as_fit(name, traced, most, monkeypatch):
    module, x, _ = made(name)
    right = module_kernel(module, x, traced=traced)
    monkeypatch.setattr(kernel_module, "_kept", lambda like: most * len(x))
    torch.testing.assert_close(module_kernel(module, x, traced=traced), right, rtol=0, atol=1e-12)


def test_wide_outputs_of_a_linear_layer_need_no_jacobian():
    """Of 300 outputs the traced kernel is that of the inputs, and one for the bias."""
    module, x = nn.Linear(40, 300).double().eval(), torch.randn(20, 40, dtype=torch.float64)
    torch.testing.assert_close(module_kernel(module, x, traced=True), x @ x.T + 1, rtol=0, atol=1e-12)


def test_a_jacobian_of_another_dtype(module):
    """Points come, and kernels are given, in the module's own."""
    p = make_problem(n=8, k=5)
    exact, rounded = (TangentKernel(module, p.x_train, dtype=dtype) for dtype in (None, torch.float32))
    for found, wanted in ((rounded.square(), exact.square()), (rounded.against(p.x_test), exact.against(p.x_test))):
        assert found.dtype == torch.float64
        assert 0 < (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("point_block", [None, 1, 3])
@pytest.mark.parametrize("name", OTHERWISE)
def test_a_block_in_which_layers_are_used_otherwise(name, point_block):
    module, x = otherwise(name)
    whole = plain_kernel(module, x)
    assert_near(module_kernel(module, x, point_block=point_block), whole)
    few = TangentKernel(module, x[:4], point_block=point_block)  # in which less is to be seen
    few.square()
    assert_near(few.against(x), whole[:, :4])
    assert_near(few.square(), whole[:4, :4])


def assert_near(found, expected):
    torch.testing.assert_close(found, expected.reshape(found.shape), rtol=0, atol=1e-12 * float(expected.abs().max()))


def plain_kernel(module, x):
    """(n, n, c, c) by a pass backward for each point and output."""
    jacobian = plain_jacobian(module, x)
    return torch.einsum("iap,jbp->ijab", jacobian, jacobian)


class Rotated(nn.Module):
    """Turned by complex numbers that are not trained, as positions of transformers are."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 4), nn.Linear(4, 1)
        self.register_buffer("turn", torch.polar(torch.ones(2), torch.tensor([0.7, 2.1])).to(torch.complex128))

    def forward(self, x):
        turned = torch.view_as_complex(self.inner(x).reshape(-1, 2, 2)) * self.turn
        return self.outer(torch.tanh(torch.view_as_real(turned).flatten(1)))


@pytest.mark.filterwarnings("error")
def test_complex_numbers_of_a_module_stay_complex_in_another_dtype():
    torch.manual_seed(0)
    module, x = Rotated(), make_problem(n=8).x_train
    module.inner.double(), module.outer.double()
    exact, rounded = (TangentKernel(module.eval(), x, dtype=dtype).square() for dtype in (None, torch.float32))
    assert (rounded - exact).abs().max() < 1e-5 * exact.abs().max()
    assert module.turn.dtype == torch.complex128
