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
    "concentration",
    "density_of_pairs",
    "digits",
    "error_bars",
    "image_rows",
    "kernel_values",
    "likeness",
    "log_axis",
    "log_ticks",
    "panels",
    "ratio_by_residual",
    "ratio_by_ridge",
    "shared_legend",
    "show_image",
    "use_style",
    "width_rate",
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
    "rescaled IHVP": "#E69F00",
    "own kernel": "#009E73",
    "own kernel, kinks held": "#56B4E9",
}


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


def concentration(ordered: torch.Tensor) -> Axes:
    """Cumulative share of |influence| against the number of training images: median and middle 80 % over test points.

    Args:
        ordered: (k, n) sizes of influence, each row in falling order.
    """
    _, axes = plt.subplots()
    share = np.cumsum(ordered.numpy(), axis=1)
    low, middle, high = np.quantile(share / share[:, -1:], [0.1, 0.5, 0.9], axis=0)
    count = np.arange(1, ordered.shape[1] + 1)
    axes.fill_between(count, low, high, color=COLORS["measured"], alpha=0.2, lw=0)
    axes.semilogx(count, middle, color=COLORS["measured"])
    axes.set(xlabel="number of most influential training images", ylabel="share of total |influence|", ylim=(0, 1))
    return axes


def digits(images: np.ndarray, titles: list[str], row_labels: list[str]) -> Figure:
    """Images in rows, each under its title.

    Args:
        images: (count, height, width) grey or (count, height, width, 3) colour pixels, uint8.
        titles: count texts.
        row_labels: a text at the left of each row; the last row may be shorter.
    """
    columns = -(-len(images) // len(row_labels))
    size = (1.05 * columns, 1.3 * len(row_labels))
    figure, axes = plt.subplots(len(row_labels), columns, figsize=size, squeeze=False)
    for image, title, ax in zip(images, titles, axes.flat[: len(images)], strict=True):
        show_image(ax, image)
        ax.set_title(title, fontsize=9, pad=3)
    for ax in axes.flat[len(images) :]:
        ax.axis("off")
    for label, ax in zip(row_labels, axes[:, 0], strict=True):
        ax.set_ylabel(label, fontsize=9)
    return figure


def image_rows(images: np.ndarray, table: pd.DataFrame) -> Figure:
    """Figure 4: a row of training images for each kind, ranked from the left.

    Titles give the label and, times 10 000, what the row is ranked by: the mean influence of helpful and harmful
    images, the mean |influence| of the others.

    Args:
        images: (count, height, width) grey or (count, height, width, 3) colour pixels of the rows of the table.
        table: of `experiments.kernel.extreme_images`.
    """
    kinds, columns = list(dict.fromkeys(table["kind"])), int(table["rank"].max())
    figure, axes = plt.subplots(len(kinds), columns, figsize=(0.72 * columns, 1.05 * len(kinds)), squeeze=False)
    for image, point in zip(images, table.itertuples(), strict=True):
        ax = axes[kinds.index(point.kind), point.rank - 1]
        show_image(ax, image)
        signed = point.kind in ("helpful", "harmful")
        ranked_by = f"{1e4 * point.influence:+.2g}" if signed else f"{1e4 * point.size:.2g}"
        ax.set_title(f"{point.label}: {ranked_by}".replace("-", "−"), fontsize=7.5, pad=2)
    for kind, ax in zip(kinds, axes[:, 0], strict=True):
        ax.set_ylabel(kind, fontsize=9)
    return figure


def ratio_by_ridge(table: pd.DataFrame) -> Axes:
    """Proposition 2: how often term II is more than a tenth of term I, over ridges.

    Args:
        table: of `experiments.kernel.decomposition`, with a column dataset.
    """
    _, axes = plt.subplots()
    for (dataset, rows), marker in zip(table.groupby("dataset", sort=False), "osD^", strict=False):
        axes.semilogx(
            rows["ridge"], rows["above_tenth"], marker + "-", color=COLORS["all pairs"], label=f"{dataset}: all"
        )
        axes.semilogx(
            rows["ridge"],
            rows["above_tenth_top"],
            marker + "--",
            color=COLORS["influential"],
            label=f"{dataset}: influential",
        )
    axes.set_xscale("log", base=2)
    axes.set(xlabel="ridge λ", ylabel="share of pairs with II > |I| / 10", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return axes


def ratio_by_residual(residual: torch.Tensor, ratio: torch.Tensor) -> Axes:
    """Proposition 2: term II over term I against the test residual, a point for each test image.

    Args:
        residual: (k,) sizes of the test residuals.
        ratio: (k,) ratios.
    """
    _, axes = plt.subplots()
    axes.loglog(residual, ratio, ".", color=COLORS["all pairs"])
    axes.set(xlabel="test residual |f(x) - y|", ylabel="Σ term II / Σ |term I|")
    return axes


def likeness(tables: dict[str, pd.DataFrame]) -> Figure:
    """Figure 4 measured: similarity of each kind of images against random groups of the same classes.

    Args:
        tables: name of a panel -> table of `experiments.kernel.homogeneity`, by group; an even number of them.
    """
    rows = len(tables) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(7.4, 2.4 * rows), squeeze=False)
    for (title, table), ax in zip(tables.items(), axes.flat, strict=True):
        place = np.arange(len(table))[::-1]
        ax.hlines(place, table["low"], table["high"], color=COLORS["theory"], lw=6, alpha=0.35)
        colors = [COLORS[kind] for kind in table.index]
        ax.scatter(table["similarity"], place, color=colors, edgecolor="black", zorder=3)
        ax.set(yticks=place, yticklabels=table.index, xlabel="mean cosine", title=title, ylim=(-0.6, len(table) - 0.4))
    return figure


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


def shared_legend(figure: Figure, ax: Axes, columns: int) -> None:
    """One legend above all panels, of what is drawn in one of them."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside upper center", ncols=columns)


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
