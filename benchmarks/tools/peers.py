"""Other tools for influence against ours, on one ground truth: networks really trained without each of some points.

    make peers
    make peers OPTIONS=again  # only times anew, of the settings that were chosen
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
from importlib.metadata import version
from pathlib import Path
from statistics import median

from asking import Asker, answered, device, imported, keep_answer, keep_record, load_case, said, scores, table_of
from peer_tools import TOOLS, Problem

from ntkif.provenance import ROOT, now
from ntkif.study.records.tools import keep_measurement, load_measurement

RECORDS = {"peers": ("two-layer", "mlp", "conv"), "peers-large": ("two-layer, n = 5000",)}
PACKAGES = ("torch", "numpy", "captum", "dattri", "pyDVL", "pyinfluence", "scikit-ntk", "traker")
LIMIT = {"peers": 240, "peers-large": 600}  # seconds for one call
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
    keep_answer(lambda: TOOLS[tool][0](problem, **settings), file)


def asker_of(record: str) -> Asker:
    """Who asks for a record."""
    return Asker(answer, [Path(__file__).with_name("peer_tools.py")], LIMIT[record], MEMORY)


def rows_of(name: str, asker: Asker) -> list[dict]:
    """A row for each tool and setting on a case, and one of what another start says (a yardstick)."""
    case, rows = load_case(name), []
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
    quick = [row for row in rows if (row.get("seconds") or QUICK) < QUICK]
    seconds = {id(row): [row["seconds"]] for row in quick}
    for _ in range(ROUNDS - 1):
        for row in quick:
            found = asker.measure(case, row["tool"], json.loads(row["settings"] or "{}"), again=True)
            seconds[id(row)].append(found["seconds"])
    for row in quick:
        row["seconds"] = median(seconds[id(row)])


def only_times(rows: list[dict], case: str, asker: Asker) -> None:
    """The rows of a case with times measured now of what was chosen and answered, and none of other settings."""
    answering = [row for row in rows if row["case"] == case]
    asked = [row for row in answering if row["chosen"] == "True" and row["seconds"]]
    for row in answering:
        row |= {"seconds": "", "peak_mib": "", "train_seconds": round(load_case(case)["seconds"], 2)}
    for row in asked:
        found = answered(asker.measure(case, row["tool"], json.loads(row["settings"] or "{}")))
        row |= {"seconds": found["seconds"], "peak_mib": found["peak_mib"]} if isinstance(found, dict) else {}
        said(row)
    time_again(asker, case, asked)


def recorded(record: str) -> list[dict]:
    """The rows of a record as they are written."""
    with open(ROOT / "records" / "tools" / f"{record}.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def best_of(tool: str) -> list[dict]:
    """The settings of a tool that were best on the two-layer network with few points."""
    rows = [row for row in recorded("peers") if row["case"] == "two-layer" and row["tool"] == tool]
    return [json.loads(row["settings"] or "{}") for row in rows if row["chosen"] == "True"]


def measure_times(record: str) -> None:
    """Times anew, with the scores of the record, of which it is kept when they were made."""
    rows, started, (_, before) = recorded(record), now(), load_measurement(record)
    scored = before.get("scores") or {key: before[key] for key in ("started", "commit", "versions")}
    for case in RECORDS[record]:
        only_times(rows, case, asker_of(record))
    versions = {name: version(name) for name in PACKAGES}
    made = {"settings": before["settings"], "versions": versions, "device": device(), "started": started}
    keep_measurement(record, table_of(rows), made | {"scores": scored, "witness": before["witness"]})


def main() -> None:
    """Measure what was not measured, and write the record with how it was made."""
    imported(IMPORTS)
    if sys.argv[1:] == ["again"]:
        measure_times("peers")
        return
    started, record = now(), sys.argv[1] if len(sys.argv) > 1 else "peers"
    cases = RECORDS[record]
    rows = [row for case in cases for row in rows_of(case, asker_of(record))]
    keep_record(record, rows, started, cases, ("ridge", "rows", "pixels", "gradient"), PACKAGES)


if __name__ == "__main__":
    main()
