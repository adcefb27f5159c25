"""What a page needs for its audit and not for its lesson is folded away; it opens without a mouse and without a script.

A cell says by its tag where it belongs: `imports`, what the page takes; `judged`, how its claims were judged;
`provenance`, where data and records come from; `evidence`, what shows an entry; `solution`, of an exercise. What lies
between two judged cells of a section belongs to them, and above their fold stand the claims with their verdicts, from
the output of `claim_table`.
"""

import json
from itertools import pairwise
from pathlib import Path

from docutils import nodes

from ntkif.study.pages.claims import MIME
from ntkif.study.pages.scoreboard import MARKS
from ntkif.study.paper import CLAIMS

TITLES = {
    "imports": "Imports and data",
    "judged": "How this was judged",
    "provenance": "Where these numbers come from",
    "evidence": "The evidence",
    "solution": "Solution",
}


class Fold(nodes.Element):
    """A part of a page under a title, closed at first."""


def visit(self, node):
    self.body.append(f'<details class="fold {node["kind"]}"><summary>{TITLES[node["kind"]]}</summary>\n')


def depart(self, node):
    self.body.append("</details>\n")


def kinds(section, cells):
    """Of each node of a section the tags of its cell; MyST-NB begins the lines of cell i at 10000 (i + 1)."""
    number = None
    for node in section:
        number = node.get("cell_index", node.line // 10000 - 1 if node.line else number)
        heading = isinstance(node, nodes.title | nodes.section)
        yield () if heading or number is None else cells[number]["metadata"].get("tags", ())


def runs(tags, kind):
    """First and last place of each run of nodes of a kind; of judged ones, a single run."""
    places = [i for i, each in enumerate(tags) if kind in each]
    if not places:
        return []
    breaks = [] if kind == "judged" else [(a, b) for a, b in pairwise(places) if b > a + 1]
    return list(zip([places[0], *(b for _, b in breaks)], [*(a for a, _ in breaks), places[-1]], strict=True))


def verdicts(cells, parts):
    """The claims that were judged in the parts of a page, a line each; nothing where none was."""
    indices = [cell["cell_index"] for part in parts for cell in part.findall(nodes.container) if "cell_index" in cell]
    outputs = [output.get("data", {}) for i in indices for output in cells[i]["outputs"]]
    lines = nodes.bullet_list(classes=["verdicts"])
    for claim in [claim for data in outputs for claim in data.get(MIME, [])]:
        known = CLAIMS.get(claim["key"], {"claim": claim["key"], "item": "ours"})
        line = nodes.paragraph("", f"{MARKS[claim['verdict']]} {known['claim']} ({known['item']}): ")
        line += nodes.strong("", claim["verdict"])
        lines += nodes.list_item("", line)
    return [lines] if len(lines) else []


def fold(app, doctree):
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    for section in list(doctree.findall(nodes.section)):
        for kind in TITLES:
            for first, last in reversed(runs(list(kinds(section, cells)), kind)):
                parts = section[first : last + 1]
                shown = verdicts(cells, parts) if kind == "judged" else []
                section[first : last + 1] = [*shown, Fold("", *parts, kind=kind)]


def setup(app):
    app.add_node(Fold, html=(visit, depart))
    app.add_css_file("folds.css")
    app.connect("doctree-read", fold)
    return {"parallel_read_safe": True}
