"""Figures of where IHVP errs: by density, and in clusters (Theorem 4, Figures 3, 10, 12)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from ntkif.study.plots.style import COLORS, RIDGE_COLORS, panels, shared_legend

__all__ = ["cluster_errors", "decile_bands", "density_scatter", "neighbour_scatter", "rho_by_bandwidth"]


_SPACES = {"sphere": "on the sphere", "pca": "principal components"}


def neighbour_scatter(points: pd.DataFrame) -> Axes:
    """What the nearest neighbours alone allow against the leverage, a point for each training point.

    Args:
        points: of `experiments.ihvp.errors_by_point` with neighbours.
    """
    _, ax = plt.subplots()
    ax.axline((0, 0), slope=1, color=COLORS["theory"], lw=1, label="equal")
    ax.scatter(
        points["leverage"], points["neighbour_ceiling"], s=8, color=COLORS["measured"], label="one training point"
    )
    ax.set(xlabel="leverage $A_i$", ylabel="ceiling from its neighbours", xlim=(0, None), ylim=(0, None))
    ax.legend(frameon=False)
    return ax


def cluster_errors(table: pd.DataFrame) -> Figure:
    """Figure 12: error of IHVP and its bound against the size of the cluster; beside it the leverage.

    Args:
        table: of `experiments.density.errors_by_cluster`, at one ridge.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.8))
    sizes = table.groupby("count").mean(numeric_only=True)
    left.loglog(table["count"], table["error"], "o", color=COLORS["measured"], label="error, one cluster")
    left.loglog(table["count"], table["bound"], "x", color=COLORS["theory"], label="Theorem 4's bound")
    left.set(xlabel="training points in the cluster $n_k$", ylabel="mean |error| of IHVP")
    right.loglog(table["count"], table["largest_leverage"], "o", color=COLORS["measured"], label="largest leverage")
    lines = (
        ("paper_ceiling", "--", r"Theorem 4, $\sqrt{γ/(n n_k)}$"),
        ("own_ceiling", "-.", "the same, γ of the cluster"),
        ("ceiling", ":", r"$1/(n_k+2λ)+ε_r^2/λ$"),
    )
    for column, style, label in lines:
        right.loglog(sizes.index, sizes[column], style, color=COLORS["theory"], label=label)
    right.set(xlabel="training points in the cluster $n_k$", ylabel="leverage")
    for ax in (left, right):
        ax.set_xticks(sizes.index, [str(count) for count in sizes.index])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.legend(frameon=False, fontsize=8)
    return figure


def density_scatter(densities: dict[str, Sequence[float]], error_rate: Sequence[float]) -> Figure:
    """Figure 3: error rate of IHVP of each training point against its log density, a panel for each density.

    Args:
        densities: label of the axis -> (n,) log densities.
        error_rate: (n,) error rates.
    """
    figure, axes = panels(len(densities), width=4.2, height=3.2)
    for ax, (label, density) in zip(axes, densities.items(), strict=True):
        ax.scatter(density, error_rate, s=6, color=COLORS["measured"])
        ax.set(xlabel=f"log density, {label}", ylabel="error rate of IHVP")
    return figure


def rho_by_bandwidth(tables: dict[str, pd.DataFrame], components: bool = True) -> Figure:
    """Rank correlation of density and error rate against the bandwidth, and against the principal components kept.

    Args:
        tables: title of a row of panels -> table of `experiments.density.density_correlations`.
        components: whether to draw the panels of the principal components.
    """
    kinds = {"sphere": "bandwidth / nearest distance", "pca": "principal components"}
    kinds = kinds if components else {"sphere": kinds["sphere"]}
    size = (4.2 * len(kinds), 2.9 * len(tables))
    figure, axes = plt.subplots(len(tables), len(kinds), figsize=size, squeeze=False, sharey=True)
    for row, (title, table) in zip(axes, tables.items(), strict=True):
        for ax, (kind, xlabel) in zip(row, kinds.items(), strict=True):
            chosen = table[table["kind"] == kind]
            for color, (ridge, line) in zip(RIDGE_COLORS, chosen.groupby("ridge"), strict=False):
                ax.semilogx(line["parameter"], line["error_rho"], "o-", ms=4, color=color, label=f"λ = {ridge:g}")
            places = sorted(chosen["parameter"].unique())
            ax.set_xticks(places, [f"{place:g}" for place in places])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.axhline(0, color=COLORS["theory"], lw=0.8)
            ax.set(title=f"{title}: {_SPACES[kind]}", xlabel=xlabel, ylim=(-1.02, 0.42))
        row[0].set_ylabel("Spearman's ρ")
    shared_legend(figure, axes[0, 0], columns=4)
    return figure


def decile_bands(tables: dict[str, pd.DataFrame]) -> Figure:
    """Median error rate by tenths of the density, with the middle 80 %, a line for each ridge.

    Args:
        tables: title of a panel -> rows of `experiments.density.density_deciles` for one density, an even number.
    """
    figure, axes = panels(len(tables), width=4.2, height=3.2)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        for color, (ridge, line) in zip(RIDGE_COLORS, table.groupby("ridge"), strict=False):
            ax.fill_between(line["decile"], line["low"], line["high"], color=color, alpha=0.2, lw=0)
            ax.semilogy(line["decile"], line["median"], "o-", ms=4, color=color, label=f"λ = {ridge:g}")
        ax.set(title=title, xlabel="tenth of the training images by density", ylabel="error rate of IHVP")
        ax.set_xticks(range(1, 11))
    shared_legend(figure, axes[0], columns=4)
    return figure
