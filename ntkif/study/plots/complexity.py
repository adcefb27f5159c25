"""Figures of what images add to the complexity of a model (Figures 5 and 11)."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, panels, shared_legend

__all__ = ["complexity_of_groups", "complexity_over_ridges"]


def complexity_of_groups(tables: dict[str, pd.DataFrame]) -> Figure:
    """Figure 5: what each group adds to the RKHS norm, over the middle 95 % of random groups.

    Args:
        tables: title of a panel -> rows of `experiments.complexity.complexity_by_group` at one ridge.
    """
    figure, axes = panels(len(tables), width=4.2, height=3.0)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        first = table.iloc[0]
        ax.axhspan(first["low"], first["high"], color=COLORS["theory"], alpha=0.25, lw=0, label="random groups, 95 %")
        colors = ["harmful", *["theory"] * (len(table) - 2), "helpful"]
        ax.bar(table["group"], table["complexity"], color=[COLORS[name] for name in colors], width=0.7)
        ax.set(title=title, xlabel="group, from most harmful to most helpful", ylabel="complexity $C$")
        ax.set_xticks(table["group"])
        ax.legend(frameon=False, fontsize=9)
    return figure


def complexity_over_ridges(tables: dict[str, pd.DataFrame]) -> Figure:
    """What each group adds to the RKHS norm, over the mean of random groups, a line for each ridge.

    Args:
        tables: title of a panel -> table of `experiments.complexity.complexity_by_group`.
    """
    figure, axes = panels(len(tables), width=4.2, height=3.0)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        ridges = table["ridge"].unique()
        for color, ridge in zip(sns.color_palette("viridis", len(ridges)), ridges, strict=True):
            line = table[table["ridge"] == ridge]
            ax.plot(
                line["group"], line["complexity"] / line["baseline"], "o-", ms=3, color=color, label=f"λ = {ridge:g}"
            )
        ax.axhline(1, color=COLORS["theory"], lw=0.8)
        ax.set(title=title, xlabel="group, from most harmful to most helpful", ylabel="$C$ / mean of random groups")
        ax.set_xticks(line["group"])
    shared_legend(figure, axes[0], columns=6)
    return figure
