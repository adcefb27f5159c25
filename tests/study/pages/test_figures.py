"""Pictures of the prose pages show what they are given."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ntkif.data import load
from ntkif.study.pages import figures
from ntkif.study.pages.explorer import METHODS, explore

TESTS, SIZES, TIMES = [3, 8], [0.25, 2.0], [0.5, math.inf]


@pytest.fixture(scope="module")
def data():
    whole = load("mini-mnist-sample")
    return replace(whole.head(60, 40), name="sixty digits")


@pytest.fixture(scope="module")
def explored(data):
    return explore(data, TESTS, SIZES, TIMES, top=3)


def of_state(explored, test, ridge, time):
    """The state, and row of a training image -> what is said of it."""
    state = explored["states"][test][ridge][time]
    return state, {explored["train"][index][0]: rest for index, *rest in state["images"]}


def test_pictures_show_what_they_are_given(book_style, data, explored):
    influence = {method: np.linspace(-1, 2, 60) * scale for method, scale in zip(METHODS, (1, 0.5, 0.9), strict=True)}
    front = figures.estimate_and_truth(data.images_test[0], "a 4", data.images_train, influence)
    drawn = {line.get_label(): line.get_ydata() for line in front.axes[1].lines}
    assert drawn["classic estimate, IHVP"] == pytest.approx(1000 * influence["IHVP"])
    assert drawn["rescaled by the leverage"] == pytest.approx(1000 * influence["rescaled IHVP"])
    ranked = figures.ranking(data, explored, 0, 1, 1)
    _, images = of_state(explored, 0, 1, 1)
    first = next(values[:3] for values in images.values() if values[3] == 1)
    widths = [bar.get_width() for bar in ranked.axes[explored["top"] + 2].patches]
    assert widths == pytest.approx([1000 * value for value in first])
