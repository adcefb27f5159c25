"""Tables by network: the rows in their order, with words for networks and columns."""

import pandas as pd
import pytest

from ntkif.study.pages.networks import by_network, starts_in_words

RUNS = pd.DataFrame(
    {
        "dataset": ["mnist", "cifar"],
        "init_scale": [0.01, 1.0],
        "symmetric": [False, True],
        "width": [512, 64],
        "seed": [0, 1],
        "pooled_slope": [0.5, 1.5],
        "ties": [3, 4],
    }
)


def test_a_network_is_named_by_what_tells_it_apart():
    table = by_network(RUNS, ["pooled_slope", "ties"], "dataset", ties="equal ones")
    assert list(table.columns) == ["slope, pooled", "equal ones"] and list(table.index.names) == ["images", "network"]
    assert table.loc[("cifar", "κ = 1, symmetric, m = 64, seed 1")].tolist() == [1.5, 4]
    assert list(RUNS.columns)[-1] == "ties"


@pytest.mark.parametrize("inner", ["predictor", "known"])
def test_what_several_rows_of_a_network_differ_in_comes_last(inner):
    table = by_network(RUNS.assign(**{inner: ["a", "b"]}), ["ties"])
    assert list(table.index) == [("κ = 0.01, m = 512, seed 0", "a"), ("κ = 1, symmetric, m = 64, seed 1", "b")]


def test_starts_are_named_and_the_table_is_left_as_it_is():
    named = starts_in_words(RUNS)
    assert named["start_kind"].tolist() == ["κ = 0.01", "κ = 1, symmetric"]
    assert list(named.columns) == ["start_kind", "dataset", "width", "seed", "pooled_slope", "ties"]
    assert {"init_scale", "symmetric"} <= set(RUNS.columns)
