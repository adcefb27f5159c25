"""Influences with names: the largest, tables of pandas, pictures, and what a table says of itself."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ntkif import InfluenceTable, NetworkInfluence
from ntkif.influence.table import names_of

INFLUENCE = torch.tensor([[0.5, -2.0, 1.0, 0.25], [-1.0, 0.125, 3.0, -0.5]], dtype=torch.float64)
NAMES, TESTS = ["ann", "bob", "cat", "<dan>"], ["<first>", "second"]


@pytest.fixture
def table():
    return InfluenceTable(INFLUENCE, names=NAMES, test_names=TESTS, unit="change of a margin")


@pytest.fixture
def drawn():
    """Figures without a window, and none left open."""
    matplotlib.use("Agg")
    yield
    matplotlib.pyplot.close("all")


def test_the_largest_by_hand(table):
    assert table.top(2).rows.tolist() == [[1, 2], [2, 0]] and table.top(2).influence.tolist() == [[-2, 1], [3, -1]]
    assert table.helpful(2).rows.tolist() == [[2, 0], [2, 1]]
    assert table.harmful(2).rows.tolist() == [[1, 3], [0, 3]]
    assert table.harmful(2).influence.tolist() == [[-2, 0.25], [-1, -0.5]]
    for count in (0, 5):
        with pytest.raises(ValueError, match=f"count: expected between 1 and 4 training points, got {count}"):
            table.top(count)


def test_tables_of_pandas(table):
    wide = table.to_pandas()
    assert wide.index.name == "test" and wide.columns.name == "train"
    assert wide.loc["second", "cat"] == 3 and wide.shape == (2, 4)
    long = table.to_pandas(long=True)
    assert list(long) == ["test", "train", "influence", "rank"] and len(long) == 8
    again = long.pivot(index="test", columns="train", values="influence")[NAMES]
    pd.testing.assert_frame_equal(again, wide)
    assert long["train"].tolist()[:4] == ["bob", "cat", "ann", "<dan>"] and long["rank"].tolist() == [1, 2, 3, 4] * 2
    few = table.to_pandas(long=True, count=1)
    assert few.to_dict("list") == {
        "test": TESTS,
        "train": ["bob", "cat"],
        "influence": [-2.0, 3.0],
        "rank": [1, 1],
    }
    with pytest.raises(ValueError, match="count: expected none for the wide table, got 1; pass long=True"):
        table.to_pandas(count=1)


def test_names_of_every_kind():
    for names in (NAMES, tuple(NAMES), np.array(NAMES), pd.Index(NAMES), pd.Series(NAMES)):
        assert InfluenceTable(INFLUENCE, names=names).to_pandas(long=True)["train"][0] == "bob"
    plain = InfluenceTable(INFLUENCE.numpy().tolist(), names=torch.arange(10, 14))
    assert plain.names == [10, 11, 12, 13] and plain.test_names == [0, 1]
    with pytest.raises(ValueError, match="names: expected 4, one for each point, got 3"):
        InfluenceTable(INFLUENCE, names=NAMES[1:])
    with pytest.raises(ValueError, match="test_names: expected 2, one for each point, got 1"):
        InfluenceTable(INFLUENCE, test_names="ab")
    with pytest.raises(ValueError, match="influence: expected finite numbers"):
        InfluenceTable(INFLUENCE / 0)


def test_read_only_arrays_are_taken():
    array = INFLUENCE.numpy().copy()
    array.setflags(write=False)
    assert torch.equal(InfluenceTable(array).influence, INFLUENCE)


def test_the_index_of_a_frame_is_its_names():
    index = pd.Index(["a", 2, pd.Timestamp("2020-02-01"), ("x", 1)], dtype=object)
    assert names_of(pd.DataFrame({"x": range(4)}, index)) == ["a", 2, "2020-02-01 00:00:00", "('x', 1)"]
    assert names_of([1, 2]) is None and names_of(np.eye(2)) is None and names_of(torch.eye(2)) is None


def test_what_it_says_of_itself(table):
    text, page = repr(table), table._repr_html_()
    assert text.startswith(
        "InfluenceTable of 2 test points and 4 training points: change of a margin\n<first>: cat +1;"
    )
    assert "| bob -2; <dan> +0.25; ann +0.5" in text
    assert (
        "&lt;dan&gt; +0.25" in page
        and "<th>&lt;first&gt;</th>" in page
        and "<dan>" not in page
        and page.count("<tr>") == 3
    )
    many = repr(InfluenceTable(torch.ones(12, 2).double()))
    assert many.startswith("InfluenceTable of 12 test points and 2 training points") and len(many.splitlines()) == 11
    assert "the first 10 test points:" in many


GREY = torch.arange(5 * 12).reshape(5, 4, 3) / 60  # 0 is the test image; the training images are shades of their row


@pytest.mark.parametrize(
    "kind", ["grey", "uint8", "colour last", "colour first", "one colour", "list", "outside", "flag"]
)
def test_a_picture(table, drawn, kind):
    images = {
        "grey": GREY,
        "uint8": (GREY * 255).to(torch.uint8).numpy(),
        "colour last": GREY[:, :, :, None].expand(-1, -1, -1, 3),
        "colour first": GREY[:, None].expand(-1, 3, -1, -1)[:, :, :, :2],
        "one colour": GREY[:, None, :, :2],
        "list": list(GREY.numpy()),
        "outside": 10 * GREY - 5,
        "flag": GREY > 0.5,
    }[kind]
    figure = table.picture(1, images[0], images[1:], count=2)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["test: second", "cat\n+3", "bob\n+0.12", "", "ann\n-1", "<dan>\n-0.5"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["", "helpful", "", "", "harmful", ""]
    shown = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    width = 2 if kind in ("colour first", "one colour") else 3
    assert [image.shape[:2] for image in shown] == [(4, width)] * 5
    assert all(image.ndim == (3 if kind.startswith("colour") else 2) for image in shown)
    assert all(image.min() >= 0 and image.max() <= 1 for image in shown)
    if kind == "grey":  # cat is training image 2, row 3 of all
        np.testing.assert_array_equal(shown[1], GREY[3].double())
    if kind == "outside":  # on one scale of all that are drawn
        np.testing.assert_allclose(shown[1], GREY[3] / GREY.max(), atol=1e-6)


def test_a_picture_that_cannot_be_drawn(table):
    with pytest.raises(ValueError, match="test: expected a position from 0 to 1, got 2"):
        table.picture(2, GREY[0], GREY[1:])
    with pytest.raises(ValueError, match="train_images: expected an image for each of 4 training points, got 5"):
        table.picture(0, GREY[0], GREY)
    with pytest.raises(ValueError, match=r"image: expected \(height, width\), .*got shape \(12,\); reshape the rows"):
        table.picture(0, GREY[0].flatten(), GREY[1:].flatten(1))


def test_an_extra_that_is_missing_is_named(table, monkeypatch):
    monkeypatch.setattr("ntkif.checks.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pandas: not installed"):
        table.to_pandas()
    with pytest.raises(ModuleNotFoundError, match="matplotlib: not installed"):
        table.picture(0, GREY[0], GREY[1:])


def test_of_a_trained_network():
    torch.manual_seed(0)
    module, x, y = nn.Linear(3, 1).double().eval(), torch.randn(6, 3).double(), torch.randn(6).double()
    model, test = NetworkInfluence(module, x, y, 1.0, start=None), torch.eye(3).double()
    table = model.table(test, y[:3], names=list("abcdef"))
    assert torch.equal(table.influence, model.influence(test, y[:3])) and table.unit == "change of the loss"
    assert table.names == list("abcdef") and table.test_names == [0, 1, 2]
    measured = model.table(test, measure=lambda f: f[..., 0], test_names=[*TESTS, "third"], unit="output")
    assert torch.equal(measured.influence, model.measured(test, lambda f: f[..., 0])) and measured.unit == "output"
