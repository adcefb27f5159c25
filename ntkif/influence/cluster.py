"""A trained network beyond one machine: what `NetworkInfluence(projections=...)` does, on the workers of Dask.

Blocks of training points add up to the matrix H of `projected`, which is solved once; then each block tells of its own
removals, as exactly as on one machine. What travels is the network with its projection, the same for all workers, and
p × p numbers. Each task has a network of its own, since what takes a Jacobian changes its module while it does.
"""

import pickle
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import torch

from ntkif.checks import check_fits
from ntkif.influence.curvature import check_curved
from ntkif.influence.linearity import largest_removals, warn_of_bends
from ntkif.influence.penalties import one_ridge
from ntkif.influence.projected import factor_of, warn_of_few
from ntkif.influence.projected_network import BlockRemovals, ProjectedNetwork, projected_block, read_block
from ntkif.influence.removals import Removals
from ntkif.influence.stationary import loss_gradient, totals_of
from ntkif.kernels.projected import ProjectedJacobian
from ntkif.networks.inputs import Reading
from ntkif.networks.losses import SQUARES, Loss
from ntkif.networks.module_checks import check_trained, fingerprint
from ntkif.networks.modules import prepare, trained_parameters
from ntkif.networks.named_losses import loss_of
from ntkif.regression.cluster import Rows, over_blocks, pickled, summed

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ask_on", "network_fit_on", "network_influence_on"]

_BLOCK = 2048  # rows of a task
_ADVICE = (
    "define its parts in a module that the workers import, and load its state_dict into a plain copy of it, without "
    "hooks that hold files or locks, and without parametrizations (torch.nn.utils.parametrize.remove_parametrizations)"
)


def network_fit_on(
    client: "Client",
    network: torch.nn.Module,
    rows: Rows,
    ridge: float | Mapping[str, float],
    *,
    start: torch.nn.Module | str | None,
    projections: int,
    damping: float | str = 0.0,
    loss: Loss | str | Callable = SQUARES,
    mean: bool | None = None,
    output: str | int | None = None,
    tolerance: float = 0.3,
    jacobian_dtype: torch.dtype | None = None,
    seed: int = 0,
    by_layers: bool = True,
    block_size: int = _BLOCK,
    progress: bool = True,
) -> ProjectedNetwork:
    """`NetworkInfluence(projections=...)` on a cluster: one pass over the rows, and one before it for a start.

    Args:
        client: see `connect`.
        network: trained, as of `NetworkInfluence`, and so all that follow without a word; it travels pickled.
        rows: n training points and their targets, a slice of them at a time: a `torch.utils.data.TensorDataset`, or
            any `Rows` whose points are as the network takes them.
        ridge: of the training.
        start: the network before training.
        projections: columns p.
        damping: added to the ridge.
        loss: of the training.
        mean: whether the objective was the mean of the losses.
        output: entry of what the network returns.
        tolerance: of the gradient that training left.
        jacobian_dtype: of the Jacobian.
        seed: of the projection.
        by_layers: as of `ProjectedJacobian`.
        block_size: rows of a task. A worker holds some ten arrays of p² numbers, and three of block_size * p.
        progress: whether to show bars, on a terminal.

    Returns:
        what `network_influence_on` and `ask_on` ask. The same bits however many workers there are, of one kind.

    Raises:
        TypeError: a network, loss or rows that cannot be pickled.
        NotStationaryError, TypeError, ValueError, MemoryError, numpy.linalg.LinAlgError: as `NetworkInfluence`, of rows
            with the block that they are in.
        distributed.KilledWorker: as `fit_on`.

    Warns:
        UserWarning: as `NetworkInfluence`.
    """
    check_trained(network)
    loss, of_torch = loss_of(loss)
    if len(rows) < 1:
        raise ValueError("rows: expected at least one training point, got none.")
    reading, few, _ = prepare(network, rows[0 : min(len(rows), 8)][0], "rows", output=output)
    how = {"block_size": block_size, "progress": progress}
    gradient = partial(_whole_gradient, client, rows, reading, loss, how)
    mean = of_torch if mean is None else mean
    totals = totals_of(network, start, gradient, ridge, damping, n=len(rows), mean=mean, tolerance=tolerance)
    total, scales = one_ridge(totals)
    options = {"seed": seed, "scales": scales, "dtype": jacobian_dtype, "by_layers": by_layers}
    kernel = ProjectedJacobian(reading, few, projections, **options)
    advice = "take fewer projections."
    check_fits("the matrix of the projections", 6, kernel.width, kernel.width, like=kernel.like, advice=advice)
    before = fingerprint(kernel.given)
    products = summed(client, rows, _made, _packed(_products, kernel, loss), **how)
    check_curved(bool(products.any()))
    fit = ProjectedNetwork(kernel, loss, totals, len(rows), total, factor_of(products, total), before)
    warn_of_few(fit.freedom, kernel)
    return fit


def network_influence_on(
    client: "Client",
    rows: Rows,
    fit: ProjectedNetwork,
    x_test,
    y_test: torch.Tensor,
    *,
    block_size: int = _BLOCK,
    progress: bool = True,
    trust: bool = False,
) -> torch.Tensor:
    """Influence of every row on some test points, in a pass over the rows.

    Args:
        client: see `connect`.
        rows: the n training points of the fit.
        fit: see `network_fit_on`.
        x_test: k points; each task makes their rows anew, so take blocks that are larger than k.
        y_test: their targets.
        block_size: rows of a task.
        progress: whether to show a bar, on a terminal.
        trust: whether to give the influences without a look at how far the network is from linear.

    Returns:
        (k, n) change of the loss of each test point; positive means helpful.

    Raises:
        ValueError: rows of another number than the fit has seen.
        TypeError, ValueError, MemoryError, numpy.linalg.LinAlgError: as `NetworkInfluence.influence`.
        distributed.KilledWorker: as `fit_on`.

    Warns:
        UserWarning: as `NetworkInfluence.influence`.
    """
    points, targets = fit.removals(*rows[0:1]).test_points(x_test, y_test)
    advice = "pass fewer test points at once."
    check_fits("the influence matrix", len(points), len(rows), like=targets, advice=advice)

    def influence(removals: Removals) -> torch.Tensor:
        return removals.influence(points, targets, trust=True).T

    found = ask_on(client, rows, fit, influence, block_size=block_size, progress=progress).T
    if not trust:
        largest = largest_removals(found)
        warn_of_bends([(fit.removals(*rows[row : row + 1]), [0]) for row in largest], points)
    return found


def ask_on(
    client: "Client",
    rows: Rows,
    fit: ProjectedNetwork,
    question: Callable[[BlockRemovals], torch.Tensor],
    *,
    block_size: int = _BLOCK,
    progress: bool = True,
) -> torch.Tensor:
    """What is asked of every block of rows, on the workers: `lambda removals: removals.leverage`, for example.

    Args:
        client: see `connect`.
        rows: the n training points of the fit.
        fit: see `network_fit_on`.
        question: gives (b, ...) numbers of the `Removals` of b rows; it travels pickled.
        block_size: rows of a task.
        progress: whether to show a bar, on a terminal.

    Returns:
        (n, ...) numbers, in the order of the rows.

    Raises:
        ValueError: rows of another number than the fit has seen; or as `ProjectedNetwork.removals`.
        TypeError, distributed.KilledWorker: as `network_fit_on`.
    """
    if len(rows) != fit.count:
        raise ValueError(f"rows: expected the {fit.count} training points of the fit, got {len(rows)}.")
    out = None
    for block, found in over_blocks(
        client, rows, _made, _packed(_answer, fit, question), block_size=block_size, progress=progress
    ):
        out = found.new_empty(len(rows), *found.shape[1:]) if out is None else out
        out[block] = found
    return out


def _packed(*job) -> bytes:
    return pickled(job, "network", _ADVICE)


def _made(rows: Rows, block: slice, job: bytes) -> torch.Tensor:
    """What the first part of the job makes of the others and of a block; its errors name the block."""
    try:
        make, *what = pickle.loads(job)
    except RuntimeError as refused:
        raise ValueError(
            f"network: expected one on a device that each worker has, got {refused}; pass network.cpu(), or take "
            f"workers that have it."
        ) from refused
    x, y = rows[block]
    try:
        return make(*what, x, y)
    except (TypeError, ValueError) as wrong:
        wrong.args = (f"rows[{block.start}:{block.stop}]: {wrong}",)
        raise


def _whole_gradient(client: "Client", rows: Rows, reading: Reading, loss: Loss, how: dict) -> list[torch.Tensor]:
    """Of the sum of the losses of all rows, a tensor for each parameter."""
    total = summed(client, rows, _made, _packed(_gradient, reading, loss), **how)
    values = list(trained_parameters(reading).values())
    parts = total.split([value.numel() for value in values])
    return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]


def _gradient(reading: Reading, loss: Loss, x, y: torch.Tensor) -> torch.Tensor:
    """(P,) of the sum of the losses, by all parameters one after the other."""
    points, _, y = read_block(reading, loss, x, y)
    return torch.cat([part.flatten() for part in loss_gradient(reading, points, y, loss)])


def _products(kernel: ProjectedJacobian, loss: Loss, x, y: torch.Tensor) -> torch.Tensor:
    return projected_block(kernel, loss, *read_block(kernel.given, loss, x, y)).products()


def _answer(fit: ProjectedNetwork, question: Callable, x, y: torch.Tensor) -> torch.Tensor:
    return question(fit.removals(x, y))
