"""A table in Markdown of what a run of pytest wrote with `--junitxml`: for each notebook its cells, failures, seconds.

Needs nothing but Python: `python .github/summary.py FILE`.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree


def table(report: Path) -> str:
    """A row for each notebook, failures first, then what each failed cell said in its first line."""
    cells, failures = defaultdict(list), []
    for case in ElementTree.parse(report).iter("testcase"):
        name, wrong = case.get("classname").rpartition(".")[2], case.find("failure")
        wrong = case.find("error") if wrong is None else wrong
        cells[name].append((wrong is not None, float(case.get("time"))))
        if wrong is not None:
            failures.append(f"- `{name}`, {case.get('name')}: {wrong.get('message', '').partition(chr(10))[0]}")
    rows = sorted((-sum(bad for bad, _ in found), name, found) for name, found in cells.items())
    lines = ["| notebook | cells | as committed | seconds |", "|---|---|---|---|"]
    for bad, name, found in rows:
        lines.append(f"| {name} | {len(found)} | {len(found) + bad} | {sum(took for _, took in found):.0f} |")
    return "\n".join([*lines, "", *failures])


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
