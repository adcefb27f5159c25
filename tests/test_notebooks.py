"""What nbval does not check: that a notebook was run at all, holds no error, and that its figures are described."""

import configparser
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ntkif.study import paper
from ntkif.study.pages.lists import contents

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
FOLDED = {"evidence", "imports", "judged", "provenance", "solution"}  # tags of cells that book/_ext/folds.py folds away
SUMMARIES = {"scoreboard", "corrections"}  # they read what the others found, and judge nothing
JUDGING = [path for path in NOTEBOOKS if path.stem not in SUMMARIES]
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def unfit(notebook):
    """What keeps a notebook from being shown, in words; empty if nothing does."""
    faults = []
    for number, cell in enumerate(code_cells(notebook), start=1):
        if "".join(cell["source"]).strip() and cell["execution_count"] != number:
            faults.append(f"code cell {number} has execution count {cell['execution_count']}: run all cells in order")
        for output in cell["outputs"]:
            if output["output_type"] == "error":
                faults.append(f"code cell {number} ended in {output['ename']}")
            if output.get("name") == "stderr":
                faults.append(f"code cell {number} wrote to stderr")
        names = [output.get("name") for output in cell["outputs"]]
        if any(one and one == other for one, other in pairwise(names)):
            faults.append(f"code cell {number} prints in pieces, as a busy machine sends them: use `make notebooks`")
    return faults


@each_notebook
def test_every_cell_was_run_in_order_and_without_error(path):
    assert unfit(json.loads(path.read_text())) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"execution_count": None}, "has execution count None"),
        ({"execution_count": 7}, "has execution count 7"),
        ({"outputs": [{"output_type": "error", "ename": "ValueError"}]}, "ended in ValueError"),
        ({"outputs": [{"output_type": "stream", "name": "stderr", "text": "!"}]}, "wrote to stderr"),
        ({"outputs": 2 * [{"output_type": "stream", "name": "stdout", "text": "!"}]}, "prints in pieces"),
    ],
)
def test_a_notebook_that_was_not_run_or_failed_is_found(change, fault):
    notebook = json.loads(NOTEBOOKS[0].read_text())
    code_cells(notebook)[1] |= change
    assert any(fault in found for found in unfit(notebook))


@each_notebook
def test_every_figure_is_named_captioned_and_described(path):
    names = []
    for cell in code_cells(json.loads(path.read_text())):
        if any("image/png" in output.get("data", {}) for output in cell["outputs"]):
            described = cell["metadata"].get("mystnb", {})
            figure, alt = described["figure"], described["image"]["alt"]
            names.append(figure["name"])
            assert figure["name"].startswith("fig-")
            assert re.search(r"Live|Recorded", figure["caption"]), "say whether live or recorded"
            assert len(alt) > 40 and alt != figure["caption"]
            assert "hide-input" in cell["metadata"]["tags"]
    assert names or path.stem in SUMMARIES, "a notebook without a figure"


@each_notebook
def test_a_notebook_is_of_a_size_to_read(path):
    notebook = json.loads(path.read_text())
    lines = sorted(len(cell["source"]) for cell in code_cells(notebook))
    assert 15 <= len([cell for cell in notebook["cells"] if not FOLDED & set(cell["metadata"].get("tags", []))]) <= 40
    assert lines[len(lines) // 2] <= 8 and lines[-1] <= 25
    source = "".join("".join(cell["source"]) for cell in code_cells(notebook))
    assert not re.search(r"sys\.path|nbval-|time\.time|perf_counter|/home|/work", source)


SOURCES = NOTEBOOKS + sorted((ROOT / "ntkif").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_equal_values_keep_their_order(path):
    """What pandas sorts by default depends, among equal values, on the vector instructions of the processor."""
    code = path.read_text(encoding="utf-8")
    calls = re.findall(r"(?<!index)\.sort_values\(((?:[^()]|\([^()]*\))*)\)", code)
    assert all("kind=" in call for call in calls), calls


@each_notebook
def test_metadata_holds_nothing_that_changes_from_run_to_run(path):
    notebook = json.loads(path.read_text())
    assert set(notebook["metadata"]) == {"kernelspec"}
    assert all(set(cell["metadata"]) <= {"tags", "mystnb", "jupyter"} for cell in notebook["cells"])


@pytest.mark.parametrize("path", JUDGING, ids=lambda path: path.stem)
def test_a_notebook_ends_in_a_verdict(path):
    text = path.read_text()
    assert "claim_table(" in text and "## Verdict" in text and "## Limits" in text
    assert re.search(r"assert .*verdict", text), "each verdict is asserted too"


def sections(notebook):
    """Title -> cells of each section of a notebook; that of a cell's last heading goes on in the next one."""
    found, title = {}, ""
    for cell in notebook["cells"]:
        heads = re.findall(r"^## (.+)", "".join(cell["source"]), flags=re.MULTILINE)
        if cell["cell_type"] == "markdown" and heads:
            title = heads[-1]
        found.setdefault(title, []).append(cell)
    return found


def tagged(cells, tag):
    return [cell for cell in cells if tag in cell["metadata"].get("tags", [])]


@pytest.mark.parametrize("path", JUDGING, ids=lambda path: path.stem)
def test_a_lesson_says_what_it_is_for_and_ends_with_exercises_whose_solutions_run(path):
    notebook = json.loads(path.read_text())
    assert "**After this page you can**" in "".join(notebook["cells"][0]["source"])
    exercises = sections(notebook)["Exercises"]
    text = "\n".join("".join(cell["source"]) for cell in exercises if cell["cell_type"] == "markdown")
    assert re.findall(r"\*\*(\d)\.", text) == ["1", "2"]
    solutions = [cell for cell in tagged(exercises, "solution") if cell["cell_type"] == "code"]
    assert len(solutions) >= 2 and any(cell["outputs"] for cell in solutions)


@pytest.mark.parametrize("path", JUDGING, ids=lambda path: path.stem)
def test_what_judges_a_page_is_folded_on_the_site_and_in_jupyterlab(path):
    notebook = json.loads(path.read_text())
    judging = [cell for cell in code_cells(notebook) if re.search(r"claim_table\(|assert ", "".join(cell["source"]))]
    folded = [cell for kind in ("judged", "solution") for cell in tagged(notebook["cells"], kind)]
    assert judging and all(cell in folded for cell in judging)
    assert all(cell["metadata"]["jupyter"]["source_hidden"] for cell in folded if cell["cell_type"] == "code")


@each_notebook
def test_a_notebook_is_in_the_contents(path):
    assert f"notebooks/{path.stem}\n" in (ROOT / "_toc.yml").read_text()
    assert contents().count(f"(../notebooks/{path.name})") == 1


def test_the_table_of_the_paper_is_complete():
    """Every numbered item of the paper is named once in the contents, which the front page shows."""
    assert "_build/pages/contents.md" in (ROOT / "book" / "index.md").read_text()
    named = [line.split("|")[2] for line in contents().splitlines() if line.startswith("| [")]
    found = [
        f"{kind} {number}"
        for cell in named
        for kind, numbers in re.findall(r"([A-Z][a-z]+?)s? ([\d, ]+)", cell)
        for number in numbers.replace(",", "").split()
    ]
    counts = {"Theorem": 4, "Proposition": 2, "Figure": 12, "Table": 1, "Definition": 1, "Lemma": 4, "Equation": 20}
    assert sorted(found) == sorted(f"{kind} {n}" for kind, most in counts.items() for n in range(1, most + 1))


def test_sanitiser_rules_leave_numbers_alone():
    rules = configparser.RawConfigParser()
    rules.read(ROOT / "notebooks" / "sanitize.cfg")
    assert rules.sections()
    text = "0 -1 3.14 1e-10 12345678 0x1f 80% (0.25, 10) 2026-11-23 12:30:45 <b>0.97</b> at 0xdeadbeef01"
    for section in rules.sections():
        assert re.sub(rules[section]["regex"], rules[section]["replace"], text) == text


def test_sanitiser_rules_are_needed_and_work():
    rules = configparser.RawConfigParser()
    rules.read(ROOT / "notebooks" / "sanitize.cfg")
    rule = rules["object addresses"]
    assert re.sub(rule["regex"], rule["replace"], f"{object()}") == "<object object at 0xADDRESS>"


def test_configuration_is_strict():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["execute"] == {"execute_notebooks": "off", "stderr_output": "warn"}
    build = re.search(r"jupyter-book build .*", (ROOT / "Makefile").read_text())[0]
    assert "-W -n --keep-going" in build and " | " not in build


def decimals(text):
    return {float(number) for number in re.findall(r"(?<![\w.])\d+\.\d+(?!\w)", text)}


def untold(notebook):
    """Numbers with a decimal point in the text of a notebook that no cell of it has, in source or output."""
    shown = " ".join(json.dumps([cell["source"], cell["outputs"]], ensure_ascii=False) for cell in code_cells(notebook))
    known = decimals(re.sub(r"\\[nt]", " ", shown)) | decimals(json.dumps([paper.SETTINGS, paper.TABLE_1]))
    prose = " ".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    return {number for number in decimals(prose) if number not in known and round(number / 100, 6) not in known}


@each_notebook
def test_no_measurement_is_typed(path):
    """Every decimal number of the prose stands in a cell or an output of its page, or among the paper's settings."""
    assert untold(json.loads(path.read_text())) == set()


def test_a_typed_measurement_is_found():
    notebook = json.loads(NOTEBOOKS[0].read_text())
    notebook["cells"].append({"cell_type": "markdown", "source": ["The error is 0.123456 here, for 97.531 % of them."]})
    assert untold(notebook) == {0.123456, 97.531}


def test_no_measurement_is_typed_on_a_page_of_prose():
    for page in ROOT.glob("book/*.md"):
        text = re.sub(r"`[^`]*`|```.*?```|\$\$.*?\$\$", "", page.read_text(), flags=re.DOTALL)
        assert decimals(text) <= decimals(json.dumps(paper.SETTINGS)) | {3.11, 3.12, 3.13}, page.name
