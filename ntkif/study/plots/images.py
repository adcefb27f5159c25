"""Figures of images: the extreme ones, and how alike they are (Figure 4)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, show_image

__all__ = ["digits", "image_rows", "likeness", "share_of_largest"]


def image_rows(images: np.ndarray, table: pd.DataFrame) -> Figure:
    """Figure 4: a row of training images for each kind, ranked from the left.

    Titles give the label and, times 10 000, what the row is ranked by: the mean influence of helpful and harmful
    images, the mean |influence| of the others.

    Args:
        images: (count, height, width) grey or (count, height, width, 3) colour pixels of the rows of the table.
        table: of `experiments.images.extreme_images`.
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


def likeness(tables: dict[str, pd.DataFrame]) -> Figure:
    """Figure 4 measured: similarity of each kind of images against random groups of the same classes.

    Args:
        tables: name of a panel -> table of `experiments.images.homogeneity`, by group; an even number of them.
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


def share_of_largest(ordered: torch.Tensor) -> Axes:
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
