"""Figures of the kernel of a wide network (Eq. 4)."""

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.axes import Axes

from ntkif.study.plots.style import COLORS

__all__ = ["kernel_values", "width_rate"]


def width_rate(table: pd.DataFrame, ylabel: str) -> Axes:
    """Error against width on logarithmic axes: a point a network, their root mean square, and the expected line.

    Args:
        table: columns width, error and expected.
        ylabel: what the error is of.
    """
    _, axes = plt.subplots()
    rows = table.assign(square=table["error"] ** 2).groupby("width").mean()
    axes.loglog(rows.index, rows["expected"], color=COLORS["theory"], ls="--", label="expected, ∝ width$^{-1/2}$")
    axes.loglog(table["width"], table["error"], ".", color=COLORS["measured"], alpha=0.3, label="one network")
    axes.loglog(rows.index, rows["square"] ** 0.5, "o", color=COLORS["measured"], label="root mean square")
    axes.set(xlabel="width $m$", ylabel=ylabel)
    axes.legend(frameon=False)
    return axes


def kernel_values(same: torch.Tensor, other: torch.Tensor, labels: tuple[str, str]) -> Axes:
    """Histograms of kernel values of two kinds of pairs, each scaled to area one.

    Args:
        same: values of the first kind.
        other: values of the second kind.
        labels: their names.
    """
    _, axes = plt.subplots()
    for values, label, color in zip((same, other), labels, (COLORS["same class"], COLORS["other class"]), strict=True):
        axes.hist(values.numpy(), bins=80, range=(0, 0.5), density=True, alpha=0.55, color=color, label=label)
    axes.set(xlabel="kernel $K(x, x')$", ylabel="density of pairs", xlim=(0, 0.5))
    axes.legend(frameon=False)
    return axes
