"""The figure of the scores of the field; see `plots` for the style and the rest."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.experiments.comparison import METHODS
from ntkif.study.experiments.field_scores import SETS, TRACIN
from ntkif.study.plots.style import COLORS, shared_legend

__all__ = ["MARKS", "scores_of_methods"]

#: Method -> mark and colour; whole sets are hollow.
MARKS = {
    METHODS[0]: ("s", COLORS["theory"]),
    SETS[0]: ("s", COLORS["theory"]),
    METHODS[1]: ("^", COLORS["IHVP"]),
    TRACIN: ("v", COLORS["other class"]),
    METHODS[2]: ("o", COLORS["exact"]),
    SETS[1]: ("o", COLORS["exact"]),
}


def scores_of_methods(table: pd.DataFrame, shown: dict[str, tuple[str, float, str]]) -> Figure:
    """Each method in each seed: the score with its interval, or another column of it; a panel for each, in rows.

    Args:
        table: of `experiments.field_scores.field_scores`.
        shown: title -> score, what it is of, and the column drawn, of which "value" has an interval.
    """
    methods = [method for method in MARKS if method in set(table["method"])]
    figure, axes = plt.subplots(1, len(shown), figsize=(2.5 * len(shown) + 1.6, 3.6), sharey=True, squeeze=False)
    for ax, (title, (score, of, column)) in zip(axes[0], shown.items(), strict=True):
        rows = table[(table["score"] == score) & (table["of"] == of)]
        for place, method in enumerate(methods):
            mark, color = MARKS[method]
            each = rows[rows["method"] == method].sort_values("seed", kind="stable")
            heights = [-place + 0.2 - 0.2 * number for number in range(len(each))]
            if column == "value":
                ax.hlines(heights, each["low"], each["high"], color=color, lw=1, alpha=0.6)
            face = "white" if method in SETS else color
            ax.plot(each[column], heights, mark, ms=5, color=color, mfc=face, label=method)
        if column == "slope":
            ax.axvline(1, color=COLORS["theory"], lw=0.8, ls=":")
        ax.set_title(title, fontsize=10)
        ax.locator_params(axis="x", nbins=4)
    axes[0, 0].set_yticks([])
    shared_legend(figure, axes[0, 0], 3)
    return figure
