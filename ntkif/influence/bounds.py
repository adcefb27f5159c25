"""How wrong IHVP is in the NTK regime: error rates, Theorem 3, and what the leverage says point by point.

Everything rests on one identity, I - Î = A_i I + (1 - A_i) II with the leverage A_i and term II of Eq. 14 (appendix,
Eq. 65): the bounds follow from bounds on A_i, which lies between 0 and 1.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_matrix, check_ridge, require_extra
from ntkif.regression.ridge import RidgeFit

__all__ = [
    "cluster_ceiling",
    "cluster_spread",
    "concentration",
    "largest_eigenvalue",
    "leverage_bounds",
    "leverage_ceiling",
    "leverage_floor",
    "neighbour_ceiling",
    "own_concentration",
    "smallest_ridge",
    "theorem_3_bound",
]


def theorem_3_bound(
    influence: torch.Tensor, term_two: torch.Tensor, smallest_eigenvalue: float, ridge: float
) -> torch.Tensor:
    """Theorem 3's lower bound on |I - Î| for each pair (Eq. 16).

        λ_min / (λ_min + λ) |I| - II

    Args:
        influence: (k, n) exact influence I.
        term_two: (k, n) term II of Eq. 14.
        smallest_eigenvalue: λ_min of the training kernel.
        ridge: penalty λ.

    Returns:
        (k, n) bound; where it is negative it says nothing.
    """
    return leverage_floor(smallest_eigenvalue, ridge) * influence.abs() - term_two


def leverage_bounds(
    influence: torch.Tensor, term_two: torch.Tensor, leverage: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper bound on |I - Î| for each pair, from the leverage of its training point (as in Eq. 65, 74).

        |A_i |I| - (1 - A_i) II|  <=  |I - Î|  <=  A_i |I| + (1 - A_i) II

    The upper one is met where the point is helpful (I > 0), the lower one where it is harmful.

    Args:
        influence: (k, n) exact influence I.
        term_two: (k, n) term II of Eq. 14.
        leverage: (n,) leverage A_i.

    Returns:
        two (k, n) matrices.
    """
    first, second = leverage * influence.abs(), (1 - leverage) * term_two
    return (first - second).abs(), first + second


def leverage_floor(eigenvalue: float, ridge: float) -> float:
    """λ_min / (λ_min + λ), below which no leverage lies (Eq. 63); with λ_max, above which none lies (remark).

    Raises:
        ValueError: the ridge is not positive.
    """
    check_ridge(ridge, positive=True)
    return eigenvalue / (eigenvalue + ridge)


def leverage_ceiling(ridge: float) -> float:
    """1 / (1 + 2 λ), above which no leverage lies (not in the paper).

    A_i is the mean of the concave function w / (w + λ) over eigenvalues w, weighted by the squares of the i-th entries
    of their eigenvectors. By Jensen it is at most the value at the weighted mean of w, which is K(x_i, x_i) = 1/2.

    Raises:
        ValueError: the ridge is not positive.
    """
    check_ridge(ridge, positive=True)
    return 1 / (1 + 2 * ridge)


@torch.no_grad()
def neighbour_ceiling(k_train_train: torch.Tensor, ridge: float, sizes: Sequence[int]) -> torch.Tensor:
    """A number above the leverage of each point, from the kernel among its nearest neighbours alone (not in the paper).

    The leverage is the least value of a ridge problem, A_i = min_α |J_i - J α|^2 / λ + |α|^2. Any α bounds it; equal
    weights on the s nearest neighbours (the point itself is one), of the best size, give

        A_i <= (1/λ) (K_ii - a^2 / (λ/s + b)),   a = mean_j K_ij,   b = mean_jl K_jl   over the neighbours j, l

    So where data are dense the leverage, and with it the error of IHVP, is small: with s copies of a point it is
    1 / (s + 2 λ).

    Args:
        k_train_train: (n, n) kernel of the training points.
        ridge: penalty λ > 0.
        sizes: numbers of neighbours s to try, each at most n. Working memory is 64 s^2 numbers beside (n, s).

    Returns:
        (n,) the least of the bounds.

    Raises:
        ValueError: a ridge that is not positive, or a size below 1 or above n.
    """
    n = len(k_train_train)
    check_matrix("k_train_train", k_train_train, rows=n, columns=n)
    check_ridge(ridge, positive=True)
    if not sizes or min(sizes) < 1 or max(sizes) > n:
        raise ValueError(f"sizes: expected numbers of neighbours from 1 to {n}, got {list(sizes)}.")
    best = k_train_train.new_full((n,), float("inf"))
    for rows in row_blocks(n, 64):
        nearest = k_train_train[rows].topk(max(sizes), dim=1).indices
        for s in sizes:
            chosen = nearest[:, :s]
            a = k_train_train[rows].gather(1, chosen).mean(1)
            b = k_train_train[chosen[:, :, None], chosen[:, None, :]].mean((1, 2))
            bound = (k_train_train.diagonal()[rows] - a.square() / (ridge / s + b)) / ridge
            best[rows] = torch.minimum(best[rows], bound)
    return best


def concentration(coefficients: torch.Tensor) -> torch.Tensor:
    """The least γ with |α_i| <= sqrt(γ / n) |α| for all i, the assumption of Eq. 17: how far one entry stands out.

    Args:
        coefficients: (k, n) coefficients α(x_i, x_te).

    Returns:
        (k,) γ = n max_i α_i^2 / |α|^2, from 1 where all entries are alike to n where all but one are zero.
    """
    square = coefficients.square()
    return coefficients.shape[1] * square.amax(1) / square.sum(1)


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
    require_extra("study", "scipy")
    from scipy.sparse.linalg import eigsh

    start = 1 + 0.5 * np.sin(np.arange(len(kernel)))  # ones alone may be an eigenvector of zero
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
