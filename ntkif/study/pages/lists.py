"""The lists of the prose pages, made from what is registered: what each notebook shows, and what is recorded."""

import json
import re
from functools import cache
from pathlib import Path

from ntkif.provenance import ROOT
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.experiments.experiment import Experiment
from ntkif.study.pages.house import RULE, folders
from ntkif.study.pages.scoreboard import NOTEBOOKS, judged_claims, scoreboard, title
from ntkif.study.records.tables import load_record, load_recorded

__all__ = ["columns", "contents", "package", "recorded"]

_PART = re.compile(r"^  - caption: (.+)\n((?:    .*\n?)+)", re.MULTILINE)
_PAGE = re.compile(r"^      - file: notebooks/([\w-]+)$", re.MULTILINE)
#: A page that takes more of the package than what keeps, draws and says computes something itself.
_COMPUTES = re.compile(r"^from ntkif(?!\.metrics|\.study(?!\.experiments))", re.MULTILINE)


def contents() -> str:
    """The pages by part, in the order of `_toc.yml`: title, numbered items of the paper, what is live and recorded."""
    board, lines = scoreboard(judged_claims()), []
    items = {Path(name).stem: _joined(list(rows["item"])) for name, rows in board.groupby("notebook", sort=False)}
    for part, files in _PART.findall((ROOT / "_toc.yml").read_text(encoding="utf-8")):
        if pages := _PAGE.findall(files):
            lines += [f"**{part}**", "", "| page | of the paper | computed |", "|---|---|---|"]
            lines += [f"| {_link(page)} | {items.get(page, 'not in it')} | {_computed(page)} |" for page in pages]
            lines.append("")
    return "\n".join(lines)


def recorded() -> str:
    """The experiments that are recorded: what each computes, and which pages use it."""
    lines = ["| record | what it is | pages |", "|---|---|---|"]
    for name, known in EXPERIMENTS.items():
        pages = ", ".join(
            _link(file.stem) for file in sorted(NOTEBOOKS.glob("*.ipynb")) if name in _records_of(file.stem)
        )
        there = "" if load_recorded(name) else " Not recorded yet."
        lines.append(f"| [`{name}`](#record-{name}) | {_summary(known)}{there} | {pages} |")
    return "\n".join(lines) + "\n"


def columns() -> str:
    """For each record its image sets and settings, what its columns mean, and how they are compared."""
    lines = []
    for name, known in EXPERIMENTS.items():
        sets = ", ".join(f"`{dataset}`" for dataset in known.settings)
        lines += [f"(record-{name})=", f"## {name}", "", _summary(known), "", f"On {sets}: {_sizes(known)}.", ""]
        lines += ["| column | meaning | compared |", "|---|---|---|"]
        lines += [
            f"| `{column}` | {_escaped(each.meaning)} | {each.compared} |" for column, each in known.columns.items()
        ]
        lines.append("")
    return "\n".join(lines)


def package() -> str:
    """The folders of the package, what lives there, and the import rule."""
    lines = ["| folder | what lives there |", "|---|---|"]
    lines += [f"| `ntkif/{name}` | {_escaped(' '.join(text.split()))} |" for name, text in folders().items()]
    rule = "Of each folder a module imports only from its own and from those further left:"
    wings = RULE.replace(" < regression", "\n< regression").replace(" < paper", "\n< paper")
    return "\n".join([*lines, "", rule, "", "```text", wings, "```", ""])


@cache
def _cells(page: str) -> list[dict]:
    return json.loads((NOTEBOOKS / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]


def _pages() -> list[str]:
    """In the order of the book."""
    return _PAGE.findall((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def _code(page: str) -> str:
    return "\n".join("".join(cell["source"]) for cell in _cells(page) if cell["cell_type"] == "code")


def _link(page: str) -> str:
    return f"[{title(f'{page}.ipynb')}](../notebooks/{page}.ipynb)"


def _records_of(page: str) -> list[str]:
    return sorted(set(re.findall(r'load_record(?:ed)?\(\s*"([\w-]+)"', _code(page))) & set(EXPERIMENTS))


def _computed(page: str) -> str:
    parts = ["live"] if _COMPUTES.search(_code(page)) else []
    if records := [name for name in _records_of(page) if load_recorded(name)]:
        parts.append("recorded: " + ", ".join(f"[{name}](#record-{name})" for name in records))
    elif "ntkif.study.records" in _code(page):
        parts.append("measured")
    return "; ".join(parts) or "from the other pages"


def _summary(known: Experiment) -> str:
    text = known.function.__doc__.split("\n\n")[0]
    return _escaped(" ".join(text.split()))


def _sizes(known: Experiment) -> str:
    """Training and test images, as the records say."""
    found = {}
    for dataset, settings in known.settings.items():
        try:
            made = load_record(known.name, dataset)
        except FileNotFoundError:
            continue
        n_train = sorted(set(made.table["n"])) if "n" in made.table else [made.provenance["n_train"]]
        sizes = [settings.get("n_train", n) for n in n_train]
        n_test = settings.get("n_test", made.provenance["n_test"])
        found[f"{' or '.join(map(str, sizes))} training and {n_test} test images"] = None
    return ", or ".join(found) or "not recorded yet"


def _joined(items: list[str]) -> str:
    """Names of one kind together.

    >>> _joined(["Equation 1", "Equation 2", "Theorem 1, Equation 10", "Abstract"])
    'Equations 1, 2, 10; Theorem 1; Abstract'
    """
    kinds: dict[str, list[str]] = {}
    for item in dict.fromkeys(", ".join(items).split(", ")):
        kind, _, number = item.partition(" ")
        kinds.setdefault(kind, []).append(number)
    named = ((f"{kind}s" if len(numbers) > 1 else kind, ", ".join(numbers)) for kind, numbers in kinds.items())
    return "; ".join(" ".join(each).strip() for each in named)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
