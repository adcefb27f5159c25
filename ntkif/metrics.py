"""Numbers that judge a claim: how well estimates agree with the truth, and how fast an error falls."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ntkif.checks import require_extra

__all__ = ["agreement", "error_rates", "half_squares", "lds", "misfit", "power_law", "rms", "share", "sign_alone"]


def agreement(predicted: torch.Tensor, actual: torch.Tensor) -> dict[str, float]:
    """Pearson's R, Spearman's rho, slope and relative error, together because a correlation alone hides a wrong scale.

        slope = <predicted, actual> / <actual, actual>,   relative error = ||predicted - actual|| / ||actual||

    The slope is that of the line through the origin: 1 means the right scale, below 1 that effects are understated.

    Args:
        predicted: estimates, any shape; tensors or arrays.
        actual: true values, same shape; at least two of them, not all equal.

    Returns:
        dict with keys pearson, spearman, slope, relative_error.

    Raises:
        ValueError: different shapes, fewer than two values, NaN, or constant values, which have no correlation.

    >>> agreement(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]))
    {'pearson': 1.0, 'spearman': 1.0, 'slope': 2.0, 'relative_error': 1.0}
    """
    p, a = _pairs(predicted, actual)
    return {
        "pearson": _correlation(p, a),
        "spearman": _correlation(_ranks(p), _ranks(a)),
        "slope": float(p @ a / (a @ a)),
        "relative_error": float((p - a).norm() / a.norm()),
    }


def sign_alone(predicted: torch.Tensor, actual: torch.Tensor) -> dict[str, float]:
    """What `agreement` gives to estimates of which only the sign is known: the baseline where the extremes were chosen.

        estimate = c sign(predicted),   c = <sign(predicted), actual> / <sign(predicted), sign(predicted)>

    The scale c is the best there is. If every sign is right, R is near 1 where sizes differ little, in whatever order.

    Args:
        predicted: estimates, any shape.
        actual: true values, same shape; at least two of them, not all equal.

    Returns:
        dict as of `agreement`; the correlations are NaN where all signs are the same.

    Raises:
        ValueError: as `agreement`.

    >>> known = sign_alone(torch.tensor([0.1, 5.0, -2.0]), torch.tensor([3.0, 3.0, -3.0]))
    >>> {name: round(value, 6) for name, value in known.items()}
    {'pearson': 1.0, 'spearman': 1.0, 'slope': 1.0, 'relative_error': 0.0}
    """
    p, a = _pairs(predicted, actual)
    sign, differ = p.sign(), bool(p.sign().min() < p.sign().max())
    cosine = float(sign @ a / (sign.norm() * a.norm()))
    sign = sign if cosine >= 0 else -sign  # the best factor of signs that are mostly wrong is negative
    return {
        "pearson": _correlation(sign, a) if differ else math.nan,
        "spearman": _correlation(_ranks(sign), _ranks(a)) if differ else math.nan,
        "slope": cosine**2,
        "relative_error": max(0.0, 1 - cosine**2) ** 0.5,
    }


def _pairs(predicted: torch.Tensor, actual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as flat tensors of float64, or an error that says what is wrong with them."""
    predicted, actual = _tensor(predicted), _tensor(actual)
    if predicted.shape != actual.shape or actual.numel() < 2:
        raise ValueError(
            f"expected two tensors of one shape with at least two values, "
            f"got shapes {tuple(predicted.shape)} and {tuple(actual.shape)}."
        )
    p, a = (values.detach().cpu().double().flatten() for values in (predicted, actual))
    for name, values in (("predicted", p), ("actual", a)):
        if not torch.isfinite(values).all() or values.min() == values.max():
            raise ValueError(f"{name}: expected finite values that are not all equal, got {values[:4].tolist()} ...")
    return p, a


def _tensor(values) -> torch.Tensor:
    return values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))


def _correlation(p: torch.Tensor, a: torch.Tensor) -> float:
    p, a = ((values - values.mean()) / (values - values.mean()).abs().max() for values in (p, a))
    return max(-1.0, min(1.0, float(p @ a / (p.norm() * a.norm()))))


def _ranks(values: torch.Tensor) -> torch.Tensor:
    """From 1 on, the mean where values are equal."""
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    return (count.cumsum(0) - (count - 1) / 2).to(values.dtype)[place]


def lds(predicted: torch.Tensor, actual: torch.Tensor, *, draws: int = 1000, seed: int = 0) -> dict[str, float]:
    """Linear datamodeling score with a bootstrap interval: how well the effects of leaving out subsets are ordered.

        lds = mean over test points of Spearman's rho over subsets

    The interval is of percentiles, from subsets drawn with replacement, the same for all test points. Draws in which
    values are all equal have no correlation and do not count. A subset drawn twice is a tie, which takes a little off a
    correlation that is near one: then the interval may lie below the score.

    Args:
        predicted: (k, g) estimated effects of leaving out g subsets on k test points.
        actual: (k, g) true effects.
        draws: of subsets, for the interval.
        seed: of the draws.

    Returns:
        dict with keys lds, lds_low, lds_high: the score, and 2.5 % and 97.5 % of what draws give.

    Raises:
        ValueError: different shapes, fewer than three subsets, no draws, NaN, or a test point whose values are all
            equal.

    >>> lds(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 4.0, 9.0]]))
    {'lds': 1.0, 'lds_low': 1.0, 'lds_high': 1.0}
    """
    predicted, actual = _tensor(predicted), _tensor(actual)
    if predicted.shape != actual.shape or predicted.ndim != 2 or predicted.shape[1] < 3 or draws < 1:
        raise ValueError(
            f"expected two matrices of one shape, a column for each of at least three subsets, and at least one draw, "
            f"got shapes {tuple(predicted.shape)} and {tuple(actual.shape)}, and {draws} draws."
        )
    for name, values in (("predicted", predicted), ("actual", actual)):
        if not torch.isfinite(values).all() or (values.min(1).values == values.max(1).values).any():
            raise ValueError(f"{name}: expected rows of finite values that are not all equal, got {values[:, :4]} ...")
    g = predicted.shape[1]
    drawn = torch.randint(g, (draws, g), generator=torch.Generator().manual_seed(seed))
    counts = torch.stack([torch.bincount(rows, minlength=g) for rows in drawn]).double()
    whole = _rank_correlations(torch.ones(1, g, dtype=torch.float64), predicted, actual)
    drawn = _rank_correlations(counts, predicted, actual).mean(1)
    low, high = drawn[torch.isfinite(drawn)].quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"lds": float(whole.mean()), "lds_low": low, "lds_high": high}


def _rank_correlations(counts: torch.Tensor, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """(m, k) Spearman's rho over g values, each as often as m (m, g) counts say; NaN where all are equal."""
    parts = []
    for values in (predicted, actual):
        v = values.detach().cpu().double()
        below = (v[:, None] < v[:, :, None]).double() + (v[:, None] == v[:, :, None]).double() / 2
        ranks = torch.einsum("kij,mj->mki", below, counts)  # less a half, the mean where values are equal
        parts.append(ranks - counts.sum(1)[:, None, None] / 2)
    p, a = parts
    both, of_p, of_a = (torch.einsum("mki,mki,mi->mk", left, right, counts) for left, right in ((p, a), (p, p), (a, a)))
    return (both / (of_p * of_a).sqrt()).clamp(-1, 1)


def half_squares(prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(...) half the squared error of (..., c) predictions, summed over outputs: the loss of the paper (Eq. 2).

    Args:
        prediction: (..., c).
        y: (..., c) targets, or one number for all.

    Raises:
        ValueError: targets of other outputs, such as a vector beside a column, which would be paired with all.

    >>> half_squares(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]))
    tensor([2.5000])
    """
    number = not isinstance(y, torch.Tensor) or y.ndim == 0
    if not number and (y.shape[-1] != prediction.shape[-1] or y.ndim < 2 <= prediction.ndim):
        raise ValueError(
            f"y: expected targets of shape (..., c) as the predictions, {tuple(prediction.shape)}, got "
            f"{tuple(y.shape)}; turn a vector of targets into a column with y[:, None]."
        )
    return (prediction - y).square().sum(-1) / 2


def misfit(prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(k,) whether each prediction names the wrong class: by sign for one output, by the largest of several."""
    wrong = prediction * y <= 0 if y.shape[1] == 1 else (prediction.argmax(1) != y.argmax(1))[:, None]
    return wrong[:, 0]


def power_law(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Exponent b of y = a x^b by least squares on logarithms, and its standard error.

    Args:
        x: (n,) positive numbers, at least three.
        y: (n,) positive numbers.

    Returns:
        exponent and its standard error.

    Raises:
        ValueError: fewer than three points, different lengths, or a number that is not positive.

    >>> power_law([1, 2, 4], [3, 12, 48])
    (2.0, 0.0)
    """
    require_extra("study", "scipy")
    from scipy.stats import linregress

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 3 or not (x > 0).all() or not (y > 0).all():
        raise ValueError(f"expected at least three pairs of positive numbers, got x={x.tolist()}, y={y.tolist()}.")
    line = linregress(np.log(x), np.log(y))
    return float(line.slope), float(line.stderr)


def share(condition: torch.Tensor) -> float:
    """How large a part of its cases a condition holds in, from 0 to 1; NaN where there is no case.

    Args:
        condition: bool, any shape.

    Returns:
        the number of true entries over that of all.

    Raises:
        TypeError: not of dtype bool.

    >>> share(torch.tensor([[True, False], [False, False]]))
    0.25
    """
    if condition.dtype != torch.bool:
        raise TypeError(
            f"condition: expected a tensor of dtype bool, got {condition.dtype}; compare it with something."
        )
    return float(condition.double().mean())


def error_rates(estimate: torch.Tensor, exact: torch.Tensor, dim: int | None = None) -> dict[str, torch.Tensor]:
    """The error rate of an estimate, three ways; the book uses the first, and the second beside it.

        ratio_of_sums    = Σ |estimate - exact| / Σ |exact|
        median_of_ratios = median of |estimate - exact| / |exact|, the lower of two in the middle
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
    estimate, exact = _tensor(estimate), _tensor(exact)
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


def rms(values: torch.Tensor) -> float:
    """Root mean square of all entries."""
    return float(values.double().square().mean().sqrt())
