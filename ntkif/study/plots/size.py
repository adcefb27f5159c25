"""Figures of cost: error and time with features, time with size, what tools cost; see `plots` for the style."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import log_ticks

__all__ = ["growth"]


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
