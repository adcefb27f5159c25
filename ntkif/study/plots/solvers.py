"""Figures of iterative solvers."""

import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, RIDGE_COLORS, panels, shared_legend

__all__ = ["solver_curves"]


def solver_curves(tables: dict[str, pd.DataFrame], x: str, scores: dict[str, str], *, xlabel: str = "steps") -> Figure:
    """Scores of a solver against its number of steps, a panel for each score.

    Args:
        tables: label of a line -> rows of `experiments.solvers.solver_errors`; those that diverged have no point.
        x: column with the number of steps.
        scores: column -> label of its axis.
        xlabel: what the solver calls its steps.
    """
    figure, axes = panels(len(scores), width=4.2, height=3.1)
    for ax, (column, ylabel) in zip(axes, scores.items(), strict=True):
        for number, (label, table) in enumerate(tables.items()):
            kept = table[~table["diverged"]]
            style, color = ("o-", "s--", "^:")[number % 3], RIDGE_COLORS[number % 5]
            ax.semilogx(kept[x], kept[column], style, ms=4, color=color, label=label)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if column in ("relative_error", "residual"):
            ax.set_yscale("log")
        if column in ("slope", "pearson", "spearman"):
            ax.axhline(1, color=COLORS["theory"], lw=0.8)
    shared_legend(figure, axes[0], columns=3)
    return figure
