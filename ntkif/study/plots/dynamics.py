"""Figures about complexity and training dynamics; see `plots` for the style and the rest."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ntkif.study.plots.style import COLORS, panels, shared_legend, show_image

__all__ = ["curves_in_time", "images_in_time"]


def images_in_time(test_images: np.ndarray, train_images: np.ndarray, table: pd.DataFrame) -> Figure:
    """Figure 6: a row for each test image, with the training image that matters most to it at each time.

    The frame is that of a helpful or a harmful image; over it its label; over a test image, its row in the test set.

    Args:
        test_images: (tests, height, width) grey or (tests, height, width, 3) colour pixels, in the table's order.
        train_images: the same for each row of the table.
        table: of `experiments.dynamics.images_along`, with one kind.
    """
    tests, times = list(dict.fromkeys(table["test_row"])), list(dict.fromkeys(table["time"]))
    size = (0.95 * (len(times) + 1), 1.15 * len(tests))
    figure, axes = plt.subplots(len(tests), len(times) + 1, figsize=size, squeeze=False)
    for image, test, ax in zip(test_images, tests, axes[:, 0], strict=True):
        show_image(ax, image)
        ax.set_title(f"test {test}", fontsize=9, pad=3)
    for image, point in zip(train_images, table.itertuples(), strict=True):
        ax = axes[tests.index(point.test_row), times.index(point.time) + 1]
        show_image(ax, image)
        ax.set_title(point.label, fontsize=9, pad=3)
        for spine in ax.spines.values():
            spine.set(visible=True, lw=2.5, color=COLORS["helpful" if point.influence > 0 else "harmful"])
    for time, ax in zip(times, axes[-1, 1:], strict=True):
        ax.set_xlabel(f"t = {time:g}", fontsize=9)
    return figure


def curves_in_time(
    tables: dict[str, pd.DataFrame], lines: dict[str, tuple[str, str, str]], ylabel: str, *, marked: str | None = None
) -> Figure:
    """Columns of a table against the time of training.

    Args:
        tables: title of a panel -> table with a column time.
        lines: column -> label, colour (a name of `COLORS` or one of matplotlib) and style of its line.
        ylabel: of the axis that they share.
        marked: a column; where it is largest stands a vertical line.
    """
    figure, axes = panels(len(tables), width=4.2, height=3.1)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        for column, (label, color, style) in lines.items():
            ax.semilogx(table["time"], table[column], style, ms=4, color=COLORS.get(color, color), label=label)
        if marked:
            ax.axvline(table.loc[table[marked].idxmax(), "time"], color=COLORS["theory"], ls=":", lw=1)
        ax.set(title=title, xlabel="time of training $t$", ylabel=ylabel)
    shared_legend(figure, axes[0], columns=len(lines) if len(lines) <= 4 else 3)
    return figure
