"""The figure of what projections of the Jacobian lose."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, log_axis, log_ticks, shared_legend

__all__ = ["error_by_projections"]

_SETS = {"mini-mnist": "#56B4E9", "mini-cifar": "#E69F00"}
_MARKS = "os^D"


def error_by_projections(tables: dict[str, pd.DataFrame], share: float) -> Figure:
    """Relative error against columns, and against the root of the freedom a column, with a line of that slope.

    Args:
        tables: data set -> of `experiments.projections.projection_errors`; points are means over seeds. What was not
            projected, as there are columns enough, is left out.
        share: of the root that the line shows.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.8), sharey=True)
    for name, table in tables.items():
        table = table[table["projections"] < table["parameters"]]
        for (ridge, group), mark in zip(table.groupby("ridge"), _MARKS, strict=False):
            means = group.groupby("projections")[["relative_error", "freedom"]].mean()
            look = {"color": _SETS[name], "marker": mark, "ms": 5, "ls": "-", "label": f"{name}, λ = {ridge:g}"}
            axes[0].plot(means.index, means["relative_error"], **look)
            axes[1].plot((means["freedom"] / means.index) ** 0.5, means["relative_error"], **look)
    left, right = axes[1].get_xlim()
    ends = np.array([max(left, 0.02), right])
    axes[1].plot(
        ends,
        share * ends,
        color=COLORS["theory"],
        ls="--",
        lw=1,
        label=rf"{share:g} $\sqrt{{d/p}}$" if share != 1 else r"$\sqrt{d/p}$",
    )
    log_ticks(axes[0], sorted({p for table in tables.values() for p in table["projections"]}))
    log_axis(axes[1], "x")
    log_axis(axes[0], "y")
    axes[0].set(xlabel="columns $p$", ylabel="relative error of the influence")
    axes[1].set(xlabel=r"$\sqrt{d / p}$")
    shared_legend(figure, axes[1], 3)
    return figure
