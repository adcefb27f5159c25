"""Figures of networks retrained without a point (Figures 1 and 8, Table 1)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ntkif.study.experiments.width import start_name
from ntkif.study.plots.style import COLORS, START_COLORS, log_ticks

__all__ = ["predicted_and_actual", "regime_map", "scores_by_width"]

_SET_STYLES = ("o-", "s--")  # of a first and a second data set


def predicted_and_actual(pairs: pd.DataFrame, titles: Sequence[str]) -> Figure:
    """Figure 1: predicted against actual influence of each removed point, a panel for each run, with the diagonal.

    Args:
        pairs: of `experiments.retraining.influence_pairs`.
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
        ax.scatter(group["actual"], group["predicted"], s=16, color=START_COLORS[start_name(key[2], key[3])])
        ax.set(xlim=ends, ylim=ends, aspect="equal", title=title, xlabel="actual influence")
        ax.title.set_fontsize(10)
        ax.locator_params(nbins=4)
    for ax in axes[:, 0]:
        ax.set_ylabel("predicted influence")
    return figure


def scores_by_width(scores: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """Scores against width, a panel each: closed form as points and lines, another start of the network as crosses.

    Args:
        scores: of `experiments.retraining.influence_scores`, of one data set, or with a column `dataset` of several.
        columns: column of the table -> label of its axis; an even number of them.
    """
    rows = len(columns) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(7.6, 2.9 * rows), squeeze=False)
    if "dataset" not in scores:
        scores = scores.assign(dataset="")
    for ax, (column, label) in zip(axes.flat, columns.items(), strict=True):
        for style, (dataset, of_set) in zip(_SET_STYLES, scores.groupby("dataset", sort=False), strict=False):
            _lines_of_starts(ax, of_set, column, style, f"{dataset}, " if dataset else "")
        ax.set(xscale="log", xlabel="width $m$", ylabel=label)
        log_ticks(ax, sorted(scores["width"].unique()))
    axes[0, 0].legend(frameon=False, fontsize=8)
    return figure


def _lines_of_starts(ax, scores: pd.DataFrame, column: str, style: str, prefix: str) -> None:
    for (init_scale, symmetric), group in scores.groupby(["init_scale", "symmetric"]):
        name = start_name(init_scale, symmetric)
        over = group.groupby(["predictor", "width"])[column].mean()
        ax.plot(over["closed form"], style, color=START_COLORS[name], label=prefix + name)
        if "another start" in over:
            ax.plot(over["another start"], "x", color=START_COLORS[name], ms=8, label=f"{prefix}another start")


def regime_map(scores: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """Scores of the closed form over starts (rows) and widths (columns), a panel each.

    Args:
        scores: of `experiments.retraining.influence_scores`.
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
