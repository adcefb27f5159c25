"""The figure of the scoreboard."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ntkif.study.pages.claims import VERDICTS
from ntkif.study.pages.scoreboard import DEFINITION, MARKS
from ntkif.study.plots.style import COLORS

__all__ = ["VERDICT_COLORS", "verdict_tiles"]

_COLORS = (COLORS["helpful"], COLORS["other class"], COLORS["harmful"], "#BBBBBB")
VERDICT_COLORS = dict(zip((*VERDICTS, DEFINITION), _COLORS, strict=True))


def verdict_tiles(verdicts: pd.Series, columns: int = 4) -> Figure:
    """A tile for each item of the paper, in its order down the columns, with the colour and mark of its verdict.

    Args:
        verdicts: item -> verdict, of `scoreboard.verdicts`.
        columns: of tiles.
    """
    rows = -(-len(verdicts) // columns)
    figure, ax = plt.subplots(figsize=(2.4 * columns, 0.36 * rows + 0.5))
    for place, (item, verdict) in enumerate(verdicts.items()):
        x, y = divmod(place, rows)
        ax.add_patch(Rectangle((x + 0.02, -y - 0.94), 0.09, 0.88, color=VERDICT_COLORS[verdict]))
        ax.text(x + 0.065, -y - 0.5, MARKS[verdict], ha="center", va="center", fontsize=11)
        ax.text(x + 0.14, -y - 0.5, item.replace(", ", ",\n") if len(item) > 24 else item, va="center", fontsize=9)
    ax.set(xlim=(0, columns), ylim=(-rows, 0))
    ax.axis("off")
    shown = [Patch(color=color, label=f"{MARKS[verdict]} {verdict}") for verdict, color in VERDICT_COLORS.items()]
    figure.legend(handles=shown, loc="outside lower center", ncols=len(shown), frameon=False)
    return figure
