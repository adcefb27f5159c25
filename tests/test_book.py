"""The code on the prose pages and in the README, executed; and lists that are made, not typed."""

import os
import re

import matplotlib.pyplot as plt
import pytest
import torch

from ntkif.data import load
from ntkif.data.shifts import ShiftedImages
from ntkif.networks.modules import Mlp, train_module
from ntkif.provenance import ROOT
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.records import tables

PROSE = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def reader():
    """What a reader of the README has: points, labels, a trained module, and rows."""
    data = load("mnist-sample").head(30, 10)
    start = Mlp(784, width=8)
    classifier = torch.nn.Linear(784, 2).double()
    classes, test_classes = ((y[:, 0] > 0).long() for y in (data.y_train, data.y_test))
    return {
        "classifier": classifier,
        "optimizer": torch.optim.Adam(classifier.parameters()),
        "classes": classes,
        "test_classes": test_classes,
        "x_train": data.x_train,
        "y_train": data.y_train,
        "x_test": data.x_test,
        "y_test": data.y_test,
        "labels": data.labels_train,
        "test_labels": data.labels_test,
        "ridge": 1.0,
        "module_before_training": start,
        "module": train_module(start, data.x_train, data.y_train, 1.0),
        "train": lambda kept: train_module(start, data.x_train[kept], data.y_train[kept], 1.0),
        "rows": ShiftedImages(data.images_train, data.y_train, radius=1),
        "landmarks": data.x_train[:5],
    }


@pytest.mark.parametrize("page", [page for page in PROSE if blocks(page)], ids=lambda page: page.stem)
def test_code_on_a_page_of_prose_runs(page, tmp_path, monkeypatch):
    monkeypatch.setattr(tables.record, "__defaults__", (tmp_path,))  # a record made on a page is kept elsewhere
    monkeypatch.setattr(tables.load_record, "__defaults__", (tmp_path,))
    before, known = dict(EXPERIMENTS), reader() if page.name == "README.md" else {}
    try:
        for block in blocks(page):
            if 'load("mnist")' in block and "NTKIF_DATA" not in os.environ:
                continue  # it would be downloaded
            exec(compile(block, f"{page.name}: {block.splitlines()[0]} ...", "exec"), known)
        for name in EXPERIMENTS.keys() - before.keys():  # the worked example: its record is fresh, its witness is kept
            (dataset,) = EXPERIMENTS[name].settings
            assert tables.stale_reason(name, dataset, tmp_path) is None
            assert tables.witness_reason(name, "two", tmp_path) is None
            assert tables.verify_record(name, load(dataset), tmp_path)["rows"] == 1
    finally:
        for name in EXPERIMENTS.keys() - before.keys():
            del EXPERIMENTS[name]
        plt.close("all")
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("lesson", ["setting", "explorer"])
def test_a_lesson_in_prose_ends_with_exercises_and_folded_solutions_as_the_notebooks_do(lesson):
    text = (ROOT / "book" / f"{lesson}.md").read_text(encoding="utf-8")
    exercises, next_page = text.partition("\n## Exercises\n")[2].rsplit("\nNext: ", 1)
    asked = re.split(r"^:::\{dropdown\} Solution\n.*?^:::\n", exercises, flags=re.MULTILINE | re.DOTALL)
    assert [re.findall(r"\*\*(\d)\.\*\*", each) for each in asked] == [["1"], ["2"], []]
    assert all("?" in each for each in asked[:2]) and asked[2].strip() == "" and next_page.startswith("[")


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_lists_are_made_and_not_typed(page):
    """No line of prose lists experiments, and no table lists notebooks: those are made from what is registered."""
    for line in page.read_text(encoding="utf-8").splitlines():
        listed = {name for name in EXPERIMENTS if f"`{name}`" in line}
        assert len(listed) < 4, f"{page.name} lists {sorted(listed)}; include what ntkif.study.pages.lists makes"
        assert not re.match(r"\|.*\]\(\.\./notebooks/", line), f"{page.name} has a table of notebooks: {line[:80]}"
