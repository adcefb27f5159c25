"""Other tools for influence against ours, on one ground truth: networks really trained without each of some points.

    make peers
    make peers-large

`benchmarks/tools/truth.py` makes the truth in the environment of the book. Here, in that of `requirements-peers.txt`, a
tool answers for the same trained networks, with each of the settings that are tried, in a process of its own: wall time
without imports, and the memory that the call adds at its peak. Of the settings that with the smallest error against the
truth is chosen: a choice that no user could make, so it flatters the tools. What was measured is kept in
`_build/peers`, so that a run that was stopped goes on; the table goes to `records/tools/peers.csv`. With many points,
in `peers-large.csv` beside it, each tool has the settings that were best on the same network with few.
"""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch
from peer_tools import TOOLS, Problem

from ntkif.metrics import agreement
from ntkif.provenance import ROOT, device_name, now
from ntkif.store import write_atomically
from ntkif.study.records.tools import OWN_ANSWER, keep_measurement
from ntkif.study.records.witness import witness_digest

BUILT = ROOT / "_build" / "peers"
RECORDS = {"peers": ("two-layer", "mlp", "conv"), "peers-large": ("two-layer, n = 5000",)}
PACKAGES = ("torch", "numpy", "captum", "dattri", "pyDVL", "pyinfluence", "scikit-ntk", "traker")
LIMIT = {"peers": 120, "peers-large": 600}  # seconds for one call
IMPORTS = {
    "dattri": [
        "dattri.task",
        "dattri.algorithm.influence_function",
        "dattri.algorithm.tracin",
        "dattri.algorithm.trak",
    ],
    "captum": ["captum.influence", "captum.influence._core.arnoldi_influence_function"],
    "pyDVL": ["pydvl.influence.torch"],
    "TRAK": ["trak"],
    "pyinfluence": ["pyinfluence", "sklearn.kernel_ridge"],
    "scikit-ntk": ["skntk", "sklearn.kernel_ridge"],
}


def load_case(name: str) -> dict:
    """What `truth.py` made."""
    return torch.load(BUILT / f"{name}.pt", weights_only=False)


def answer(case: str, tool: str, settings: dict, file: Path) -> None:
    """Ask one tool, and write its answer with what it cost."""
    warnings.simplefilter("ignore")
    for module in IMPORTS.get(tool.split(",")[0], []):
        import_module(module)
    problem = Problem(load_case(case))
    _ = problem.model, problem.train, problem.test
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    clock = time.perf_counter()
    influence = TOOLS[tool][0](problem, **settings).detach().double()
    seconds = time.perf_counter() - clock
    made = {"influence": influence, "seconds": seconds, "peak_mib": (_memory("VmHWM") - before) / 1024}
    write_atomically(file, lambda stream: torch.save(made, stream))


def _memory(kind: str) -> int:
    """KiB that this process holds (VmRSS) or held at most (VmHWM)."""
    return int(re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def measure(case: str, tool: str, settings: dict, limit: float) -> dict | str:
    """The answer of a tool, or why there is none."""
    digest = hashlib.sha256((ROOT / "benchmarks" / "tools" / "peer_tools.py").read_bytes()).hexdigest()[:8]
    words = "-".join(f"{key}-{value:g}" for key, value in settings.items())
    file = BUILT / "answers" / digest / f"{case} {tool} {words}.pt"
    reason = file.with_suffix(".txt")  # kept too, since some wait long for no answer
    if reason.exists():
        return reason.read_text()
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, case, tool, json.dumps(settings), str(file)]
        try:
            with open(file.with_suffix(".log"), "wb") as log:
                subprocess.run(command, check=True, timeout=limit, stdout=log, stderr=log)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as failure:
            reason.write_text(why(failure, file.with_suffix(".log").read_text(errors="replace")))
            return reason.read_text()
    return torch.load(file)


def why(failure: subprocess.SubprocessError, log: str) -> str:
    """What went wrong, in words."""
    if isinstance(failure, subprocess.TimeoutExpired):
        return f"no answer in {failure.timeout:g} s"
    if failure.returncode == -9:
        return f"killed: more than {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    return f"failed: {(re.findall(r'^.*(?:Error|Exception):.*', log, re.M) or ['no reason given'])[-1][:120]}"


def scores(predicted: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Agreement, and the relative error left by the best factor, which a score without a scale may be given."""
    found = agreement(predicted, truth)
    cosine = float((predicted * truth).sum() / (predicted.norm() * truth.norm()))
    return found | {"rescaled_error": max(0.0, 1 - cosine**2) ** 0.5}


def rows_of(name: str, limit: float) -> list[dict]:
    """A row for each tool and setting on a case, and one of what another start says (the ceiling)."""
    case, rows = load_case(name), []
    problem = Problem(case)
    common = {"case": name, "parameters": problem.size, "train_seconds": round(case["seconds"], 2)}
    other = case["other"]
    ceiling = scores(other, case["truth"][:, : other.shape[1]])
    rows.append(common | {"tool": "another start", "settings": "", "status": "", "chosen": True, **ceiling})
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
                found = measure(name, tool, settings, limit)
            if isinstance(found, dict):
                predicted = found["influence"][:, case["rows"]]
                if not torch.isfinite(predicted).all():
                    found = "failed: NaN"
            if isinstance(found, dict):
                row |= scores(predicted, case["truth"])
                row |= {"seconds": found["seconds"], "peak_mib": found["peak_mib"], "status": ""}
            else:
                row["status"] = found
            print({key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()}, flush=True)
            tried.append(row)
        best = min(tried, key=lambda row: row.get("relative_error", float("inf")))
        best["chosen"] = True
        rows += tried
    return rows


def best_of(tool: str) -> list[dict]:
    """The settings of a tool that were best on the two-layer network with few points."""
    with open(ROOT / "records" / "tools" / "peers.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["case"] == "two-layer" and row["tool"] == tool]
    return [json.loads(row["settings"] or "{}") for row in rows if row["chosen"] == "True"]


def main() -> None:
    """Measure what was not measured, and write the record with how it was made."""
    if len(sys.argv) > 2:
        case, tool, settings, file = sys.argv[1:]
        return answer(case, tool, json.loads(settings), Path(file))
    started, record = now(), sys.argv[1] if len(sys.argv) > 1 else "peers"
    cases = RECORDS[record]
    rows = [row for case in cases for row in rows_of(case, LIMIT[record])]
    columns = list(max(rows, key=len))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n", restval="")
    writer.writeheader()
    numbers = ({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    writer.writerows(numbers)
    made = {
        "settings": {
            name: {key: load_case(name)[key] for key in ("ridge", "rows", "pixels", "gradient")} for name in cases
        },
        "versions": {name: version(name) for name in PACKAGES},
        "device": f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores",
        "started": started,
        # Made in the book's own environment: here another torch may round otherwise.
        "witness": witness_digest(OWN_ANSWER, "two", ROOT / "records" / "tools"),
    }
    keep_measurement(record, stream.getvalue().encode(), made)


if __name__ == "__main__":
    main()
