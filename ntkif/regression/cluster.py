"""The work spread over processes or machines by Dask: feature fits of rows that no machine holds.

Of a trained network, see `influence.cluster`.

Rows are made where they are used, one block at a time; what travels is the description of the rows, the fit, sums of
p × p numbers, and a column of influences for each row. Every task can be made again, its inputs included, and sums are
added in a fixed order: a worker that dies costs time, and changes no bit.
"""

import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import add
from typing import Protocol
from weakref import WeakSet

import torch
from tqdm import tqdm

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_ridge, peak_bytes, require_extra
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import ntk
from ntkif.regression.nystrom import FeatureFit, FeatureSums, feature_fit, feature_sums

require_extra("cluster", "distributed")

import cloudpickle  # noqa: E402
import dask  # noqa: E402
from distributed import Client, LocalCluster, as_completed  # noqa: E402

__all__ = ["Rows", "connect", "fit_on", "influence_on", "over_blocks", "peaks_of", "pickled", "summed"]

_TOGETHER = 8  # sums added by one task


class Rows(Protocol):
    """Training points that are made or read in blocks, such as `ShiftedImages`; they travel to the workers pickled."""

    def __len__(self) -> int:
        """Number n of points."""

    def __getitem__(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, d) points and (b, c) targets."""


@contextmanager
def connect(
    address: str | None = None, *, workers: int | None = None, memory_limit: str = "8GiB", warnings: bool = True
) -> Iterator[Client]:
    """A Dask client: of the scheduler at an address, or of worker processes on this machine, which end with it.

    A script must call it below `if __name__ == "__main__":`, since the new processes import the script.

    Args:
        address: such as "tcp://host:8786"; absent: this machine.
        workers: processes, with one thread each; on this machine as many as it has cores, where absent.
        memory_limit: of each of them.
        warnings: whether Dask warns on this machine, as of a busy processor, or tells of errors alone.

    Raises:
        OSError, TimeoutError: no scheduler answers at the address, or it has no workers within a minute.
    """
    if address is not None:
        with Client(address) as client:
            client.wait_for_workers(1, timeout=60)
            yield client
        return
    size = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": memory_limit}
    size["silence_logs"] = logging.WARNING if warnings else logging.ERROR
    with LocalCluster(**size, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        yield client


def fit_on(
    client: Client,
    rows: Rows,
    landmarks: torch.Tensor,
    ridge: float,
    *,
    kernel: Kernel = ntk,
    block_size: int = 8192,
    progress: bool = True,
) -> FeatureFit:
    """`nystrom_fit` on a cluster, in one pass over the rows.

    Args:
        client: see `connect`.
        rows: n training points.
        landmarks: (p, d) points.
        ridge: penalty λ > 0.
        kernel: of two sets of points.
        block_size: rows of a task. A worker holds a few arrays of block_size * p numbers and, where sums wait to be
            added, about ten of p².
        progress: whether to show a bar, on a terminal.

    Returns:
        the fit, on this machine. The same bits however many workers there are, of one kind, and whichever of them die.

    Raises:
        TypeError, ValueError, numpy.linalg.LinAlgError: as `feature_sums` and `feature_fit`.
        distributed.KilledWorker: a task whose worker died four times, for want of memory perhaps.
    """
    check_ridge(ridge, positive=True)
    check_fits("the feature fit", 8, len(landmarks), len(landmarks), like=landmarks, advice="use fewer landmarks.")
    total = summed(client, rows, _sums, (landmarks, kernel), block_size=block_size, progress=progress)
    return feature_fit(landmarks, total, ridge, kernel=kernel)


def influence_on(
    client: Client,
    rows: Rows,
    fit: FeatureFit,
    x_test: torch.Tensor,
    y_test: torch.Tensor,
    *,
    block_size: int = 8192,
    progress: bool = True,
) -> torch.Tensor:
    """Influence of every row on some test points, in a second pass over the rows.

    Args:
        client: see `connect`.
        rows: the n training points of the fit.
        fit: see `fit_on`.
        x_test: (k, d) test points.
        y_test: (k, c) targets.
        block_size: rows of a task.
        progress: whether to show a bar, on a terminal.

    Returns:
        (k, n) change of loss, on this machine; positive means helpful.

    Raises:
        ValueError: rows of another number than the fit has seen.
        TypeError, ValueError: as `FeatureFit.loo_influence`.
        MemoryError: the result would not fit; pass fewer test points.
        distributed.KilledWorker: as `fit_on`.
    """
    if len(rows) != fit.sums.count:
        raise ValueError(f"rows: expected the {fit.sums.count} training points of the fit, got {len(rows)}.")
    check_fits("the influence matrix", len(x_test), len(rows), like=x_test, advice="pass fewer test points at once.")
    out = x_test.new_empty(len(x_test), len(rows))
    job = fit, x_test, y_test
    for block, found in over_blocks(client, rows, _influence, job, block_size=block_size, progress=progress):
        out[:, block] = found
    return out


def summed(client: Client, rows: Rows, task: Callable, job, *, block_size: int, progress: bool):
    """The sum of what a task makes of blocks of rows, made on the workers and added in a fixed order.

    Args:
        client: see `connect`.
        rows: at least one.
        task: called with the rows, a slice of them, and the job; what it returns can be added.
        job: whatever else the task needs.
        block_size: rows of a task.
        progress: whether to show a bar, on a terminal.

    Raises:
        ValueError: no rows.
        distributed.KilledWorker: as `fit_on`; or what the task raises.
    """
    if len(rows) < 1:
        raise ValueError("rows: expected at least one training point, got none.")
    blocks = list(row_blocks(len(rows), block_size))
    with tqdm(total=len(blocks), unit="block", disable=not progress or None) as bar:
        held, what = _held(client, rows, "rows"), _held(client, job, "job")
        sums = [client.submit(task, held, block, what, pure=False) for block in blocks]
        waiting = WeakSet(sums)  # a finished sum is forgotten where it was added
        for future in sums:
            future.add_done_callback(lambda _: bar.update())
        try:
            while len(sums) > 1:
                groups = [sums[i : i + _TOGETHER] for i in range(0, len(sums), _TOGETHER)]
                sums = [client.submit(_add, *group, pure=False) for group in groups]
            return sums[0].result()
        except BaseException:
            client.cancel(list(waiting))
            raise


def over_blocks(
    client: Client, rows: Rows, task: Callable, job, *, block_size: int, progress: bool
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Blocks of rows, and what a task makes of each on the workers, as they are finished; arguments as of `summed`."""
    blocks = list(row_blocks(len(rows), block_size))
    with tqdm(total=len(blocks), unit="block", disable=not progress or None) as bar:
        held, what = _held(client, rows, "rows"), _held(client, job, "job")
        place = {client.submit(task, held, block, what, pure=False): block for block in blocks}
        try:
            for future in as_completed(list(place)):
                yield place.pop(future), future.result()
                bar.update()
        except BaseException:
            client.cancel(list(place))
            raise


def pickled(value, name: str, advice: str) -> bytes:
    """A value as it travels to the workers.

    Args:
        value: anything; functions and classes that were made in a script or a notebook too.
        name: of what may not be pickled in it, for the error.
        advice: what to do then.

    Raises:
        TypeError: it cannot be pickled.
    """
    try:
        return cloudpickle.dumps(value)
    except Exception as refused:  # whatever an object makes of it
        raise TypeError(
            f"{name}: expected what can be pickled, since it travels to the workers, got {type(refused).__name__}: "
            f"{str(refused).partition(chr(10))[0]}; {advice}."
        ) from refused


def peaks_of(client: Client) -> dict[str, int]:
    """The most memory in bytes that each worker has held since it started, by its address."""
    return client.run(peak_bytes, torch.device("cpu"))


def _held(client: Client, value, name: str):
    """A value on the workers. It is a task's argument, kept by the scheduler: scattered, it would die with a worker.

    It travels as bytes, since Dask waits for ever where a worker cannot read an argument.
    """
    content = pickled(value, name, "take what holds no files, locks or connections")
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"}):
        return client.submit(_loaded, content, name, pure=False)


def _loaded(content: bytes, name: str):
    try:
        return pickle.loads(content)
    except (ImportError, AttributeError) as missing:
        raise TypeError(
            f"{name}: expected what the workers can import, got {missing}; define it in a package that they have, or "
            f"in the script or notebook itself."
        ) from None


def _sums(rows: Rows, block: slice, job: tuple[torch.Tensor, Kernel]) -> FeatureSums:
    landmarks, kernel = job
    return feature_sums(landmarks, *rows[block], kernel=kernel)


def _add(*sums):
    return reduce(add, sums)


def _influence(rows: Rows, block: slice, job: tuple) -> torch.Tensor:
    fit, x_test, y_test = job
    return fit.loo_influence(*rows[block], x_test, y_test)
