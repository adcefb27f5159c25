"""Other tools for influence against ours, on one ground truth: networks really trained without each of some points.

    make peers
    make peers-large

`benchmarks/tools/truth.py` makes the truth in the environment of the book. Here, in that of `requirements-peers.txt`, a
tool answers for the same trained networks, with each of the settings that are tried, in a process of its own: seconds
of the processor without imports, with one thread, and the memory that the call adds at its peak. Answers that take few
seconds are timed in three rounds, in each of which all tools are asked, and have the median. Of the settings that with
the smallest error against the truth is chosen: a choice that no user could make, so it flatters the tools. What was
measured is kept in `_build/peers`, so that a run that was stopped goes on; the table goes to `records/tools/peers.csv`.
With many points, in `peers-large.csv` beside it, each tool has the settings that were best with few.
"""

import csv
import json
import sys
import warnings
from pathlib import Path
from statistics import median

from asking import Asker, answered, imported, keep_answer, keep_record, load_case, said, scores
from peer_tools import TOOLS, Problem

from ntkif.provenance import ROOT, now

RECORDS = {"peers": ("two-layer", "mlp", "conv"), "peers-large": ("two-layer, n = 5000",)}
PACKAGES = ("torch", "numpy", "captum", "dattri", "pyDVL", "pyinfluence", "scikit-ntk", "traker")
LIMIT = {"peers": 120, "peers-large": 600}  # seconds for one call
MEMORY = 14  # GiB for one call
ROUNDS, QUICK = 3, 5  # of what takes fewer seconds
IMPORTS = (
    *(f"dattri.{name}" for name in ("task", "algorithm.influence_function", "algorithm.tracin", "algorithm.trak")),
    "captum.influence",
    "captum.influence._core.arnoldi_influence_function",
    "pydvl.influence.torch",
    "trak",
    "pyinfluence",
    "sklearn.kernel_ridge",
    "skntk",
)


def answer(case: str, tool: str, settings: dict, file: Path) -> None:
    """Ask one tool, and write its answer with what it cost."""
    warnings.simplefilter("ignore")
    problem = Problem(load_case(case))
    _ = problem.model, problem.train, problem.test
    keep_answer(lambda: TOOLS[tool][0](problem, **settings), file, processor=True)


def rows_of(name: str, limit: float) -> list[dict]:
    """A row for each tool and setting on a case, and one of what another start says (a yardstick)."""
    case, rows, here = load_case(name), [], Path(__file__)
    asker = Asker(answer, [here.with_name("peer_tools.py")], limit, MEMORY, processor=True)
    problem = Problem(case)
    common = {"case": name, "parameters": problem.size, "train_seconds": round(case["seconds"], 2)}
    other = case["other"]
    yardstick = scores(other, case["truth"][:, : other.shape[1]])
    rows.append(common | {"tool": "another start", "settings": "", "status": "", "chosen": True, **yardstick})
    for tool, (_, grid, cases) in TOOLS.items():
        if cases and name not in cases:
            continue
        grid = best_of(tool) if name in RECORDS["peers-large"] else grid
        tried = []
        for settings in grid:
            row = common | {"tool": tool, "settings": json.dumps(settings) if settings else "", "chosen": False}
            bytes_needed = 4 * problem.size**2
            if tool == "captum, naive" and bytes_needed > 20e9:
                found = f"the Hessian would take {bytes_needed / 2**40:.2g} TiB"
            else:
                found = answered(asker.measure(name, tool, settings))
            if isinstance(found, dict):
                row |= scores(found["influence"][:, case["rows"]], case["truth"])
                row |= {"seconds": found["seconds"], "peak_mib": found["peak_mib"], "status": ""}
            else:
                row["status"] = found
            said(row)
            tried.append(row)
        best = min(tried, key=lambda row: row.get("relative_error", float("inf")))
        best["chosen"] = True
        rows += tried
    time_again(asker, name, rows)
    return rows


def time_again(asker: Asker, case: str, rows: list[dict]) -> None:
    """Medians of the seconds of quick answers, in rounds over all tools, so that none has the better hour."""
    quick = [row for row in rows if row.get("seconds", QUICK) < QUICK]
    seconds = {id(row): [row["seconds"]] for row in quick}
    for _ in range(ROUNDS - 1):
        for row in quick:
            found = asker.measure(case, row["tool"], json.loads(row["settings"] or "{}"), again=True)
            seconds[id(row)].append(found["seconds"])
    for row in quick:
        row["seconds"] = median(seconds[id(row)])


def best_of(tool: str) -> list[dict]:
    """The settings of a tool that were best on the two-layer network with few points."""
    with open(ROOT / "records" / "tools" / "peers.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["case"] == "two-layer" and row["tool"] == tool]
    return [json.loads(row["settings"] or "{}") for row in rows if row["chosen"] == "True"]


def main() -> None:
    """Measure what was not measured, and write the record with how it was made."""
    imported(IMPORTS)
    started, record = now(), sys.argv[1] if len(sys.argv) > 1 else "peers"
    cases = RECORDS[record]
    rows = [row for case in cases for row in rows_of(case, LIMIT[record])]
    keep_record(record, rows, started, cases, ("ridge", "rows", "pixels", "gradient"), PACKAGES)


if __name__ == "__main__":
    main()
