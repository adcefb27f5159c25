"""Figures that compare methods with real retraining; see `plots` for the style and the rest."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkif.study.experiments.comparison import KINKS, METHODS, Comparison
from ntkif.study.experiments.width import start_name
from ntkif.study.plots.style import COLORS, error_bars, log_axis, log_ticks, shared_legend

__all__ = ["METHOD_COLORS", "error_and_flips", "errors_of_networks", "method_scores_by_width", "predictions_of_methods"]

_NAMES = ("exact", "IHVP", "own kernel", "own kernel, kinks held")
METHOD_COLORS = dict(zip((*METHODS, KINKS), (COLORS[name] for name in _NAMES), strict=True))
_MARKS = dict(zip((*METHODS, KINKS), "s^o.", strict=True))


def method_scores_by_width(scores: pd.DataFrame, columns: dict[str, str]) -> Figure:
    """Scores of each method against width, a row of panels for each score and a column for each start.

    Args:
        scores: of `experiments.comparison.method_scores` of two-layer networks. Points are means over seeds, bars
            go from the least to the largest.
        columns: score -> label of its axis; a relative error has a logarithmic axis.
    """
    starts = list(scores.groupby(["init_scale", "symmetric"], sort=False))
    size = (3.9 * len(starts), 2.8 * len(columns) + 0.5)
    figure, axes = plt.subplots(len(columns), len(starts), figsize=size, squeeze=False, sharey="row", sharex=True)
    for row, (column, label) in zip(axes, columns.items(), strict=True):
        for ax, (_, group) in zip(row, starts, strict=True):
            for method, each in group.groupby("method", sort=False):
                style = {"fmt": f"{_MARKS[method]}-", "ms": 5, "color": METHOD_COLORS[method]}
                error_bars(ax, each, "width", column, label=method, **style)
            if column == "slope":
                ax.axhline(1, color="#BBBBBB", lw=0.8)
            if column == "relative_error":
                log_axis(ax, "y")
            log_ticks(ax, sorted(group["width"].unique()))
        row[0].set_ylabel(label)
    for (start, _), top, bottom in zip(starts, axes[0], axes[-1], strict=True):
        top.set_title(start_name(*start), fontsize=10)
        bottom.set_xlabel("width $m$")
    shared_legend(figure, axes[0, 0], 2)
    return figure


def error_and_flips(removals: pd.DataFrame) -> Axes:
    """Relative error of each removal against the share of gates that flipped, a colour each start, a mark each width.

    Args:
        removals: of `experiments.comparison.removal_errors` of two-layer networks.
    """
    _, ax = plt.subplots(figsize=(6.4, 4.2))
    marks = dict(zip(sorted(removals["width"].unique()), "ov^sD", strict=False))
    colors = dict(
        zip(removals.groupby(["init_scale", "symmetric"], sort=False).groups, ("#0072B2", "#D55E00"), strict=True)
    )
    for (init_scale, symmetric, width), group in removals.groupby(["init_scale", "symmetric", "width"], sort=False):
        color, name = colors[init_scale, symmetric], f"{start_name(init_scale, symmetric)}, $m$ = {width}"
        ax.plot(group["flips"], group["relative_error"], marks[width], ms=5, color=color, alpha=0.6, label=name)
    ax.set(xlabel="share of gates that flip without the image", ylabel="relative error for its removal")
    log_axis(ax, "y")
    log_axis(ax, "x")
    ax.legend(frameon=False, fontsize=9)
    return ax


def errors_of_networks(tables: dict[str, pd.DataFrame], columns: dict[str, str]) -> Figure:
    """Scores of each method for several networks, a row of panels for each data set and a column for each score.

    Args:
        tables: data set -> of `experiments.comparison.method_scores` of deeper networks. Points are networks, one each.
        columns: score -> label of its axis.
    """
    heights = [table["network"].nunique() for table in tables.values()]
    size = (3.9 * len(columns) + 1.2, 0.62 * sum(heights) + 0.75 * len(tables) + 0.4)
    grid = {"height_ratios": heights}
    figure, axes = plt.subplots(len(tables), len(columns), figsize=size, squeeze=False, sharex="col", gridspec_kw=grid)
    for row, (dataset, table) in zip(axes, tables.items(), strict=True):
        places = {name: -place for place, name in enumerate(table["network"].unique())}
        for ax, column in zip(row, columns, strict=True):
            for shift, (method, group) in zip((0.2, 0, -0.2), table.groupby("method", sort=False), strict=True):
                height = group["network"].map(places) + shift
                ax.plot(group[column], height, _MARKS[method], ms=5, color=METHOD_COLORS[method], label=method)
            if column == "slope":
                ax.axvline(1, color="#BBBBBB", lw=0.8)
            ax.set_yticks(list(places.values()), list(places) if ax is row[0] else [], fontsize=9)
            ax.set_ylim(-len(places) + 0.5, 0.5)
        row[0].set_title(dataset, loc="left", fontsize=10)
    for ax, label in zip(axes[-1], columns.values(), strict=True):
        ax.set_xlabel(label)
    shared_legend(figure, axes[0, 0], 3)
    return figure


def predictions_of_methods(comparison: Comparison, titles: Sequence[str]) -> Figure:
    """Predicted against actual influence of all removals on all test points, a panel for each method.

    Args:
        comparison: one network.
        titles: of the panels.
    """
    figure, axes = plt.subplots(1, len(titles), figsize=(3.1 * len(titles), 3.3), squeeze=False)
    truth = comparison.truth.flatten().numpy()
    for ax, title, (method, predicted) in zip(axes.flat, titles, comparison.predicted.items(), strict=True):
        values = predicted.flatten().numpy()
        ends = np.array([min(truth.min(), values.min()), max(truth.max(), values.max())])
        ends += 0.06 * (ends[1] - ends[0]) * np.array([-1, 1])
        ax.plot(ends, ends, "--", color=COLORS["theory"], lw=1)
        ax.scatter(truth, values, s=6, color=METHOD_COLORS[method], alpha=0.5, lw=0)
        ax.set(xlim=ends, ylim=ends, aspect="equal", title=title, xlabel="actual influence")
        ax.title.set_fontsize(10)
        ax.locator_params(nbins=4)
    axes[0, 0].set_ylabel("predicted influence")
    return figure
