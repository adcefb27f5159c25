"""What a fitted estimator tells of itself, and plain values in a file."""

import enum

import numpy as np
import pytest
import torch
from estimator_problem import TARGETS, X

from ntkif import NTKInfluence
from ntkif.estimators.state import read_state, to_numpy, write_state


def test_diagnosis_says_how_wrong_ihvp_would_be():
    for ridge in (0.01, 4.0, 100.0):
        model = NTKInfluence(ridge).fit(X, TARGETS["one"][:30])
        found, leverage = model.diagnose(), model.leverage_
        assert (found.leverage_min, found.leverage_max) == (leverage.min(), leverage.max())
        assert found.leverage_median == np.median(leverage) and found.condition == model.fit_.condition
        assert found.ihvp_within_tenth == np.mean(leverage <= 0.1)
        assert f"{found.ihvp_within_tenth:.0%} of the training points" in str(found)


def test_values_come_back_as_they_were(tmp_path):
    values = {"a": np.array([[1.5], [2.0]]), "b": [np.float32(0.5), True, None], "c": {"d": np.array(["x"], object)}}
    write_state(tmp_path / "state", "thing", values)
    again = read_state(tmp_path / "state", "thing", "cpu")
    assert (again["a"] == values["a"]).all() and again["b"] == [0.5, True, None]
    assert again["c"]["d"].dtype == object and again["c"]["d"].tolist() == ["x"]
    with pytest.raises(TypeError, match="c: expected"):
        write_state(tmp_path / "state", "thing", {"c": {"d": np.array([{1, 2}], object)}})
    assert read_state(tmp_path / "state", "thing", "cpu").keys() == values.keys()


class Kind(enum.IntEnum):
    GOOD = 1


def test_keys_of_numpy_come_back_as_those_of_python(tmp_path):
    given = {
        np.int64(3): 1.0,
        np.str_("a"): 2.0,
        np.bool_(True): 3.0,
        np.float32(0.5): [4.0],
        None: 5.0,
        (1, np.str_("b")): 6.0,
    }
    write_state(tmp_path / "state", "thing", {"by": given})
    again = read_state(tmp_path / "state", "thing", "cpu")["by"]
    assert again == {3: 1.0, "a": 2.0, True: 3.0, 0.5: [4.0], None: 5.0, (1, "b"): 6.0} == given


@pytest.mark.parametrize(
    "value",
    [
        {frozenset([1]): 1.0},
        {Kind.GOOD: 1.0},
        Kind.GOOD,
        {np.datetime64("2020-01-01"): 1.0},
        np.datetime64("2020-01-01"),
    ],
)
def test_what_would_not_come_back_is_not_written(tmp_path, value):
    with pytest.raises(TypeError, match=r"by: expected .*, got .* before saving"):
        write_state(tmp_path / "state", "thing", {"by": value})
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_is_made_float32():
    assert to_numpy(torch.ones(2).bfloat16()).dtype == np.float32 and to_numpy([1]) == [1]
