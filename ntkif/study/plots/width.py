"""Figures about networks of finite width; see `plots` for the style and the rest."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkif.study.experiments.width import start_name
from ntkif.study.plots.style import COLORS, START_COLORS, error_bars, log_axis, log_ticks

__all__ = ["by_scale", "by_width"]


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
            error_bars(ax, group, "width", column, color=START_COLORS[name], label=name)
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
        name, color = (
            ("symmetric", START_COLORS["κ = 1, symmetric"]) if symmetric else ("random", START_COLORS["κ = 0.01"])
        )
        error_bars(ax, group, "init_scale", column, color=color, label=name)
    ax.set(xscale="log", yscale="log", xlabel="scale of the initial weights $\\kappa$", ylabel=ylabel)
    log_ticks(ax, sorted(table["init_scale"].unique()))
    log_axis(ax, "y")
    ax.legend(frameon=False)
    return ax


def _guide(ax: Axes, slope: float) -> None:
    bottom = min(line.get_ydata().min() for line in ax.get_lines())
    x = np.array([ax.dataLim.x0, ax.dataLim.x1])
    ax.plot(x, 0.8 * bottom * (x / x[1]) ** slope, "--", color=COLORS["theory"], lw=1, label=f"∝ $m^{{{slope:g}}}$")
