"""How dense the training images lie around each of them: kernel density estimates, up to a constant.

In hundreds of dimensions such an estimate depends on choices that nothing decides, so there are two here, and the width
of the first is an argument. Ranks do not depend on whether a point counts as its own neighbour.
"""

import math

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_matrix, check_unit_rows, require_extra

__all__ = ["median_distance", "nearest_distance", "pca_density", "sphere_density"]


@torch.no_grad()
def sphere_density(x: torch.Tensor, bandwidth: float, *, block_size: int = 512) -> torch.Tensor:
    """Logarithm of the Gaussian kernel density at each point, of the other points, up to a constant.

        log p(x_i) = log 1/(n-1) Σ_{j≠i} exp(-|x_i - x_j|^2 / (2 h^2)) + constant

    On the unit sphere this is the von Mises-Fisher kernel, exp(x_i.x_j / h^2).

    Args:
        x: (n, d) points, rows of norm one.
        bandwidth: h, a distance; see `median_distance` and `nearest_distance` for rules.
        block_size: points handled at once.

    Returns:
        (n,) log densities.

    Raises:
        TypeError, ValueError: wrong shape, rows not of norm one, fewer than two points, or a bandwidth not positive.
    """
    _check_points(x)
    if not bandwidth > 0:
        raise ValueError(f"bandwidth: expected a positive distance (points are at most 2 apart), got {bandwidth}.")
    out = x.new_empty(len(x))
    for rows in row_blocks(len(x), block_size):
        exponent = (x[rows] @ x.T).sub_(1).div_(bandwidth**2)
        exponent.diagonal(rows.start).fill_(-math.inf)
        out[rows] = exponent.logsumexp(1)
    return out - math.log(len(x) - 1)


@torch.no_grad()
def median_distance(x: torch.Tensor) -> float:
    """Median distance between two points, the rule of kernel methods for a bandwidth: wide, as most pairs are apart."""
    _check_points(x)
    above = torch.triu_indices(len(x), len(x), 1)
    return float((2 - 2 * (x @ x.T)[above[0], above[1]]).clamp_(min=0).median().sqrt())


@torch.no_grad()
def nearest_distance(x: torch.Tensor, *, block_size: int = 512) -> float:
    """Median distance of a point to its nearest neighbour: half of the points have another one within it."""
    _check_points(x)
    nearest = x.new_empty(len(x))
    for rows in row_blocks(len(x), block_size):
        cosine = x[rows] @ x.T
        cosine.diagonal(rows.start).fill_(-math.inf)
        nearest[rows] = cosine.amax(1)
    return float((2 - 2 * nearest).clamp_(min=0).sqrt().median())


@torch.no_grad()
def pca_density(x: torch.Tensor, components: int) -> torch.Tensor:
    """Logarithm of the density at each point after a principal component analysis, by SciPy's `gaussian_kde`.

    Its bandwidth is Scott's rule, n^(-1 / (components + 4)) times the standard deviation of each component, so all
    components count alike.

    Args:
        x: (n, d) points.
        components: principal components kept.

    Returns:
        (n,) log densities in the space of the components.

    Raises:
        ValueError: wrong shape, NaN, or components below 1 or not below the number of points or inputs.
    """
    require_extra("study", "scipy")
    from scipy.stats import gaussian_kde

    check_matrix("x", x)
    if not 1 <= components < min(x.shape):
        raise ValueError(f"components: expected from 1 to {min(x.shape) - 1}, got {components}.")
    centred = x - x.mean(0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -components:]
    scores = (centred @ axes).T.cpu().numpy()
    return torch.from_numpy(gaussian_kde(scores, bw_method="scott").logpdf(scores)).to(x)


def _check_points(x: torch.Tensor) -> None:
    check_matrix("x", x)
    check_unit_rows("x", x)
    if len(x) < 2:
        raise ValueError("x: expected at least two points, got one.")
