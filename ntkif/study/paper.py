"""What the paper says: its settings, numbers, claims and numbered items, from `paper.toml`, where they are typed."""

import tomllib
from pathlib import Path

__all__ = ["CLAIMS", "ITEMS", "RIDGE", "SETTINGS", "TABLE_1"]

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

# Of the experiments, by name.
SETTINGS: dict[str, float | list] = _DATA["settings"]

# The ridges of Figure 8, by data set.
RIDGE: dict[str, float] = _DATA["ridge"]

# Table 1, a row for each data set and width: dataset, width, pearson, spearman.
TABLE_1: list[dict] = [
    {"dataset": table["dataset"], "width": width, "pearson": pearson, "spearman": spearman}
    for table in _DATA["table_1"]
    for width, pearson, spearman in zip(table["width"], table["pearson"], table["spearman"], strict=True)
]

# Name of a claim -> item, claim (in a few words), where; paper, its own number, where it has one.
CLAIMS: dict[str, dict[str, str]] = _DATA["claim"]

# Name, about, and the claims that judge it (claims) or, of a definition, that rest on it (by), in the paper's order.
ITEMS: list[dict] = _DATA["item"]
