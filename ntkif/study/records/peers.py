"""What other tools for influence answer, measured by `make peers` in an environment of their own."""

from pathlib import Path

import pandas as pd

from ntkif.provenance import ROOT
from ntkif.study.records.measured import measured

__all__ = ["against_truth", "chosen", "conventions"]


def conventions(root: Path = ROOT) -> tuple[pd.DataFrame, str]:
    """Sign, orientation and scale of each tool's influence, and how that was measured.

    Args:
        root: of the project.

    Returns:
        a row for each tool and loss, and one line of provenance.

    Raises:
        FileNotFoundError, ValueError: as `measured`.
    """
    table, provenance = measured("conventions", root, dtype=str, keep_default_na=False)
    return table, provenance["line"]


def against_truth(record: str = "peers", root: Path = ROOT) -> tuple[pd.DataFrame, dict]:
    """Every tool, with every setting that was tried, against networks trained without each of some points.

    Args:
        record: "peers", or "peers-large" with 5000 points.
        root: of the project.

    Returns:
        a row for each case, tool and setting: case; parameters, trained ones of the network; train_seconds, of one
        training; tool, "another start" for the ceiling; settings; status, empty or why there is no answer; chosen,
        whether the setting is the tool's best; pearson, spearman, slope, relative_error, and rescaled_error, with the
        best factor; seconds; peak_mib. And its provenance.

    Raises:
        FileNotFoundError, ValueError: as `measured`.
    """
    return measured(record, root, keep_default_na=False, na_values=dict.fromkeys(_NUMBERS, ""))


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Of each tool the setting with the smallest error, best first; those without an answer come last."""
    best = table[table["chosen"]]
    return best.sort_values(["case", "relative_error"], kind="stable")


_NUMBERS = ("pearson", "spearman", "slope", "relative_error", "rescaled_error", "seconds", "peak_mib")
