"""Every claim of the paper with what the notebooks found: read from their outputs, which a test makes again."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from ntkif.provenance import ROOT
from ntkif.study.pages.claims import VERDICTS, Claim, joined, overall, read_claims
from ntkif.study.paper import CLAIMS, ITEMS, RIDGE

__all__ = [
    "DEFINITION",
    "MARKS",
    "NOTEBOOKS",
    "Judged",
    "counts",
    "evidence",
    "folded",
    "judged_claims",
    "ours",
    "scoreboard",
    "smaller",
    "title",
    "told",
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
        return joined({"" if name == "live" else name: text for name, text in found.items()})

    @property
    def recorded(self) -> str:
        """What was measured beforehand: all of a recorded claim, of others what is named after a set or says so."""
        measured = self.claim.measured
        return joined({name.removesuffix(_SAID): measured[name] for name in self._beforehand})

    @property
    def _beforehand(self) -> list[str]:
        measured = self.claim.measured
        said = [name for name in measured if name.endswith(_SAID)]
        return list(measured) if self.claim.recorded else [name for name in RIDGE if name in measured] + said


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
        a row for each item and claim, in the paper's order: item, key (of the claim; two items may share one), claim,
        verdict (`VERDICTS` or "definition") and notebook. An item that only defines something has one row, without a
        key, whose claim names those that rest on it.
    """
    rows = []
    for item in ITEMS:
        for key in item.get("claims", []):
            rows.append((item["name"], key, judged[key].claim.claim, judged[key].claim.verdict, judged[key].notebook))
        if "by" in item:
            rows.append(
                (item["name"], "", f"what {_rests_on(item)} rests on", DEFINITION, judged[item["by"][0]].notebook)
            )
    return pd.DataFrame(rows, columns=["item", "key", "claim", "verdict", "notebook"])


def verdicts(board: pd.DataFrame) -> pd.Series:
    """One verdict for each item of a scoreboard: all of its claims hold, none does, or in part."""
    return board.groupby("item", sort=False)["verdict"].agg(
        lambda each: DEFINITION if set(each) == {DEFINITION} else overall(list(each))
    )


def counts(judged: dict[str, Judged]) -> pd.DataFrame:
    """How many claims have each verdict, of the paper's and of ours.

    Args:
        judged: of `judged_claims`.
    """
    whose = pd.Series(["of the paper" if key in CLAIMS else "of ours" for key in judged], name="claims")
    found = pd.Series([each.claim.verdict for each in judged.values()])
    return pd.crosstab(whose, found).rename_axis(columns=None).reindex(columns=VERDICTS, fill_value=0).iloc[::-1]


def smaller(judged: dict[str, Judged]) -> list[str]:
    """Items of the paper with a claim that was not measured at the paper's size.

    Args:
        judged: of `judged_claims`.
    """
    return [item["name"] for item in ITEMS if any(judged[key].claim.smaller for key in item.get("claims", []))]


def told(judged: Judged, paper: str = "") -> str:
    """One claim as an item of a list in Markdown: verdict, claim, what was measured where, and the tolerance.

    Args:
        judged: the claim.
        paper: the paper's own number or words, where it has them.
    """
    claim, parts = judged.claim, {"Paper": paper, "Live": judged.live, "Recorded": judged.recorded}
    parts |= {"Asked": claim.tolerance, "Not measured at the paper's size": claim.smaller}
    said = "".join(f" *{name}:* {text}." for name, text in parts.items() if text)
    return f"- {MARKS[claim.verdict]} **{claim.verdict}**: {claim.claim}.{said}"


def folded(judged: dict[str, Judged], names: Sequence[str] | None = None) -> str:
    """Items of the paper in Markdown: a line each with its verdict, which opens to its claims.

    Args:
        judged: of `judged_claims`.
        names: items to show; all where absent.
    """
    found, below, parts = verdicts(scoreboard(judged)), smaller(judged), []
    for item in ITEMS:
        name, keys = item["name"], item.get("claims", [])
        if names is not None and name not in names:
            continue
        lines = [told(judged[key], CLAIMS[key].get("paper", "")) for key in keys]
        if "by" in item:
            lines.append(f"- What {_rests_on(item)} rests on.")
        size = ", not measured at the paper's size" if name in below else ""
        head = f"{MARKS[found[name]]} {name}, {item['about']}: {found[name]}{size}"
        parts.append(_details(head, [*lines, *_pages(judged, keys or item["by"][:1])]))
    return "\n\n".join(parts)


def ours(judged: dict[str, Judged]) -> str:
    """Claims that the paper does not make, in Markdown: a line for each page, which opens to them.

    Args:
        judged: of `judged_claims`.
    """
    pages: dict[str, list[str]] = {}
    for key, each in judged.items():
        if key not in CLAIMS:
            pages.setdefault(each.notebook, []).append(key)
    parts = []
    for notebook, keys in pages.items():
        marks = "".join(MARKS[judged[key].claim.verdict] for key in keys)
        lines = [told(judged[key]) for key in keys]
        parts.append(_details(f"{marks} {title(notebook)}", [*lines, *_pages(judged, keys)]))
    return "\n\n".join(parts)


def evidence(judged: dict[str, Judged], *keys: str) -> str:
    """What the notebooks found about some claims, in Markdown: a list with verdicts, numbers and links to the pages.

    Args:
        judged: of `judged_claims`.
        keys: names of claims in `paper.toml`, or claims of ours in words.
    """
    return "\n".join([*(told(judged[key]) for key in keys), *_pages(judged, keys)])


@cache
def title(notebook: str) -> str:
    """The title of a page.

    Args:
        notebook: file name of the notebook.
    """
    first = json.loads((NOTEBOOKS / notebook).read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).partition("\n")[0].removeprefix("# ")


def _rests_on(item: dict) -> str:
    return ", ".join(dict.fromkeys(CLAIMS[key]["item"] for key in item["by"]))


def _pages(judged: dict[str, Judged], keys: Sequence[str]) -> list[str]:
    names = dict.fromkeys(judged[key].notebook for key in keys)
    return ["", "Judged on " + ", ".join(f"[{title(name)}]({name})" for name in names) + "."]


def _details(summary: str, lines: Sequence[str]) -> str:
    body = "\n".join(lines)
    return f'<details class="item"><summary>{html.escape(summary, quote=False)}</summary>\n\n{body}\n\n</details>'
