"""The scoreboard: each claim judged once, tables that are those of the notebooks, numbers those of the records."""

import json

import pytest

from ntkif.provenance import ROOT
from ntkif.study import paper
from ntkif.study.pages import scoreboard
from ntkif.study.pages.claims import VERDICTS, Claim
from ntkif.study.pages.criteria import criterion
from ntkif.study.pages.scoreboard import (
    DEFINITION,
    counts,
    evidence,
    folded,
    judged_claims,
    ours,
    smaller,
    told,
    verdicts,
)
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
    assert (judged.live, judged.recorded) == ("2; two: 3", "mnist: 4; cifar: 5")


def test_a_claim_that_was_measured_beforehand_is_not_said_to_be_live():
    claim = Claim.judge("tools are slower", {"conv": 3, "mlp": 4}, above=2, digits=0, recorded=True)
    judged = scoreboard.Judged(claim, "a.ipynb")
    assert (judged.live, judged.recorded) == ("", "conv: 3; mlp: 4")
    both = Claim("lemma-1", {"live": "2", "cifar, recorded": "3"}, "t", VERDICTS[0])
    assert (scoreboard.Judged(both, "a.ipynb").live, scoreboard.Judged(both, "a.ipynb").recorded) == ("2", "cifar: 3")
    several = Claim.all_of("a million rows", criterion(3, below=4, digits=0), recorded=True)
    assert scoreboard.Judged(several, "a.ipynb").recorded == "3"


def test_the_scoreboard_agrees_with_the_notebooks():
    """What it shows, as committed, is what the outputs of the other notebooks give."""
    judged = judged_claims()
    cells = json.loads((ROOT / "notebooks" / "scoreboard.ipynb").read_text())["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    shown = ["".join(data["text/markdown"]) for data in outputs if "text/markdown" in data]
    again = "run `make -W notebooks/scoreboard.ipynb notebooks`"
    lines = [line for text in shown for line in text.splitlines() if line]
    found = [line for text in (folded(judged), ours(judged)) for line in text.splitlines() if line]
    failing = [told(judged[key], text.get("paper", "")) for key, text in paper.CLAIMS.items() if _fails(judged[key])]
    assert lines == failing + found, f"the scoreboard is not that of the notebooks: {again}"


def _fails(judged):
    return judged.claim.verdict == VERDICTS[2]


def test_every_item_and_every_claim_of_ours_is_shown_with_its_verdict_and_page():
    judged = judged_claims()
    text = folded(judged)
    places = [text.index(f"{item['name']}, {item['about']}: ") for item in paper.ITEMS]
    assert places == sorted(places) and text.count("<details") == len(places) == text.count("Judged on [")
    assert folded(judged, ["Lemma 1"]).count("<details") == 1
    mine = [key for key in judged if key not in paper.CLAIMS]
    assert all(told(judged[key]) in ours(judged) for key in mine)
    assert counts(judged).loc["of ours"].sum() == len(mine) and counts(judged).to_numpy().sum() == len(judged)


def test_a_claim_is_told_with_all_that_was_measured():
    claim = Claim("figure-2-above", {"live": "2", "mnist": "3"}, "above 1", VERDICTS[0])
    line = told(scoreboard.Judged(claim, "a.ipynb"), "is above")
    text = paper.CLAIMS["figure-2-above"]["claim"]
    assert line == f"- ✓ **holds**: {text}. *Paper:* is above. *Live:* 2. *Recorded:* mnist: 3. *Asked:* above 1."


def test_an_experiment_smaller_than_the_papers_says_so_where_it_is_shown():
    judged = judged_claims()
    old = judged["figure-12-bound"]
    less = Claim(old.claim.key, old.claim.measured, old.claim.tolerance, old.claim.verdict, smaller="half the points")
    changed = judged | {"figure-12-bound": scoreboard.Judged(less, old.notebook)}
    assert set(smaller(changed)) - set(smaller(judged)) == {"Figure 12"}
    text = folded(changed, ["Figure 12"])
    assert ", not measured at the paper's size</summary>" in text and "paper's size:* half the points." in text


def test_a_changed_verdict_changes_the_scoreboard():
    judged = judged_claims()
    old = judged["figure-12-bound"]
    worse = Claim(old.claim.key, old.claim.measured, old.claim.tolerance, VERDICTS[2])
    changed = judged | {"figure-12-bound": scoreboard.Judged(worse, old.notebook)}
    before, after = (verdicts(scoreboard.scoreboard(each)) for each in (judged, changed))
    assert folded(judged, ["Figure 12"]) != folded(changed, ["Figure 12"])
    assert (before["Figure 12"], after["Figure 12"]) == (VERDICTS[0], VERDICTS[1])
    assert before["Definition 1"] == DEFINITION


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


def test_evidence_has_the_verdicts_of_its_claims_and_links_to_their_pages():
    judged = judged_claims()
    keys = ("lemma-1", "figure-2-above")
    text = evidence(judged, *keys)
    assert [f"**{judged[key].claim.verdict}**" in text for key in keys] == [True, True]
    assert all(f"]({judged[key].notebook})" in text for key in keys)
