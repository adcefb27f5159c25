"""How long each command and each notebook takes on this machine.

Run it in a fresh clone: `python3 benchmarks/durations.py`. It installs, lints, tests and builds there, reads from the
records how long they took, and writes `records/tools/durations.csv`, the table of the page "How to reproduce", and
`records/tools/page-durations.csv`, what stands under the title of each notebook.
"""

import csv
import io
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
COMMANDS = [
    ("make .venv/.installed", "install (PyPI, once)"),
    ("make lint", "style"),
    ("make test", "all tests, all notebooks again"),
    ("make book", "the site, after the installation"),
]


def machine() -> str:
    """Processor, cores and memory, in words."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB"


def in_words(seconds: float) -> str:
    """A duration in the unit in which one would say it."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def recorded(pattern: str) -> float:
    """Seconds that the results under `records/` took, together."""
    return sum(json.loads(file.read_text())["seconds"] for file in ROOT.glob(pattern))


def of_pages(report: Path) -> dict[str, float]:
    """Notebook -> seconds of all its cells, from pytest's report in the JUnit format."""
    seconds = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        folder, _, name = case.get("classname").partition(".")
        if folder == "notebooks" and name.endswith(".ipynb"):
            seconds[name.removesuffix(".ipynb")] += float(case.get("time"))
    return dict(sorted(seconds.items()))


def write(name: str, rows: list[list[str]]) -> None:
    """A table under `records/tools/`, its header first, kept by the environment that was installed meanwhile."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    subprocess.run([ROOT / ".venv/bin/python", __file__, name], cwd=ROOT, check=True, input=stream.getvalue().encode())


def of_records() -> list[list[str]]:
    """What the records and runs of retraining say about themselves."""
    rows = []
    for name in ("mnist", "cifar", "mini-mnist", "mini-cifar", "mnist-full"):
        took = in_words(recorded(f"records/tables/*/{name}.json"))
        rows.append(["`python -m ntkif record --all`", f"its part of {name}", took, "2 threads"])
    for file in sorted(ROOT.glob("records/runs/*/*2500-scale-0.01*.json")):
        made = json.loads(file.read_text())
        threads = re.search(r"\d+ threads?", made["device"])[0]
        took = in_words(made["seconds"])
        rows.append(["`python -m ntkif retrain`", f"{file.parent.name}, width 2500", took, threads])
    for file in sorted(ROOT.glob("records/runs/*/width-80000*.json")):
        made = json.loads(file.read_text())
        if "trainer" not in made:  # by this repository's
            took = in_words(made["seconds"])
            rows.append(["`python -m ntkif gpu`", f"{file.parent.name}, width 80000", took, made["device"]])
    return rows


def main() -> None:
    """Time each command, add what the records say, write the tables."""
    if sys.argv[1:]:
        from ntkif.study.records.tools import keep_measurement

        return keep_measurement(sys.argv[1], sys.stdin.buffer.read(), {"device": machine()})
    where, rows = machine(), []
    report = ROOT / "_build" / "tests.xml"
    environment = os.environ | {"PYTEST_ADDOPTS": f"--junitxml={report}"}
    for command, what in COMMANDS:
        start = time.perf_counter()
        subprocess.run(command.split(), cwd=ROOT, check=True, env=environment if command == "make test" else None)
        rows.append([f"`{command}`", what, in_words(time.perf_counter() - start), where])
        if command == "make test":
            pages = [[page, in_words(seconds), where] for page, seconds in of_pages(report).items()]
            write("page-durations", [["page", "took", "on"], *pages])
        # At once, since `make book` shows it.
        write("durations", [["command", "what", "took", "on"], *rows, *of_records()])


if __name__ == "__main__":
    main()
