"""Figures about the error of IHVP; see `plots` for the style and the rest."""

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, panels, shared_legend

__all__ = ["error_by_leverage", "errors_over_ridges", "leverage_over_ridges", "ratio_by_residual", "ratio_by_ridge"]

_RATES = {
    "ratio_of_sums": ("IHVP: ratio of sums", COLORS["IHVP"], "o-"),
    "median_of_ratios": ("IHVP: median of ratios", COLORS["IHVP"], "s-"),
    "rescaled": ("rescaled IHVP: ratio of sums", COLORS["rescaled IHVP"], "^-"),
}


def errors_over_ridges(tables: dict[str, pd.DataFrame]) -> Figure:
    """Figure 2: error rates of IHVP against the ridge, with the floor and the ceiling of the leverage.

    Args:
        tables: title of a panel -> table of `experiments.ihvp.errors_by_ridge`; an even number of them, or one.
    """
    figure, axes = panels(len(tables), width=4.2, height=3.4)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        for column, (label, color, style) in _RATES.items():
            hollow = {"mfc": "white"} if column == "median_of_ratios" else {}
            ax.plot(table["ridge"], table[column], style, color=color, ms=4, label=label, **hollow)
        ax.plot(
            table["ridge"], table["ceiling"], ":", color=COLORS["theory"], label="ceiling of the leverage, $1/(1+2λ)$"
        )
        floor = "Theorem 3's floor, $λ_{min}/(λ_{min}+λ)$"
        ax.plot(table["ridge"], table["floor"], "--", color=COLORS["theory"], label=floor)
        ax.set(title=title, xlabel="ridge λ", ylabel="error rate")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
    shared_legend(figure, axes[0], columns=2)
    return figure


def leverage_over_ridges(tables: dict[str, pd.DataFrame]) -> Figure:
    """Least, mean and largest leverage against the ridge, between floor and ceilings.

    Args:
        tables: title of a panel -> table of `experiments.ihvp.errors_by_ridge`; an even number of them, or one.
    """
    figure, axes = panels(len(tables), width=4.2, height=3.4)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        ridge, ends = table["ridge"], (table["least_leverage"], table["largest_leverage"])
        ax.fill_between(ridge, *ends, color=COLORS["measured"], alpha=0.2, label="least to largest leverage")
        ax.plot(ridge, table["leverage"], "o-", color=COLORS["measured"], ms=4, label="mean leverage")
        ax.plot(ridge, table["paper_ceiling"], "-.", color=COLORS["theory"], label="$λ_{max}/(λ_{max}+λ)$")
        ax.plot(ridge, table["ceiling"], ":", color=COLORS["theory"], label="$1/(1+2λ)$")
        ax.plot(ridge, table["floor"], "--", color=COLORS["theory"], label="$λ_{min}/(λ_{min}+λ)$")
        ax.set(title=title, xlabel="ridge λ", ylabel="leverage")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
    shared_legend(figure, axes[0], columns=3)
    return figure


def error_by_leverage(points: pd.DataFrame, floor: float, ceiling: float) -> Axes:
    """Error rate of each training point against its leverage, with the line where they are equal.

    Args:
        points: of `experiments.ihvp.errors_by_point`.
        floor: below every leverage.
        ceiling: above every leverage.
    """
    _, ax = plt.subplots()
    ax.axline((0, 0), slope=1, color=COLORS["theory"], lw=1, label="error rate = leverage")
    ax.scatter(points["leverage"], points["error_rate"], s=8, color=COLORS["measured"], label="one training point")
    for value, style, label in ((floor, "--", "floor (Theorem 3)"), (ceiling, ":", "ceiling")):
        ax.axhline(value, color=COLORS["theory"], ls=style, label=label)
    ax.set(xlabel="leverage $A_i$", ylabel="error rate of IHVP", ylim=(0, 1.08 * ceiling))
    ax.legend(frameon=False, fontsize=9)
    return ax


def ratio_by_ridge(table: pd.DataFrame) -> Axes:
    """Proposition 2: how often term II is more than a tenth of term I, over ridges.

    Args:
        table: of `experiments.ihvp.decomposition`, with a column dataset.
    """
    _, axes = plt.subplots()
    for (dataset, rows), marker in zip(table.groupby("dataset", sort=False), "osD^", strict=False):
        axes.semilogx(
            rows["ridge"], rows["above_tenth"], marker + "-", color=COLORS["all pairs"], label=f"{dataset}: all"
        )
        axes.semilogx(
            rows["ridge"],
            rows["above_tenth_top"],
            marker + "--",
            color=COLORS["influential"],
            label=f"{dataset}: influential",
        )
    axes.set_xscale("log", base=2)
    axes.set(xlabel="ridge λ", ylabel="share of pairs with II > |I| / 10", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return axes


def ratio_by_residual(residual: torch.Tensor, ratio: torch.Tensor) -> Axes:
    """Proposition 2: term II over term I against the test residual, a point for each test image.

    Args:
        residual: (k,) sizes of the test residuals.
        ratio: (k,) ratios.
    """
    _, axes = plt.subplots()
    axes.loglog(residual, ratio, ".", color=COLORS["all pairs"])
    axes.set(xlabel="test residual |f(x) - y|", ylabel="Σ term II / Σ |term I|")
    return axes
