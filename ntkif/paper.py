"""The paper's own numbers, typed from it, to be shown beside ours."""

import pandas as pd

__all__ = ["table_1"]

# Table 1: width in units of 10^4, Pearson's R and Spearman's rho of the 40 most influential points.
_TABLE_1 = {
    "mnist": {8: (0.9955, 0.9728), 4: (0.9866, 0.9565), 2: (0.9802, 0.9531), 1: (0.9766, 0.9341)},
    "cifar": {8: (0.9960, 0.9606), 4: (0.9904, 0.9146), 2: (0.9808, 0.8672), 1: (0.9683, 0.8583)},
}


def table_1() -> pd.DataFrame:
    """Table 1 of the paper: a row for each of dataset and width, with columns pearson and spearman."""
    rows = [
        {"dataset": dataset, "width": 10_000 * width, "pearson": pearson, "spearman": spearman}
        for dataset, scores in _TABLE_1.items()
        for width, (pearson, spearman) in sorted(scores.items())
    ]
    return pd.DataFrame(rows)
