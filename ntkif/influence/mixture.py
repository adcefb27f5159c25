"""Data in tight clusters (Definition 1) and what Theorem 4 says about IHVP there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_ridge
from ntkif.regression.ridge import RidgeFit

__all__ = [
    "Mixture",
    "cluster_ceiling",
    "cluster_spread",
    "largest_eigenvalue",
    "own_concentration",
    "sample_mixture",
    "smallest_ridge",
]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Points of two classes on the unit sphere, in clusters whose points are within a radius of their mean.

    Attributes:
        x_train, x_test: (n, d) and (k, d) points, rows of norm one.
        y_train, y_test: (n, 1) and (k, 1) targets, +1 or -1.
        cluster_train, cluster_test: (n,) and (k,) number of each point's cluster, from 0.
        centres: (clusters, d) middles of the clusters, of norm one; their means are nearer to 0 by less than r^2.
        counts: training points of each cluster.
        radius: r of Definition 1.
    """

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    cluster_train: torch.Tensor
    cluster_test: torch.Tensor
    centres: torch.Tensor
    counts: tuple[int, ...]
    radius: float


def sample_mixture(
    counts: Sequence[int], *, radius: float, seed: int, d: int = 100, n_test: int | None = None
) -> Mixture:
    """Two classes with clusters of the given sizes each, as in Figure 12.

    The centres are uniform on the sphere. Around its centre each cluster is uniform, to second order in the radius, in
    a cap of the sphere whose points are nearer to the centre than the radius (and nearer to their mean: (A2)).

    Args:
        counts: training points of each cluster of one class; the other class has the same.
        radius: r, at most 1.
        seed: of the draw, on the CPU in float64.
        d: dimensions, at least 2.
        n_test: test points, drawn from the mixture; a tenth of the training points where absent.

    Returns:
        the points, cluster by cluster, those of the class +1 first.

    Raises:
        ValueError: no cluster or an empty one, a radius outside (0, 1], or fewer than two dimensions.
    """
    if not counts or min(counts) < 1 or not 0 < radius <= 1 or d < 2:
        raise ValueError(
            f"expected clusters of at least one point, a radius above 0 and at most 1 and at least two dimensions, "
            f"got counts {list(counts)}, radius {radius}, d {d}."
        )
    generator, counts = torch.Generator().manual_seed(seed), tuple(counts) * 2
    centres = _unit(torch.randn(len(counts), d, generator=generator, dtype=torch.float64))
    cluster_train = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    share = torch.tensor(counts, dtype=torch.float64)
    wanted = n_test or max(1, len(cluster_train) // 10)
    cluster_test = torch.multinomial(share, wanted, replacement=True, generator=generator).sort().values
    x_train, x_test = (_around(centres[cluster], radius, generator) for cluster in (cluster_train, cluster_test))
    y_train, y_test = ((1.0 - 2 * (c >= len(counts) // 2).double())[:, None] for c in (cluster_train, cluster_test))
    return Mixture(x_train, y_train, x_test, y_test, cluster_train, cluster_test, centres, counts, radius)


def cluster_spread(radius: float, *, as_printed: bool = False) -> float:
    """ε_r^2, above which |J(x) - J(x')|^2 does not lie for two points of one cluster (Theorem 4 and Eq. 79).

        |J(x) - J(x')|^2 = 1 - x.x' (π - arccos x.x') / π <= 2 r^2 + arccos(1 - 2 r^2) / π

    Args:
        radius: r, at most 1.
        as_printed: as in the paper, which leaves out the last π: larger, so still a bound.

    Returns:
        ε_r^2.

    Raises:
        ValueError: a radius outside (0, 1].
    """
    if not 0 < radius <= 1:
        raise ValueError(
            f"radius: expected a number above 0 and at most 1, where two points of a cluster can be opposite on the "
            f"sphere, got {radius}; give the largest distance of a point from the mean of its cluster."
        )
    angle = math.acos(1 - 2 * radius**2)
    return 2 * radius**2 + (angle if as_printed else angle / math.pi)


def smallest_ridge(radius: float, largest_eigenvalue: float) -> float:
    """Theorem 4's condition: the ridge has to exceed √2 λ_max ε_r / (1 - √2 ε_r), with ε_r as printed.

    Raises:
        ValueError: a radius outside (0, 1], or so large that √2 ε_r >= 1, where no ridge is large enough.
    """
    spread = math.sqrt(2 * cluster_spread(radius, as_printed=True))
    if spread >= 1:
        raise ValueError(f"radius: expected √2 ε_r below 1, got {spread:.3g} at r = {radius}; use tighter clusters.")
    return largest_eigenvalue * spread / (1 - spread)


def largest_eigenvalue(kernel: torch.Tensor) -> float:
    """λ_max of a kernel matrix, by SciPy's Lanczos iteration, always from the same start."""
    from scipy.sparse.linalg import eigsh

    start = np.ones(len(kernel))
    return float(eigsh(kernel.cpu().numpy(), k=1, v0=start, return_eigenvectors=False)[0])


@torch.no_grad()
def own_concentration(fit: RidgeFit, *, block_size: int = 512) -> torch.Tensor:
    """The least γ of Theorem 4 for each training point: |[α(x_i)]_i| <= sqrt(γ / n) |α(x_i)|.

        α(x_i) = e_i - λ M e_i,   [α(x_i)]_i = A_i,   γ_i = n A_i^2 / |α(x_i)|^2

    Args:
        fit: kernel ridge fit of the n training points.
        block_size: points handled at once.

    Returns:
        (n,) γ_i; the theorem's γ is the largest. Its bound on A_i is sqrt(γ / (n n_k)) in a cluster of n_k points.
    """
    leverage, every = fit.leverage, torch.arange(len(fit.dual), device=fit.dual.device)
    out = torch.empty_like(leverage)
    for rows in row_blocks(len(out), block_size):
        alpha = fit.inverse[every[rows]] * -fit.ridge  # by numbers: a fit in tiles has no slices of its inverse
        alpha.diagonal(rows.start).add_(1)
        out[rows] = len(out) * leverage[rows].square() / alpha.square().sum(1)
    return out


def cluster_ceiling(count: int, radius: float, ridge: float) -> float:
    """A number above every leverage in a cluster, for any ridge and without γ (not in the paper).

        A_i <= 1 / (n_k + 2 λ) + ε_r^2 / λ

    It follows from `bounds.neighbour_ceiling` with the cluster as the neighbours, whose kernel is at least
    (1 - ε_r^2) / 2 with the point and at most 1/2 among each other; for ε_r > 1 it is trivial, as A_i <= 1 / (2 λ).

    Args:
        count: training points n_k of the cluster.
        radius: r of Definition 1.
        ridge: penalty λ > 0.

    Returns:
        the bound.

    Raises:
        ValueError: the ridge is not positive, or a radius outside (0, 1].
    """
    check_ridge(ridge, positive=True)
    return 1 / (count + 2 * ridge) + cluster_spread(radius) / ridge


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows)


def _around(centres: torch.Tensor, radius: float, generator: torch.Generator) -> torch.Tensor:
    """A point within `radius` of each centre, on the unit sphere."""
    n, d = centres.shape
    step = torch.randn(n, d, generator=generator, dtype=torch.float64)
    step = _unit(step - (step * centres).sum(1, keepdim=True) * centres)  # at right angles to the centre
    chord = radius * torch.rand(n, 1, generator=generator, dtype=torch.float64) ** (1 / (d - 1))
    angle = 2 * torch.asin(chord / 2)
    return torch.cos(angle) * centres + torch.sin(angle) * step
