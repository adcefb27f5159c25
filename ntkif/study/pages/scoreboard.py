"""Every claim of the paper with what the notebooks found: read from their outputs, which a test makes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ntkif.provenance import ROOT
from ntkif.study.pages.claims import VERDICTS, Claim, overall, read_claims
from ntkif.study.paper import CLAIMS, ITEMS, RIDGE

__all__ = [
    "DEFINITION",
    "MARKS",
    "NOTEBOOKS",
    "Judged",
    "evidence",
    "judged_claims",
    "scoreboard",
    "to_markdown",
    "verdicts",
]

NOTEBOOKS = ROOT / "notebooks"
DEFINITION = "definition"
_SAID = ", recorded"  # ends the name of what was measured beforehand, where a claim has both
MARKS = dict(zip((*VERDICTS, DEFINITION), "✓◐✗·", strict=True))


@dataclass(frozen=True)
class Judged:
    """A claim as a notebook judged it.

    Attributes:
        claim: with its verdict.
        notebook: file name of the notebook.
    """

    claim: Claim
    notebook: str

    @property
    def live(self) -> str:
        """What was measured on the page itself; empty where all of the claim was recorded."""
        found = {name: text for name, text in self.claim.measured.items() if name not in self._beforehand}
        return ", ".join(f"{name}: {text}" if name not in ("", "live") else text for name, text in found.items())

    @property
    def recorded(self) -> str:
        """What was measured beforehand: all of a recorded claim, of others what is named after a set or says so."""
        measured = self.claim.measured
        return ", ".join(f"{name.removesuffix(_SAID)} {measured[name]}".strip() for name in self._beforehand)

    @property
    def _beforehand(self) -> list[str]:
        measured = self.claim.measured
        said = [name for name in measured if name.endswith(_SAID)]
        return list(measured) if self.claim.recorded else [name for name in RIDGE if name in measured] + said

    @property
    def row(self) -> dict[str, str]:
        """What a table of claims says of it: claim, live, recorded, tolerance, verdict."""
        return {
            "claim": self.claim.claim,
            "live": self.live,
            "recorded": self.recorded,
            "tolerance": self.claim.tolerance,
            "verdict": self.claim.verdict,
        }


def judged_claims(folder: Path = NOTEBOOKS) -> dict[str, Judged]:
    """Name of each claim of `paper.toml`, and each claim of ours -> how a notebook judged it.

    Args:
        folder: of the executed notebooks.

    Raises:
        ValueError: a claim of the paper that no notebook judges, or any that several do; says which.
    """
    found = [Judged(claim, file.name) for file in sorted(Path(folder).glob("*.ipynb")) for claim in read_claims(file)]
    keys = dict.fromkeys([*CLAIMS, *(judged.claim.key for judged in found)])
    pages = {key: [judged.notebook for judged in found if judged.claim.key == key] for key in keys}
    wrong = {key: names for key, names in pages.items() if len(names) != 1}
    if wrong:
        raise ValueError(
            f"expected each claim to be judged once, those of ntkif/study/paper.toml among them, got {wrong}; "
            f"judge it in one notebook and execute that, or take it out of the file."
        )
    return {judged.claim.key: judged for judged in found}


def scoreboard(judged: dict[str, Judged]) -> pd.DataFrame:
    """Every numbered item of the paper and what became of its claims.

    Args:
        judged: of `judged_claims`.

    Returns:
        a row for each item and claim, in the paper's order: item, about, claim, paper (its own number), live,
        recorded, tolerance, verdict (`VERDICTS` or "definition") and notebook. An item that only defines something has
        one row, whose claim names those that rest on it.
    """
    rows = []
    for item in ITEMS:
        head = {"item": item["name"], "about": item["about"]}
        for key in item.get("claims", []):
            paper = CLAIMS[key].get("paper", "")
            rows.append(head | judged[key].row | {"paper": paper, "notebook": judged[key].notebook})
        if "by" in item:
            rest = ", ".join(dict.fromkeys(CLAIMS[key]["item"] for key in item["by"]))
            empty = dict.fromkeys(("paper", "live", "recorded", "tolerance"), "")
            page = judged[item["by"][0]].notebook
            rows.append(head | {"claim": f"what {rest} rests on"} | empty | {"verdict": DEFINITION, "notebook": page})
    return pd.DataFrame(rows)


def verdicts(board: pd.DataFrame) -> pd.Series:
    """One verdict for each item of a scoreboard: all of its claims hold, none does, or in part."""
    return board.groupby("item", sort=False)["verdict"].agg(
        lambda each: DEFINITION if set(each) == {DEFINITION} else overall(list(each))
    )


def to_markdown(board: pd.DataFrame, names: Sequence[str] | None = None) -> str:
    """Rows of a scoreboard as a table in Markdown, with a link to each notebook.

    Args:
        board: of `scoreboard`.
        names: items to show; all where absent.
    """
    chosen = board if names is None else board[board["item"].isin(names)]
    lines = ["| item | verdict | claim | paper | live | recorded | tolerance |", "|" + "---|" * 7]
    before = None
    for row in chosen.itertuples():
        item = f"[{row.item}]({row.notebook}): {row.about}" if row.item != before else ""
        cells = (
            item,
            f"{MARKS[row.verdict]} {row.verdict}",
            row.claim,
            row.paper,
            row.live,
            row.recorded,
            row.tolerance,
        )
        escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
        lines.append(f"| {escaped} |")
        before = row.item
    return "\n".join(lines)


def evidence(judged: dict[str, Judged], *keys: str) -> pd.DataFrame:
    """What the notebooks found about some claims: a row each, with live, recorded, tolerance, verdict and page.

    Args:
        judged: of `judged_claims`.
        keys: names of claims in `paper.toml`, or claims of ours in words.
    """
    rows = [judged[key].row | {"page": judged[key].notebook.removesuffix(".ipynb")} for key in keys]
    return pd.DataFrame(rows).set_index("claim")
