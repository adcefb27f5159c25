"""The explorer's data against other ways to the same numbers, and its files."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from ntkif import ihvp_influence, ntk, ntk_influence, ridge_fit
from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.regression.flow import flow_without, kernel_flow
from ntkif.study.pages.explorer import METHODS, chosen_tests, explore, signed_ranks, sprite, write_explorer

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


@pytest.mark.parametrize("ridge", range(len(SIZES)))
@pytest.mark.parametrize("test", range(len(TESTS)))
def test_at_the_end_all_methods_are_those_of_the_package(data, explored, test, ridge):
    state, images = of_state(explored, test, ridge, 1)
    fit = ridge_fit(ntk(data.x_train), data.y_train, SIZES[ridge])
    x, y = data.x_test[TESTS[test], None], data.y_test[TESTS[test], None]
    ihvp = ihvp_influence(fit, ntk(x, data.x_train), y)[0]
    exact = ntk_influence(data.x_train, data.y_train, x, y, SIZES[ridge])[0]
    values = torch.stack([exact, ihvp, ihvp / (1 - fit.leverage)])
    ends = [ranked for each in values for ranked in (each.argsort()[:3], each.argsort(descending=True)[:3])]
    assert set(images) == set(torch.cat(ends).tolist())
    for row, found in images.items():
        assert found[:3] == pytest.approx(values[:, row].tolist(), rel=6e-3)
        assert found[3:] == signed_ranks(values)[:, row].tolist()
    for method, estimate in zip(METHODS[1:], values[1:], strict=True):
        assert state["scores"][method] == pytest.approx(agreement(estimate, exact), rel=6e-3)


@pytest.mark.parametrize("test", range(len(TESTS)))
def test_in_training_the_influence_is_that_of_training_without_the_image(data, explored, test):
    state, images = of_state(explored, test, 1, 0)
    x, y = data.x_test[TESTS[test], None], data.y_test[TESTS[test], None]
    kernel, k_test_train = ntk(data.x_train), ntk(x, data.x_train)
    whole = kernel_flow(kernel, data.y_train, SIZES[1]).predict(k_test_train, TIMES[0])

    def loss(prediction):
        return float((prediction - y).square().sum() / 2)

    assert state["loss"] == pytest.approx(loss(whole), rel=6e-3) and state["class"] == int(whole.argmax())
    assert state["scores"] == {} and len(images) == 6
    influence = [
        loss(flow_without(kernel, k_test_train, data.y_train, SIZES[1], TIMES[0], [i])) - loss(whole) for i in range(60)
    ]
    ranked = np.argsort(influence)
    for rank in (1, 2, 3, -1, -2, -3):
        row = ranked[-rank] if rank > 0 else ranked[-rank - 1]
        assert images[row] == [pytest.approx(influence[row], rel=6e-3), rank]


def test_signed_ranks_count_from_both_ends():
    assert signed_ranks(torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, -1.0]])).tolist() == [[1, -1, 2], [2, 1, -1]]


def test_chosen_tests_are_the_median_and_the_worst_of_each_class(data):
    fit = ridge_fit(ntk(data.x_train), data.y_train, 1.0)
    loss = (fit.predict(ntk(data.x_test, data.x_train)) - data.y_test).square().sum(1)
    rows = chosen_tests(data, 1.0)
    assert len(rows) == 2 * len(data.classes)
    for label in range(len(data.classes)):
        members = torch.tensor(data.labels_test == label)
        median, worst = rows[2 * label : 2 * label + 2]
        assert data.labels_test[median] == data.labels_test[worst] == label
        assert loss[worst] == loss[members].max() and loss[median] == loss[members].median()


def test_explored_is_json_and_names_its_images(data, explored):
    again = json.loads(json.dumps(explored, allow_nan=False))
    assert again == explored and again["times"] == [0.5, None]
    assert all(data.labels_train[row] == label for row, label in explored["train"])
    assert [row for row, _ in explored["test"]] == TESTS


def test_sprite_holds_each_image_at_its_place():
    images = np.random.RandomState(0).randint(0, 256, (35, 4, 3)).astype(np.uint8)
    whole = sprite(images)
    assert whole.shape == (8, 96) and (whole[4:, 9:] == 255).all()
    for place, image in enumerate(images):
        line, column = divmod(place, 32)
        assert (255 - whole[4 * line : 4 * line + 4, 3 * column : 3 * column + 3] == image).all()


def test_files_of_the_explorer(tmp_path, data, explored):
    write_explorer(data, explored, tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["data.js", "test.png", "train.png"]
    script = (tmp_path / "new" / "data.js").read_text()
    assert script.startswith("window.ntkifExplorer = ") and json.loads(script[23:].rstrip(";\n")) == explored
    assert imread(tmp_path / "new" / "train.png").shape[1] == 32 * 28
