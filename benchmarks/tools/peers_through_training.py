"""Other tools asked about networks that were trained with SGD or Adam in batches and stopped, against points left out.

    make peers-through-training                # what was not answered yet
    make peers-through-training OPTIONS=again  # and the times of what was chosen

`benchmarks/tools/truth_of_trainings.py` makes the truth in the environment of the book. Here, in that of
`requirements-peers.txt`, each tool answers for the same networks, as `peers.py` has it: in a process of its own, with
each of some settings, of which that with the smallest error against the truth is chosen, on the first draw of a case;
the other draws take it over (slow tools are asked on the first alone). That flatters the tools; ours have nothing
to choose. Scores of single removals are pooled over test images; `lds_10` and `lds_50` are of random subsets that lack
a tenth and half of the points, by sums of the influences of points, with 95 % intervals.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from asking import Asker, answered, imported, keep_answer, keep_record, load_case, said, scores
from trained_along_the_way import ALONG_THE_WAY
from trained_by_curvature import BY_CURVATURE
from trained_problem import TrainedProblem
from truth_of_trainings import ASKED, names_of

from ntkif.metrics import lds
from ntkif.provenance import now

NAME = "peers-through-training"
TOOLS = ALONG_THE_WAY | BY_CURVATURE
PACKAGES = ("torch", "numpy", "captum", "dattri", "pyDVL", "traker", "kronfluence", "bergson")
LIMITS = {"through-training": 200, "through-training-large": 600}  # seconds of the processor for one call
MEMORY = 12  # GiB for one call
SETS = "ntkif, through training, folds of that size"
#: Networks trained for an answer, beside the one that is asked about.
TRAININGS = {
    "ntkif, through training": 31,
    "ntkif, through training, top 10 retrained": 41,
    "ntkif, first order": 3,
    "bergson, MAGIC": 1,
    "dattri, DVEmb": 1,
}
SLOW = ("bergson, MAGIC", "dattri, DVEmb", "dattri, LiSSA")  # asked on the first draw of a case only
NO_SCALE = ("TRAK",)  # of these the setting is chosen by the error that the best factor leaves
IMPORTS = (
    "without_vision",
    *(f"dattri.{name}" for name in ("task", "algorithm.influence_function", "algorithm.tracin", "algorithm.trak")),
    "dattri.algorithm.dvemb",
    "captum.influence",
    "captum.influence._core.arnoldi_influence_function",
    "pydvl.influence.torch",
    "trak",
    "kronfluence.analyzer",
    "torchopt",
    "bergson.magic.trainer",
)
HERE = Path(__file__)


def answer(case: str, tool: str, settings: dict, file: Path) -> None:
    """Ask one tool, and write its answer with what it cost."""
    warnings.simplefilter("ignore")
    problem = TrainedProblem(load_case(case)).made()
    keep_answer(lambda: TOOLS[tool][0](problem, **settings), file)


def of_sets(case: dict, influence: torch.Tensor) -> dict[str, float]:
    """LDS by sums of the influences of points."""
    sums = {
        share: torch.stack([influence[:, rows].sum(1) for rows in found["sets"]], 1)
        for share, found in case["subsets"].items()
    }
    return of_shares(case, sums)


def of_shares(case: dict, estimates: dict[float, torch.Tensor]) -> dict[str, float]:
    """LDS with its interval, of each share of the points that subsets lack."""
    scored = {share: lds(estimate, case["subsets"][share]["truth"]) for share, estimate in estimates.items()}
    return {
        name.replace("lds", f"lds_{round(100 * share)}"): value
        for share, found in scored.items()
        for name, value in found.items()
    }


def rows_of(name: str, common: dict, grids: dict[str, list[dict]], limit: float, again: bool) -> list[dict]:
    """A row for each tool and setting on a case."""
    case, rows = load_case(name), []
    problem = TrainedProblem(case)
    common = common | {"parameters": problem.size, "train_seconds": problem.train_seconds(), "chosen": False}
    common |= {"check": case["check"]["relative_error"]}
    for tool in grids:
        sources = [HERE.with_name(f"{each}.py") for each in ("trained_problem", TOOLS[tool][0].__module__)]
        asker, tried = Asker(answer, sources, limit, MEMORY), []
        for settings in grids[tool]:
            row = common | {"tool": tool, "settings": json.dumps(settings) if settings else ""}
            tried.append(row | told(case, tool, answered(asker.measure(name, tool, settings))))
            said(tried[-1])
        best = best_of(tool, tried)
        best["chosen"] = True
        if again:
            settings = json.loads(best["settings"] or "{}")
            best |= told(case, tool, answered(asker.measure(name, tool, settings, again=True)))
        rows += tried
    if case["subsets"]:
        group = {share: found["group"] for share, found in case["subsets"].items()}
        seconds = sum(found["seconds"] for found in case["subsets"].values())
        rows.append(common | {"tool": SETS, "chosen": True, "seconds": seconds} | of_shares(case, group))
    return rows


def told(case: dict, tool: str, found: dict | str) -> dict:
    """What a row says of an answer, or of none."""
    if isinstance(found, str):
        return {"status": found}
    cost = {
        "status": "",
        "seconds": found["seconds"],
        "peak_mib": found["peak_mib"],
        "trainings": TRAININGS.get(tool, 0),
    }
    single = scores(found["influence"][:, case["rows"]], case["truth"])
    return cost | single | of_sets(case, found["influence"])


def best_of(tool: str, tried: list[dict]) -> dict:
    """The row with the smallest error."""
    error = "rescaled_error" if tool in NO_SCALE else "relative_error"
    return min(tried, key=lambda row: row.get(error, float("inf")))


def rows_of_case(record: str, name: str, again: bool = False) -> list[dict]:
    """All draws of a case: the first with every setting, the others with those that were best on it."""
    rows, grids = [], {tool: grid for tool, (_, grid) in TOOLS.items()}
    for file, (case, seed) in names_of(record).items():
        if case.name == name:
            common = {"case": f"{name}, n = {ASKED[record][0]}", "seed": seed}
            found = rows_of(file, common, grids, LIMITS[record], again)
            best = {
                row["tool"]: [json.loads(row["settings"] or "{}")]
                for row in found
                if row["chosen"] and "settings" in row
            }
            grids = {tool: best[tool] for tool in grids if tool not in SLOW}
            rows += found
    return rows


def main() -> None:
    """Measure what was not measured, and write the record with how it was made."""
    imported(IMPORTS)
    started, again = now(), sys.argv[1:] == ["again"]
    rows = [row for record, (*_, cases) in ASKED.items() for name in cases for row in rows_of_case(record, name, again)]
    names = [name for record in ASKED for name in names_of(record)]
    keep_record(NAME, rows, started, names, ("training", "rows", "pixels"), PACKAGES)


if __name__ == "__main__":
    main()
