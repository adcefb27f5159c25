"""One Newton step without some points, in the parameters themselves, and small problems for it."""

from dataclasses import replace

import torch
from torch import nn

from ntkif.kernels.jacobian import jacobian
from ntkif.networks.inputs import reading_of
from ntkif.networks.losses import Loss, change_of_loss, targets_of
from ntkif.networks.modules import predict


def some(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def bent(outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.LayerNorm(3), nn.Linear(3, outputs)).double().eval()


def curved(loss: Loss) -> Loss:
    """With the curvature of half squares written out."""
    if loss.curvature:
        return loss
    return replace(loss, curvature=lambda f, y: torch.eye(f.shape[1], dtype=f.dtype).expand(len(f), -1, -1))


def parts(module, x, y, loss, output=None):
    """Jacobian, gradients and Hessians of the points' losses."""
    j, f = jacobian(module, x, output=output), predict(reading_of(module, output), x)
    y = targets_of(loss, y, f, "y")
    curvature = curved(loss).curvature(f, y)
    return j, loss.gradient(f, y), torch.einsum("iap,iab,ibq->ipq", j, curvature, j)


def hessian(hessians, ridge):
    return hessians.sum(0) + ridge * torch.eye(hessians.shape[1], dtype=hessians.dtype)


def newton_change(module, x, y, test, ridge, loss, groups=None, output=None):
    """(k, g, c) change of the linearised outputs without each set of points, without each point where absent."""
    (j, gradient, hessians), j_test = parts(module, x, y, loss, output), jacobian(module, test, output=output)
    whole, steps = hessian(hessians, ridge), []
    for group in [[i] for i in range(len(j))] if groups is None else groups:
        pull = torch.einsum("ia,iap->p", gradient[group], j[group])
        steps.append(torch.linalg.solve(whole - hessians[group].sum(0), pull))
    return torch.einsum("tap,gp->tga", j_test, torch.stack(steps))


def newton(module, x, y, test, y_test, ridge, loss, groups=None, output=None):
    """(k, g) change of the loss of each test point."""
    f = predict(reading_of(module, output), test)
    change = newton_change(module, x, y, test, ridge, loss, groups, output)
    return change_of_loss(loss.value, f, change, targets_of(loss, y_test, f, "y_test"))
