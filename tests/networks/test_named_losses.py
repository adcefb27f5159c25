"""Losses by name, of torch and of users: what they compute, and what cannot be one."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

from ntkif.networks.losses import LOSSES, huber, targets_of
from ntkif.networks.named_losses import loss_of

F = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
ONE_HOT = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 0]]
CLASSES = torch.tensor([0, 2, 1, 0])


@pytest.mark.parametrize("name", LOSSES)
def test_named_losses_by_automatic_differentiation(name):
    loss, mean = loss_of(name)
    assert not mean
    for row in range(4):
        f = F[row].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss.value(f, ONE_HOT[row]), f)
        assert torch.allclose(gradient, loss.gradient(F, ONE_HOT)[row], atol=1e-14)
        hessian = torch.autograd.functional.hessian(lambda g, row=row: loss.value(g, ONE_HOT[row]), F[row])
        found = loss.curvature(F, ONE_HOT)[row] if loss.curvature else torch.eye(3, dtype=torch.float64)
        assert torch.allclose(found, hessian, atol=1e-14)


@pytest.mark.parametrize(
    ("theirs", "y"),
    [
        (nn.CrossEntropyLoss(), CLASSES),
        (nn.CrossEntropyLoss(reduction="sum"), ONE_HOT),
        (nn.CrossEntropyLoss(label_smoothing=0.2), CLASSES),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]).double(), reduction="sum"), CLASSES),
        (nn.BCEWithLogitsLoss(), ONE_HOT),
        (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0]).double()), ONE_HOT),
        (nn.MSELoss(), F.sin()),
        (nn.MSELoss(reduction="sum"), F.sin()),
        (nn.HuberLoss(delta=0.5), F.sin()),
        (nn.HuberLoss(reduction="sum"), F.sin()),
        (nn.SmoothL1Loss(reduction="sum"), F.sin()),
        (nn.PoissonNLLLoss(), F.abs()),
        (nn.MultiLabelSoftMarginLoss(), ONE_HOT),
        (nn.MultiLabelSoftMarginLoss(reduction="sum"), ONE_HOT),
        (nn.CrossEntropyLoss(ignore_index=1), 2 * (CLASSES % 2)),
        (nn.CrossEntropyLoss(ignore_index=1, label_smoothing=0.2), 2 * (CLASSES % 2)),
        (nn.BCEWithLogitsLoss(weight=torch.tensor([1.0, 2.0, 3.0]).double(), reduction="sum"), ONE_HOT),
        (nn.SoftMarginLoss(), F.sin().sign()),
        (nn.SoftMarginLoss(reduction="sum"), F.sin().sign()),
    ],
    ids=str,
)
def test_objects_of_torch_are_what_they_compute(theirs, y):
    """The mean or the sum of the losses of the points is what torch says of all of them."""
    loss, mean = loss_of(theirs)
    assert mean == (theirs.reduction == "mean")
    targets = targets_of(loss, y, F, "y")
    each = loss.value(F, targets)
    torch.testing.assert_close(each.mean() if mean else each.sum(), theirs(F, y), rtol=1e-13, atol=0)
    f = F.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(theirs(f, y) * (len(F) if mean else 1), f)
    torch.testing.assert_close(loss.gradient(F, targets), gradient, rtol=1e-12, atol=1e-14)
    for same in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
        assert torch.equal(same.value(F, targets), each) and torch.equal(targets_of(same, y, F, "y"), targets)


@pytest.mark.parametrize(
    "theirs",
    [
        nn.NLLLoss(),
        nn.NLLLoss(reduction="sum"),
        nn.NLLLoss(weight=torch.tensor([1.0, 2.0, 3.0]).double(), reduction="sum"),
    ],
    ids=str,
)
def test_of_log_probabilities_it_is_the_cross_entropy(theirs):
    """With the curvature of logits, from which their own straight lines differ by a multiple of one for all outputs."""
    loss, mean = loss_of(theirs)
    assert mean == (theirs.reduction == "mean")
    f, targets = F.log_softmax(1), targets_of(loss, CLASSES, F, "y")
    loss.check_outputs(f)
    each = loss.value(f, targets)
    torch.testing.assert_close(each.mean() if mean else each.sum(), theirs(f, CLASSES), rtol=1e-13, atol=0)
    weight = torch.ones(3) if theirs.weight is None else theirs.weight
    p, w = F.softmax(1), weight.to(F)[CLASSES]
    torch.testing.assert_close(loss.gradient(f, targets), w[:, None] * (p - ONE_HOT), rtol=1e-12, atol=1e-14)
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    torch.testing.assert_close(loss.curvature(f, targets), w[:, None, None] * curvature, rtol=1e-12, atol=1e-14)
    with pytest.raises(ValueError, match=r"log-probabilities as outputs.* at row 2; end the network with LogSoftmax"):
        loss.check_outputs(torch.cat([f[:2], f[:1] + 0.01]))


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.HuberLoss, nn.MSELoss])
def test_a_subclass_is_what_its_own_forward_pass_computes(kind):
    class Focal(kind):
        def forward(self, f, y):
            return super().forward(f, y) ** 2

    loss, mean = loss_of(Focal())
    assert mean
    each = torch.stack([Focal()(f[None], y[None]) for f, y in zip(F, ONE_HOT, strict=True)])
    torch.testing.assert_close(loss.value(F, ONE_HOT), each)
    f = F.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss.value(f, ONE_HOT).sum(), f)
    torch.testing.assert_close(loss.gradient(F, ONE_HOT), gradient)
    if kind is nn.CrossEntropyLoss:
        assert torch.equal(targets_of(loss, CLASSES, F, "y"), ONE_HOT)


def test_probabilities_have_their_own_loss():
    loss, _ = loss_of(nn.BCELoss(reduction="sum"))
    p = F.sigmoid()
    loss.check_outputs(p)
    torch.testing.assert_close(loss.value(p, ONE_HOT).sum(), nn.BCELoss(reduction="sum")(p, ONE_HOT))
    torch.testing.assert_close(loss.gradient(p, ONE_HOT), (p - ONE_HOT) / (p * (1 - p)))
    for wrong in (1.5, 1.0, torch.nan):
        with pytest.raises(ValueError, match=r"between 0 and 1.* at row 1; take BCEWithLogitsLoss"):
            loss.check_outputs(torch.tensor([[0.5, 0.5], [0.5, wrong]]))


@pytest.mark.parametrize("function", [nn.functional.cross_entropy, nn.functional.nll_loss])
def test_functions_of_torch_take_class_numbers(function):
    loss, mean = loss_of(function)
    f = F.log_softmax(1)
    assert not mean
    each = loss.value(f, targets_of(loss, CLASSES, f, "y"))
    torch.testing.assert_close(each, function(f, CLASSES, reduction="none"), rtol=1e-13, atol=0)


def test_a_function_of_one_point():
    loss, mean = loss_of(lambda f, y: torch.cosh(f - y).sum())
    assert not mean and loss.flat
    torch.testing.assert_close(loss.gradient(F, ONE_HOT), torch.sinh(F - ONE_HOT))
    torch.testing.assert_close(loss.curvature(F, ONE_HOT), torch.diag_embed(torch.cosh(F - ONE_HOT)))
    changed = F[:, None] + torch.zeros(4, 2, 3, dtype=torch.float64)
    assert loss.value(changed, ONE_HOT[:, None]).shape == (4, 2)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("hinge", "expected one of 'squares', 'cross-entropy'"),
        (nn.MSELoss(reduction="none"), "expected reduction 'mean' or 'sum'"),
        (nn.CrossEntropyLoss(weight=torch.ones(3)), "expected reduction='sum' with weights of classes"),
        (3, "expected one of 'squares'.* got int"),
        (nn.MSELoss, "got the class MSELoss; make an object of it"),
        (nn.GaussianNLLLoss(), "got GaussianNLLLoss, which takes input, target, var; write it"),
        (nn.MultiMarginLoss(), "differentiated twice, got MultiMarginLoss, which is made of straight pieces"),
    ],
)
def test_losses_that_are_none(loss, said):
    with pytest.raises((TypeError, ValueError), match=said):
        loss_of(loss)


def test_functions_of_any_kind_and_objects_that_pass_their_arguments_on():
    class Distance:
        __hash__ = None

        def __call__(self, f, y):
            return (f - y).square().sum() / 2

    class Passing(nn.MSELoss):
        def forward(self, *both):
            return super().forward(*both)

    assert torch.equal(loss_of(Distance())[0].gradient(F, ONE_HOT), F - ONE_HOT)
    torch.testing.assert_close(loss_of(Passing())[0].value(F, ONE_HOT), (F - ONE_HOT).square().mean(1))


def test_a_function_that_returns_no_number():
    with pytest.raises(ValueError, match=r"expected a number for the outputs and targets of one point, got \(3,\)"):
        loss_of(lambda f, y: (f - y) ** 2)[0].value(F, ONE_HOT)


@pytest.mark.parametrize("how", [{}, {"reduction": "sum"}, {"label_smoothing": 0.1}], ids=str)
def test_points_that_a_loss_ignores_are_refused(how):
    """Not given the influence of a loss that takes them."""
    loss, _ = loss_of(nn.CrossEntropyLoss(ignore_index=2, **how))
    for y in (CLASSES, CLASSES[:, None]):
        with pytest.raises(
            ValueError, match="y: expected no class that the loss ignores, got 2 in row 1; leave points"
        ):
            targets_of(loss, y, F, "y")
    assert torch.equal(targets_of(loss, ONE_HOT, F, "y"), ONE_HOT)


@pytest.mark.parametrize("what", ["weight", "pos_weight"])
def test_weights_of_points_are_refused(what):
    for shape in ((4, 1), (4,), (4, 3)):
        loss, _ = loss_of(nn.BCEWithLogitsLoss(**{what: torch.ones(shape)}, reduction="sum"))
        with pytest.raises(ValueError, match=f"expected a {what} for each of 3 outputs, got shape"):
            loss.value(F, ONE_HOT)


@pytest.mark.parametrize("function", [nn.functional.mse_loss, nn.functional.cross_entropy, nn.functional.nll_loss])
def test_a_function_is_kept_by_its_name(function):
    loss = loss_of(function)[0]
    assert torch.equal(pickle.loads(pickle.dumps(loss)).value(F, ONE_HOT), loss.value(F, ONE_HOT))


def test_what_was_changed_is_kept_as_it_is_now():
    other = replace(huber(0.5), flat=False)
    assert not copy.deepcopy(other).flat and copy.deepcopy(huber(0.5)).flat
