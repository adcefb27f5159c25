"""Tables of retrained networks as a page shows them: a network in words, and words for what was measured."""

import pandas as pd

from ntkif.study.experiments.width import start_name
from ntkif.study.pages.words import in_words

__all__ = ["by_network", "starts_in_words"]


def by_network(scores: pd.DataFrame, columns: list[str], *outer: str, **words: str) -> pd.DataFrame:
    """Some columns of a table of runs, by network in words.

    Args:
        scores: a row for each run, with init_scale, symmetric, width and seed.
        columns: names of the columns to show.
        *outer: names of further columns that tell rows apart, before the network; `predictor` or `known` comes after.
        **words: names of the page's own -> what a reader sees, see `in_words`.

    >>> run = {"init_scale": 1.0, "symmetric": True, "width": 64, "seed": 0, "pearson": 0.5}
    >>> by_network(pd.DataFrame([run]), ["pearson"]).to_dict()
    {'R': {'κ = 1, symmetric, m = 64, seed 0': 0.5}}
    """
    starts = map(start_name, scores["init_scale"], scores["symmetric"])
    rest = zip(starts, scores["width"], scores["seed"], strict=True)
    names = [f"{start}, m = {width}, seed {seed}" for start, width, seed in rest]
    inner = [name for name in ("predictor", "known") if name in scores]
    return in_words(scores.assign(network=names).set_index([*outer, "network", *inner])[columns], **words)


def starts_in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a first column start_kind, in words, in place of init_scale and symmetric.

    >>> starts_in_words(pd.DataFrame({"init_scale": [1.0], "symmetric": [True], "width": [64]})).to_dict("list")
    {'start_kind': ['κ = 1, symmetric'], 'width': [64]}
    """
    names = list(map(start_name, table["init_scale"], table["symmetric"]))
    rest = table.drop(columns=["init_scale", "symmetric"])
    rest.insert(0, "start_kind", names)
    return rest
