"""Experiments on the images that matter: the most helpful and harmful ones, and how alike they are (Figure 4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.regression.factorized import factorized
from ntkif.study import paper
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["extreme_images", "homogeneity", "image_likeness"]


@experiment(
    "figure-4-images",
    settings={name: {"ridge": ridge, "count": 10} for name, ridge in paper.RIDGE.items()},
    witness={"ridge": 4.0, "count": 5},
    slice={},
    columns={
        "kind": Column.key("helpful, harmful, uninfluential or influential"),
        "rank": Column.key("in its kind, from 1"),
        "row": Column.value("in the training set"),
        "label": Column.value("name of its class"),
        "influence": Column.value("mean over the test images"),
        "size": Column.value("mean |influence| over the test images"),
    },
)
def extreme_images(dataset: Dataset, ridge: float, count: int) -> pd.DataFrame:
    """The training images of Figure 4, by their influence averaged over the test set.

    Most helpful and most harmful are those with the largest and the smallest mean influence. A mean near zero can
    also be a balance of large effects, so uninfluential are those with the smallest mean |influence|, and
    influential those with the largest.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        count: images of each kind.

    Returns:
        a row for each image.
    """
    solved = factorized(dataset)
    influence = loo_influence(solved.fit(ridge), solved.k_test_train, dataset.y_test)
    mean, size = influence.mean(0), influence.abs().mean(0)
    order = {"helpful": mean, "harmful": -mean, "uninfluential": -size, "influential": size}
    rows = [
        {
            "kind": kind,
            "rank": rank,
            "row": row,
            "label": dataset.classes[dataset.labels_train[row]],
            "influence": float(mean[row]),
            "size": float(size[row]),
        }
        for kind, score in order.items()
        for rank, row in enumerate(score.topk(count).indices.tolist(), start=1)
    ]
    return pd.DataFrame(rows)


@experiment(
    "figure-4-likeness",
    settings={name: {"ridge": ridge, "count": 40, "draws": 1000, "seed": 0} for name, ridge in paper.RIDGE.items()},
    witness={"ridge": 4.0, "count": 10, "draws": 50, "seed": 0},
    slice={},
    columns={
        "group": Column.key("kind of images"),
        "similarity": Column.value("mean cosine between two of its images"),
        "baseline": Column.value("mean of the same over random groups"),
        "low": Column.value("lower end of their middle 95 %"),
        "high": Column.value("upper end of their middle 95 %"),
        "z": Column.value("similarity minus baseline, in standard deviations of the random groups"),
        "rank": Column.value("share of random groups that are less alike"),
    },
)
def image_likeness(dataset: Dataset, ridge: float, count: int, draws: int, seed: int) -> pd.DataFrame:
    """How alike the images of each kind of Figure 4 are: `homogeneity` of the groups of `extreme_images`.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        count: images of each kind.
        draws: number of random groups behind each baseline.
        seed: of the random groups.

    Returns:
        a row for each kind, as of `homogeneity`.
    """
    kinds = extreme_images(dataset, ridge, count).groupby("kind", sort=False)["row"]
    return homogeneity(dataset, {kind: rows.tolist() for kind, rows in kinds}, draws, seed)


def homogeneity(dataset: Dataset, groups: dict[str, Sequence[int]], draws: int, seed: int) -> pd.DataFrame:
    """How alike the images of each group are, against random groups with the same number from each class.

    Args:
        dataset: whose training images are meant.
        groups: name of a group -> its rows in the training set, at least two.
        draws: number of random groups behind each baseline.
        seed: of the random groups.

    Returns:
        a row for each group, with the columns of the record `figure-4-likeness`, see `image_likeness`.
    """
    cosine, random = dataset.x_train @ dataset.x_train.T, np.random.RandomState(seed)
    rows = []
    for group, members in groups.items():
        members = np.asarray(members)
        like = [_mean_cosine(cosine, _random_like(members, dataset.labels_train, random)) for _ in range(draws)]
        baseline = np.array(like)
        similarity = _mean_cosine(cosine, members)
        rows.append(
            {
                "group": group,
                "similarity": similarity,
                "baseline": baseline.mean(),
                "low": np.quantile(baseline, 0.025),
                "high": np.quantile(baseline, 0.975),
                "z": (similarity - baseline.mean()) / baseline.std(),
                "rank": (baseline < similarity).mean(),
            }
        )
    return pd.DataFrame(rows)


def _mean_cosine(cosine: torch.Tensor, members: np.ndarray) -> float:
    among = cosine[members][:, members]
    return float((among.sum() - among.diagonal().sum()) / (len(members) * (len(members) - 1)))


def _random_like(members: np.ndarray, labels: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Random rows, as many of each class as `members` has."""
    classes, counts = np.unique(labels[members], return_counts=True)
    draws = [
        random.choice(np.flatnonzero(labels == label), count, replace=False)
        for label, count in zip(classes, counts, strict=True)
    ]
    return np.concatenate(draws)
