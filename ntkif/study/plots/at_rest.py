"""Figures of where full-batch descent ends."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.experiments.width import start_name
from ntkif.study.plots.style import START_COLORS

__all__ = ["hops_by_share"]


def hops_by_share(table: pd.DataFrame) -> Figure:
    """How far one more step moves the training predictions, against the step size, a line for each start.

    Args:
        table: with init_scale, symmetric, and share and hop of `experiments.at_rest.hop_of`.
    """
    figure, ax = plt.subplots(figsize=(5.6, 3.4))
    for start, group in table.groupby(["init_scale", "symmetric"], sort=False):
        name = start_name(*start)
        ordered = group.sort_values("share", kind="stable")
        ax.plot(ordered["share"], ordered["hop"], "o-", color=START_COLORS[name], label=name)
    ax.set(yscale="log", xlim=(0, None), xlabel="share of the step in the largest stable one")
    ax.set_ylabel("change in one more step")
    ax.legend(frameon=False)
    return figure
