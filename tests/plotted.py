"""Small tables for the tests of plots, made by hand and not by experiments, and what is drawn."""

import numpy as np
import pandas as pd

RANDOM, SYMMETRIC = {"init_scale": [0.01], "symmetric": [False]}, {"init_scale": [1.0], "symmetric": [True]}
NAMES = {"κ = 0.01": (0.01, False), "κ = 1, symmetric": (1.0, True)}


def made(*columns, draw=0, **keys):
    """A row for each combination of the keys' values, and numbers between 0.1 and 1 in the columns."""
    index = pd.MultiIndex.from_product(keys.values(), names=keys)
    numbers = np.random.default_rng(draw).uniform(0.1, 1, (len(index), len(columns)))
    return pd.DataFrame(numbers, index=index, columns=columns).reset_index()


def lines(ax):
    """Label -> (points, 2) of each line."""
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def labels(ax):
    """Of both axes, the horizontal one first."""
    return ax.get_xlabel(), ax.get_ylabel()


def ticks(ax):
    """The words at the horizontal axis."""
    return [label.get_text() for label in ax.get_xticklabels()]


def both(*columns, **keys):
    """Rows of a random and of a symmetric start, with other numbers each."""
    parts = [made(*columns, draw=draw, **start, **keys) for draw, start in enumerate((RANDOM, SYMMETRIC))]
    return pd.concat(parts, ignore_index=True)


def of_start(table, name):
    init_scale, symmetric = NAMES[name]
    return table[(table["init_scale"] == init_scale) & (table["symmetric"] == symmetric)]
