"""What a trained network becomes without a point, by steps from its own weights: the proximal Bregman response.

A network that was stopped is at no minimum, and trained on without a point it would go on learning besides. Bae et al.
(2022) ask instead for

    θ_-i = argmin Σ_{j ≠ i} D_j(θ) - g_iᵀ f(x_i; θ) + λ/2 |θ - θ̂|²,    D_j = l(f_j) - l(f̂_j) - g_jᵀ (f_j - f̂_j)

with f̂ the outputs at the trained weights θ̂ and g the gradients of the losses there. Without a removal it stays where it
is. To second order its solution is the step that `NetworkInfluence` takes; but here the network bends as it does.
"""

import copy

import torch

from ntkif.influence.network import NetworkInfluence
from ntkif.networks.modules import trained_parameters
from ntkif.retraining.leave_one_out import check_row

__all__ = ["response"]

_POINT_BLOCK = 500  # of a gradient, for which a convolution is fastest
_ENOUGH = 1e-6  # of the first gradient


def response(model: NetworkInfluence, row: int, *, steps: int = 50) -> tuple[torch.nn.Module, float]:
    """The network without a training point.

    By L-BFGS in the coordinates u of θ = θ̂ + L^-T u, with L Lᵀ the Hessian to second order: in these the objective is
    nearly a sphere, so that few steps do, of one or two passes over the points each.

    Args:
        model: of the network, with a column for each parameter (`projections`), so that its Hessian is whole.
        row: the point.
        steps: at most.

    Returns:
        the network, a `Reading` of it, and what is left of the gradient |L^-1 ∇| of the first step, as a share.

    Raises:
        ValueError: a model without the whole Hessian, or a point that is not there.
    """
    check_row(row, len(model.y))
    if not getattr(model.kernel, "exact", False):
        raise ValueError("model: expected a column for each parameter; pass projections=10**6, say.")
    network, factor = copy.deepcopy(model.reading), model.fit.factor
    values = list(trained_parameters(network).values())
    begin = [value.detach().clone() for value in values]
    u, sizes = torch.zeros_like(factor[0]).requires_grad_(), []

    def objective() -> torch.Tensor:
        way = torch.linalg.solve_triangular(factor.T, u.detach()[:, None], upper=True)[:, 0]
        for value, first, part in zip(values, begin, model.kernel.movement(way), strict=True):
            value.data = first + part.to(first)
        total, gradient = _objective(model, network, row, values, begin)
        columns = model.kernel.columns(gradient).to(factor)
        u.grad = torch.linalg.solve_triangular(factor, columns[:, None], upper=False)[:, 0]
        sizes.append(float(u.grad.norm()))
        return total

    objective()
    how = {"history_size": 20, "line_search_fn": "strong_wolfe", "tolerance_change": 0.0}
    torch.optim.LBFGS([u], max_iter=steps, tolerance_grad=_ENOUGH * float(u.grad.abs().max()), **how).step(objective)
    objective()
    return network, sizes[-1] / sizes[0]


def _objective(model: NetworkInfluence, network: torch.nn.Module, row: int, values, begin):
    """The objective, and its gradient by each parameter."""
    away = [(value - first).detach() for value, first in zip(values, begin, strict=True)]
    total = sum(ridge / 2 * each.square().sum() for ridge, each in zip(model.totals.values(), away, strict=True))
    gradient = [ridge * each for ridge, each in zip(model.totals.values(), away, strict=True)]
    slopes = model.loss.gradient(model.prediction, model.y)
    losses = model.loss.value(model.prediction, model.y)
    for rows in torch.arange(len(model.y)).split(_POINT_BLOCK):
        outputs = model.points[rows].predicted_by(network)
        change = (slopes[rows] * (outputs - model.prediction[rows])).sum(1)
        parts = model.loss.value(outputs, model.y[rows]) - losses[rows] - change
        parts = torch.where(rows == row, -change, parts).sum()
        gradient = [whole + part for whole, part in zip(gradient, torch.autograd.grad(parts, values), strict=True)]
        total = total + parts.detach()
    return total, gradient
