"""Whose curvature: the Gauss-Newton matrix or the Hessian, with and without the removed point.

    python benchmarks/tools/curvature.py

In the book's own environment. The networks are those of `benchmarks/tools/truth.py`, the removals the first eight of
theirs. IHVP with the Hessian keeps the point: it is pyDVL's, by conjugate gradients, in `records/tools/peers.csv`.
"""

import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import torch
from asking import said, scores, table_of
from truth import RECORDS, K, truth

from ntkif import NetworkInfluence
from ntkif.data import load
from ntkif.influence.linearized import linearized_fit
from ntkif.influence.newton import newton_influence
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.modules import predict
from ntkif.provenance import now
from ntkif.retraining.selection import most_influential
from ntkif.study.records.tools import keep_measurement, witness_of

#: The two-layer network is left out: it is piecewise linear in the layer that was trained, so both matrices are one.
CASES, REMOVALS = ("mlp", "conv"), 8


def by_ihvp(network, data, ridge: float, rows: list[int]) -> tuple[torch.Tensor, int]:
    """IHVP by the empirical kernel, whose matrix is Gauss and Newton's."""
    x, y, x_test, y_test = data.x_train, data.y_train, data.x_test, data.y_test
    fit = linearized_fit(tangent_kernel(network, x), predict(network, x) - y, ridge)
    found = fit.ihvp_influence(tangent_kernel(network, x_test, x), predict(network, x_test) - y_test)
    return found[:, rows], 0


def by_kernel(network, data, ridge: float, rows: list[int]) -> tuple[torch.Tensor, int]:
    """The leave-one-out formula by the same."""
    model = NetworkInfluence(network, data.x_train, data.y_train, ridge, start=None)
    return model.influence(data.x_test, data.y_test)[:, rows], 0


def by_newton(network, data, ridge: float, rows: list[int]) -> tuple[torch.Tensor, int]:
    """Newton's step with the Hessian without each point, and for how many it was not positive."""
    model = NetworkInfluence(network, data.x_train, data.y_train, ridge, start=None)
    found = newton_influence(model, rows, data.x_test, data.y_test, tolerance=1e-5)
    return found.influence, int((~found.positive).sum())


METHODS: dict[str, Callable] = {
    "Gauss-Newton, IHVP": by_ihvp,
    "Gauss-Newton, leave-one-out": by_kernel,
    "Hessian, leave-one-out": by_newton,
}


def main() -> None:
    """Train, measure, and write the record."""
    warnings.simplefilter("ignore")
    started, ((dataset, n, ridge), cases) = now(), RECORDS["peers"]
    data, table, settings = load(dataset).head(n, K), [], {}
    for name in CASES:
        make, kernel = cases[name]
        rows = most_influential(data, ridge, REMOVALS, kernel=kernel)
        made = truth(data, make, rows, 0, ridge)
        settings[name] = {"ridge": ridge, "rows": rows, "pixels": data.digest, "gradient": made["gradient"]}
        for method, ask in METHODS.items():
            clock = time.perf_counter()
            influence, bent = ask(made["network"], data, ridge, rows)
            row = {"case": name, "method": method, **scores(influence, made["truth"]), "not_positive": bent}
            table.append(row | {"seconds": time.perf_counter() - clock})
            said(table[-1])
    provenance = {
        "settings": settings,
        "versions": {name: version(name) for name in ("torch", "numpy")},
        "started": started,
        "witness": witness_of("curvature"),
    }
    keep_measurement("curvature", table_of(table), provenance)


if __name__ == "__main__":
    main()
