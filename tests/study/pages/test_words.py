import pandas as pd

from ntkif.study import in_words, plain_numbers


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


def test_numbers_on_both_axes_are_as_one_types_them():
    table = pd.DataFrame([[1.5, 2.5], [4.5, 5.5]], index=[1e-5, 100.0], columns=[0.1, 16.0])
    shown = plain_numbers(table)
    assert list(shown.index) == ["1e-05", "100"] and list(shown.columns) == ["0.1", "16"]
    assert list(table.index) == [1e-5, 100.0] and shown.to_numpy().tolist() == table.to_numpy().tolist()


def test_numbers_of_a_level_become_plain_and_texts_stay():
    index = pd.MultiIndex.from_tuples([("mnist", 0.25, 10), ("mnist", 16.0, 40)], names=["set", "ridge", "count"])
    shown = plain_numbers(pd.DataFrame({"z": [1.0, 2.0]}, index=index))
    assert list(shown.index) == [("mnist", "0.25", 10), ("mnist", "16", 40)] and shown.index.names == index.names
