"""Numerical inversion of the Laplace transform on Talbot's contour: functions of time from resolvents."""

import math
from functools import lru_cache

import torch

__all__ = ["quadrature_error", "talbot"]


def talbot(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of the midpoint rule on a contour around the negative real axis.

    A function f(t) with Laplace transform F(s), real for real s and analytic off the half-line s <= 0, is

        f(t) = 1/(2πi) ∫ e^{st} F(s) ds ≈ Re Σ_q weights_q F(nodes_q / t) / t

    on the contour z(θ) = N (0.5017 θ cot(0.6407 θ) - 0.6122 + 0.2645 i θ), -π < θ < π, whose error falls nearly as
    3.89^-N (Weideman, SIAM J. Numer. Anal. 44, 2006; constants of Trefethen, Weideman and Schmelzer, BIT 46, 2006).
    Nodes come in conjugate pairs, of which one is kept. The weights grow as 1.19^N, and rounding with them.

    Args:
        count: number N of nodes, even; half as many are returned.

    Returns:
        nodes and weights, each (count / 2,) complex128.

    Raises:
        ValueError: `count` is not a positive even number.

    >>> nodes, weights = talbot(24)
    >>> round(float((weights / (nodes + 1)).sum().real), 9), round(math.exp(-1), 9)  # F(s) = 1 / (s + 1) at t = 1
    (0.367879441, 0.367879441)
    """
    if count < 2 or count % 2:
        raise ValueError(f"count: expected a positive even number of nodes, got {count}.")
    angle = math.pi / count * (2 * torch.arange(count // 2, dtype=torch.float64) + 1)
    cotangent = 1 / torch.tan(0.6407 * angle)
    nodes = count * torch.complex(0.5017 * angle * cotangent - 0.6122, 0.2645 * angle)
    slope = 0.5017 * (cotangent - 0.6407 * angle / torch.sin(0.6407 * angle) ** 2)
    derivative = count * torch.complex(slope, torch.full_like(slope, 0.2645))
    return nodes, nodes.exp() * derivative * (2 / (1j * count))


@lru_cache
def quadrature_error(count: int) -> float:
    """Largest relative error of the rule for how far a mode has learnt, (1 - e^{-x})/x, whatever its rate x >= 0.

    Gradient flow on a kernel is a sum of such modes, with x = (eigenvalue + ridge) t.

    Args:
        count: number of nodes, see `talbot`.
    """
    nodes, weights = talbot(count)
    rate = torch.logspace(-8, 12, 401, dtype=torch.float64)
    exact = -torch.expm1(-rate) / rate
    return float((((weights / nodes) / (nodes + rate[:, None])).sum(1).real / exact - 1).abs().max())
