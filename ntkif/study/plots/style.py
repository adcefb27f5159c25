"""Figures of the book: each draws a table that an experiment returned, or pixels, with no more than a summary of it."""

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

__all__ = [
    "COLORS",
    "RIDGE_COLORS",
    "START_COLORS",
    "density_of_pairs",
    "error_bars",
    "log_axis",
    "log_ticks",
    "panels",
    "shared_legend",
    "show_image",
    "use_style",
]

# One colour for each thing, on every page; distinguishable without red-green vision (Okabe and Ito's palette).
COLORS = {
    "measured": "#0072B2",
    "theory": "#555555",
    "all pairs": "#CC79A7",
    "influential": "#56B4E9",
    "helpful": "#009E73",
    "harmful": "#D55E00",
    "uninfluential": "#F0E442",
    "same class": "#0072B2",
    "other class": "#E69F00",
    "clean": "#56B4E9",
    "flipped": "#D55E00",
    "accuracy": "#222222",
    # methods
    "exact": "#0072B2",
    "IHVP": "#D55E00",
    "rescaled IHVP": "#009E73",
    "own kernel": "#009E73",
    "own kernel, kinks held": "#56B4E9",
}
#: Of the starts of a network, by `start_name`.
# One colour for each kind of start, on every page (Okabe and Ito's palette).
START_COLORS = {"κ = 0.01": "#D55E00", "κ = 0.1": "#E69F00", "κ = 1": "#CC79A7", "κ = 1, symmetric": "#0072B2"}
#: Of ridges, from weak to strong.
RIDGE_COLORS = ["#D55E00", "#E69F00", "#009E73", "#0072B2", "#56B4E9"]


def use_style() -> None:
    """The look of every figure and table of the book; call it once, in a notebook's first cell."""
    sns.set_theme(context="notebook", style="ticks", palette=list(COLORS.values()))
    if "ipykernel" in sys.modules:  # twice the pixels at the same size, for screens that have them
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")
    plt.rcParams |= {
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.08,
        "figure.dpi": 110,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.figsize": (6.4, 3.9),
    }
    pd.set_option("display.max_colwidth", None, "display.width", 120, "display.max_columns", 20)


def density_of_pairs(x: torch.Tensor, y: torch.Tensor, xlabel: str, ylabel: str) -> Axes:
    """Number of (test, training) pairs on two logarithmic axes, with the line y = x.

    Args:
        x: positive numbers, one for each pair.
        y: positive numbers, one for each pair.
        xlabel: name of `x`.
        ylabel: name of `y`.
    """
    _, axes = plt.subplots()
    logs = [values.flatten().log10().numpy() for values in (x, y)]
    blues = sns.light_palette(COLORS["measured"], as_cmap=True)(np.linspace(0.15, 1, 256))  # one pair is not white
    hexagons = axes.hexbin(*logs, gridsize=60, bins="log", cmap=ListedColormap(blues), linewidths=0)
    axes.axline((logs[0].mean(), logs[0].mean()), slope=1, color=COLORS["theory"], ls="--", lw=1)
    axes.set(xlabel=f"log$_{{10}}$ {xlabel}", ylabel=f"log$_{{10}}$ {ylabel}")
    plt.colorbar(hexagons, ax=axes, label="pairs")
    return axes


def panels(count: int, width: float, height: float) -> tuple[Figure, Sequence[Axes]]:
    """A figure with two panels a row, each of the size given in inches; a single one has the usual size."""
    columns = min(count, 2)
    rows = -(-count // columns)
    size = (6.4, 3.9) if count == 1 else (width * columns, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    return figure, axes.flat


def error_bars(ax: Axes, table: pd.DataFrame, by: str, column: str, **style) -> None:
    """The mean of a column against another, with bars from the least to the largest value at each.

    Args:
        ax: where.
        table: its rows.
        by: the column on the horizontal axis.
        column: that on the vertical one.
        **style: of `Axes.errorbar`; points joined by a line where none is given.
    """
    over = table.groupby(by)[column].agg(["mean", "min", "max"])
    bars = [over["mean"] - over["min"], over["max"] - over["mean"]]
    ax.errorbar(over.index, over["mean"], bars, **{"fmt": "o-", "ms": 4, "capsize": 2} | style)


def shared_legend(figure: Figure, ax: Axes, columns: int, size: float = 9) -> None:
    """One legend above all panels, of what is drawn in one of them, in letters of a size."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=size, loc="outside upper center", ncols=columns)


def log_axis(ax: Axes, which: str) -> None:
    """A logarithmic axis, "x" or "y", with plain numbers at 1, 2 and 5 times powers of ten."""
    ax.set(**{f"{which}scale": "log"})
    axis = {"x": ax.xaxis, "y": ax.yaxis}[which]
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def log_ticks(ax: Axes, positions: Sequence[float]) -> None:
    """A logarithmic x-axis with plain numbers at the positions drawn."""
    ax.set_xscale("log")
    ax.set_xticks(positions, [f"{position:g}" for position in positions], fontsize=9)
    ax.xaxis.set_minor_locator(NullLocator())


def show_image(ax: Axes, image: np.ndarray) -> None:
    """Grey or colour pixels, without axes."""
    ax.imshow(image, cmap=None if image.ndim == 3 else "gray_r", interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    sns.despine(ax=ax, left=True, bottom=True)
