"""Losses against automatic differentiation, and the softmax against many digits."""

import mpmath
import pytest
import torch
from many_digits import SURE, doubles, softmax_by_many_digits
from torch import nn

from ntkif.networks.losses import CROSS_ENTROPY, SQUARES


@pytest.mark.parametrize("loss", [SQUARES, CROSS_ENTROPY], ids=["squares", "cross-entropy"])
def test_losses_by_automatic_differentiation(loss):
    f = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 0]]
    assert torch.allclose(torch.autograd.grad(loss.value(f, y).sum(), f)[0], loss.gradient(f, y).detach(), atol=1e-15)
    found = loss.curvature(f.detach()) if loss.curvature else torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    for row in range(4):
        truth = torch.autograd.functional.hessian(lambda g, row=row: loss.value(g, y[row]), f[row].detach())
        assert torch.allclose(found[row], truth, atol=1e-15)
    if loss is CROSS_ENTROPY:
        torch_says = nn.functional.cross_entropy(f, y, reduction="none")
        assert torch.allclose(loss.value(f, y), torch_says)


@pytest.mark.parametrize("f", SURE, ids=str)
def test_the_softmax_keeps_its_digits_where_a_probability_nears_one(f):
    """Each entry to 14 digits; and the rows of the curvature still sum to zero."""
    c = len(f)
    with mpmath.workdps(500):
        gradient, curvature = (doubles(matrix) for matrix in softmax_by_many_digits(f))
    outputs = torch.tensor(f, dtype=torch.float64)
    found = CROSS_ENTROPY.gradient(outputs.expand(c, c), torch.eye(c, dtype=torch.float64))
    assert torch.allclose(found, gradient, rtol=1e-14, atol=0)
    found = CROSS_ENTROPY.curvature(outputs)
    assert torch.allclose(found, curvature, rtol=1e-14, atol=0)
    assert (found.sum(1).abs() <= 1e-15 * found.abs().amax(1)).all()
