"""Criteria: what a bound decides at its edge, and that words and numbers come from the values that decided."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from ntkif.study.pages.criteria import criterion

BEFORE, AFTER = (lambda x: np.nextafter(x, -math.inf)), (lambda x: np.nextafter(x, math.inf))


@pytest.mark.parametrize(
    ("bound", "meets", "fails", "words"),
    [
        ({"at_most": 3}, [3, -9], [AFTER(3.0), math.inf], "at most 3"),
        ({"at_least": 0.5}, [0.5, 2], [BEFORE(0.5), -math.inf], "at least 0.5"),
        ({"below": 1e-12}, [BEFORE(1e-12), -1], [1e-12, AFTER(1e-12)], "below 1e-12"),
        ({"above": 100}, [AFTER(100.0)], [100, 99], "above 100"),
        ({"equal_to": 0}, [0, -0.0], [AFTER(0.0), 1], "none"),
        ({"equal_to": 3}, [3, 3.0], [AFTER(3.0), 2], "exactly 3"),
        ({"within": (-0.5, 0.1)}, [-0.6, -0.5, -0.4], [BEFORE(-0.6), AFTER(-0.4)], "-0.5 ± 0.1"),
        ({"within": (0.7, 0.1)}, [0.6, 0.8], [BEFORE(0.6), AFTER(0.8)], "0.7 ± 0.1"),
        ({"within": (1, 0.05)}, [0.95, 1.05], [BEFORE(0.95), AFTER(1.05)], "1 ± 0.05"),
        ({"between": (0.9, 1.1)}, [0.9, 1, 1.1], [BEFORE(0.9), AFTER(1.1)], "0.9 to 1.1"),
        ({"every": "at each step"}, [True], [False], "at each step"),
    ],
)
def test_a_bound_decides_at_its_edge_and_writes_itself(bound, meets, fails, words):
    assert criterion(meets, **bound).holds == (True,) * len(meets)
    assert criterion(fails, **bound).holds == (False,) * len(fails)
    assert criterion(meets, **bound).tolerance == words


@pytest.mark.parametrize("make", [list, tuple, np.array, torch.tensor, pd.Series, lambda x: np.array(x)[:, None]])
def test_any_kind_of_values_is_judged_one_by_one(make):
    found = criterion(make([0.5, 2.25, 1.0]), at_most=2)
    assert (found.measured, found.holds) == ({"": "0.50 to 2.25"}, (True, False, True))


@pytest.mark.parametrize(
    "value", [2.25, np.float64(2.25), torch.tensor(2.25, requires_grad=True), [2.25], np.array(2.25)]
)
def test_one_value_is_shown_as_one(value):
    assert criterion(value, at_most=2).measured == {"": "2.25"}


@pytest.mark.parametrize(
    "make",
    [
        dict,
        pd.DataFrame,
        lambda values: {name: pd.Series(each) for name, each in values.items()},
        lambda values: {name: torch.tensor(each) for name, each in values.items()},
    ],
)
def test_named_values_keep_their_names(make):
    found = criterion(make({"mnist": [1.0, 2.0], "cifar": [3.0, 4.0]}), above=1.5)
    assert found.measured == {"mnist": "1.00 to 2.00", "cifar": "3.00 to 4.00"}
    assert found.holds == (False, True, True, True)


def test_an_index_of_strings_names_and_any_other_does_not():
    assert criterion(pd.Series({"mnist": 1.0, "cifar": 2.0}), above=0).measured == {"mnist": "1.00", "cifar": "2.00"}
    assert criterion(pd.Series({16: 1.0, 32: 2.0}), above=0).measured == {"": "1.00 to 2.00"}
    slopes = {"mnist": pd.Series({"GELU": 0.95, "ReLU": 0.7})}
    assert criterion(slopes, within=(1, 0.1)).measured == {"mnist": "GELU: 0.95, ReLU: 0.70"}


def test_together_the_values_of_a_name_are_one_part():
    values = {"mnist": [1, 2], "cifar": [2, 3]}
    assert criterion(values, at_least=2).holds == (False, True, True, True)
    assert criterion(values, at_least=2, together=True).holds == (False, True)
    assert criterion([2, 3], at_least=2, together=True).holds == (True,)


def test_booleans_are_counted_or_answered():
    found = criterion({"mnist": [True, False, True], "cifar": np.bool_(False), "live": True}, every="in each network")
    assert found.measured == {"mnist": "2 of 3", "cifar": "no", "live": "yes"}
    assert criterion(np.array([True, True]), every="each time").measured == {"": "each time: 2 of 2"}


def test_of_and_where_make_a_sentence_and_what_has_no_name_says_what_it_is():
    words = {"of": "largest quotient", "where": "at every ridge"}
    assert criterion(1, at_most=3, **words).tolerance == "largest quotient at most 3 at every ridge"
    assert criterion(1, at_most=3, **words).measured == {"": "largest quotient 1.00"}
    assert criterion({"mnist": 1}, at_most=3, **words).measured == {"mnist": "1.00"}


@pytest.mark.parametrize(
    ("digits", "value", "text"),
    [(0, 2.5, "2"), (3, 0.9675, "0.968"), ("{:+.2f}", 0.164, "+0.16"), ("{} of 30 pairs", 2, "2 of 30 pairs")],
)
def test_a_number_is_written_as_asked(digits, value, text):
    assert criterion(value, above=0, digits=digits).measured == {"": text}


@pytest.mark.parametrize(
    ("bound", "digits", "words"),
    [(1e-6, 2, "1e-6"), (2e7, 2, "2e7"), (0.00034567891, 4, "0.0003"), (1 / 3, None, "0.333333"), (2048, 1, "2048")],
)
def test_a_bound_is_written_as_typed_where_it_is_round_and_as_the_values_elsewhere(bound, digits, words):
    assert criterion(1, below=bound, digits=digits).tolerance == f"below {words}"


def test_without_digits_no_number_of_the_values_is_shown():
    noise = {"of": "deviation", "below": 1e-12, "digits": None}
    assert criterion(3.7e-16, **noise).measured == {"": "deviation below 1e-12: yes"}
    assert criterion([3.7e-16, 1], **noise).measured == {"": "deviation below 1e-12: 1 of 2"}
    assert criterion({"live": 1, "mnist": [0, 0]}, **noise).measured == {"live": "no", "mnist": "2 of 2"}


def test_what_is_shown_may_be_something_else_than_what_decides():
    assert criterion([True, False], every="smaller", shown="0.1 against 0.2").measured == {"": "0.1 against 0.2"}
    found = criterion({"mnist": 0.1}, below=0.05, shown={"mnist": "n^-0.5"}, of="off by")
    assert (found.measured, found.holds) == ({"mnist": "n^-0.5"}, (False,))
    assert criterion({"mnist": True}, every="better", shown={"mnist": {"ours": 1, "theirs": 2}}, digits=1).measured == {
        "mnist": "ours: 1.0, theirs: 2.0"
    }


@pytest.mark.parametrize(
    "bound",
    [{kind: 0} for kind in ("at_most", "at_least", "below", "above", "equal_to")]
    + [{"within": (0, math.inf)}, {"between": (-math.inf, math.inf)}],
)
def test_nan_meets_no_bound_and_is_seen(bound):
    assert criterion({"mnist": [math.nan, 0]}, **bound).holds[0] is False
    assert criterion(math.nan, **bound).measured == {"": "nan"}
    assert criterion([math.nan, 1, 3], digits=0, **bound).measured == {"": "1 to 3 and nan"}
    assert criterion({"live": math.nan, "mnist": [math.nan, 0]}, digits=None, **bound).measured == {
        "live": "nan",
        "mnist": "nan",
    }


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "got none."),
        ({}, "got none."),
        ({"mnist": [1], "cifar": []}, "got none of cifar."),
        (pd.Series([]), "got none."),
    ],
)
def test_nothing_is_refused(values, text):
    with pytest.raises(ValueError, match=f"values: expected at least one, {text}"):
        criterion(values, at_most=1)
    with pytest.raises(ValueError, match="values: expected at least one"):
        criterion(1, at_most=1, shown=values)


@pytest.mark.parametrize(
    ("bound", "text"),
    [({}, "got none"), ({"at_most": 1, "at_least": 0}, "got at_most, at_least"), ({"atmost": 1}, "got atmost")],
)
def test_exactly_one_known_bound_is_taken(bound, text):
    with pytest.raises(ValueError, match=f"bound: expected exactly one of at_most, at_least, .*, every, {text}"):
        criterion(1, **bound)


@pytest.mark.parametrize(("values", "bound"), [(True, {"at_most": 1}), ([1, 0], {"every": "in each network"})])
def test_booleans_and_numbers_are_not_confused(values, bound):
    with pytest.raises(ValueError, match="values: expected booleans for the bound `every`, and numbers for any other"):
        criterion(values, **bound)


def test_a_name_stands_once():
    with pytest.raises(ValueError, match="values: expected a name once, got mnist, mnist"):
        criterion(pd.Series([1, 9], ["mnist", "mnist"]), at_most=1)
