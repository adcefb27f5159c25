"""Whether influences through training are to be believed: removals that were carried out beside their prediction."""

import math
from dataclasses import dataclass

import torch

from ntkif.checks import warn
from ntkif.metrics import agreement

__all__ = ["Estimate", "NotPredictableError", "scores"]

_WARN, _REFUSE = 0.3, 0.5  # relative error of the check


class NotPredictableError(ValueError):
    """The training's own removals are predicted too badly for its influences to be believed."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Influences by one curvature, and how well what was carried out is predicted by it.

    Attributes:
        curvature: of the reverse pass.
        influence: (k, n).
        first_order: (k, n) to first order.
        check: as of `scores`.
    """

    curvature: str
    influence: torch.Tensor
    first_order: torch.Tensor
    check: dict[str, float | str]

    @property
    def error(self) -> float:
        """The relative error of the check."""
        return self.check["relative_error"]

    @property
    def good(self) -> bool:
        """Whether nothing has to be said."""
        return self.error <= _WARN

    def judge(self) -> None:
        """Warn who asked, or refuse.

        Raises:
            NotPredictableError: the error is above 0.5, or no number.

        Warns:
            UserWarning: it is above 0.3.
        """
        told = f"removals that were carried out are predicted with a relative error of {self.error:.2g}"
        if not self.error <= _REFUSE:
            raise NotPredictableError(
                f"{told}, above {_REFUSE}: nobody can know these influences from one training. Train with a smaller "
                f"learning rate or fewer epochs, or retrain with `without`; trust=True gives the numbers all the same."
            )
        if not self.good:
            warn(f"{told}; expect influences about as far off.")


def scores(of: str, found: torch.Tensor, truth: torch.Tensor) -> dict[str, float | str]:
    """Scores of `agreement`, and what they are of.

    Of what is not finite an infinite error; without correlations where nothing differs.
    """
    finite = bool(torch.isfinite(found).all() and torch.isfinite(truth).all())
    if finite and found.min() < found.max() and truth.min() < truth.max():
        return {"of": of} | agreement(found, truth)
    error = math.inf
    if finite:  # where nothing was trained and that is predicted, both are zero
        error = 0.0 if torch.equal(found, truth) else float((found - truth).norm() / truth.norm())
    return {"of": of} | dict.fromkeys(("pearson", "spearman", "slope"), math.nan) | {"relative_error": error}
