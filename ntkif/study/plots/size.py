"""Figures of cost: error and time with features, time with size, what tools cost; see `plots` for the style."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, error_bars, log_axis, log_ticks, shared_legend

__all__ = ["error_by_features", "growth", "tools"]

_SETS = {"mnist": "#0072B2", "cifar": "#D55E00", "mini-mnist": "#56B4E9", "mini-cifar": "#E69F00"}
_CASES = {"two-layer": ("o", "#0072B2"), "mlp": ("s", "#D55E00"), "conv": ("^", "#009E73")}


def error_by_features(tables: dict[str, pd.DataFrame]) -> Figure:
    """Relative error of the influence, and time as a share of the exact method's, against the number of features.

    Args:
        tables: data set -> of `experiments.features.feature_errors`. Points are means over seeds, bars go from the
            least to the largest.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.8))
    for name, table in tables.items():
        table = table.assign(share=table["seconds"] / table["exact_seconds"])
        for ax, column in zip(axes, ("relative_error", "share"), strict=True):
            error_bars(ax, table, "features", column, color=_SETS[name], label=name)
    for ax, label in zip(axes, ("relative error of the influence", "time / time of the exact method"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel="features $p$", ylabel=label)
        log_ticks(ax, sorted(table["features"].unique()))
    axes[1].axhline(1, color="#BBBBBB", lw=0.8)
    shared_legend(figure, axes[0], 4)
    return figure


def growth(table: pd.DataFrame) -> Figure:
    """Time against size, on logarithmic axes, a panel for each thing that grows.

    Args:
        table: of `benchmarks/speed/growth.py`.
    """
    panels = list(table.groupby("varied", sort=False))
    figure, axes = plt.subplots(2, 3, figsize=(10.2, 6.4), sharey=True)
    styles = dict(zip(table["method"].unique(), plt.rcParams["axes.prop_cycle"], strict=False))
    marks = dict(zip(table["method"].unique(), "os^vDP*Xphd8", strict=False))
    for ax, (varied, group) in zip(axes.flat, panels, strict=False):
        for method, each in group.groupby("method", sort=False):
            ax.plot(each["value"], each["seconds"], f"{marks[method]}-", ms=5, **styles[method], label=method)
        ax.set(xscale="log", yscale="log", title=_VARIED[varied])
        log_ticks(ax, sorted(group["value"].unique())[::2])
    for ax in axes[:, 0]:
        ax.set_ylabel("seconds")
    handles = {label: line for ax in axes.flat for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    axes.flat[-1].axis("off")
    axes.flat[-1].legend(handles.values(), handles.keys(), frameon=False, fontsize=8, loc="center left")
    return figure


_VARIED = {
    "n": "training points $n$",
    "d": "inputs $d$",
    "k": "test points $k$",
    "p": "features $p$",
    "width": "width $m$",
}


def tools(table: pd.DataFrame) -> Figure:
    """Relative error, slope and time of each tool, a mark for each network.

    Args:
        table: of `peers.chosen`, with what has an answer.
    """
    ceiling = table[table["tool"] == "another start"].set_index("case")["relative_error"]
    table = table[table["tool"] != "another start"]
    order = table.groupby("tool")["relative_error"].median().sort_values(ascending=False).index
    place = {tool: i for i, tool in enumerate(order)}
    figure, axes = plt.subplots(1, 3, figsize=(10.2, 0.34 * len(order) + 1.2), sharey=True)
    for ax, column in zip(axes, ("relative_error", "slope", "seconds"), strict=True):
        for case, (mark, color) in _CASES.items():
            each = table[table["case"] == case]
            values = each[column].clip(lower=1e-3) if column == "slope" else each[column]
            ax.plot(values, each["tool"].map(place), mark, ms=6, color=color, alpha=0.8, label=case)
            if column == "relative_error" and case in ceiling:
                ax.axvline(ceiling[case], color=color, lw=0.8, ls=":")
        log_axis(ax, "x")
        ax.tick_params(axis="x", labelsize=8, rotation=45)
        for y in range(len(order)):
            ax.axhline(y, color="#EEEEEE", lw=0.8, zorder=0)
    axes[1].axvline(1, color=COLORS["theory"], lw=0.8)
    axes[0].set(xlabel="relative error")
    axes[1].set(xlabel="slope (1 is right)")
    axes[2].set(xlabel="seconds")
    axes[0].set_yticks(np.arange(len(order)), order, fontsize=9)
    for label in axes[0].get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("ntkif") else "normal")
    shared_legend(figure, axes[0], 3)
    return figure
