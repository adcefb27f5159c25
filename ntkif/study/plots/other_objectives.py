"""Figures of networks that were not trained as the formula assumes."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.experiments.comparison import METHODS
from ntkif.study.plots.comparison import METHOD_COLORS
from ntkif.study.plots.style import error_bars, log_axis, log_ticks, shared_legend

__all__ = ["errors_by_damping"]


def errors_by_damping(table: pd.DataFrame) -> Figure:
    """Relative error of the empirical NTK against its damping, with the two flows as lines, a panel for each time.

    Args:
        table: of `experiments.other_objectives.early_stopped_scores`. Points are means over seeds, bars from least to
            largest.
    """
    times = sorted(table["time"].unique())
    figure, axes = plt.subplots(1, len(times), figsize=(2.8 * len(times), 3.3), squeeze=False, sharey=True)
    for ax, time in zip(axes.flat, times, strict=True):
        now = table[table["time"] == time]
        damped, color = now[now["method"] == "damping"], METHOD_COLORS[METHODS[2]]
        error_bars(ax, damped, "factor", "relative_error", ms=5, color=color, label="own kernel, damped")
        for method, kind, color in (("own kernel, flow", "-", METHODS[2]), ("analytic kernel, flow", "--", METHODS[0])):
            level = now.loc[now["method"] == method, "relative_error"].mean()
            ax.axhline(level, ls=kind, color=METHOD_COLORS[color], label=method)
        ax.set(xscale="log", title=f"t = {time:g}", xlabel="damping × t")
        ax.title.set_fontsize(10)
        log_ticks(ax, sorted(damped["factor"].unique()))
        log_axis(ax, "y")
    axes[0, 0].set_ylabel("relative error")
    shared_legend(figure, axes[0, 0], 3)
    return figure
