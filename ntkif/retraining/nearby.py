"""Networks retrained from trained weights to the minimum nearby, without a point: few steps, for many points.

With H = L Lᵀ the Hessian of a network near it, its own curvature left out, weights are θ = θ₀ + L^-T u. In u the
objective is nearly a sphere, so L-BFGS takes few steps, of one or two passes over the points each.
"""

import copy

import torch

from ntkif.influence.network import NetworkInfluence
from ntkif.networks.inputs import reading_of
from ntkif.networks.modules import trained_parameters

__all__ = ["settled"]

_POINT_BLOCK = 500  # of a gradient, for which a convolution is fastest
_ENOUGH = 1e-9  # of the first gradient


def settled(
    model: NetworkInfluence,
    network: torch.nn.Module,
    start: torch.nn.Module,
    *,
    without: int | None = None,
    steps: int = 100,
) -> tuple[torch.nn.Module, float]:
    """The minimum of Eq. 2 near a network, with all points or without one.

    Args:
        model: of the network or of one near it, with its points, targets, loss and ridge, and with a column for each
            parameter (`projections`), so that H is whole.
        network: from which to go on; not changed.
        start: of its training, to which the penalty refers.
        without: the point that is left out.
        steps: at most.

    Returns:
        the network there, and what is left of the gradient that it began with, |L^-1 g| as a share.

    Raises:
        ValueError: a model without whole H.
    """
    if not getattr(model.kernel, "exact", False):
        raise ValueError("model: expected a column for each parameter; pass projections=10**6, say.")
    moved, kept, factor = copy.deepcopy(network), torch.arange(len(model.y)), model.fit.factor
    kept = kept if without is None else kept[kept != without]
    values, origin = (list(trained_parameters(each).values()) for each in (moved, start))
    begin = [value.detach().clone() for value in values]
    u, sizes = torch.zeros_like(factor[0]).requires_grad_(), []

    def objective() -> torch.Tensor:
        way = torch.linalg.solve_triangular(factor.T, u.detach()[:, None], upper=True)[:, 0]
        for value, first, part in zip(values, begin, model.kernel.movement(way), strict=True):
            value.data = first + part.to(first)
        total, gradient = _objective(model, moved, kept, values, origin)
        columns = model.kernel.columns(gradient).to(factor)
        u.grad = torch.linalg.solve_triangular(factor, columns[:, None], upper=False)[:, 0]
        sizes.append(float(u.grad.norm()))
        return total

    enough = _ENOUGH * float(objective() * 0 + u.grad.norm())
    descent = torch.optim.LBFGS(
        [u], max_iter=steps, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=enough, tolerance_change=0.0
    )
    descent.step(objective)
    objective()
    return moved, sizes[-1] / sizes[0]


def _objective(model: NetworkInfluence, moved: torch.nn.Module, kept: torch.Tensor, values, origin):
    """The objective of some points, and its gradient by each parameter."""
    away = [(value - begin).detach() for value, begin in zip(values, origin, strict=True)]
    total = sum(ridge / 2 * each.square().sum() for ridge, each in zip(model.totals.values(), away, strict=True))
    gradient = [ridge * each for ridge, each in zip(model.totals.values(), away, strict=True)]
    reading = reading_of(moved, model.output)
    for rows in kept.split(_POINT_BLOCK):
        loss = model.loss.value(model.points[rows].predicted_by(reading), model.y[rows]).sum()
        gradient = [whole + part for whole, part in zip(gradient, torch.autograd.grad(loss, values), strict=True)]
        total = total + loss.detach()
    return total, gradient
