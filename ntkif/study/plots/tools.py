"""The figure of other tools for influence, against networks really retrained."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, log_axis, shared_legend

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
    table: pd.DataFrame, cases: dict[str, tuple[str, str]] = AT_REST, third: tuple[str, str] = ("seconds", "seconds")
) -> Figure:
    """Relative error, slope and one more number of each tool, a mark for each network.

    Args:
        table: of `records.tools.chosen`, with what has an answer.
        cases: network -> mark and colour.
        third: a positive column, and what it is.
    """
    ceiling = table[table["tool"] == "another start"].set_index("case")["relative_error"]
    table = table[table["tool"] != "another start"]
    order = table.groupby("tool")["relative_error"].median().sort_values(ascending=False).index
    place = {tool: i for i, tool in enumerate(order)}
    figure, axes = plt.subplots(1, 3, figsize=(10.2, 0.34 * len(order) + 1.2), sharey=True)
    for ax, column in zip(axes, ("relative_error", "slope", third[0]), strict=True):
        for case, (mark, color) in cases.items():
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
    axes[2].set(xlabel=third[1])
    axes[0].set_yticks(np.arange(len(order)), order, fontsize=9)
    for label in axes[0].get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("ntkif") else "normal")
    shared_legend(figure, axes[0], 3)
    return figure
