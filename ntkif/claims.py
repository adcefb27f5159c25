"""What the paper says against what was measured: the table that ends each notebook."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

__all__ = ["VERDICTS", "Claim", "claim_table"]

VERDICTS = ("holds", "holds in part", "does not hold")


@dataclass(frozen=True)
class Claim:
    """One claim and its test.

    Attributes:
        item: where the paper makes it, e.g. "Eq. 9".
        claim: what it says, in a few words.
        measured: what was found, with numbers from this notebook.
        tolerance: what was required, fixed before measuring.
        verdict: one of `VERDICTS`.
    """

    item: str
    claim: str
    measured: str
    tolerance: str
    verdict: str

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: expected one of {', '.join(VERDICTS)}, got {self.verdict!r}.")

    @classmethod
    def judge(cls, item: str, claim: str, measured: str, tolerance: str, holds: Sequence[bool]) -> "Claim":
        """The claim with the verdict that its parts give: all hold, some hold, or none does."""
        holds = [bool(part) for part in holds]
        verdict = VERDICTS[0] if all(holds) else VERDICTS[1] if any(holds) else VERDICTS[2]
        return cls(item, claim, measured, tolerance, verdict)


def claim_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """The claims as a table, a row each, by the paper's item."""
    return pd.DataFrame([asdict(claim) for claim in claims]).set_index("item")
