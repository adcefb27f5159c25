"""The lists of the prose pages: made from what is registered, complete, and with links that lead somewhere."""

import re
from dataclasses import replace

from ntkif.provenance import ROOT
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.pages import lists


def test_the_contents_follow_the_table_of_contents():
    pages = re.findall(r"notebooks/([\w-]+)", (ROOT / "_toc.yml").read_text())
    assert re.findall(r"\(\.\./notebooks/([\w-]+)\.ipynb\)", lists.contents()) == pages


def test_the_contents_say_what_is_live_and_what_is_recorded():
    rows = {line.split("](")[0][3:]: line.split(" | ") for line in lists.contents().splitlines() if line[:3] == "| ["}
    assert rows["Theorem 3: IHVP errs by the leverage"][1] == "Theorem 3; Equations 16, 17"
    assert "live; recorded: [figure-2](#record-figure-2)" in rows["Theorem 3: IHVP errs by the leverage"][2]
    assert rows["Against the other tools"][1:] == ["not in it", "measured |"]
    assert rows["Does this paper hold up?"][2] == "from the other pages |"


def test_each_record_has_a_row_its_columns_and_a_page():
    recorded, columns = lists.recorded(), lists.columns()
    for name, known in EXPERIMENTS.items():
        row = next(line for line in recorded.splitlines() if line.startswith(f"| [`{name}`](#record-{name})"))
        assert "../notebooks/" in row, f"no page loads {name}"
        section = columns.split(f"(record-{name})=")[1].split("\n(record-")[0]
        assert all(f"`{dataset}`" in section for dataset in known.settings)
        assert re.findall(r"^\| `(.+?)` \|", section, flags=re.MULTILINE) == list(known.columns)


def test_what_is_not_recorded_yet_is_not_said_to_be(monkeypatch):
    def row():
        lines = lists.recorded().splitlines()
        return next(line for line in lines if line.startswith("| [`through-training-gpu`]"))

    def computed():
        lines = lists.contents().splitlines()
        return next(line for line in lines if "(../notebooks/through-training.ipynb)" in line)

    monkeypatch.setattr(lists, "load_recorded", lambda name: {})
    assert "Not recorded yet." in row() and "recorded: " not in computed()
    monkeypatch.setattr(lists, "load_recorded", lambda name: {"cifar": None})
    assert "Not recorded yet." not in row() and "[through-training-gpu](#record-through-training-gpu)" in computed()


def test_what_is_registered_anew_is_listed(monkeypatch):
    known = replace(EXPERIMENTS["figure-2"], name="brand-new", settings={"mnist": {}})
    monkeypatch.setitem(EXPERIMENTS, "brand-new", known)
    assert "| [`brand-new`](#record-brand-new) |" in lists.recorded()
    assert "On `mnist`: not recorded yet." in lists.columns()


def test_the_package_is_listed_with_its_rule():
    assert "| `ntkif/kernels` | A kernel is a function of two sets of points" in lists.package()
    assert "store < data networks < kernels\n< regression < influence" in lists.package()


def test_the_readme_names_each_folder_of_the_method():
    text = (ROOT / "README.md").read_text()
    assert all(f"`{folder.rpartition('/')[2]}`" in text or folder == "study" for folder in lists.folders())
