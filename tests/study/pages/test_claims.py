"""Claims: names that the paper's file knows, verdicts of their parts, and a table that can be read back."""

import json

import pytest

from ntkif.study import paper
from ntkif.study.pages.claims import MIME, VERDICTS, Claim, claim_table, overall, read_claims

KEYS = ["lemma-1", "lemma-2", "lemma-3"]


def test_a_verdict_is_that_of_the_parts():
    claims = [Claim.judge(key, "m", "t", parts) for key, parts in zip(KEYS, [[1], [True, False], [False]], strict=True)]
    assert tuple(claim_table(claims)["verdict"]) == VERDICTS
    assert claim_table(claims).loc["Lemma 1", "claim"] == paper.CLAIMS["lemma-1"]["claim"]


def test_what_is_not_a_claim_is_refused():
    with pytest.raises(ValueError, match="expected one of holds, holds in part, does not hold, got 'maybe'"):
        Claim("lemma-1", {"": "m"}, "t", "maybe")
    with pytest.raises(ValueError, match=r"expected a claim of study/paper.toml, got 'lemma-9'; write it down there"):
        Claim.judge("lemma-9", "m", "t", [True])


@pytest.mark.parametrize(
    ("parts", "expected"),
    [((0, 0), 0), ((0, 1), 1), ((0, 2), 1), ((1, 2), 1), ((1, 1), 1), ((2, 2), 2), ((2,), 2)],
)
def test_one_verdict_for_several(parts, expected):
    assert overall([VERDICTS[part] for part in parts]) == VERDICTS[expected]


def test_claims_survive_a_notebook(tmp_path, notebook_with):
    claims = [Claim.judge("lemma-1", "-0.5", "t", [True]), Claim.judge("figure-2-above", {"mnist": "2"}, "t", [False])]
    made = notebook_with(claims)
    assert {MIME, "text/html", "text/plain"} <= set(made["cells"][1]["outputs"][0]["data"])
    (tmp_path / "a.ipynb").write_text(json.dumps(made))
    assert read_claims(tmp_path / "a.ipynb") == claims
    assert claim_table(claims)["measured"].tolist() == ["-0.5", "mnist 2"]
    assert type(claim_table(claims)[["verdict"]]).__name__ == "DataFrame"  # a part of the table has no claims
