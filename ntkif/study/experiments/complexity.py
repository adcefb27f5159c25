"""Experiments on complexity against influence (Eq. 19, Figures 5 and 11)."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.closed_form import loo_influence
from ntkif.influence.complexity import influence_groups, norm_increments, point_increments, rkhs_norm
from ntkif.regression.factorized import factorized
from ntkif.regression.ridge import RidgeFit
from ntkif.study import paper
from ntkif.study.experiments.experiment import Column, experiment

__all__ = ["complexity_by_group", "complexity_by_point", "end_places", "ends_lead", "leads"]

_RIDGES = [2.0**-4, 0.25, 1.0, 4.0, 10.0, 16.0]  # the range of Figure 2, with those of Figure 8


@experiment(
    "figure-5",
    settings={name: {"ridges": _RIDGES, "groups": 10, "draws": 1000, "seed": 0} for name in paper.RIDGE},
    witness={"ridges": [1.0], "groups": 10, "draws": 50, "seed": 0},
    slice={"ridges": [4.0]},
    columns={
        "ridge": Column.key("penalty λ"),
        "group": Column.key("from 0, the most harmful"),
        "influence": Column.value("mean of its images"),
        "complexity": Column.value("the increment C of Eq. 19"),
        "norm": Column.value("RKHS norm of the interpolant"),
        "place": Column.value("1 for the group that adds most"),
        "baseline": Column.value("mean increment of random groups"),
        "low": Column.value("lower end of their middle 95 %"),
        "high": Column.value("upper end of their middle 95 %"),
        "rank": Column.value("share of random groups that add less"),
    },
)
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
        a row for each ridge and group.
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


@experiment(
    "figure-5-points",
    settings={name: {"ridges": _RIDGES} for name in paper.RIDGE},
    witness={"ridges": [1.0]},
    slice={"ridges": [4.0]},
    columns={
        "ridge": Column.key("penalty λ"),
        "own_error_rho": Column.value(
            "Spearman's rho of the increment C({i}) and |f^{-i}(x_i) - y_i| of the interpolant"
        ),
        "error_rho": Column.value("the same with the error of the fit at the ridge"),
        "mean_rho": Column.value("the same with |mean influence|"),
        "size_rho": Column.value("the same with mean |influence|"),
        "harmful_rho": Column.value("with the size of the mean influence, among images where it is negative"),
        "helpful_rho": Column.value("with the size of the mean influence, among images where it is positive"),
    },
)
def complexity_by_point(dataset: Dataset, ridges: Sequence[float]) -> pd.DataFrame:
    """Why influential images add complexity: rank correlations over single training images.

    A point adds dual_i^2 / (K^-1)_ii = (K^-1)_ii (f^{-i}(x_i) - y_i)^2 to the squared norm, the squared error of the
    interpolant that has not seen it times a nearly constant factor. Its influence (Eq. 14) has the same kind of
    error, of the fit at the ridge, as a factor.

    Args:
        dataset: training and test images.
        ridges: penalties λ.

    Returns:
        a row for each ridge.
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


def end_places(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Place among the groups, and rank among random groups, of the most harmful and the most helpful group.

    Args:
        tables: name of a data set -> table of `complexity_by_group`.

    Returns:
        a row for each data set (set) and ridge; the columns are pairs of place or rank and the number of the group.
    """
    ends = {
        name: table[table["group"].isin([0, table["group"].max()])].pivot(
            index="ridge", columns="group", values=["place", "rank"]
        )
        for name, table in tables.items()
    }
    found = pd.concat(ends, names=["set"])
    return found.astype({column: int for column in found if column[0] == "place"})


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
