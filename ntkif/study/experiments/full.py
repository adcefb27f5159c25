"""Experiments on size: the exact method at as many points as memory takes (beyond the paper)."""

import time
from collections.abc import Sequence

import pandas as pd
import torch

from ntkif.blocks import row_blocks
from ntkif.checks import peak_bytes
from ntkif.data import Dataset
from ntkif.influence.closed_form import ihvp_influence, loo_influence
from ntkif.kernels.infinite import ntk
from ntkif.metrics import agreement, misfit, share
from ntkif.regression.ridge import RidgeFit
from ntkif.regression.tiled import tiled_fit
from ntkif.study import paper
from ntkif.study.experiments.experiment import AGREEMENT, Column, experiment

__all__ = ["full_fit", "refits"]


@experiment(
    "full-mnist",
    settings={"mnist-full": {"ridge": paper.RIDGE["mini-mnist"], "n_test": 200, "removals": 20, "seed": 0}},
    witness={"ridge": 4.0, "n_test": 20, "removals": 4, "seed": 0},
    slice=None,  # whatever is removed, the fit takes most of the hour
    columns={
        "row": Column.key("in the training set"),
        "kind": Column.value("influential, or drawn"),
        "leverage": Column.value("of the image"),
        "norm": Column.value("of its influences over the test images"),
        "deviation": Column.noise("of Eq. 9 from the refit in predictions, as a share of the largest change", 1e-8),
        "influence_deviation": Column.noise("the same of influences", 1e-8),
        "residual": Column.noise("of the refit's system, relative", 1e-12),
        "condition": Column.value("of K + λI"),
        "test_error": Column.value("share of test images classified wrongly"),
        "leverage_median": Column.value("over the training images"),
        "leverage_max": Column.value("over the training images"),
        **AGREEMENT,
        "fit_seconds": Column.clock("of the fit"),
        "influence_seconds": Column.clock("of the influence"),
        "peak_gib": Column.clock("the most memory held"),
        "refit_seconds": Column.clock("of all refits"),
    },
)
@torch.no_grad()
def full_fit(dataset: Dataset, ridge: float, n_test: int, removals: int, seed: int) -> pd.DataFrame:
    """The exact influence of all training images, and a check of some removals by refits without Eq. 9.

    Args:
        dataset: training and test images.
        ridge: penalty λ.
        n_test: test images, the first.
        removals: half of them the most influential, root mean square over the test images, the rest drawn.
        seed: of the draw.

    Returns:
        a row for each removed image; what is of the whole is the same in every row.
    """
    x, y, x_test, y_test = dataset.x_train, dataset.y_train, dataset.x_test[:n_test], dataset.y_test[:n_test]
    clock = time.perf_counter()
    fit = tiled_fit(x, y, ridge)
    seconds = {"fit_seconds": time.perf_counter() - clock}
    clock, k_test_train = time.perf_counter(), ntk(x_test, x)
    influence = loo_influence(fit, k_test_train, y_test)
    seconds["influence_seconds"] = time.perf_counter() - clock
    whole = {
        "condition": fit.condition,
        "test_error": share(misfit(fit.predict(k_test_train), y_test)),
        "leverage_median": float(fit.leverage.median()),
        "leverage_max": float(fit.leverage.max()),
        **agreement(ihvp_influence(fit, k_test_train, y_test), influence),
        **seconds,
        "peak_gib": peak_bytes(x.device) / 2**30,
    }
    top = influence.norm(dim=0).topk(removals // 2).indices.tolist()
    drawn = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).tolist()
    rows = top + [row for row in drawn if row not in top][: removals - len(top)]
    clock = time.perf_counter()
    dual, residual = refits(x, fit, rows)
    before = fit.predict(k_test_train)
    changed = torch.einsum("tn,nrc->trc", k_test_train, dual) - before[:, None]
    whole["refit_seconds"] = time.perf_counter() - clock
    exact = fit.coefficients(k_test_train)[:, rows, None] * fit.loo_residual[rows]
    refitted = (changed * (before - y_test)[:, None] + changed.square() / 2).sum(2)
    table = {
        "row": rows,
        "kind": ["influential"] * len(top) + ["drawn"] * (len(rows) - len(top)),
        "leverage": fit.leverage[rows].tolist(),
        "norm": influence[:, rows].norm(dim=0).tolist(),
        "deviation": ((exact - changed).abs().amax((0, 2)) / changed.abs().amax((0, 2))).tolist(),
        "influence_deviation": ((influence[:, rows] - refitted).abs().amax(0) / refitted.abs().amax(0)).tolist(),
        "residual": residual.tolist(),
    }
    return pd.DataFrame(table | {name: [value] * len(rows) for name, value in whole.items()})


def refits(
    x: torch.Tensor,
    fit: RidgeFit,
    rows: Sequence[int],
    *,
    tolerance: float = 1e-13,
    iterations: int = 10,
    block_size: int = 512,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The fit without each of some training points, solved anew to a residual that vouches for it.

    Conjugate gradients on the system without the point, whose kernel is made again in every iteration. The factor
    of the system with it serves as preconditioner alone: it makes the iteration short, and cannot make a wrong
    solution pass, since the residual is computed from the kernel.

    Args:
        x: (n, d) training points.
        fit: of them, which gives targets, ridge and preconditioner.
        rows: r training points to leave out, one at a time.
        tolerance: relative residual at which to stop.
        iterations: at most.
        block_size: rows of the kernel made at once.

    Returns:
        (n, r, c) duals, zero at the removed point, and (r,) relative residuals |y - (K + λI) dual| / |y|, computed
        anew at the end.
    """
    n = len(x)
    kept = x.new_ones(n, len(rows), 1)
    kept[rows, range(len(rows))] = 0

    def product(v: torch.Tensor) -> torch.Tensor:
        flat, out = v.reshape(n, -1), torch.empty_like(v)
        for block in row_blocks(n, block_size):
            out[block] = (ntk(x[block], x) @ flat + fit.ridge * flat[block]).reshape_as(out[block])
        return out.mul_(kept)

    def precondition(v: torch.Tensor) -> torch.Tensor:
        return (fit.inverse @ v.reshape(n, -1)).reshape_as(v).mul_(kept)

    target = fit.y_train[:, None] * kept
    size = target.norm(dim=(0, 2))
    dual, left = torch.zeros_like(target), target.clone()
    direction = solved = precondition(left)
    for _ in range(iterations):
        image = product(direction)
        inner = (left * solved).sum((0, 2))
        step = inner / (direction * image).sum((0, 2))
        dual += step[:, None] * direction
        left -= step[:, None] * image
        if (left.norm(dim=(0, 2)) <= tolerance * size).all():
            break
        solved = precondition(left)
        direction = solved + ((left * solved).sum((0, 2)) / inner)[:, None] * direction
    return dual, (target - product(dual)).norm(dim=(0, 2)) / size
