"""Claims, the paper's data file and the scoreboard: names match, verdicts agree, outputs can be read back."""

import json
import re
from pathlib import Path

import pytest
from IPython.core.formatters import DisplayFormatter

from ntkif.study import paper
from ntkif.study.pages import scoreboard
from ntkif.study.pages.claims import MIME, VERDICTS, Claim, claim_table, overall, read_claims
from ntkif.study.pages.criteria import criterion
from ntkif.study.pages.figures import VERDICT_COLORS, verdict_tiles
from ntkif.study.pages.scoreboard import DEFINITION, evidence, judged_claims, to_markdown, verdicts
from ntkif.study.records.tables import load_record

ROOT = Path(__file__).parents[1]
KEYS = ["lemma-1", "lemma-2", "lemma-3"]


def notebook_with(claims):
    """As Jupyter writes it: the outputs of a cell that ends in the table."""
    data, _ = DisplayFormatter().format(claim_table(*claims))
    return {"cells": [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [{"data": data}]}]}


def test_a_verdict_is_that_of_the_parts():
    claims = [
        Claim.judge(key, parts, at_least=2) for key, parts in zip(KEYS, [[2], {"a": 2, "b": 1}, [1]], strict=True)
    ]
    assert tuple(claim_table(*claims)["verdict"]) == VERDICTS
    assert claim_table(*claims).loc["Lemma 1", "claim"] == paper.CLAIMS["lemma-1"]["claim"]


def test_criteria_are_joined():
    speed, size = criterion({"live": 9, "mnist": 7}, above=8, digits=0), criterion(1.5, at_most=2, of="size", digits=1)
    error = criterion({"live": 1e-16}, below=1e-12, digits=None, of="error")
    claim = Claim.all_of("lemma-1", speed, size, error)
    assert claim.measured == {"live": "9, yes", "mnist": "7", "": "size 1.5"}
    assert claim.tolerance == "above 8; size at most 2; error below 1e-12"
    assert claim.verdict == VERDICTS[1]
    assert Claim.all_of("lemma-1", size, error).verdict == VERDICTS[0]
    assert Claim.all_of("lemma-1", criterion(8, above=8), criterion(9, below=9)).verdict == VERDICTS[2]


def test_what_is_not_a_claim_is_refused():
    with pytest.raises(ValueError, match="expected one of holds, holds in part, does not hold, got 'maybe'"):
        Claim("lemma-1", {"": "m"}, "t", "maybe")
    with pytest.raises(
        ValueError,
        match=r"expected the name of a claim in study/paper.toml, or a claim of ours in words, got 'lemma-9'",
    ):
        Claim.judge("lemma-9", 1, at_most=1)
    with pytest.raises(ValueError, match="criteria: expected at least one"):
        Claim.all_of("lemma-1")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [((0, 0), 0), ((0, 1), 1), ((0, 2), 1), ((1, 2), 1), ((1, 1), 1), ((2, 2), 2), ((2,), 2)],
)
def test_one_verdict_for_several(parts, expected):
    assert overall([VERDICTS[part] for part in parts]) == VERDICTS[expected]


def test_claims_survive_a_notebook(tmp_path):
    claims = [
        Claim.judge("lemma-1", -0.5, below=0, digits=1),
        Claim.judge("figure-2-above", {"mnist": 2}, below=1, digits=0),
    ]
    made = notebook_with(claims)
    assert {MIME, "text/html", "text/plain"} <= set(made["cells"][1]["outputs"][0]["data"])
    (tmp_path / "a.ipynb").write_text(json.dumps(made))
    assert read_claims(tmp_path / "a.ipynb") == claims
    assert claim_table(*claims)["measured"].tolist() == ["-0.5", "mnist 2"]
    assert type(claim_table(*claims)[["verdict"]]).__name__ == "DataFrame"  # a part of the table has no claims


def test_a_claim_is_judged_exactly_once(tmp_path, monkeypatch):
    monkeypatch.setattr(scoreboard, "CLAIMS", {key: paper.CLAIMS[key] for key in KEYS[:2]})
    first, second = (Claim(key, {"": "m"}, "t", VERDICTS[0]) for key in KEYS[:2])
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook_with([first])))
    with pytest.raises(
        ValueError,
        match=r"judged once, .* among them, got \{'lemma-2': \[\]\}; judge it in one notebook",
    ):
        judged_claims(tmp_path)
    (tmp_path / "b.ipynb").write_text(json.dumps(notebook_with([second])))
    assert {key: judged.notebook for key, judged in judged_claims(tmp_path).items()} == {
        "lemma-1": "a.ipynb",
        "lemma-2": "b.ipynb",
    }
    (tmp_path / "c.ipynb").write_text(json.dumps(notebook_with([first])))
    with pytest.raises(ValueError, match=r"\{'lemma-1': \['a.ipynb', 'c.ipynb'\]\}"):
        judged_claims(tmp_path)


def test_live_and_recorded_are_told_apart():
    claim = Claim.judge("figure-2-above", {"live": 2, "two": 3, "mnist": 4, "cifar": 5}, above=1, digits=0)
    judged = scoreboard.Judged(claim, "a.ipynb")
    assert (judged.live, judged.recorded) == ("2, two: 3", "mnist 4, cifar 5")


def test_the_data_file_is_complete():
    """Every numbered item of the paper has a row, every claim of the paper is used, every name is known."""
    names = " ".join(item["name"] for item in paper.ITEMS)
    counts = {"Equation": 20, "Figure": 12, "Table": 1, "Theorem": 4, "Proposition": 2, "Lemma": 4, "Definition": 1}
    for kind, count in counts.items():
        assert re.findall(rf"{kind} (\d+)", names) and all(
            re.search(rf"{kind} {number}\b", names) for number in range(1, count + 1)
        )
    used = {key for item in paper.ITEMS for key in [*item.get("claims", []), *item.get("by", [])]}
    assert used == set(paper.CLAIMS)
    for item in paper.ITEMS:
        assert ("claims" in item) != ("by" in item) and item["about"]
    for claim in paper.CLAIMS.values():
        assert claim["claim"] and claim["item"] and claim["where"]


def test_numbers_of_the_paper_are_as_printed():
    """The copy of the paper lies beside the checkout in development, not where the book is only read."""
    text = ROOT.parent / "shared" / "paper.md"
    if not text.exists():
        pytest.skip("no copy of the paper beside the checkout")
    text = text.read_text()
    for row in paper.TABLE_1:
        assert f"{row['pearson']:.4f}" in text and f"{row['spearman']:.4f}" in text
    table = text[text.index("MNIST\t") : text.index("Table 1:")]
    printed = [[float(x) for x in line.split("\t")[1:]] for line in re.findall(r"(?:Pearson|Spearman)'s.*", table)]
    ours = [
        [row[score] for row in paper.TABLE_1 if row["dataset"] == name][::-1]
        for name in ("mnist", "cifar")
        for score in ("pearson", "spearman")
    ]
    assert printed == ours


def test_the_scoreboard_agrees_with_the_notebooks():
    """Its tables, as committed, are those that the outputs of the other notebooks give."""
    board = scoreboard.scoreboard(judged_claims())
    cells = json.loads((ROOT / "notebooks" / "scoreboard.ipynb").read_text())["cells"]
    shown = [
        "".join(output["data"]["text/markdown"])
        for cell in cells
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    ]
    again = "run `make -W notebooks/scoreboard.ipynb notebooks`"
    lines = [line for table in shown for line in table.splitlines()[2:]]
    assert lines == to_markdown(board).splitlines()[2:], f"the scoreboard is not that of the notebooks: {again}"
    assert [item["name"] for item in paper.ITEMS] == list(dict.fromkeys(board["item"]))


def test_a_changed_verdict_changes_the_scoreboard():
    judged = judged_claims()
    before = scoreboard.scoreboard(judged)
    old = judged["figure-12-bound"]
    worse = Claim(old.claim.key, old.claim.measured, old.claim.tolerance, VERDICTS[2])
    after = scoreboard.scoreboard(judged | {"figure-12-bound": scoreboard.Judged(worse, old.notebook)})
    assert to_markdown(before) != to_markdown(after)
    assert (verdicts(before)["Figure 12"], verdicts(after)["Figure 12"]) == (VERDICTS[0], VERDICTS[1])
    assert verdicts(before)["Definition 1"] == DEFINITION


RATES = {
    "figure-2-above": ("figure-2", lambda t: f"{(t['ratio_of_sums'] / t['floor']).min():.2f}"),
    "figure-2-reflects": ("figure-2", lambda t: f"{(t['ratio_of_sums'] / t['floor']).max():.2f}"),
    "abstract-weak": ("figure-2", lambda t: f"{t.loc[t['ridge'] == 0.0625, 'ratio_of_sums'].item():.2f}"),
    "figure-9-reflects": ("figure-2", lambda t: f"{(t['ratio_of_sums'] / t['floor']).max():.2f}"),
    "theorem-3": ("figure-2", lambda t: str(t["violations"].sum() + t["leverage_violations"].sum())),
    "equation-15-pairs": ("proposition-2", lambda t: f"{t['above_tenth'].max():.2f}"),
    "equation-15-error": ("proposition-2", lambda t: f"{t['relative_error'].max():.2f}"),
    "Figure 3: errors fall whatever the choice of density": (
        "figure-3",
        lambda t: f"{t['error_rho'].min():.2f} to {t['error_rho'].max():.2f}",
    ),
    "Figure 10: errors fall whatever the choice of density": (
        "figure-3",
        lambda t: f"{t['error_rho'].min():.2f} to {t['error_rho'].max():.2f}",
    ),
    "figure-4-helpful": ("figure-4-likeness", lambda t: f"{t.set_index('group').loc['helpful', 'rank']:.3f}"),
    "figure-7-dominate": ("figure-7", lambda t: f"{t['influential_1'].max():.2f}"),
    "equation-9": ("equation-9", lambda t: "yes" if t["deviation"].max() < 1e-9 else "no"),
    "equation-20-efficient": ("equation-20", lambda t: "yes" if t["deviation"].max() < 1e-9 else "no"),
}


@pytest.mark.parametrize("key", RATES)
def test_recorded_numbers_are_those_of_the_records(key):
    """Computed here from the records anew, without the notebook."""
    experiment, number = RATES[key]
    measured = judged_claims()[key].claim.measured
    sets = [name for name in measured if name in paper.RIDGE]
    assert sets
    for name in sets:
        assert measured[name] == number(load_record(experiment, name).table), name


def test_evidence_and_tiles_show_what_is_there():
    judged = judged_claims()
    table = evidence(judged, "lemma-1", "figure-2-above")
    assert table["verdict"].tolist() == [judged[key].claim.verdict for key in ("lemma-1", "figure-2-above")]
    named = verdicts(scoreboard.scoreboard(judged))
    figure = verdict_tiles(named)
    texts = " ".join(text.get_text().replace("\n", " ") for text in figure.axes[0].texts)
    assert all(item in texts for item in named.index)
    assert len(figure.axes[0].patches) == len(named) and set(VERDICT_COLORS) == {*VERDICTS, DEFINITION}
