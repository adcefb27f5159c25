"""Losses against automatic differentiation, and the softmax against many digits."""

import copy
import pickle
from dataclasses import replace

import mpmath
import pytest
import torch
from many_digits import SURE, doubles, softmax_by_many_digits
from torch import nn

from ntkif.networks.losses import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, LOSSES, SQUARES, huber, targets_of


@pytest.mark.parametrize("loss", [SQUARES, CROSS_ENTROPY], ids=["squares", "cross-entropy"])
def test_losses_by_automatic_differentiation(loss):
    f = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 0]]
    assert torch.allclose(torch.autograd.grad(loss.value(f, y).sum(), f)[0], loss.gradient(f, y).detach(), atol=1e-15)
    found = loss.curvature(f.detach(), y) if loss.curvature else torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    for row in range(4):
        truth = torch.autograd.functional.hessian(lambda g, row=row: loss.value(g, y[row]), f[row].detach())
        assert torch.allclose(found[row], truth, atol=1e-15)
    if loss is CROSS_ENTROPY:
        torch_says = nn.functional.cross_entropy(f, y, reduction="none")
        assert torch.allclose(loss.value(f, y), torch_says)


def test_hubers_loss_is_torchs_and_bends_where_nothing_is_left():
    f, y = torch.tensor([-3.0, -0.4, 0.0, 0.2, 5.0], dtype=torch.float64)[:, None], torch.zeros(5, 1).double()
    for delta in (0.3, 1.0):
        loss = huber(delta)
        assert torch.allclose(loss.value(f, y), nn.functional.huber_loss(f, y, reduction="none", delta=delta)[:, 0])
        gradient, curvature = torch.func.grad(loss.value), torch.func.hessian(loss.value)
        assert torch.equal(torch.func.vmap(gradient)(f, y), loss.gradient(f, y))
        assert torch.equal(torch.func.vmap(curvature)(f, y), loss.curvature(f, y))
        assert loss.curvature(f, y).flatten().tolist() == [0, float(delta > 0.4), 1, 1, 0]


@pytest.mark.parametrize("f", SURE, ids=str)
def test_the_softmax_keeps_its_digits_where_a_probability_nears_one(f):
    """Each entry to 14 digits; and the rows of the curvature still sum to zero."""
    c = len(f)
    with mpmath.workdps(500):
        gradient, curvature = (doubles(matrix) for matrix in softmax_by_many_digits(f))
    outputs = torch.tensor(f, dtype=torch.float64)
    found = CROSS_ENTROPY.gradient(outputs.expand(c, c), torch.eye(c, dtype=torch.float64))
    assert torch.allclose(found, gradient, rtol=1e-14, atol=0)
    found = CROSS_ENTROPY.curvature(outputs, None)
    assert torch.allclose(found, curvature, rtol=1e-14, atol=0)
    assert (found.sum(1).abs() <= 1e-15 * found.abs().amax(1)).all()


F = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
ONE_HOT = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 0]]
CLASSES = torch.tensor([0, 2, 1, 0])


def test_classes_and_probabilities_are_taken_as_such():
    for y in (CLASSES, CLASSES[:, None], CLASSES.to(torch.uint8), ONE_HOT, ONE_HOT.float(), ONE_HOT.long()):
        assert torch.equal(targets_of(CROSS_ENTROPY, y, F, "y"), ONE_HOT)
    assert torch.equal(targets_of(SQUARES, CLASSES, F[:, :1], "y"), CLASSES[:, None].double())
    assert torch.equal(targets_of(BINARY_CROSS_ENTROPY, CLASSES % 2, F[:, :1], "y"), CLASSES[:, None].double() % 2)


@pytest.mark.parametrize(
    ("loss", "y", "said"),
    [
        (CROSS_ENTROPY, CLASSES + 1, "expected classes from 0 to 2, got 3 in row 1; leave points out"),
        (CROSS_ENTROPY, CLASSES - 1, "expected classes from 0 to 2, got -1 in row 0"),
        (CROSS_ENTROPY, 2 * ONE_HOT - 1, r"not negative and sum to one, got \[1, -1, -1\] in row 0; for targets of ±1"),
        (CROSS_ENTROPY, ONE_HOT / 2, r"got \[0\.5, 0, 0\] in row 0"),
        (CROSS_ENTROPY, ONE_HOT * torch.nan, "not negative and sum to one"),
        (
            CROSS_ENTROPY,
            CLASSES.double(),
            r"class numbers, integers of shape \(4,\), or probabilities of shape \(4, 3\)",
        ),
        (CROSS_ENTROPY, CLASSES[:3], r"y: expected a matrix of shape \(4, 3\)"),
        (BINARY_CROSS_ENTROPY, 2 * ONE_HOT - 1, r"from 0 to 1, one for each logit, got \[1, -1, -1\] in row 0; take"),
        (
            SQUARES,
            CLASSES,
            r"y: expected targets of shape \(4, 3\), .* got shape \(4,\); class numbers go with the loss",
        ),
        (SQUARES, ONE_HOT.to("meta"), "expected numbers, got a tensor on the device meta"),
        (SQUARES, ONE_HOT.float(), r"torch\.float64"),
        (SQUARES, ONE_HOT.numpy(), "expected a torch tensor, got ndarray"),
    ],
)
def test_targets_that_a_loss_does_not_take(loss, y, said):
    with pytest.raises((TypeError, ValueError), match=said):
        targets_of(loss, y, F, "y")


def test_cross_entropy_needs_an_output_for_each_class():
    with pytest.raises(ValueError, match="an output for each class, got 1; see BINARY_CROSS_ENTROPY"):
        targets_of(CROSS_ENTROPY, CLASSES, F[:, :1], "y")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_with_a_name_is_the_same_after_a_copy_or_a_pickle(name):
    loss = LOSSES[name]
    assert copy.deepcopy(loss) is loss and pickle.loads(pickle.dumps(loss)) is loss
    other = replace(loss, flat=not loss.flat)
    assert copy.deepcopy(other) == other and copy.deepcopy(other) is not loss
