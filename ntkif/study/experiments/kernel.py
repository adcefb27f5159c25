"""Settings in, a tidy table out: one function per figure or claim, with what they share. Nothing here draws."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import influence_terms, loo_influence
from ntkif.kernels.infinite import ntk, ntk_monte_carlo
from ntkif.metrics import agreement, misfit, share
from ntkif.regression.factorized import factorized
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = [
    "decomposition",
    "extreme_images",
    "homogeneity",
    "image_likeness",
    "kernel_convergence",
]


def kernel_convergence(x: torch.Tensor, widths: Sequence[int], seeds: Sequence[int]) -> pd.DataFrame:
    """How fast the kernel of a random network nears Eq. 4 as its width grows.

    A neuron adds x.z times a coin that falls open with probability p = K(x, z) / x.z, so the squared error has the
    expected value (x.z)^2 p (1 - p) / width: nothing is fitted.

    Args:
        x: (n, d) points, rows of norm one.
        widths: numbers of hidden neurons.
        seeds: one random network each.

    Returns:
        a row for each width and seed: width, seed, error (root mean square over all pairs), and expected, the root
        of the expected squared error, averaged over the same pairs.
    """
    kernel, cosine = ntk(x), x @ x.T
    variance = float((kernel * (cosine - kernel)).mean())
    rows = []
    for width in widths:
        for seed in seeds:
            # A seed of its own for each width, or the narrow networks would be parts of the wide ones.
            generator = torch.Generator().manual_seed(1_000_003 * seed + width)
            sampled = ntk_monte_carlo(x, width=width, generator=generator)
            error = float((sampled - kernel).square().mean().sqrt())
            rows.append({"width": width, "seed": seed, "error": error, "expected": (variance / width) ** 0.5})
    return pd.DataFrame(rows)


@experiment(
    "proposition-2",
    settings={name: {"ridges": [2.0**e for e in range(-4, 5)]} for name in paper.RIDGE},
    witness={"ridges": [0.0625, 4.0]},
    slice={"ridges": [4.0]},
    columns={
        "ridge": Column.key("penalty λ"),
        "test_error": Column.value("share of test images classified wrongly"),
        "largest_coefficient": Column.value("max |α| over all pairs"),
        "median_ratio": Column.value("median of term II / |term I| over all pairs"),
        "above_tenth": Column.value("share of pairs in which that ratio is above a tenth"),
        "above_one": Column.value("share of pairs in which it is above one"),
        "sign_flips": Column.value("share of pairs in which term I has the wrong sign"),
        "above_tenth_top": Column.value("share above a tenth among the `top` points of each test image"),
        "top_best_quarter": Column.value("the same for the quarter of test images with the smallest residual"),
        "top_others": Column.value("the same for the other test images"),
        **AGREEMENT,
        "rank_low": Column.value("Spearman's rho over training images that 95 % of test images exceed"),
    },
)
def decomposition(dataset: Dataset, ridges: Sequence[float], top: int = 40) -> pd.DataFrame:
    """Term I against term II of Proposition 2 over ridges, and Eq. 15, which keeps term I alone, against the truth.

    Args:
        dataset: training and test images.
        ridges: penalties λ.
        top: how many training points with the largest |influence| on each test point count as influential.

    Returns:
        a row for each ridge.
    """
    k_test_train, rows = factorized(dataset).k_test_train, []
    for ridge in ridges:
        fit = factorized(dataset).fit(ridge)
        term_one, term_two = influence_terms(fit, k_test_train, dataset.y_test)
        exact, ratio = term_one + term_two, term_two / term_one.abs()
        prediction = fit.predict(k_test_train)
        test_residual = (prediction - dataset.y_test).norm(dim=1)
        best = test_residual <= test_residual.quantile(0.25)
        above_top = ratio.gather(1, exact.abs().topk(top, dim=1).indices) > 0.1
        rows.append(
            {
                "ridge": ridge,
                "test_error": share(misfit(prediction, dataset.y_test)),
                "largest_coefficient": float(fit.coefficients(k_test_train).abs().max()),
                "median_ratio": float(ratio.median()),
                "above_tenth": share(ratio > 0.1),
                "above_one": share(ratio > 1),
                "sign_flips": share(term_one.sign() != exact.sign()),
                "above_tenth_top": share(above_top),
                "top_best_quarter": share(above_top[best]),
                "top_others": share(above_top[~best]),
                **agreement(term_one, exact),
                "rank_low": float(_row_spearman(term_one, exact).quantile(0.05)),
            }
        )
    return pd.DataFrame(rows)


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
        a row for each group: group; similarity, the mean cosine between two of its images; of the same over the
        random groups the mean (baseline) and the middle 95 % (low, high); z, similarity minus baseline in standard
        deviations of the random groups; rank, the share of random groups that are less alike.
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


def _row_spearman(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Spearman's rho of each row of `a` with that of `b`, for values without ties."""
    ranks = [values.argsort(1).argsort(1).double() for values in (a, b)]
    a, b = (torch.nn.functional.normalize(rank - rank.mean(1, keepdim=True)) for rank in ranks)
    return (a * b).sum(1)


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
