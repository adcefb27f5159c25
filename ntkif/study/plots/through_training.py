"""Figures of influence through training; see `plots` for the style and the rest."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ntkif.study.experiments.through_training import METHODS
from ntkif.study.plots.style import COLORS, log_axis, shared_legend

__all__ = ["MARKS", "errors_by_case", "known_and_true_error", "predicted_and_true"]

_FIRST, _KERNEL, _OURS, _, _RETRAINED = METHODS
#: Method -> mark and colour.
MARKS = {
    _FIRST: ("^", COLORS["IHVP"]),
    _KERNEL: ("s", COLORS["own kernel"]),
    _OURS: ("o", COLORS["exact"]),
    _RETRAINED: ("D", COLORS["own kernel, kinks held"]),
}


def predicted_and_true(estimates: dict[str, torch.Tensor], truth: torch.Tensor) -> Figure:
    """Predicted against true influence, a panel for each estimate, with a line where they are equal.

    Args:
        estimates: title -> (k, r).
        truth: (k, r) of the same removals.
    """
    figure, axes = plt.subplots(1, len(estimates), figsize=(3.1 * len(estimates), 3.3))
    true = truth.flatten().numpy()
    for ax, (title, estimate) in zip(axes, estimates.items(), strict=True):
        values = estimate.flatten().numpy()
        ends = np.array([min(true.min(), values.min()), max(true.max(), values.max())])
        ends += 0.06 * (ends[1] - ends[0]) * np.array([-1, 1])
        ax.plot(ends, ends, "--", color=COLORS["theory"], lw=1)
        ax.scatter(true, values, s=8, color=COLORS["exact"], alpha=0.5, lw=0)
        ax.set(xlim=ends, ylim=ends, aspect="equal", title=title, xlabel="actual influence")
        ax.title.set_fontsize(10)
        ax.locator_params(nbins=4)
    axes[0].set_ylabel("predicted influence")
    return figure


def errors_by_case(table: pd.DataFrame) -> Figure:
    """Relative error of each method, a row for each case; the mark is the median of the seeds, the line their range.

    Args:
        table: of `experiments.through_training.through_training_scores`.
    """
    cases = list(table["case"].unique())
    figure, ax = plt.subplots(figsize=(7.2, 0.36 * len(cases) + 1.2))
    for shift, (method, (mark, color)) in zip((0.24, 0.08, -0.08, -0.24), MARKS.items(), strict=True):
        errors = table[table["method"] == method].groupby("case", sort=False)["relative_error"]
        heights = [shift - cases.index(case) for case in errors.groups]
        ax.hlines(heights, errors.min(), errors.max(), color=color, lw=1, alpha=0.6)
        ax.plot(errors.median(), heights, mark, ms=5, color=color, label=method)
    ax.set_yticks([-place for place in range(len(cases))], cases, fontsize=9)
    ax.set_xlabel("relative error")
    log_axis(ax, "x")
    shared_legend(figure, ax, 2)
    return figure


def known_and_true_error(table: pd.DataFrame, known: dict[str, str]) -> Figure:
    """True relative error against what is known without retraining, a panel for each; a point is a training.

    Args:
        table: of `experiments.through_training.through_training_scores`, rows of one method.
        known: column -> label; `growth` is a logarithm already.
    """
    figure, axes = plt.subplots(1, len(known), figsize=(3.1 * len(known), 3.3), sharey=True)
    for ax, (column, label) in zip(axes, known.items(), strict=True):
        for edge, color, name in ((False, COLORS["exact"], "other trainings"), (True, COLORS["IHVP"], "at the edge")):
            rows = table[table["edge"] == edge]
            ax.plot(rows[column], rows["relative_error"], "o", ms=5, color=color, alpha=0.7, label=name)
        ax.set_xlabel(label)
        ax.set(yscale="log", xscale="linear" if column == "growth" else "log")
    axes[0].set_ylabel("true relative error")
    shared_legend(figure, axes[0], 2)
    return figure
