"""The scoreboard: each claim judged once, tables that are those of the notebooks, numbers those of the records."""

import json

import pytest

from ntkif.provenance import ROOT
from ntkif.study import paper
from ntkif.study.pages import scoreboard
from ntkif.study.pages.claims import VERDICTS, Claim
from ntkif.study.pages.criteria import criterion
from ntkif.study.pages.scoreboard import DEFINITION, evidence, judged_claims, to_markdown, verdicts
from ntkif.study.records.tables import load_record


def test_a_claim_is_judged_exactly_once(tmp_path, monkeypatch, notebook_with):
    keys = ["lemma-1", "lemma-2"]
    monkeypatch.setattr(scoreboard, "CLAIMS", {key: paper.CLAIMS[key] for key in keys})
    first, second = (Claim(key, {"": "m"}, "t", VERDICTS[0]) for key in keys)
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook_with([first])))
    with pytest.raises(ValueError, match=r"judged once, .* got \{'lemma-2': \[\]\}; judge it in one notebook"):
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
    claim = Claim("figure-2-above", {"live": "2", "two": "3", "mnist": "4", "cifar": "5"}, "t", VERDICTS[0])
    judged = scoreboard.Judged(claim, "a.ipynb")
    assert (judged.live, judged.recorded) == ("2, two: 3", "mnist 4, cifar 5")


def test_a_claim_that_was_measured_beforehand_is_not_said_to_be_live():
    claim = Claim.judge("tools are slower", {"conv": 3, "mlp": 4}, above=2, digits=0, recorded=True)
    judged = scoreboard.Judged(claim, "a.ipynb")
    assert (judged.live, judged.recorded) == ("", "conv 3, mlp 4")
    both = Claim("lemma-1", {"live": "2", "cifar, recorded": "3"}, "t", VERDICTS[0])
    assert (scoreboard.Judged(both, "a.ipynb").live, scoreboard.Judged(both, "a.ipynb").recorded) == ("2", "cifar 3")
    several = Claim.all_of("a million rows", criterion(3, below=4, digits=0), recorded=True)
    assert scoreboard.Judged(several, "a.ipynb").row["recorded"] == "3"


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


def test_evidence_shows_the_verdicts_of_its_claims():
    judged = judged_claims()
    table = evidence(judged, "lemma-1", "figure-2-above")
    assert table["verdict"].tolist() == [judged[key].claim.verdict for key in ("lemma-1", "figure-2-above")]
