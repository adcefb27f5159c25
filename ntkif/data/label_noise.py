"""Image sets with wrong labels, and which they are."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ntkif.data.dataset import Dataset, class_targets

__all__ = ["NoisyLabels", "flip_labels"]


@dataclass(frozen=True, eq=False)
class NoisyLabels:
    """A data set some of whose training labels are wrong.

    Attributes:
        dataset: with the wrong labels and targets; the test set is as it was.
        flipped: (n,) bool, which training images have a wrong label.
    """

    dataset: Dataset
    flipped: torch.Tensor


def flip_labels(dataset: Dataset, share: float, seed: int) -> NoisyLabels:
    """Give a share of the training images a wrong label: the other of two classes, or a random one of the others.

    Args:
        dataset: training and test images.
        share: of the training images, between 0 and 1; their number is rounded.
        seed: of the choice.

    Raises:
        ValueError: a share outside of 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a number between 0 and 1, as 0.4 for two images in five, got {share}.")
    random, classes = np.random.RandomState(seed), len(dataset.classes)
    chosen = random.permutation(len(dataset.y_train))[: round(share * len(dataset.y_train))]
    labels = dataset.labels_train.copy()
    labels[chosen] = (labels[chosen] + random.randint(1, classes, len(chosen))) % classes
    targets = class_targets(labels, classes).to(dataset.y_train)
    flipped = torch.zeros(len(labels), dtype=torch.bool, device=dataset.y_train.device)
    flipped[chosen] = True
    return NoisyLabels(replace(dataset, y_train=targets, labels_train=labels), flipped)
