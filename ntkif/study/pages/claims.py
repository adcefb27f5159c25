"""What the paper says against what was measured: the table that ends each notebook, and that of all of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from ntkif.study.pages.criteria import Criterion, criterion
from ntkif.study.paper import CLAIMS

__all__ = ["MIME", "OURS", "VERDICTS", "Claim", "ClaimTable", "claim_table", "joined", "overall", "read_claims"]

VERDICTS = ("holds", "holds in part", "does not hold")
OURS = "(ours)"
MIME = "application/vnd.ntkif.claims+json"  # of the claims beside the table, in the output of a notebook


@dataclass(frozen=True)
class Claim:
    """One claim and its test.

    Attributes:
        key: name of the claim in `paper.toml`; one of ours, which the paper does not make, is its own words.
        measured: data set, or "" for what is not of one -> what was found on it, with numbers from this notebook.
        tolerance: what was required, fixed before measuring.
        verdict: one of `VERDICTS`.
        recorded: whether all of it was measured beforehand; where not, what was found on a recorded data set was, and
            the rest on the page itself.
        smaller: in what the experiment is smaller than the paper's, in words; empty where it is not.
    """

    key: str
    measured: dict[str, str]
    tolerance: str
    verdict: str
    recorded: bool = False
    smaller: str = ""

    def __post_init__(self):
        if self.key not in CLAIMS and " " not in self.key:
            raise ValueError(
                f"key: expected the name of a claim in study/paper.toml, or a claim of ours in words, got {self.key!r}."
            )
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: expected one of {', '.join(VERDICTS)}, got {self.verdict!r}.")

    @classmethod
    def judge(cls, key: str, values: Any, *, recorded: bool = False, smaller: str = "", **how: Any) -> "Claim":
        """The claim judged by one bound, for example `Claim.judge("figure-2-reflects", quotients, at_most=3)`.

        Args:
            key: name of the claim in `paper.toml`, or a claim of ours in words.
            values: what was found, see `criterion`.
            recorded: whether all values were measured beforehand.
            smaller: in what the experiment is smaller than the paper's; empty where it is not.
            **how: the bound, and how to write it and the values; see `criterion`.
        """
        return cls.all_of(key, criterion(values, **how), recorded=recorded, smaller=smaller)

    @classmethod
    def all_of(cls, key: str, *criteria: Criterion, recorded: bool = False, smaller: str = "") -> "Claim":
        """The claim with the verdict that the parts of all its criteria give: all hold, some hold, or none does.

        Args:
            key: name of the claim in `paper.toml`, or a claim of ours in words.
            criteria: of `criterion`; their texts are joined, for each name.
            recorded: whether all values were measured beforehand.
            smaller: in what the experiment is smaller than the paper's; empty where it is not.
        """
        if not criteria:
            raise ValueError("criteria: expected at least one, got none; a verdict needs something that could fail.")
        texts = [item for each in criteria for item in each.measured.items()]
        measured = {name: ", ".join(text for other, text in texts if other == name) for name, _ in texts}
        tolerance = "; ".join(each.tolerance for each in criteria)
        verdict = _verdict([part for each in criteria for part in each.holds])
        return cls(key, measured, tolerance, verdict, recorded, smaller)

    @property
    def item(self) -> str:
        """Where the paper makes it, e.g. "Eq. 9"; of a claim of ours, "(ours)"."""
        return CLAIMS[self.key]["item"] if self.key in CLAIMS else OURS

    @property
    def claim(self) -> str:
        """What it says, in a few words."""
        return CLAIMS[self.key]["claim"] if self.key in CLAIMS else self.key


class ClaimTable(pd.DataFrame):
    """Claims as a table to look at; its output in a notebook holds them for `read_claims` too."""

    _metadata: ClassVar = ["claims"]

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        told = [asdict(claim) for claim in self.claims]
        return {MIME: [{name: value for name, value in each.items() if value} for each in told]}


def claim_table(*claims: Claim) -> ClaimTable:
    """The claims as a table, a row each, by the paper's item."""
    rows = [
        {
            "item": claim.item,
            "claim": claim.claim,
            "measured": joined(claim.measured),
            "tolerance": claim.tolerance,
            "verdict": claim.verdict,
        }
        for claim in claims
    ]
    table = ClaimTable(pd.DataFrame(rows).set_index("item"))
    table.claims = list(claims)
    return table


def joined(measured: dict[str, str]) -> str:
    """What was found, in one line.

    Args:
        measured: name, or "" for what has none -> what was found.

    >>> joined({"": "largest 0.3", "κ = 0.01": "-0.07"})
    'largest 0.3; κ = 0.01: -0.07'
    """
    return "; ".join(": ".join(filter(None, each)) for each in measured.items())


def read_claims(notebook: Path) -> list[Claim]:
    """The claims that an executed notebook judged, from its outputs.

    Args:
        notebook: an `.ipynb` file; a test executes it again and compares the outputs.
    """
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [Claim(**claim) for data in outputs for claim in data.get(MIME, [])]


def overall(verdicts: Sequence[str]) -> str:
    """One verdict for several claims: all hold, none holds at all, or in part."""
    if set(verdicts) == {VERDICTS[2]}:
        return VERDICTS[2]
    return VERDICTS[0] if set(verdicts) == {VERDICTS[0]} else VERDICTS[1]


def _verdict(holds: Sequence[bool]) -> str:
    return VERDICTS[0] if all(holds) else VERDICTS[1] if any(holds) else VERDICTS[2]
