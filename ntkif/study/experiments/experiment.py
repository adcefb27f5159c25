"""What an experiment is: a function of a data set with its settings, a small witness of it, and what its columns mean.

An experiment is registered where it is written; `catalogue` gathers them.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch

from ntkif.metrics import agreement

__all__ = ["AGREEMENT", "POOLED", "REGISTERED", "Column", "Experiment", "experiment", "on_point_and_pooled"]

#: Tolerance of a value, as a share of the column's largest: coarser than any processor's rounding, finer than a page.
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Column:
    """What a column of a table means, and how it is compared when the table is made again.

    Attributes:
        meaning: in words.
        kind: `key`, what tells rows apart, compared exactly (floats to nine digits); `value`, compared to a tolerance,
            exactly where it is no float; `noise`, a rounding error, which only has to stay below a ceiling; `clock`,
            what the machine decides, such as seconds and bytes, not compared.
        bound: of a value the tolerance, as a share of the column's largest; of noise the ceiling.
    """

    meaning: str
    kind: str
    bound: float | None = None

    @property
    def compared(self) -> str:
        """How, in words."""
        words = {"key": "exactly", "clock": "not at all"}
        words |= {"value": f"to {self.bound:.0e} of the largest" if self.bound else ""}
        words |= {"noise": f"below {self.bound:.0e}" if self.bound else ""}
        return words[self.kind]

    @classmethod
    def key(cls, meaning: str) -> "Column":
        """What tells rows apart."""
        return cls(meaning, "key")

    @classmethod
    def value(cls, meaning: str, tolerance: float = _TOLERANCE) -> "Column":
        """What the experiment measures; to a wider tolerance where it magnifies rounding."""
        return cls(meaning, "value", tolerance)

    @classmethod
    def noise(cls, meaning: str, ceiling: float) -> "Column":
        """A rounding error, another one on every processor."""
        return cls(meaning, "noise", ceiling)

    @classmethod
    def clock(cls, meaning: str) -> "Column":
        """What the machine decides."""
        return cls(meaning, "clock")


#: The columns of `metrics.agreement`.
AGREEMENT = {
    "pearson": Column.value("Pearson's R of estimate and truth"),
    "spearman": Column.value("Spearman's rho of the same"),
    "slope": Column.value("of the line through the origin, below 1 where effects are understated"),
    "relative_error": Column.value("|estimate - truth| / |truth|"),
}
#: The same on the chosen test point, and over all of them: the columns of `on_point_and_pooled`.
POOLED = AGREEMENT | {
    f"pooled_{name}": Column.value(f"{column.meaning}, over all test points") for name, column in AGREEMENT.items()
}


def on_point_and_pooled(estimate: torch.Tensor, truth: torch.Tensor, point: int) -> dict[str, float]:
    """`metrics.agreement` of influences (k, r) on one test point, and over all."""
    pooled = {f"pooled_{name}": value for name, value in agreement(estimate, truth).items()}
    return agreement(estimate[point], truth[point]) | pooled


@dataclass(frozen=True)
class Experiment:
    """What can be recorded.

    Attributes:
        name: of its records.
        function: makes the table from a data set and settings.
        settings: name of a data set -> settings at full size.
        witness: the same settings, small, for the two sets of `witness.witness_set`.
        columns: name -> Column, in the order of the table; a `*` in a name stands for what the settings add.
        slice: settings that change for a part of the table at full size, whose rows stand in the whole table; none for
            all of it; None where even a part is too dear.
        slice_tolerance: of the values of a slice, where training at full size makes more of rounding than that of a
            witness.
        version: raised by hand where numbers change on purpose and no witness can see it.
        device: "cuda" of one that takes too long without a card: `python -m ntkif gpu` makes it a part at a time, and
            until then it is not recorded, or in part.
    """

    name: str
    function: Callable[..., pd.DataFrame]
    settings: dict[str, dict]
    witness: dict
    columns: dict[str, Column]
    slice: dict | None
    slice_tolerance: float = _TOLERANCE
    version: int = 1
    device: str = "cpu"


#: Name -> experiment, of the modules that were imported so far; see `catalogue.EXPERIMENTS` for all.
REGISTERED: dict[str, Experiment] = {}


def experiment(
    name: str,
    *,
    settings: dict[str, dict],
    witness: dict,
    columns: dict[str, Column],
    slice: dict | None,
    slice_tolerance: float = _TOLERANCE,
    version: int = 1,
    device: str = "cpu",
) -> Callable[[Callable], Callable]:
    """Register the function below as an experiment, see `Experiment`, and tell of its columns in its docstring."""

    def register(function: Callable) -> Callable:
        kept = settings, witness, columns, slice, slice_tolerance, version, device
        REGISTERED[name] = Experiment(name, function, *kept)
        meanings = "\n".join(f"    {column}: {columns[column].meaning}." for column in columns)
        function.__doc__ = f"{inspect.cleandoc(function.__doc__)}\n\nColumns:\n{meanings}"
        return function

    return register
