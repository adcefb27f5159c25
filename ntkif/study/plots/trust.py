"""Figures of what a trained network tells of how far its influences can be trusted."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, log_axis

__all__ = ["error_by_damping", "error_by_linearity"]

_KINDS = {
    "linear": "#555555",
    "tanh": "#0072B2",
    "gelu": "#56B4E9",
    "relu": "#E69F00",
    "lstm": "#D55E00",
    "gru": "#CC79A7",
}
_NAMES = {"gelu": "GELU", "relu": "ReLU", "lstm": "LSTM", "gru": "GRU"}
_DAMPINGS = ("#009E73", "#0072B2", "#E69F00")
_LEAST = 1e-3  # what is drawn at the edge


def error_by_linearity(table: pd.DataFrame, marks: tuple[float, float]) -> Figure:
    """Relative error of influences against how far the network is from linear along removals, a point a network.

    Args:
        table: of `experiments.trust.linearity_scores`; what is below a thousandth is drawn there.
        marks: where to draw lines, between what is trusted and what is not.
    """
    figure, ax = plt.subplots(figsize=(6.4, 4.2))
    for kind, group in table.groupby("network", sort=False):
        x, y = (group[name].clip(lower=_LEAST) for name in ("linearity", "relative_error"))
        ax.plot(x, y, "o", color=_KINDS[kind], ms=5, label=_NAMES.get(kind, kind))
    for mark in marks:
        ax.axvline(mark, color="#BBBBBB", lw=0.8)
    for which in "xy":
        log_axis(ax, which)
    ax.set(xlabel="departure from linear", ylabel="relative error against retraining")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def error_by_damping(table: pd.DataFrame) -> Figure:
    """Relative error of influences by each way to name a damping, a row a case, a point a seed.

    Args:
        table: of `experiments.trust.damping_errors`.
    """
    figure, ax = plt.subplots(figsize=(6.4, 4.2))
    cases = list(table.groupby(["network", "loss", "how", "steps"], sort=False))
    for height, (_, group) in enumerate(cases):
        for place, (damping, each) in enumerate(group.groupby("damping", sort=False)):
            label = damping if height == 0 else None
            y = [height + 0.22 * (place - 1)] * len(each)
            ax.plot(each["relative_error"], y, "o", color=_DAMPINGS[place], ms=4.5, label=label)
    names = [f"{network}, {loss}, {how}, {steps} steps" for (network, loss, how, steps), _ in cases]
    ax.set_yticks(range(len(cases)), names, fontsize=9)
    ax.invert_yaxis()
    ax.axvline(1, color=COLORS["theory"], ls="--", lw=1)
    log_axis(ax, "x")
    ax.set(xlabel="relative error against retraining")
    ax.legend(frameon=False, fontsize=9, ncols=3, loc="lower center", bbox_to_anchor=(0.3, 1.0))
    return figure
