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
CHOSEN_OF, BLOCK, LANDMARKS = 3000, 512, 2000
_SPARE = 6  # matrices of a block of rows and all rows, at once
_FEWEST = 500  # landmarks by which a report is made


@dataclass(frozen=True)
class Plan:
    """How a fit of so many rows will go.

    Attributes:
        rows: that are fitted.
        landmarks: that span the kernel; None where it is exact.
        tiled: whether the kernel is held in tiles, a quarter of the memory.
        needed: bytes at most.
        free: bytes, or None where the system does not say.
    """

    rows: int
    landmarks: int | None
    tiled: bool
    needed: int
    free: int | None

    def __str__(self) -> str:
        """In words."""
        way = f"by {self.landmarks} landmarks" if self.landmarks else "in tiles" if self.tiled else "in one piece"
        free = "" if self.free is None else f" of {self.free / 2**30:.1f} GiB that are free"
        return f"{self.rows} rows, kernel {way}: needs up to {self.needed / 2**30:.2f} GiB{free}"


def plan(rows: int, columns: int, device: str = "cpu", landmarks: int | None = None) -> Plan:
    """What a fit needs: a kernel and its inverse; where they would not fit half of one in tiles; else landmarks.

    Args:
        rows: training points.
        columns: numbers of each.
        device: where it is computed.
        landmarks: so many in any case; by itself as many as memory holds, 2000 at most.

    Raises:
        MemoryError: not even the features of 500 landmarks fit, or of as many as were asked for.
    """
    free = available_bytes(torch.device(device))
    limit, beside = float("inf") if free is None else free, _beside(rows, columns)
    # A removal takes a tenth of all columns of the inverse, which tiles do not hold.
    whole, tiles = 16 * rows**2 + beside, 6 * rows**2 + beside
    if landmarks is None and min(whole, tiles) <= limit:
        return Plan(rows, None, whole > limit, whole if whole <= limit else tiles, free)
    for count in [landmarks] if landmarks else range(LANDMARKS, _FEWEST - 1, -_FEWEST):
        needed = _by_landmarks(rows, columns, count)
        if needed <= limit:
            return Plan(rows, min(count, rows), False, needed, free)
    most = rows
    while most > 1 and _by_landmarks(most, columns, count) > free:
        most = int(0.95 * most)
    raise MemoryError(
        f"{rows} rows need {needed / 2**30:.1f} GiB by {count} landmarks, but {free / 2**30:.1f} GiB are free; take a "
        f"random subset, --rows {most}, or spread all of them with `fit_on` of ntkif.regression.cluster."
    )


def _beside(rows: int, columns: int) -> int:
    """Bytes for the table, some blocks of rows by all rows, and the choice of kernel and ridge."""
    return 8 * (4 * rows * columns + _SPARE * BLOCK * rows + 5 * min(rows, CHOSEN_OF) ** 2)


def _by_landmarks(rows: int, columns: int, count: int) -> int:
    count = min(count, rows)
    return 8 * (2 * rows * count + 6 * count**2) + _beside(rows, columns)


def fitted(
    x: np.ndarray,
    y: np.ndarray,
    task: str,
    *,
    images: bool,
    landmarks: int | None = None,
    device: str = "cpu",
    seed: int = 0,
) -> tuple[NTKInfluence, list[str]]:
    """The estimator, with kernel and ridge of the least leave-one-out error, and what was done, in sentences.

    Args:
        x: (n, d) numbers.
        y: (n,) targets.
        task: "classification" or "regression".
        images: whether rows are images, which are divided by their norm; other rows get a 1 at their end first.
        landmarks: that span the kernel; None for the exact fit.
        device: where it is computed.
        seed: of the rows that the choice is made on where there are more than 3000, and of landmarks.
    """
    kind = NTKInfluenceClassifier if task == CLASSIFICATION else NTKInfluence
    options = {"normalize": True if images else APPEND_ONE, "device": device, "block_size": BLOCK}
    chosen_on = _drawn(y, task, seed) if len(x) > CHOSEN_OF else slice(None)
    model = kind(ridge="loo", kernel=list(KERNELS), **options).fit(x[chosen_on], y[chosen_on])
    said = "all rows"
    if len(x) > CHOSEN_OF or landmarks:
        options |= {"landmarks": landmarks, "random_state": seed}
        model = kind(ridge=model.ridge_, kernel=model.kernel_, **options).fit(x, y)
    if len(x) > CHOSEN_OF:
        said = f"{CHOSEN_OF} rows, drawn at random (seed {seed})"
    notes = [f"Of two kernels and fifteen ridges the pair with the least leave-one-out error on {said} was taken."]
    if not images:
        notes.append("Each row got a 1 at its end and was divided by its norm, as for a network with biases.")
    if landmarks:
        notes.append(
            f"{landmarks} of {len(x)} rows span the kernel. All that follows is exact in their span, and an "
            f"approximation of the whole kernel: up to {model.missed_:.0%} of its freedom, the sum of all "
            "leverages, is outside. More landmarks (--landmarks) or fewer rows (--rows) bring it nearer."
        )
    return model, [*notes, "All of this is held fixed when a row is left out; the fit itself is not: that is exact."]


def _drawn(y: np.ndarray, task: str, seed: int) -> np.ndarray:
    """Rows at random, of each class at least one."""
    order = np.random.RandomState(seed).permutation(len(y))
    if task == CLASSIFICATION:
        _, first = np.unique(y[order], return_index=True)
        order = np.concatenate([order[first], np.delete(order, first)])
    return order[:CHOSEN_OF]
