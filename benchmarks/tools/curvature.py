"""Whose curvature: the Gauss-Newton matrix or the Hessian, with and without the removed point, on the peers' networks.

    python benchmarks/tools/curvature.py

In the book's own environment, after `benchmarks/tools/truth.py`, whose networks and truth it takes. The estimate with
the Hessian that keeps the point, classic IHVP, is that of pyDVL in `records/tools/peers.csv`, by conjugate gradients.
"""

import time
import warnings
from collections.abc import Callable

import torch
from asking import keep_record, load_case, said, scores
from peer_tools import Problem, own_kernel, own_kernel_ihvp

from ntkif import NetworkInfluence
from ntkif.influence.newton import newton_influence
from ntkif.provenance import now

CASES = ("two-layer", "mlp", "conv")


def by_newton(problem: Problem) -> tuple[torch.Tensor, int]:
    """Influence of the removed points by the Hessian without each, and for how many it was not positive."""
    model = NetworkInfluence(problem.case["network"], *problem.arrays[:2], problem.ridge, start=None)
    found = newton_influence(model, problem.case["rows"], *problem.arrays[2:], tolerance=1e-5)
    return found.influence, int((~found.positive).sum())


def row_of(case: str, method: str, ask: Callable) -> dict:
    """What a method says of the removed points, against retraining."""
    problem = Problem(load_case(case))
    clock = time.perf_counter()
    influence, bent = ask(problem)
    seconds = time.perf_counter() - clock
    row = {"case": case, "method": method, "not_positive": bent, "seconds": round(seconds, 2)}
    said(row | scores(influence, problem.case["truth"]))
    return row | scores(influence, problem.case["truth"])


def main() -> None:
    """Measure, and write the record."""
    warnings.simplefilter("ignore")
    started = now()
    methods = {
        "Gauss-Newton, IHVP": lambda each: (own_kernel_ihvp(each)[:, each.case["rows"]], 0),
        "Gauss-Newton, leave-one-out": lambda each: (own_kernel(each)[:, each.case["rows"]], 0),
        "Hessian, leave-one-out": by_newton,
    }
    rows = [row_of(case, name, ask) for case in CASES for name, ask in methods.items()]
    keep_record("curvature", rows, started, CASES, ("ridge", "rows", "pixels", "gradient"), ("torch", "numpy"))


if __name__ == "__main__":
    main()
