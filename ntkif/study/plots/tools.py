"""The figure of other tools for influence, against networks really retrained."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ntkif.study.plots.style import shared_legend

__all__ = ["AT_REST", "STOPPED", "errors_of_tools"]


#: Network -> mark and colour: those trained to a minimum, and those trained in batches and stopped.
AT_REST = {"two-layer": ("o", "#0072B2"), "mlp": ("s", "#D55E00"), "conv": ("^", "#009E73")}
STOPPED = {
    "MLP, SGD, n = 200": ("o", "#0072B2"),
    "MLP, Adam, n = 200": ("s", "#D55E00"),
    "conv, SGD, n = 200": ("^", "#009E73"),
    "logistic regression, SGD, n = 5000": ("D", "#CC79A7"),
    "MLP, SGD, n = 5000": ("v", "#56B4E9"),
}


def errors_of_tools(
    table: pd.DataFrame, cases: dict[str, tuple[str, str]] = AT_REST, cost: tuple[str, str] = ("seconds", "seconds")
) -> Figure:
    """Relative error of each tool, and what its answer costs, a mark for each network; marks of one tool lie apart.

    Args:
        table: of `records.tools.chosen`, with what has an answer.
        cases: network -> mark and colour.
        cost: a positive column, and what it is.
    """
    yardstick = table[table["tool"] == "another start"].set_index("case")["relative_error"]
    table = table[table["tool"] != "another start"]
    order = table.groupby("tool")["relative_error"].median().sort_values(ascending=False, kind="stable").index
    place = {tool: i for i, tool in enumerate(order)}
    apart = dict(zip(cases, np.linspace(0.32, -0.32, len(cases)), strict=True))
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.5 * len(order) + 1.4), sharey=True)
    for ax, column, label in zip(axes, ("relative_error", cost[0]), ("relative error", cost[1]), strict=True):
        for case, (mark, color) in cases.items():
            each = table[table["case"] == case]
            ax.plot(each[column], each["tool"].map(place) + apart[case], mark, ms=7, color=color, label=case)
            if column == "relative_error" and case in yardstick:
                ax.axvline(yardstick[case], color=color, lw=1.2, ls=":")
        _scale(ax, table[column], label)
        for y in range(0, len(order), 2):
            ax.axhspan(y - 0.5, y + 0.5, color="#F4F4F4", lw=0, zorder=0)
    axes[0].set_ylim(-0.5, len(order) - 0.5)
    axes[0].set_yticks(np.arange(len(order)), order, fontsize=13)
    for label in axes[0].get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("ntkif") else "normal")
    shared_legend(figure, axes[0], 3, 12)
    return figure


def _scale(ax: Axes, values: pd.Series, label: str) -> None:
    """A logarithmic axis with few large numbers, which leave room for each other."""
    low, high = np.log10(values.agg(["min", "max"]))
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1,) if high - low > 3 else (1, 3)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(label, fontsize=14)
    ax.tick_params(axis="x", labelsize=12)
