"""How long each command of the book takes on this machine: the table of the page "How to reproduce".

Run it in a fresh clone: `python3 benchmarks/durations.py`. It installs, lints, tests and builds there, reads from the
records how long they took, and writes `records/durations.csv`.
"""

import csv
import json
import os
import platform
import subprocess
import time
from pathlib import Path

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


def spoken(seconds: float) -> str:
    """A duration in the unit in which one would say it."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def recorded(pattern: str) -> float:
    """Seconds that the results under `records/` took, together."""
    return sum(json.loads(file.read_text())["seconds"] for file in ROOT.glob(pattern))


def of_records() -> list[list[str]]:
    """What the records and runs of retraining say about themselves."""
    rows = []
    for name in ("mnist", "cifar", "mini-mnist", "mini-cifar"):
        took = spoken(recorded(f"records/*/{name}.json"))
        rows.append(["`python -m ntkif record --all`", f"its part of {name}", took, "2 threads"])
    for file in sorted(ROOT.glob("records/retraining/*/*2500-scale-0.01*.json")):
        took = spoken(json.loads(file.read_text())["seconds"])
        rows.append(["`python -m ntkif retrain`", f"{file.parent.name}, width 2500", took, "2 threads"])
    return [*rows, ["`python -m ntkif retrain --device cuda`", "mnist, width 80000", "not measured", "no GPU at hand"]]


def main() -> None:
    """Time each command, add what the records say, write the table."""
    where, rows = machine(), []
    for command, what in COMMANDS:
        start = time.perf_counter()
        subprocess.run(command.split(), cwd=ROOT, check=True)
        rows.append([f"`{command}`", what, spoken(time.perf_counter() - start), where])
        with (ROOT / "records" / "durations.csv").open("w", newline="") as stream:  # `make book` shows it already
            csv.writer(stream).writerows([["command", "what", "took", "on"], *rows, *of_records()])


if __name__ == "__main__":
    main()
