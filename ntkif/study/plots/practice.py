"""Figures of a trained classifier as people have one: how far each method is off, and what a damping decides."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.experiments.practice_methods import DAMPINGS, METHODS
from ntkif.study.plots.style import COLORS, log_axis, log_ticks, shared_legend

__all__ = ["errors_by_setting", "scale_by_damping"]

_DRAWN = {
    METHODS[1]: ("#555555", "x"),
    METHODS[2]: ("#CC79A7", "v"),
    METHODS[3]: ("#E69F00", "^"),
    METHODS[4]: (COLORS["IHVP"], "s"),
    METHODS[5]: (COLORS["own kernel"], "o"),
    METHODS[6]: (COLORS["measured"], "D"),
}


def errors_by_setting(table: pd.DataFrame) -> Figure:
    """Relative error of each method, a row a setting, a mark a seed; the line is at one, the error of saying nothing.

    Args:
        table: of `experiments.practice.practice_scores`.
    """
    figure, ax = plt.subplots(figsize=(7.4, 4.6))
    settings = list(table["setting"].unique())
    for place, (method, (color, marker)) in enumerate(_DRAWN.items()):
        rows = table[table["method"] == method]
        heights = [settings.index(name) + 0.12 * (place - 2.5) for name in rows["setting"]]
        ax.plot(rows["relative_error"], heights, marker, color=color, ms=4.5, label=method)
    ax.set_yticks(range(len(settings)), settings, fontsize=9)
    ax.invert_yaxis()
    ax.axvline(1, color=COLORS["theory"], ls="--", lw=1)
    log_axis(ax, "x")
    ax.set(xlabel="relative error against retraining")
    shared_legend(figure, ax, 3)
    return figure


def scale_by_damping(table: pd.DataFrame) -> Figure:
    """R and slope of the network's own kernel against the damping, a line a setting, means over seeds.

    Args:
        table: of `experiments.practice.practice_scores`, of which settings with dampings are drawn.
    """
    rows = table[table["method"].isin([f"own kernel, damping {damping:g}" for damping in DAMPINGS])]
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6))
    means = rows.groupby(["setting", "penalty"], sort=False)[["pearson", "slope"]].mean()
    for ax, (column, words) in zip(axes, (("pearson", "R"), ("slope", "slope")), strict=True):
        for name, line in means[column].groupby("setting", sort=False):
            ax.plot(line.index.get_level_values("penalty"), line, "o-", ms=4, label=name)
        log_ticks(ax, DAMPINGS)
        ax.set(xlabel="damping", ylabel=words)
    log_axis(axes[1], "y")
    axes[1].axhline(1, color=COLORS["theory"], ls="--", lw=1)
    shared_legend(figure, axes[0], 2)
    return figure
