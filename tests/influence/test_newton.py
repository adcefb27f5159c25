"""Newton's step with the whole Hessian, against the same by a dense one."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian, jacrev

from ntkif.influence.network import NetworkInfluence
from ntkif.influence.newton import newton_influence
from ntkif.networks.modules import predict
from ntkif.networks.two_layer import random_network


def some(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X, TEST = some(20, 4), some(6, 4, seed=1)
TARGETS = {"squares": (some(20, 2, seed=2), some(6, 2, seed=3)), "cross-entropy": (X.argmax(1) % 2, TEST.argmax(1) % 2)}


@pytest.fixture(params=TARGETS)
def asked(request):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double().eval()
    y, y_test = TARGETS[request.param]
    model = NetworkInfluence(module, X, y, {"*.bias": 20.0, "*": 30.0}, start=None, loss=request.param)
    return model, module, y_test


def test_the_step_is_newtons(asked):
    model, module, y_test = asked
    rows, names = [0, 7, 19], [name for name, _ in module.named_parameters()]
    found = newton_influence(model, rows, TEST, y_test, tolerance=1e-11)
    assert found.positive.all() and (found.residual <= 1e-11).all()
    sizes, theta = (
        [p.numel() for p in module.parameters()],
        torch.cat([p.detach().flatten() for p in module.parameters()]),
    )

    def outputs(theta, x):
        parts = theta.split(sizes)
        values = {name: part.view_as(p) for name, part, p in zip(names, parts, module.parameters(), strict=True)}
        return functional_call(module, values, (x,))

    penalties = torch.cat([torch.full((s,), 20.0 if "bias" in n else 30.0) for n, s in zip(names, sizes, strict=True)])
    before, j = predict(module, TEST), jacrev(outputs)(theta, TEST)
    for column, row in enumerate(rows):
        kept = [i for i in range(20) if i != row]
        whole = hessian(lambda t, kept=kept: model.loss.value(outputs(t, X[kept]), model.y[kept]).sum())(theta)
        right = jacrev(lambda t, row=row: model.loss.value(outputs(t, X[[row]]), model.y[[row]]).sum())(theta)
        step = torch.linalg.solve(whole + torch.diag(penalties.double()), right)
        targets = y_test if y_test.is_floating_point() else nn.functional.one_hot(y_test, 2).double()
        truth = model.loss.value(before + j @ step, targets) - model.loss.value(before, targets)
        torch.testing.assert_close(found.influence[:, column], truth, rtol=0, atol=1e-9)


def test_where_the_hessian_bends_down_the_kernel_is_given():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double().eval()
    model = NetworkInfluence(module, X, 50 * X[:, 0] * X[:, 1], 0.01, start=None)
    with pytest.warns(UserWarning, match=r"the Hessian is not positive: the network is at no minimum; .* of 2") as told:
        found = newton_influence(model, [0, 1], TEST, TEST[:, 0])
    assert not found.positive.all() and told[0].filename == __file__  # who asked
    bent = ~found.positive
    kernel = model.influence(TEST, TEST[:, 0])[:, :2]
    torch.testing.assert_close(found.influence[:, bent], kernel[:, bent], rtol=1e-9, atol=1e-9)


def test_what_is_left_is_said(asked):
    model, _, y_test = asked
    with pytest.warns(UserWarning, match="after 1 iterations a residual of .* is left; allow more") as told:
        newton_influence(model, [0], TEST, y_test, iterations=1, tolerance=1e-14)
    assert told[0].filename == __file__
    with pytest.raises(ValueError, match=r"rows: expected training rows from 0 to 19, got \[20\]"):
        newton_influence(model, [20], TEST, y_test)


def test_a_module_with_buffers_has_a_second_derivative_too():
    """Of a two-layer ReLU network, whose second layer is a buffer, the Hessian is that of the kernel."""
    network = random_network(4, width=16, init_scale=1.0, seed=0)
    model = NetworkInfluence(network, X, some(20, 1, seed=2), 100.0, start=None)
    found = newton_influence(model, [0, 7], TEST, some(6, 1, seed=3), tolerance=1e-11)
    expected = model.influence(TEST, some(6, 1, seed=3))[:, [0, 7]]
    torch.testing.assert_close(found.influence, expected, rtol=0, atol=1e-9)
