"""Leave-one-out retraining: networks trained with all points and without each of some, alone, together or on workers.

Needs torch, NumPy and tqdm alone, so that it also runs on a bare machine with a GPU.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ntkif.checks import require_extra
from ntkif.data import Dataset
from ntkif.influence.network import network_influence
from ntkif.networks.descent import train
from ntkif.networks.two_layer import TwoLayer, random_network
from ntkif.retraining.batches import train_in_batches
from ntkif.retraining.leave_one_out import without
from ntkif.retraining.protocol import LOOKS, Protocol, Retraining
from ntkif.store import write_atomically

__all__ = ["retrain", "start_of"]


def retrain(
    dataset: Dataset,
    protocol: Protocol,
    points: tuple[int, Sequence[int]],
    *,
    parts: Path | None = None,
    progress: bool = True,
    client=None,
    own_kernel: bool = False,
) -> Retraining:
    """Train a network on all points and one without each of the chosen ones, all from the same initial weights.

    Args:
        dataset: training and test images, in float64; training takes place on their device.
        protocol: how to train.
        points: a test point and training rows, see `chosen_points`.
        parts: a folder for each network as soon as it is finished; what is found there is not trained again.
        progress: whether to show a bar with the time left.
        client: a Dask client, see `cluster.connect`, whose workers train, a network each; absent: this process.
        own_kernel: whether to predict the influences by the trained network's own kernel too, while its weights are
            there; with float16.

    Returns:
        predictions of all networks at all test points.

    Raises:
        TypeError, ValueError, MemoryError: as `train`; or rows that are not distinct rows of the training set.
    """
    rows = [int(row) for row in points[1]]
    if rows and (min(rows) < 0 or max(rows) >= len(dataset.x_train) or len(set(rows)) < len(rows)):
        raise ValueError(f"points: expected distinct training rows from 0 to {len(dataset.x_train) - 1}, got {rows}.")
    half = protocol.precision == "float16"
    if half and client is not None:
        raise ValueError("client: expected none with float16, which trains all networks of a run at once.")
    if own_kernel and not half:
        raise ValueError(
            f"own_kernel: expected a protocol in float16, got {protocol.precision}; see network_influence."
        )
    arrays = [a.to(protocol.dtype) for a in (dataset.x_train, dataset.y_train, dataset.x_test)]
    wanted = dict(enumerate([None, *rows]))
    files = {number: parts / f"{number}.npz" for number in wanted} if parts is not None else {}
    results = {number: _read(file) for number, file in files.items() if file.exists()}
    finished = sum(int(result["epochs"]) for result in results.values())
    total = finished + (len(wanted) - len(results)) * protocol.epochs
    missing = {number: row for number, row in wanted.items() if number not in results}
    slow = 0.1 if sys.stderr.isatty() else 30  # seconds between lines of a log
    with tqdm(total=total, initial=finished, unit="epoch", disable=not progress, mininterval=slow) as bar:
        if half:
            of_network = partial(_own_influence, dataset, protocol.ridge, rows) if own_kernel else None
            done = _in_batches(wanted, missing, arrays, protocol, bar.update, of_network)
        else:
            done = _results(missing, arrays, protocol, client, bar.update)
        for number, result in done:
            results[number] = result
            if files:
                write_atomically(files[number], lambda stream, result=result: np.savez(stream, **result))
            bar.total = bar.n + (len(wanted) - len(results)) * int(result["epochs"])  # if the others take as long
    names = results[0].keys() - {"own_kernel"}
    gathered = {name: np.stack([results[number][name] for number in wanted]) for name in names}
    gathered |= {name: torch.from_numpy(gathered[name]) for name in ("predictions", "following")}
    gathered["seconds"] = float(gathered["seconds"].sum())
    own = torch.from_numpy(results[0]["own_kernel"]) if "own_kernel" in results[0] else None
    return Retraining(protocol, int(points[0]), np.asarray(rows), own_kernel=own, **gathered)


def start_of(protocol: Protocol, x: torch.Tensor, y: torch.Tensor) -> TwoLayer:
    """The network of a protocol before training, for (n, d) points and (n, c) targets, in their dtype."""
    return random_network(
        x.shape[1],
        width=protocol.width,
        init_scale=protocol.init_scale,
        seed=protocol.seed,
        outputs=y.shape[1],
        symmetric=protocol.symmetric,
        dtype=x.dtype,
        device=x.device,
    )


def _results(missing: dict, arrays: list, protocol: Protocol, client, update: Callable) -> Iterator[tuple[int, dict]]:
    """The number of each missing network, and what came of it, as they are finished."""
    if client is None:
        start = start_of(protocol, *arrays[:2]) if missing else None
        yield from ((number, _timed(row, arrays, protocol, update, start)) for number, row in missing.items())
        return
    require_extra("cluster", "distributed")
    from distributed import as_completed

    if arrays[0].is_cuda and max(client.nthreads().values(), default=1) > 1:
        raise ValueError("client: expected workers with one thread each, since how CUDA rounds is set for a process.")
    held = client.submit(list, arrays, pure=False)  # as a task's result, it is made again where a worker dies
    place = {
        client.submit(_timed, row, held, protocol, _no_progress, pure=False): number for number, row in missing.items()
    }
    for future in as_completed(list(place)):
        result = future.result()
        update(int(result["epochs"]))
        yield place.pop(future), result


def _timed(
    row: int | None, arrays: list, protocol: Protocol, update: Callable, start: TwoLayer | None = None
) -> dict[str, np.ndarray]:
    clock = time.perf_counter()
    with _no_tf32():  # but where `train` asks for it
        result = _train_without(row, start or start_of(protocol, *arrays[:2]), *arrays, protocol, update)
    return result | {"seconds": np.float64(time.perf_counter() - clock)}


def _no_progress(epochs: int) -> None:
    """Progress of a worker stays with it."""


def _train_without(
    row, start: TwoLayer, x_train, y_train, x_test, protocol: Protocol, progress
) -> dict[str, np.ndarray]:
    trained = train(
        start,
        *without(row, x_train, y_train),
        protocol.ridge,
        learning_rate=protocol.learning_rate,
        epochs=protocol.epochs,
        tolerance=protocol.tolerance,
        tf32=protocol.precision == "tf32",
        progress=progress,
    )
    ends = [network.predict(x_test) for network in (trained.network, trained.following)]
    return _result(*ends, trained.epochs, trained.unsettled, trained.loss)


def _in_batches(
    wanted: dict, missing: dict, arrays: list, protocol: Protocol, update: Callable, of_network: Callable | None
) -> Iterator[tuple[int, dict]]:
    """As `_results`, with networks trained together; those of a batch that are there already are not given again."""
    x_train, y_train, x_test = arrays
    start, clock = start_of(protocol, *arrays[:2]), time.perf_counter()
    batches = train_in_batches(
        start,
        x_train,
        y_train,
        protocol.ridge,
        list(wanted.values()),
        learning_rate=protocol.learning_rate,
        epochs=protocol.epochs,
        directions=protocol.directions,
        finished=lambda number: number not in missing,
        progress=update,
    )
    for numbers, stack, residual in batches:
        of_first = {"own_kernel": of_network(stack.network(0))} if of_network and numbers[0] == 0 else {}
        now = stack.predict(x_test)
        stack.step(residual)
        ends, losses = zip(now, stack.predict(x_test), strict=True), torch.stack(stack.watch.losses, 1)
        seconds = np.float64((time.perf_counter() - clock) / len(numbers))
        for number, (end, following), unsettled, loss in zip(numbers, ends, stack.watch.unsettled, losses, strict=True):
            if number in missing:
                result = _result(end, following, protocol.epochs, float(unsettled), loss.tolist())
                yield number, result | {"seconds": seconds} | (of_first if number == 0 else {})
        clock = time.perf_counter()


def _own_influence(dataset: Dataset, ridge: float, rows: list[int], network: TwoLayer) -> np.ndarray:
    """(k, r) influences by the kernel of the trained network; of several outputs by the traced one, which is small."""
    arrays = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    traced = dataset.y_train.shape[1] > 1
    return network_influence(network.double(), *arrays, ridge, start=None, traced=traced)[:, rows].cpu().numpy()


def _result(
    end: torch.Tensor, following: torch.Tensor, epochs: int, unsettled: float, losses: list
) -> dict[str, np.ndarray]:
    return {
        "predictions": end.cpu().numpy(),
        "following": following.cpu().numpy(),
        "epochs": np.int64(epochs),
        "unsettled": np.float64(unsettled),
        "loss": np.float64(losses[-1]),
        "beginning": np.array((losses + [np.nan] * LOOKS)[:LOOKS]),
    }


@contextmanager
def _no_tf32() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _read(file) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as saved:
        return dict(saved)
