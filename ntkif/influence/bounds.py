"""How wrong IHVP is in the NTK regime: error rates, Theorem 3, and what the leverage says point by point.

Everything rests on one identity, I - Î = A_i I + (1 - A_i) II with the leverage A_i and term II of Eq. 14 (appendix,
Eq. 65): the bounds follow from bounds on A_i, which lies between 0 and 1.
"""

from collections.abc import Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_matrix, check_ridge

__all__ = [
    "concentration",
    "error_rates",
    "leverage_bounds",
    "leverage_ceiling",
    "leverage_floor",
    "neighbour_ceiling",
    "theorem_3_bound",
]


def error_rates(estimate: torch.Tensor, exact: torch.Tensor, dim: int | None = None) -> dict[str, torch.Tensor]:
    """The error rate of an estimate, three ways; the book uses the first, and the second beside it.

        ratio_of_sums    = Σ |estimate - exact| / Σ |exact|
        median_of_ratios = median of |estimate - exact| / |exact|
        mean_of_ratios   = mean of the same, which has heavy tails: influences near zero are divided by almost nothing

    Args:
        estimate: estimated influences, any shape.
        exact: exact influences, same shape.
        dim: over which to sum, e.g. 0 for a rate of each training point; over everything where absent.

    Returns:
        dict with those three keys, of tensors without `dim`.

    Raises:
        ValueError: different shapes.

    >>> rates = error_rates(torch.tensor([0.5, 4.0, 9.0]), torch.tensor([1.0, 5.0, 10.0]))
    >>> {name: round(float(rate), 3) for name, rate in rates.items()}
    {'ratio_of_sums': 0.156, 'median_of_ratios': 0.2, 'mean_of_ratios': 0.267}
    """
    if estimate.shape != exact.shape:
        raise ValueError(f"expected two tensors of one shape, got {tuple(estimate.shape)} and {tuple(exact.shape)}.")
    if dim is None:
        estimate, exact, dim = estimate.flatten(), exact.flatten(), 0
    error, size = (estimate - exact).abs(), exact.abs()
    ratio = error / size
    return {
        "ratio_of_sums": error.sum(dim) / size.sum(dim),
        "median_of_ratios": ratio.median(dim).values,
        "mean_of_ratios": ratio.mean(dim),
    }


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
