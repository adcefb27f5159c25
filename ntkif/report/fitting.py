"""The fit of a report: what it needs, said before it starts, and an estimator with kernel and ridge chosen."""

from dataclasses import dataclass

import numpy as np
import torch

from ntkif.checks import available_bytes
from ntkif.estimators.classifier import NTKInfluenceClassifier
from ntkif.estimators.points import APPEND_ONE
from ntkif.estimators.regressor import NTKInfluence
from ntkif.report.encoding import CLASSIFICATION

__all__ = ["BLOCK", "CHOSEN_OF", "KERNELS", "Plan", "fitted", "plan"]

KERNELS = ("ntk", "deep_ntk")
CHOSEN_OF, BLOCK = 3000, 512
_SPARE = 6  # matrices of a block of rows and all rows, at once


@dataclass(frozen=True)
class Plan:
    """How a fit of so many rows will go.

    Attributes:
        rows: that are fitted.
        tiled: whether the kernel is held in tiles, a quarter of the memory.
        needed: bytes at most.
        free: bytes, or None where the system does not say.
    """

    rows: int
    tiled: bool
    needed: int
    free: int | None

    def __str__(self) -> str:
        """In words."""
        way = "in tiles" if self.tiled else "in one piece"
        free = "" if self.free is None else f" of {self.free / 2**30:.1f} GiB that are free"
        return f"{self.rows} rows, kernel {way}: needs up to {self.needed / 2**30:.2f} GiB{free}"


def plan(rows: int, columns: int, device: str = "cpu") -> Plan:
    """What a fit needs: a kernel and its inverse, or half of one in tiles where they would not fit.

    Args:
        rows: training points.
        columns: numbers of each.
        device: where it is computed.

    Raises:
        MemoryError: not even the tiles fit.
    """
    free = available_bytes(torch.device(device))
    beside = 8 * (4 * rows * columns + _SPARE * BLOCK * rows + 5 * min(rows, CHOSEN_OF) ** 2)
    whole, tiles = 8 * 2 * rows**2 + beside, 4 * rows**2 + beside
    if free is None or whole <= free:
        return Plan(rows, False, whole, free)
    if tiles <= free:
        return Plan(rows, True, tiles, free)
    most = int(0.8 * rows * (free / tiles) ** 0.5)
    raise MemoryError(
        f"{rows} rows need {tiles / 2**30:.1f} GiB even in tiles, but {free / 2**30:.1f} GiB are free; take a random "
        f"subset, --rows {most}, or fit all of them in features with `nystrom_fit` of ntkif.regression.nystrom."
    )


def fitted(
    x: np.ndarray, y: np.ndarray, task: str, *, images: bool, device: str = "cpu", seed: int = 0
) -> tuple[NTKInfluence, list[str]]:
    """The estimator, with kernel and ridge of the least leave-one-out error, and what was done, in sentences.

    Args:
        x: (n, d) numbers.
        y: (n,) targets.
        task: "classification" or "regression".
        images: whether rows are images, which are divided by their norm; other rows get a 1 at their end first.
        device: where it is computed.
        seed: of the rows that the choice is made on where there are more than 3000.
    """
    kind = NTKInfluenceClassifier if task == CLASSIFICATION else NTKInfluence
    options = {"normalize": True if images else APPEND_ONE, "device": device, "block_size": BLOCK}
    chosen_on = _drawn(y, task, seed) if len(x) > CHOSEN_OF else slice(None)
    model = kind(ridge="loo", kernel=list(KERNELS), **options).fit(x[chosen_on], y[chosen_on])
    said = "all rows"
    if len(x) > CHOSEN_OF:
        model = kind(ridge=model.ridge_, kernel=model.kernel_, **options).fit(x, y)
        said = f"{CHOSEN_OF} rows, drawn at random (seed {seed})"
    notes = [f"Of two kernels and fifteen ridges the pair with the least leave-one-out error on {said} was taken."]
    if not images:
        notes.append("Each row got a 1 at its end and was divided by its norm, as for a network with biases.")
    return model, [*notes, "All of this is held fixed when a row is left out; the fit itself is not: that is exact."]


def _drawn(y: np.ndarray, task: str, seed: int) -> np.ndarray:
    """Rows at random, of each class at least one."""
    order = np.random.RandomState(seed).permutation(len(y))
    if task == CLASSIFICATION:
        _, first = np.unique(y[order], return_index=True)
        order = np.concatenate([order[first], np.delete(order, first)])
    return order[:CHOSEN_OF]
