"""What the site folds away: the extension `book/_ext/folds.py`, on a page of a few cells."""

import re

import nbformat.v4 as v4
import pytest
from sphinx.application import Sphinx

from ntkif.provenance import ROOT
from ntkif.study.pages.claims import Claim, claim_table

CLAIM = Claim("a claim of ours in words", {"": "0.5"}, "below 1", "holds in part")


def cell(number, *tags):
    made = v4.new_code_cell(f"number = {number}", execution_count=number, metadata={"tags": list(tags)})
    made.outputs = [v4.new_output("stream", text=f"printed {number}\n")]
    return made


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The body of a page: two provenance cells, a judged section with text in between, two exercises."""
    folder = tmp_path_factory.mktemp("book")
    judged = cell(5, "judged")
    data = {"text/plain": "a table"} | claim_table(CLAIM)._repr_mimebundle_()
    judged.outputs = [v4.new_output("display_data", data=data)]
    cells = [v4.new_markdown_cell("# Title"), cell(9, "imports"), cell(1), cell(2, "provenance"), cell(3, "provenance")]
    cells += [v4.new_markdown_cell("## Verdict\n\nBefore it."), cell(4, "judged"), v4.new_markdown_cell("In between.")]
    cells += [judged, v4.new_markdown_cell("After it.\n\n## Exercises\n\nFirst."), cell(6, "solution")]
    told = v4.new_markdown_cell("- It follows.\n\n$$x = 1$$", metadata={"tags": ["solution"]})
    cells += [v4.new_markdown_cell("Second."), cell(7, "solution"), told, cell(8, "solution")]
    (folder / "index.ipynb").write_text(nbformat_text(cells))
    (folder / "conf.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT / 'book' / '_ext')!r})\n")
    settings = {"extensions": ["myst_nb", "folds"], "nb_execution_mode": "off"}
    settings["suppress_warnings"] = ["mystnb.unknown_mime_type"]
    app = Sphinx(folder, folder, folder / "out", folder / "trees", "html", settings, status=None, warningiserror=True)
    app.build()
    return (folder / "out" / "index.html").read_text()


def nbformat_text(cells):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.writes(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}))


def parts(page, kind):
    found = re.findall(rf'<details class="fold {kind}">(.*?)</details>', page, flags=re.DOTALL)
    return [re.sub(r"<[^>]+>", "", part) for part in found]


def test_cells_of_a_kind_are_folded_under_its_title(page):
    (taken,) = parts(page, "imports")
    assert "Imports and data" in taken and "printed 9" in taken
    (origin,) = parts(page, "provenance")
    assert "Where these numbers come from" in origin and "printed 2" in origin and "printed 3" in origin
    first, second = parts(page, "solution")
    assert "printed 6" in first and "printed 7" in second and "printed 8" in second and "printed 7" not in first
    assert "It follows." in second and "x = 1" in second and "Second." not in second


def test_a_verdict_is_folded_with_what_lies_between_and_its_claims_stand_above(page):
    (judged,) = parts(page, "judged")
    assert "printed 4" in judged and "In between." in judged and "a table" in judged
    assert "Before it." not in judged and "After it." not in judged
    shown = re.sub(r"<[^>]+>", "", page.partition('<details class="fold judged">')[0])
    assert "◐ a claim of ours in words (ours): holds in part" in shown


def test_other_cells_stay_open(page):
    open_part = re.sub(r'<details class="fold.*?</details>', "", page, flags=re.DOTALL)
    assert "printed 1" in open_part and "printed 2" not in open_part and page.count("<details") == 5
