import pandas as pd

from ntkif.study import in_words


def test_names_become_words_on_both_axes_and_the_table_is_left_alone():
    table = pd.DataFrame({"pearson": [0.5], "pooled_slope": [1.0], "relative_error": [0.1], 2: [0]})
    table.index = pd.MultiIndex.from_tuples([("mnist", 0.01)], names=["dataset", "init_scale"])
    shown = in_words(table)
    assert list(shown.columns) == ["R", "slope, pooled", "relative error", 2]
    assert list(shown.index.names) == ["images", "κ"]
    assert next(iter(table.columns)) == "pearson" and list(table.index.names) == ["dataset", "init_scale"]


def test_a_page_names_its_own_and_a_level_without_a_name_stays_so():
    shown = in_words(pd.DataFrame({"took": [1], "pearson": [2]}), took="seconds", pearson="Pearson's R")
    assert list(shown.columns) == ["seconds", "Pearson's R"] and list(shown.index.names) == [None]
