"""Figures about networks of finite width; see `plots` for the style and the rest."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkif.study.experiments.width import start_name
from ntkif.study.plots.style import COLORS, error_bars, log_axis, log_ticks

__all__ = ["by_scale", "by_width", "predicted_and_actual", "regime_map", "scores_by_width"]

# One colour for each kind of start, on every page (Okabe and Ito's palette).
_STARTS = {"κ = 0.01": "#D55E00", "κ = 0.1": "#E69F00", "κ = 1": "#CC79A7", "κ = 1, symmetric": "#0072B2"}


def by_width(table: pd.DataFrame, columns: dict[str, str], slope: float | None = -0.5) -> Figure:
    """Quantities against width on logarithmic axes, a panel each: mean over seeds, bars from the least to the largest.

    Args:
        table: columns width, init_scale, symmetric and those drawn; a row for each network.
        columns: column of the table -> label of its axis.
        slope: exponent of the dashed guide, absent for none.
    """
    rows = -(-len(columns) // 2)
    size = (6.4, 3.9) if len(columns) == 1 else (8.4, 3.1 * rows)
    figure, axes = plt.subplots(rows, min(len(columns), 2), figsize=size, squeeze=False)
    for ax in axes.flat[len(columns) :]:
        ax.remove()
    for ax, (column, label) in zip(axes.flat, columns.items(), strict=False):
        for (init_scale, symmetric), group in table.groupby(["init_scale", "symmetric"]):
            if (group[column] <= 0).any():
                continue
            name = start_name(init_scale, symmetric)
            error_bars(ax, group, "width", column, color=_STARTS[name], label=name)
        if slope is not None:
            _guide(ax, slope)
        ax.set(xscale="log", yscale="log", xlabel="width $m$", ylabel=label)
        log_ticks(ax, sorted(table["width"].unique()))
        log_axis(ax, "y")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside upper center", ncols=5)
    return figure


def by_scale(table: pd.DataFrame, column: str, ylabel: str) -> Axes:
    """A quantity against the scale of the initial weights, for random and symmetric starts, with its range over seeds.

    Args:
        table: columns init_scale, symmetric and `column`; a row for each network.
        column: what is drawn.
        ylabel: its label.
    """
    _, ax = plt.subplots()
    for symmetric, group in table.groupby("symmetric"):
        name, color = ("symmetric", _STARTS["κ = 1, symmetric"]) if symmetric else ("random", _STARTS["κ = 0.01"])
        error_bars(ax, group, "init_scale", column, color=color, label=name)
    ax.set(xscale="log", yscale="log", xlabel="scale of the initial weights $\\kappa$", ylabel=ylabel)
    log_ticks(ax, sorted(table["init_scale"].unique()))
    log_axis(ax, "y")
    ax.legend(frameon=False)
    return ax


def predicted_and_actual(pairs: pd.DataFrame, titles: Sequence[str]) -> Figure:
    """Figure 1: predicted against actual influence of each removed point, a panel for each run, with the diagonal.

    Args:
        pairs: of `experiments.width.influence_pairs`.
        titles: of the panels, in the order of the runs in the table.
    """
    keys = ["n", "width", "init_scale", "symmetric", "seed"]
    groups = list(pairs.groupby(keys, sort=False))
    columns = 2 if len(groups) == 4 else len(groups)  # four in a row would be too small to read
    rows = len(groups) // columns
    figure, axes = plt.subplots(rows, columns, figsize=(3.1 * columns, 3.3 * rows), squeeze=False)
    for ax, title, (key, group) in zip(axes.flat, titles, groups, strict=True):
        ends = np.array([group[["predicted", "actual"]].min().min(), group[["predicted", "actual"]].max().max()])
        ends += 0.08 * (ends[1] - ends[0]) * np.array([-1, 1])
        ax.plot(ends, ends, "--", color=COLORS["theory"], lw=1)
        ax.scatter(group["actual"], group["predicted"], s=16, color=_STARTS[start_name(key[2], key[3])])
        ax.set(xlim=ends, ylim=ends, aspect="equal", title=title, xlabel="actual influence")
        ax.title.set_fontsize(10)
        ax.locator_params(nbins=4)
    for ax in axes[:, 0]:
        ax.set_ylabel("predicted influence")
    return figure


def scores_by_width(scores: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """Scores against width, a panel each: closed form as points and lines, another start of the network as crosses.

    Args:
        scores: of `experiments.width.influence_scores`.
        columns: column of the table -> label of its axis; an even number of them.
    """
    rows = len(columns) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(7.6, 2.9 * rows), squeeze=False)
    for ax, (column, label) in zip(axes.flat, columns.items(), strict=True):
        for (init_scale, symmetric), group in scores.groupby(["init_scale", "symmetric"]):
            name = start_name(init_scale, symmetric)
            over = group.groupby(["predictor", "width"])[column].mean()
            ax.plot(over["closed form"], "o-", color=_STARTS[name], label=name)
            if "another start" in over:
                ax.plot(over["another start"], "x", color=_STARTS[name], ms=8, label="another start")
        ax.set(xscale="log", xlabel="width $m$", ylabel=label)
        log_ticks(ax, sorted(scores["width"].unique()))
    axes[0, 0].legend(frameon=False, fontsize=8)
    return figure


def regime_map(scores: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """Scores of the closed form over starts (rows) and widths (columns), a panel each.

    Args:
        scores: of `experiments.width.influence_scores`.
        columns: column of the table -> title of its panel.
    """
    closed = scores[scores["predictor"] == "closed form"]
    names = [start_name(*start) for start in zip(closed["init_scale"], closed["symmetric"], strict=True)]
    figure, axes = plt.subplots(1, len(columns), figsize=(3.2 * len(columns), 3.0), squeeze=False, sharey=True)
    for ax, (column, title) in zip(axes.flat, columns.items(), strict=True):
        grid = closed.assign(start=names).pivot_table(index="start", columns="width", values=column, sort=False)
        colors = "cividis_r" if column.endswith("error") else "cividis"  # bright is better
        sns.heatmap(grid, annot=True, fmt=".2f", cmap=colors, cbar=False, ax=ax, annot_kws={"fontsize": 9})
        for text, cell in zip(ax.texts, ax.collections[0].get_facecolors(), strict=True):
            text.set_color("black" if sns.utils.relative_luminance(cell) > 0.18 else "white")
        ax.set(title=title, xlabel="width $m$", ylabel="")
        ax.title.set_fontsize(10)
    axes[0, 0].tick_params(axis="y", rotation=0)
    return figure


def _guide(ax: Axes, slope: float) -> None:
    bottom = min(line.get_ydata().min() for line in ax.get_lines())
    x = np.array([ax.dataLim.x0, ax.dataLim.x1])
    ax.plot(x, 0.8 * bottom * (x / x[1]) ** slope, "--", color=COLORS["theory"], lw=1, label=f"∝ $m^{{{slope:g}}}$")
