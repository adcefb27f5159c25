"""The files of the prose pages."""

import json
import math
from dataclasses import replace

import pytest

from ntkif import __main__
from ntkif.data import load
from ntkif.study.pages import write
from ntkif.study.pages.explorer import explore

SIZES, TIMES = [0.25, 2.0], [0.5, math.inf]


@pytest.fixture(scope="module")
def data():
    whole = load("mini-mnist-sample")
    return replace(whole.head(60, 40), name="sixty digits")


@pytest.fixture
def small_pages(monkeypatch, data):
    """The pages' data with sixty training digits and few settings, which is quick."""
    monkeypatch.setattr(write, "load", lambda name: data)
    monkeypatch.setattr(write, "explore", lambda dataset, tests: explore(dataset, tests[:3], SIZES, TIMES, top=6))
    monkeypatch.setattr(write, "RIDGES", SIZES)
    monkeypatch.setattr(write, "TIMES", TIMES)


def test_command_writes_what_the_pages_show(tmp_path, capsys, book_style, small_pages):
    folder = tmp_path / "pages"
    __main__.main(["pages", str(folder)])
    assert str(folder) in capsys.readouterr().out
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    scripts = {f"static/explorer/{name}" for name in ("data.js", "test.png", "train.png")}
    scripts |= {"static/front/data.js", "static/front/preview.png"}
    figures = {f"{name}.svg" for name in ("explorer", "front", "house")}
    texts = {f"{name}.md" for name in ("front", "scoreboard", "contents", "recorded", "columns", "package", "install")}
    assert names == figures | texts | scripts | {"tiles.html"}
    start = json.loads((folder / "static/explorer/data.js").read_text()[23:].rstrip(";\n"))
    test, ridge, time = start["start"]
    losses = [states[ridge][time]["loss"] for states in start["states"]]
    assert losses[test] == max(losses) and ridge == 0 and start["times"][time] is None
    scores = start["states"][test][ridge][time]["scores"]["IHVP"]
    assert f"| {scores['slope']:.2f} |" in (folder / "front.md").read_text()
    shown = json.loads((folder / "static/front/data.js").read_text().partition(" = ")[2].rstrip(";\n"))
    assert shown["test"] == start["test"][test] and [state["ridge"] for state in shown["states"]] == SIZES
