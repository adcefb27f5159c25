"""Small tables for the tests of plots, made by hand and not by experiments, and what is drawn."""

import numpy as np
import pandas as pd


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
