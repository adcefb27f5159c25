"""Experiments on complexity against influence (Eq. 19, Figures 5 and 11)."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from ntkif.complexity import influence_groups, norm_increments, point_increments, rkhs_norm
from ntkif.data import Dataset
from ntkif.factorized import factorized
from ntkif.influence import loo_influence
from ntkif.regression import RidgeFit

__all__ = ["complexity_by_group", "complexity_by_point", "ends_lead", "leads"]


def complexity_by_group(dataset: Dataset, ridges: Sequence[float], groups: int, draws: int, seed: int) -> pd.DataFrame:
    """Figures 5 and 11: what groups of training images sorted by influence add to the RKHS norm.

    Influence is of the ridge fit, averaged over the test images; the norm is of the interpolant (Eq. 19), whatever
    the ridge.

    Args:
        dataset: training and test images.
        ridges: penalties λ.
        groups: number of groups.
        draws: number of random groups of the same size behind the baseline.
        seed: of the random groups.

    Returns:
        a row for each ridge and group, the most harmful first: ridge; group from 0; influence, the mean of its
        images; complexity, the increment C of Eq. 19; norm, the RKHS norm of the interpolant; place, 1 for the group
        that adds most; of random groups the mean (baseline) and the middle 95 % (low, high); and rank, the share of
        random groups that add less.
    """
    fit, rows = factorized(dataset).interpolant, []
    random = norm_increments(fit, _random_groups(len(dataset.x_train), groups, draws, seed)).cpu().numpy()
    for ridge, _, influence in _over_ridges(dataset, ridges):
        mean = influence.mean(0)
        members = influence_groups(mean, groups)
        complexity = norm_increments(fit, members).cpu().numpy()
        for group, rows_of in enumerate(members):
            rows.append(
                {
                    "ridge": ridge,
                    "group": group,
                    "influence": float(mean[rows_of].mean()),
                    "complexity": complexity[group],
                    "norm": rkhs_norm(fit),
                    "place": int((complexity >= complexity[group]).sum()),
                    "baseline": random.mean(),
                    "low": np.quantile(random, 0.025),
                    "high": np.quantile(random, 0.975),
                    "rank": (random < complexity[group]).mean(),
                }
            )
    return pd.DataFrame(rows)


def complexity_by_point(dataset: Dataset, ridges: Sequence[float]) -> pd.DataFrame:
    """Why influential images add complexity: rank correlations over single training images.

    A point adds dual_i^2 / (K^-1)_ii = (K^-1)_ii (f^{-i}(x_i) - y_i)^2 to the squared norm, the squared error of the
    interpolant that has not seen it times a nearly constant factor. Its influence (Eq. 14) has the same kind of
    error, of the fit at the ridge, as a factor.

    Args:
        dataset: training and test images.
        ridges: penalties λ.

    Returns:
        a row for each ridge: ridge; Spearman's rho of the increment C({i}) with the error |f^{-i}(x_i) - y_i| of the
        interpolant (own_error_rho), the same at the ridge (error_rho), |mean influence| (mean_rho), mean |influence|
        (size_rho), and, among the images with negative and with positive mean influence, with its size
        (harmful_rho, helpful_rho).
    """
    from scipy.stats import spearmanr

    fit, rows = factorized(dataset).interpolant, []
    increment, own_error = point_increments(fit).cpu().numpy(), _loo_error(fit)
    for ridge, at_ridge, influence in _over_ridges(dataset, ridges):
        mean, size = influence.mean(0).cpu().numpy(), influence.abs().mean(0).cpu().numpy()
        pairs = {
            "own_error": (own_error, slice(None)),
            "error": (_loo_error(at_ridge), slice(None)),
            "mean": (np.abs(mean), slice(None)),
            "size": (size, slice(None)),
            "harmful": (-mean, mean < 0),
            "helpful": (mean, mean > 0),
        }
        rows.append(
            {"ridge": ridge}
            | {
                f"{name}_rho": float(spearmanr(values[kept], increment[kept]).statistic)
                for name, (values, kept) in pairs.items()
            }
        )
    return pd.DataFrame(rows)


def leads(table: pd.DataFrame, ridge: float, groups: Sequence[int], level: float = 0.975) -> bool:
    """Whether each of some groups is among the two that add most, and adds more than a share of random groups.

    Args:
        table: of `complexity_by_group`.
        ridge: one of its ridges.
        groups: numbers of groups.
        level: share of random groups that have to add less.
    """
    rows = table[(table["ridge"] == ridge) & table["group"].isin(groups)]
    return bool((rows["place"] <= 2).all() and (rows["rank"] >= level).all())


def ends_lead(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The claim of Figures 5 and 11: whether the most harmful and the most helpful group add most (`leads`).

    Args:
        tables: name of a data set -> table of `complexity_by_group`.

    Returns:
        a row for each ridge, a column for each data set.
    """
    return pd.DataFrame(
        {
            name: {ridge: leads(table, ridge, [0, table["group"].max()]) for ridge in table["ridge"].unique()}
            for name, table in tables.items()
        }
    )


def _over_ridges(dataset: Dataset, ridges: Sequence[float]) -> Iterator[tuple[float, RidgeFit, torch.Tensor]]:
    solved = factorized(dataset)
    for ridge in ridges:
        yield ridge, solved.fit(ridge), loo_influence(solved.fit(ridge), solved.k_test_train, dataset.y_test)


def _random_groups(n: int, groups: int, draws: int, seed: int) -> list[torch.Tensor]:
    """Random groups from random partitions, so that each has the size of a group of `influence_groups`."""
    random = np.random.RandomState(seed)
    found = []
    while len(found) < draws:
        found += list(torch.from_numpy(random.permutation(n)).tensor_split(groups))
    return found[:draws]


def _loo_error(fit: RidgeFit) -> np.ndarray:
    """(n,) size of the leave-one-out residual, over outputs."""
    return fit.loo_residual.norm(dim=1).cpu().numpy()
