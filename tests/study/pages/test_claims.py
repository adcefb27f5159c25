"""Claims: names that the paper's file knows, verdicts of their parts, and a table that can be read back."""

import json

import pytest

from ntkif.study import paper
from ntkif.study.pages.claims import MIME, VERDICTS, Claim, claim_table, joined, overall, read_claims
from ntkif.study.pages.criteria import criterion

KEYS = ["lemma-1", "lemma-2", "lemma-3"]


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


def test_a_name_and_what_was_found_on_it_do_not_run_into_each_other():
    """Nor does a name that ends in a number look like one that is measured, or a negative number like a difference."""
    claim = Claim.judge("lemma-1", {"κ = 0.01": -0.07, "SGD, small steps": 3}, at_most=3)
    assert claim_table(claim)["measured"].tolist() == ["κ = 0.01: -0.07; SGD, small steps: 3.00"]
    assert joined({"": "largest 0.3", "mnist": "0.2"}) == "largest 0.3; mnist: 0.2" and joined({}) == ""


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


def test_claims_survive_a_notebook(tmp_path, notebook_with):
    claims = [
        Claim.judge("lemma-1", -0.5, below=0, digits=1),
        Claim.judge("figure-2-above", {"mnist": 2}, below=1, digits=0),
        Claim.judge("tools are slower", {"conv": 3}, above=2, digits=0, recorded=True),
    ]
    made = notebook_with(claims)
    assert {MIME, "text/html", "text/plain"} <= set(made["cells"][1]["outputs"][0]["data"])
    (tmp_path / "a.ipynb").write_text(json.dumps(made))
    assert read_claims(tmp_path / "a.ipynb") == claims
    told = made["cells"][1]["outputs"][0]["data"][MIME]
    assert ["recorded" in claim for claim in told] == [False, False, True]
    assert claim_table(*claims)["measured"].tolist() == ["-0.5", "mnist: 2", "conv: 3"]
    assert type(claim_table(*claims)[["verdict"]]).__name__ == "DataFrame"  # a part of the table has no claims


def test_a_claim_of_ours_is_its_own_words(tmp_path, notebook_with):
    claim = Claim.judge("copies take influence away", 1, at_most=1, digits=0)
    assert (claim.item, claim.claim) == ("(ours)", "copies take influence away")
    (tmp_path / "a.ipynb").write_text(json.dumps(notebook_with([claim])))
    assert read_claims(tmp_path / "a.ipynb") == [claim]
