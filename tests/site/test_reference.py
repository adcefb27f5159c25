"""The reference of the site: every public name has an entry, and names in the text of other pages lead there."""

import ast
import json
import re
from pathlib import Path

import pytest
from site_pages import PAGES, SITE, name
from sphinx.util.inventory import InventoryFile

import ntkif
from ntkif.provenance import ROOT

with (SITE / "objects.inv").open("rb") as stream:
    INVENTORY = InventoryFile.load(stream, "", lambda base, path: path)
ENTRIES = {full: where[2] for kind in INVENTORY if kind.startswith("py:") for full, where in INVENTORY[kind].items()}
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
REFERENCE = [page for page in PAGES if page.parent.name == "api"]
_CODE = re.compile(
    r'(<a class="reference internal" href="([^"]*)"[^>]*>)?<code class="docutils literal notranslate">(.*?)</code>'
)
_IN_CODE = re.compile(r'<a class="sphinx-codeautolink-a" href="\.\./([^"]*)"')
_HEADING = re.compile(r"<(h\d|title)\b.*?</\1>", re.DOTALL)


def taken_by_readers() -> set[str]:
    """What the notebooks, the pages of prose and the README import of the method."""
    codes = [code for notebook in NOTEBOOKS for code in code_of(notebook)]
    for page in [ROOT / "README.md", *ROOT.glob("book/*.md")]:
        codes += re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return imported_by(codes)


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def imported_by(codes: list[str]) -> set[str]:
    """Full names, by where they are taken from, but for those of the study and whole modules."""
    nodes = (node for code in codes for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom))
    method = [node for node in nodes if re.match(r"ntkif(?!\.study)", node.module) and node.module != "ntkif.influence"]
    return {f"{node.module}.{each.name}" for node in method for each in node.names} - {"ntkif.study"}


@pytest.mark.parametrize("public", ntkif.__all__)
def test_every_name_of_the_package_has_an_entry(public):
    page, _, anchor = ENTRIES[f"ntkif.{public}"].partition("#")
    text = (SITE / page).read_text("utf-8")
    assert f'id="{anchor.replace("$", f"ntkif.{public}")}"' in text


def test_what_the_pages_import_has_an_entry():
    taken, public = taken_by_readers(), {name for name in ENTRIES if name.count(".") == 1}
    assert len(taken) > 50
    assert {each for each in taken - ENTRIES.keys() if f"ntkif.{each.rpartition('.')[2]}" not in public} == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name in ("book", "notebooks")], ids=name)
def test_names_in_the_text_lead_to_their_entries(page):
    """Those that cannot be a word of the text: with an underscore or a capital."""
    text = _HEADING.sub("", page.read_text("utf-8"))
    for link, target, code in _CODE.findall(text):
        shown = re.sub("<[^>]+>", "", code).partition("(")[0]
        if f"ntkif.{shown}" in ENTRIES and ("_" in shown or not shown.islower()):
            assert link and target.endswith(f"#ntkif.{shown}"), shown


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_names_in_code_lead_to_their_entries(notebook):
    """Each that a page imports, wherever it is imported from."""
    text = (SITE / f"notebooks/{notebook.stem}.html").read_text("utf-8")
    linked = {target.partition("#")[2] for target in _IN_CODE.findall(text)}
    assert linked <= ENTRIES.keys()
    names = {each if each in ENTRIES else f"ntkif.{each.rpartition('.')[2]}" for each in imported_by(code_of(notebook))}
    assert names - linked == set()


def test_a_page_names_the_estimators_and_leads_to_them():
    text = (SITE / "notebooks/on-your-own-data.html").read_text("utf-8")
    assert 'href="../book/api/estimators.html#ntkif.NTKInfluence"' in text


def test_an_entry_has_signature_formula_parameters_and_errors():
    text = (SITE / "book/api/arrays.html").read_text("utf-8")
    entry = text.partition('id="ntkif.loo_influence"')[2].partition('<dl class="py function">')[0]
    assert "k_test_train" in entry and "block_size" in entry
    assert re.search(r'<div class="formula[^"]*".*?I\[t, i\] = Σ_c', entry, re.DOTALL)
    assert re.findall(r"<dt[^>]*>(\w+)<span class=\"colon\">", entry) == ["Parameters", "Returns", "Raises"]
    assert 'href="regression.html#ntkif.RidgeFit"' in entry
    assert re.search(r'<a [^>]*href="../../notebooks/[\w-]+\.html#eq-9"[^>]*>Eq\. 9</a>', entry)


def test_nothing_is_left_as_it_was_typed():
    """Neither a heading of Google's, a single backtick, a shortened type, nor where an object lay in memory."""
    for page in REFERENCE:
        shown = re.sub(r"<(script|pre|style)\b.*?</\1>", "", page.read_text("utf-8"), flags=re.DOTALL)
        shown = re.sub("<[^>]+>", "", shown)
        assert not re.search(r"`|^\s*Args:|~\w|0x[0-9a-f]{6}", shown, re.MULTILINE), name(page)
