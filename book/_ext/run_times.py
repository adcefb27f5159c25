"""Under the title of each notebook, how long it takes to run: from `records/tools/page-durations.csv`, which
`benchmarks/durations.py` measured.
"""

import csv
from pathlib import Path

from docutils import nodes

TABLE = Path(__file__).parents[2] / "records" / "tools" / "page-durations.csv"


def add_run_time(app, doctree):
    folder, _, name = app.env.docname.partition("/")
    if folder != "notebooks":
        return
    app.env.note_dependency(str(TABLE))
    rows = {row["page"]: row for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())}
    if name not in rows:  # a new page has a time once benchmarks/durations.py has run in a fresh clone
        return
    text = f"Runs in {rows[name]['took']}, on one thread of {rows[name]['on']}."
    title = next(doctree.findall(nodes.title))
    title.parent.insert(title.parent.index(title) + 1, nodes.paragraph("", text, classes=["run-time"]))


def setup(app):
    app.connect("doctree-read", add_run_time)
    return {"parallel_read_safe": True}
