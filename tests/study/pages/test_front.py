"""The data of the front page against other ways to the same numbers, and the verdicts in short."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread

from ntkif import ihvp_influence, ntk, ntk_influence, ridge_fit
from ntkif.data import load
from ntkif.metrics import agreement
from ntkif.study.pages import front
from ntkif.study.pages.explorer import METHODS
from ntkif.study.pages.scoreboard import DEFINITION, MARKS

ROW, SIZES = 7, [0.25, 2.0]


@pytest.fixture(scope="module")
def data():
    return replace(load("mini-mnist-sample").head(60, 40), name="sixty digits")


@pytest.fixture(scope="module")
def shown(data):
    return front.moving(data, ROW, SIZES, top=3)


def influence(data, ridge):
    """By the package's public functions: the exact influence and IHVP, and the fit."""
    x, y = data.x_test[ROW, None], data.y_test[ROW, None]
    fit = ridge_fit(ntk(data.x_train), data.y_train, ridge)
    exact = ntk_influence(data.x_train, data.y_train, x, y, ridge)[0]
    return exact, ihvp_influence(fit, ntk(x, data.x_train), y)[0], fit


@pytest.mark.parametrize("place", range(len(SIZES)))
def test_points_and_scores_are_those_of_the_package(data, shown, place):
    exact, ihvp, fit = influence(data, SIZES[place])
    state, wanted = shown["states"][place], dict(zip(METHODS, (exact, ihvp, ihvp / (1 - fit.leverage)), strict=True))
    largest = float(exact.abs().max())
    assert state["ridge"] == SIZES[place] and state["largest"] == pytest.approx(largest, rel=6e-3)
    for method, values in wanted.items():
        assert state["points"][method] == pytest.approx((1000 * values / largest).tolist(), abs=0.51)
    for method in METHODS[1:]:
        assert state["scores"][method] == pytest.approx(agreement(wanted[method], exact), abs=6e-5)
    assert state["foretold"] == pytest.approx(1 - float(fit.leverage.mean()), abs=6e-4)
    assert state["class"] == int((ntk(data.x_test[ROW, None], data.x_train) @ fit.dual).argmax())


def test_named_digits_are_those_at_the_ends(data, shown):
    for state in shown["states"]:
        ranked = influence(data, state["ridge"])[0].argsort(descending=True).tolist()
        for kind, rows in (("helpful", ranked[:3]), ("harmful", ranked[::-1][:3])):
            assert [shown["digits"][place] for place in state[kind]] == [[i, data.labels_train[i]] for i in rows]
    assert shown["test"] == [ROW, data.labels_test[ROW]] and shown["n"] == 60


def test_file_holds_the_numbers_and_the_pixels(tmp_path, data, shown):
    front.write_moving(data, shown, tmp_path / "new" / "data.js")
    text = (tmp_path / "new" / "data.js").read_text()
    found = json.loads(text.removeprefix("window.ntkifFront = ").rstrip(";\n"))
    picture = found.pop("picture").removeprefix("data:image/png;base64,")
    assert found == shown
    pixels = 255 * (1 - imread(io.BytesIO(base64.b64decode(picture))))
    assert np.allclose(pixels[:28, :28], data.images_test[ROW])
    assert np.allclose(pixels[:28, 28:56], data.images_train[shown["digits"][0][0]])


def test_table_has_order_size_and_error():
    exact = torch.tensor([1.0, 2.0, 4.0])
    table = front.score_table({"half": agreement(exact / 2, exact)})
    assert table.splitlines()[2] == "| half | 0.50 | 1.000 | 0.50 |"


BOARD = pd.DataFrame(
    {
        "item": ["Equation 1", "Figure 2", "Figure 2", "Table 1", "Abstract"],
        "claim": ["what rests on it", "above", "near", "above", "low"],
        "key": ["", "a", "b", "a", "c"],
        "verdict": [DEFINITION, "holds", "does not hold", "holds", "holds"],
        "notebook": ["one.ipynb", "two.ipynb", "two.ipynb", "two.ipynb", "two.ipynb"],
    }
)


def test_claims_are_counted_and_numbered_items():
    text = front.in_short(BOARD)
    assert "judges 3 claims" in text and f"2 hold {MARKS['holds']}, 1 do not hold {MARKS['does not hold']}" in text
    assert "3 numbered items, 1 of which" in text, "a claim of two items is counted once"
    assert "Not holding: near (Figure 2)." in text
    assert "in part" not in text and "size" not in text
    assert "Measured below the paper's size: Figure 2, Table 1." in front.in_short(BOARD, ["Figure 2", "Table 1"])


def test_a_tile_for_each_item_and_a_mark_for_each_claim():
    lines = front.tiles(BOARD).splitlines()
    assert (lines[0], lines[-1]) == ('<ul class="tiles">', "</ul>") and len(lines) == 6
    assert re.findall(r'class="mark ([a-z-]+)"', lines[2]) == ["holds", "does-not-hold"]
    assert 'href="../notebooks/two.html"' in lines[2] and "<span>Figure 2</span>" in lines[2]
    assert "Figure 2: holds in part; of 2 claims 1 holds, 1 does not hold" in lines[2]
    assert "it claims nothing" in lines[1]
