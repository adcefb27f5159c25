"""Numbers that judge a claim: how well estimates agree with the truth, and how fast an error falls."""

from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["agreement", "misfit", "power_law"]


def agreement(predicted: torch.Tensor, actual: torch.Tensor) -> dict[str, float]:
    """Pearson's R, Spearman's rho, slope and relative error, together because a correlation alone hides a wrong scale.

        slope = <predicted, actual> / <actual, actual>,   relative error = ||predicted - actual|| / ||actual||

    The slope is that of the line through the origin: 1 means the right scale, below 1 that effects are understated.

    Args:
        predicted: estimates, any shape.
        actual: true values, same shape; at least two of them, not all equal.

    Returns:
        dict with keys pearson, spearman, slope, relative_error.

    Raises:
        ValueError: different shapes, fewer than two values, NaN, or constant values, which have no correlation.

    >>> agreement(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]))
    {'pearson': 1.0, 'spearman': 1.0, 'slope': 2.0, 'relative_error': 1.0}
    """
    from scipy.stats import pearsonr

    if predicted.shape != actual.shape or actual.numel() < 2:
        raise ValueError(
            f"expected two tensors of one shape with at least two values, "
            f"got shapes {tuple(predicted.shape)} and {tuple(actual.shape)}."
        )
    p, a = (values.detach().cpu().double().flatten() for values in (predicted, actual))
    for name, values in (("predicted", p), ("actual", a)):
        if not torch.isfinite(values).all() or values.min() == values.max():
            raise ValueError(f"{name}: expected finite values that are not all equal, got {values[:4].tolist()} ...")
    ranks = (_ranks(values.numpy()) for values in (p, a))
    return {
        "pearson": float(pearsonr(p.numpy(), a.numpy()).statistic),
        "spearman": float(pearsonr(*ranks).statistic),
        "slope": float(p @ a / (a @ a)),
        "relative_error": float((p - a).norm() / a.norm()),
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0, the mean of theirs for equal values; several times as fast as SciPy's, whose sort is stable."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(first, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(first + (counts - 1) / 2, counts)
    return ranks


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
    from scipy.stats import linregress

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 3 or not (x > 0).all() or not (y > 0).all():
        raise ValueError(f"expected at least three pairs of positive numbers, got x={x.tolist()}, y={y.tolist()}.")
    line = linregress(np.log(x), np.log(y))
    return float(line.slope), float(line.stderr)
