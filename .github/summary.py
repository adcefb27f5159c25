"""A table in Markdown of what nbval wrote with `--junitxml`: each notebook, its cells, and what failed and how.

Needs nothing but Python: `python .github/summary.py FILE`.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

COLOUR = re.compile(r"#x1B\[[\d;]*m")  # as pytest writes in XML what colours a terminal


def table(report: Path) -> str:
    """A row for each notebook, failures first; then what nbval says of each cell that failed."""
    cells, failures = defaultdict(list), []
    for case in ElementTree.parse(report).iter("testcase"):
        name = case.get("classname").removesuffix(".ipynb").rpartition(".")[2]
        wrong = next((part for part in case if part.tag in ("failure", "error")), None)
        cells[name].append((wrong is None, float(case.get("time"))))
        if wrong is not None:
            failures += ["", f"**{name}**, {case.get('name')}", "", "~~~~", COLOUR.sub("", wrong.text).strip(), "~~~~"]
    lines = ["| notebook | cells | as committed | seconds |", "|---|---|---|---|"]
    for name, found in sorted(cells.items(), key=lambda each: all(good for good, _ in each[1])):
        good, took = (sum(part) for part in zip(*found, strict=True))
        lines.append(f"| {name} | {len(found)} | {good} | {took:.0f} |")
    return "\n".join(lines + failures)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
