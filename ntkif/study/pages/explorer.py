"""What the influence explorer shows: for some test images, the training images that matter most, over ridge and time.

The numbers and pixels are written as files that a page reads without a server.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ntkif.data import Dataset
from ntkif.influence.closed_form import influence_terms
from ntkif.influence.flow import TimedInfluence, influence_along
from ntkif.metrics import agreement, half_squares
from ntkif.regression.factorized import factorized
from ntkif.store import write_atomically

__all__ = ["METHODS", "RIDGES", "TIMES", "chosen_tests", "explore", "signed_ranks", "sprite", "write_explorer"]

METHODS = ("exact", "IHVP", "rescaled IHVP")
RIDGES = tuple(2.0**power for power in range(-4, 5))  # those of Figure 2
TIMES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, math.inf)
_COLUMNS = 32  # images in a row of a sprite


def chosen_tests(dataset: Dataset, ridge: float) -> list[int]:
    """Two test images of each class, by a rule: of all, the one with the median loss and the one with the largest.

    Args:
        dataset: images of several classes.
        ridge: of the kernel predictor that the loss is of.

    Returns:
        rows of the test set, class by class, the median before the largest.
    """
    parts = factorized(dataset)
    loss = half_squares(parts.fit(ridge).predict(parts.k_test_train), dataset.y_test)
    rows = []
    for label in range(len(dataset.classes)):
        members = np.flatnonzero(dataset.labels_test == label)
        ordered = members[loss[members].argsort().numpy()]
        rows += [int(ordered[(len(ordered) - 1) // 2]), int(ordered[-1])]
    return rows


def signed_ranks(influence: torch.Tensor) -> torch.Tensor:
    """Ranks counted from the nearer end: 1 for the most helpful image, 2 for the next; -1 for the most harmful, -2 ...

    Args:
        influence: (..., n).

    Returns:
        (..., n) integers, never 0.

    >>> signed_ranks(torch.tensor([0.5, -3.0, 2.0, 0.0])).tolist()
    [2, -1, 1, -2]
    """
    n = influence.shape[-1]
    place = influence.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return torch.where(place < (n + 1) // 2, place + 1, place - n)


@torch.no_grad()
def explore(
    dataset: Dataset,
    tests: Sequence[int],
    ridges: Sequence[float] = RIDGES,
    times: Sequence[float] = TIMES,
    top: int = 6,
) -> dict:
    """Influence on some test images at every ridge and time: the most helpful and most harmful by each method.

    The exact influence is Eq. 7 at the time; IHVP (Eq. 13) and its rescaling, term I (Eq. 15), are of the end of
    training alone, since the classic estimate assumes a minimum of the loss.

    Args:
        dataset: training and test images.
        tests: rows of the test set.
        ridges: penalties λ > 0.
        times: of training by the flow (3); infinity is its end.
        top: images kept at each end of each method's ranking.

    Returns:
        numbers and texts alone, ready for JSON: dataset, n, classes, methods, ridges, times (None for the end), test
        and train (a [row, class] each; train has the images that occur) and states[test][ridge][time]. A state has
        class and loss of the prediction, scores (method -> `metrics.agreement` with the exact influence over all
        training images) and images: [index into train, one influence a method, one signed rank a method].
    """
    parts, tests = factorized(dataset), list(tests)
    k_test_train, y_test = parts.k_test_train[tests], dataset.y_test[tests]
    states = [[[] for _ in ridges] for _ in tests]
    for column, ridge in enumerate(ridges):
        terms = influence_terms(parts.fit(ridge), k_test_train, y_test)[0]
        classic = torch.stack([(1 - parts.fit(ridge).leverage) * terms, terms])
        for timed in influence_along(parts.flow(ridge), k_test_train, y_test, times):
            ended = math.isinf(timed.time)
            for row in range(len(tests)):
                influence = timed.influence[row : row + 1]
                influence = torch.cat([influence, classic[:, row]]) if ended else influence
                states[row][column].append(_state(timed, row, y_test, influence, top))
    used = sorted({image[0] for test in states for ridge in test for state in ridge for image in state["images"]})
    place = {row: index for index, row in enumerate(used)}
    for test in states:
        for state in (state for ridge in test for state in ridge):
            state["images"] = [[place[row], *rest] for row, *rest in state["images"]]
    return {
        "dataset": dataset.name,
        "n": len(dataset.x_train),
        "classes": list(dataset.classes),
        "methods": list(METHODS),
        "top": top,
        "ridges": list(ridges),
        "times": [None if math.isinf(time) else time for time in times],
        "test": [[row, int(dataset.labels_test[row])] for row in tests],
        "train": [[row, int(dataset.labels_train[row])] for row in used],
        "states": states,
    }


def _state(timed: TimedInfluence, row: int, y_test: torch.Tensor, influence: torch.Tensor, top: int) -> dict:
    ranks = signed_ranks(influence)
    kept = (ranks.abs() <= top).any(0).nonzero()[:, 0].tolist()
    prediction = timed.prediction[row]
    return {
        "class": int(prediction.argmax()),
        "loss": _short(half_squares(prediction, y_test[row])),
        "scores": {
            method: {name: _short(score) for name, score in agreement(estimate, influence[0]).items()}
            for method, estimate in zip(METHODS[1:], influence[1:], strict=False)
        },
        "images": [[i, *map(_short, influence[:, i]), *ranks[:, i].tolist()] for i in kept],
    }


def _short(value: torch.Tensor | float) -> float:
    """Three digits, which is more than the page shows."""
    return float(f"{float(value):.3g}")


def sprite(images: np.ndarray) -> np.ndarray:
    """All images in one, dark on white, 32 in a row from the top left; the last row is filled up with white.

    Args:
        images: (count, height, width) grey pixels, uint8, bright on black.
    """
    count, height, width = images.shape
    rows = -(-count // _COLUMNS)
    padded = np.zeros((rows * _COLUMNS, height, width), dtype=np.uint8)
    padded[:count] = images
    tiled = padded.reshape(rows, _COLUMNS, height, width).swapaxes(1, 2)
    return 255 - tiled.reshape(rows * height, _COLUMNS * width)


def write_explorer(dataset: Dataset, explored: dict, folder: Path) -> None:
    """Write what the page reads: `data.js`, and the pixels as `train.png` and `test.png`.

    A script and not JSON, because a browser fetches nothing from file://.

    Args:
        dataset: that was explored.
        explored: of `explore`.
        folder: is made if need be.
    """
    script = f"window.ntkifExplorer = {json.dumps(explored, separators=(',', ':'), allow_nan=False)};\n"
    write_atomically(folder / "data.js", lambda stream: stream.write(script.encode()))
    for name, images in (("train", dataset.images_train), ("test", dataset.images_test)):
        picture = Image.fromarray(sprite(images[[row for row, _ in explored[name]]]))
        write_atomically(
            folder / f"{name}.png", lambda stream, picture=picture: picture.save(stream, "png", optimize=True)
        )
