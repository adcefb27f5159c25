"""The Jacobian of any module against a backward pass for each output and point."""

import pytest
import torch
from kinds import KINDS, made
from problem import make_problem, plain_jacobian
from tiny_modules import MODULES
from torch import nn

from ntkif.kernels import jacobian as jacobian_module
from ntkif.kernels.jacobian import _say, jacobian, pieces
from ntkif.kernels.module_kernel import module_kernel


@pytest.fixture(params=MODULES)
def module(request):
    torch.manual_seed(3)
    return MODULES[request.param]().eval()


def test_the_jacobian_itself(module):
    x = make_problem(n=8).x_train
    assert torch.allclose(jacobian(module, x), plain_jacobian(module, x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1, 4, 7, 40, 1000])
def test_pieces_hold_each_parameter_once(module, size):
    seen = {name: [] for name, value in module.named_parameters() if value.requires_grad}
    for piece in pieces(module, size):
        numbers = 0
        for name, rows in piece.items():
            value = module.get_parameter(name)
            seen[name] += range(rows.start, rows.stop)
            numbers += (rows.stop - rows.start) * (value[0].numel() if value.ndim else 1)
        assert numbers <= size or (len(piece) == 1 and rows.stop - rows.start == 1)
    sizes = {name: len(module.get_parameter(name)) if module.get_parameter(name).ndim else 1 for name in seen}
    assert {name: list(range(count)) for name, count in sizes.items()} == seen


def one_pass_for_each_output(module, x, output):
    """(n, c, p), as plainly as can be."""
    parameters, rows = [p for p in module.parameters() if p.requires_grad], []
    n = len(next(iter(x.values())) if isinstance(x, dict) else x[0] if isinstance(x, tuple) else x)
    for i in range(n):
        if isinstance(x, dict):
            found = module(**{name: value[i : i + 1] for name, value in x.items()})
        else:
            found = module(*(part[i : i + 1] for part in (x if isinstance(x, tuple) else (x,))))
        found = found["logits"] if isinstance(found, dict) else found[output] if isinstance(found, tuple) else found
        rows.append([])
        for value in found.reshape(-1):
            grads = torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)
            rows[-1].append(torch.cat([g.flatten() for g in grads]))
        rows[-1] = torch.stack(rows[-1])
    return torch.stack(rows).detach()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own scripts
def test_any_module(name):
    module, x, output = made(name)
    before = [value.clone() for value in (*module.parameters(), *module.buffers())]
    found, kernel = jacobian(module, x, output=output), module_kernel(module, x, output=output)
    for value, was in zip((*module.parameters(), *module.buffers()), before, strict=True):
        assert torch.equal(value, was)  # nothing is left behind
    truth = one_pass_for_each_output(module, x, output)
    assert truth.abs().max() > 0.01
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-12)
    wanted = torch.einsum("iap,jbp->ijab", truth, truth)
    torch.testing.assert_close(kernel.reshape(wanted.shape), wanted, rtol=0, atol=1e-11)


def test_what_is_done_by_plain_passes_is_said_once(caplog):
    _say.cache_clear()
    module, x, _ = made("LSTM")
    with caplog.at_level("INFO", logger="ntkif.kernels.jacobian"):
        for _ in range(2):
            jacobian(module, x)
        jacobian(made("convolution")[0], made("convolution")[1])
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("Last: derivatives by a backward pass for each point and output, since torch.func ")


def test_a_fast_way_that_errs_is_not_taken(monkeypatch):
    """As one would whose batching is wrong."""
    module, x, _ = made("convolution")
    right, by_functions = jacobian(module, x), jacobian_module._by_functions
    monkeypatch.setattr(jacobian_module, "_by_functions", lambda *how: lambda points: 1.01 * by_functions(*how)(points))
    torch.testing.assert_close(jacobian(module, x), right, rtol=0, atol=1e-14)


def test_a_point_without_a_gradient_is_named():
    module = nn.Sequential(nn.Linear(6, 2, bias=False)).double().eval()
    module.append(Root())
    x = make_problem(n=8).x_train.clone()
    x[3] = 0
    with pytest.raises(ValueError, match="that of point 3 is NaN or infinite"):
        module_kernel(module, x, point_block=2)


class Root(nn.Module):
    def forward(self, x):
        return x.square().sum(1, keepdim=True).sqrt()


class Placed(nn.Linear):
    """Knows its device by a parameter without numbers."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.place = nn.Parameter(torch.empty(0))


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (Placed(3, 2), torch.arange(12.0).reshape(4, 3).sin().double()),
        (
            nn.Sequential(nn.Embedding(7, 3, sparse=True), nn.Tanh(), nn.Flatten(), nn.Linear(6, 2)),
            torch.tensor([[0, 3], [6, 6], [2, 1]]),
        ),
    ],
    ids=["a parameter without numbers", "sparse gradients"],
)
def test_parameters_of_rare_kinds(module, x):
    module = module.double().eval()
    values, rows = [value for value in module.parameters() if value.numel()], []
    for output in module(x).flatten():
        gradients = torch.autograd.grad(output, values, retain_graph=True)
        rows.append(torch.cat([each.to_dense().flatten() if each.is_sparse else each.flatten() for each in gradients]))
    truth = torch.stack(rows).unflatten(0, (len(x), 2))
    torch.testing.assert_close(jacobian(module, x), truth, rtol=0, atol=1e-12)
    kernel = torch.einsum("iap,jbp->ijab", truth, truth)
    torch.testing.assert_close(module_kernel(module, x), kernel, rtol=0, atol=1e-12)
