"""How the cost of each method grows with n, k, d, width and features: `growth`, read by the page on size.

    .venv/bin/python benchmarks/speed/growth.py

Made-up points; the least of three wall times of each size. Nothing else should run meanwhile.
"""

import csv
import io
import json
import os
from functools import partial

import torch
from common import problem, seconds

from ntkif import loo_influence, ntk, ridge_fit, tangent_kernel
from ntkif.networks.descent import train
from ntkif.networks.two_layer import random_network
from ntkif.provenance import device_name, now
from ntkif.regression.flow import kernel_flow
from ntkif.regression.nystrom import nystrom_fit
from ntkif.regression.tiled import tiled_fit
from ntkif.study.records.tools import keep_measurement

DOUBLINGS = [500, 1000, 2000, 4000, 8000]


def kernel(n, d):
    """Eq. 4 between n points."""
    x = problem(n, 1, d)[0]
    return partial(ntk, x)


def fit(n):
    """`ridge_fit` of a given kernel: factor and inverse."""
    x, y, *_ = problem(n, 1, 784)
    k = ntk(x)
    return partial(ridge_fit, k, y, 1.0)


def tiled(n):
    """`tiled_fit`: kernel, factor, diagonal of the inverse."""
    x, y, *_ = problem(n, 1, 784)
    return partial(tiled_fit, x, y, 1.0, progress=False)


def influence(n, k):
    """`loo_influence` from a fit and a test kernel."""
    x, y, x_test, y_test = problem(n, k, 784)
    return partial(loo_influence, ridge_fit(ntk(x), y, 1.0), ntk(x_test, x), y_test)


def refit(n):
    """One brute-force refit: the system without a point, solved."""
    x, y, *_ = problem(n, 1, 784)
    system = ntk(x) + torch.eye(n, dtype=x.dtype)
    return lambda: torch.linalg.solve(system[1:, 1:], y[1:])


def eigen(n):
    """`kernel_flow`: the eigendecomposition behind influence along training."""
    x, y, *_ = problem(n, 1, 784)
    k = ntk(x)
    return partial(kernel_flow, k, y)


def features(n, p):
    """`nystrom_fit` of n points on p landmarks."""
    x, y, *_ = problem(n, 1, 784)
    return partial(nystrom_fit, [(x, y)], x[:p], 1.0)


def feature_influence(n, p):
    """Influence of n points on 100 test points from a feature fit."""
    x, y, x_test, y_test = problem(n, 100, 784)
    return partial(nystrom_fit([(x, y)], x[:p], 1.0).loo_influence, x, y, x_test, y_test)


def epochs(n, width):
    """Ten epochs of training a two-layer network."""
    x, y, *_ = problem(n, 1, 784)
    network = random_network(784, width=width, init_scale=1.0, symmetric=True, seed=0)
    return partial(train, network, x, y, 1.0, learning_rate=1e-5, epochs=10)


def own_kernel(n, width):
    """The tangent kernel of a two-layer network between n points."""
    x = problem(n, 1, 784)[0]
    return partial(tangent_kernel, random_network(784, width=width, init_scale=1.0, symmetric=True, seed=0), x)


#: Method, what varies, its values, what is fixed, and the exponent that counting operations gives.
SWEEPS = [
    (kernel, "n", DOUBLINGS, {"d": 784}, 2),
    (kernel, "d", [196, 392, 784, 1568, 3136], {"n": 3000}, 1),
    (fit, "n", DOUBLINGS, {}, 3),
    (tiled, "n", [2000, 4000, 8000, 16000], {}, 3),
    (influence, "n", DOUBLINGS, {"k": 1000}, 2),
    (influence, "k", DOUBLINGS, {"n": 3000}, 1),
    (refit, "n", DOUBLINGS, {}, 3),
    (eigen, "n", DOUBLINGS[:-1], {}, 3),
    (features, "n", [4000, 8000, 16000, 32000], {"p": 1000}, 1),
    (features, "p", [250, 500, 1000, 2000, 4000], {"n": 8000}, 2),
    (feature_influence, "n", [4000, 8000, 16000, 32000], {"p": 1000}, 1),
    (feature_influence, "p", [250, 500, 1000, 2000, 4000], {"n": 8000}, 2),
    (epochs, "n", DOUBLINGS[:-1], {"width": 2048}, 1),
    (epochs, "width", [512, 1024, 2048, 4096, 8192], {"n": 1000}, 1),
    (own_kernel, "n", DOUBLINGS[:-1], {"width": 2048}, 2),
    (own_kernel, "width", [512, 1024, 2048, 4096, 8192], {"n": 1000}, 1),
]


def main() -> None:
    """Measure, and write the table with how it was made."""
    started, rows = now(), []
    for method, varied, values, fixed, expected in SWEEPS:
        for value in values:
            call = method(**{varied: value, **fixed})
            least = min(seconds(call)[0] for _ in range(3))
            name = method.__doc__.split("\n")[0]
            row = {"method": name.rstrip("."), "varied": varied, "value": value, "fixed": json.dumps(fixed)}
            rows.append(row | {"expected": expected, "seconds": f"{least:.4g}"})
            print(rows[-1], flush=True)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    device = f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores"
    keep_measurement("growth", stream.getvalue().encode(), {"started": started, "device": device})


if __name__ == "__main__":
    main()
