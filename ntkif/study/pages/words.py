"""Tables as a page shows them: words for the names of columns, which code needs short."""

import pandas as pd

__all__ = ["WORDS", "in_words", "plain_numbers"]

#: Names of columns, of indices and of their levels -> what a reader sees. What is not here loses its underscores.
WORDS = {
    "pearson": "R",
    "spearman": "ρ",
    "pooled_pearson": "R, pooled",
    "pooled_spearman": "ρ, pooled",
    "pearson_median": "R, median",
    "pearson_low": "R, 95 % are above",
    "init_scale": "κ",
    "width": "m",
    "start_kind": "start",
    "ridge": "λ",
    "n_train": "training images",
    "n_test": "test images",
    "dataset": "images",
    "peak_mib": "memory in MiB",
    "sign_pearson": "R of the sign alone",
    "helpful_pearson": "R, helpful ones",
    "harmful_pearson": "R, harmful ones",
    "ap_loo": "leave-one-out loss",
    "ap_loss": "training loss",
    "ap_mean": "mean influence",
    "ap_self": "self-influence",
}


def in_words(table: pd.DataFrame, **words: str) -> pd.DataFrame:
    """The table with words in place of the names of its columns and of the levels of its index.

    Args:
        table: of an experiment or a record; it is left as it is.
        **words: names of the page's own -> what a reader sees, before `WORDS`.
    """
    known = WORDS | words
    named = table.rename(columns=lambda name: _word(name, known))
    for axis in (named.index, named.columns):
        axis.names = [_word(name, known) for name in axis.names]
    return named


def plain_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the numbers that name its rows and columns as one types them: 1e-05 and 100, not 0.000010.

    Args:
        table: whose index or columns, or levels of these, are times, ridges and the like; it is left as it is.
    """
    return table.rename(index=_plain, columns=_plain)


def _plain(name):
    return f"{name:g}" if isinstance(name, float) else name


def _word(name, known: dict[str, str]):
    if not isinstance(name, str):
        return name
    head, joined, rest = name.partition("pooled_")
    fallback = f"{rest.replace('_', ' ')}, pooled" if joined and not head else name.replace("_", " ")
    return known.get(name, fallback)
