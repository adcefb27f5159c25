"""The figure of features in place of the kernel."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import error_bars, log_ticks, shared_legend

__all__ = ["error_by_features"]

_SETS = {"mnist": "#0072B2", "cifar": "#D55E00", "mini-mnist": "#56B4E9", "mini-cifar": "#E69F00"}


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
