"""Leave-one-out retraining, the truth that influences predict (Eq. 7): the network trained without each chosen point.

Needs torch, NumPy and tqdm alone, so that it also runs on a bare machine with a GPU.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ntkif.checks import require_extra
from ntkif.data import Dataset
from ntkif.networks.descent import train
from ntkif.networks.two_layer import TwoLayer, random_network
from ntkif.retraining.leave_one_out import true_influence, without
from ntkif.retraining.stacked import train_in_batches
from ntkif.store import write_atomically

__all__ = ["LOOKS", "Protocol", "Retraining", "retrain"]

LOOKS = 6  # of the beginning of a run, see `Retraining`
_PRECISIONS = {"float64": torch.float64} | dict.fromkeys(("float32", "tf32", "float16"), torch.float32)


@dataclass(frozen=True)
class Protocol:
    """How a network is trained; the defaults are the paper's (appendix A).

    Attributes:
        ridge: penalty λ.
        width: hidden neurons m.
        init_scale: κ.
        symmetric: whether it starts at zero, see `random_network`.
        seed: of the initial weights.
        learning_rate: step size.
        epochs: steps.
        tolerance: earlier stop, see `train`; absent in the paper.
        precision: float64, float32, tf32 (float32 with products on the tensor cores), or float16 (products of it, with
            sums and movement in float32, all networks at once; see `stacked`).
        directions: with float16, of the training points the leading so many in which the movement is kept; all where
            absent.
        last_step: whether influences are those of the networks after the last step, as the paper's are. Otherwise
            they are of the mean of the predictions after that and after one more step: descent with a fixed step may
            end in an oscillation of period two, and which of its ends a network is at is chance.
    """

    ridge: float
    width: int
    init_scale: float = 0.01
    symmetric: bool = False
    seed: int = 0
    learning_rate: float = 0.001
    epochs: int = 5000
    tolerance: float | None = None
    precision: str = "float32"
    directions: int | None = None
    last_step: bool = False

    def __post_init__(self):
        if self.precision not in _PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(_PRECISIONS)}, got {self.precision!r}.")
        if self.precision != "float16" and self.directions is not None:
            raise ValueError(f"directions: expected none with {self.precision}, got {self.directions}; see float16.")
        if self.precision == "float16" and self.tolerance is not None:
            raise ValueError(f"tolerance: expected none with float16, got {self.tolerance}.")

    def __str__(self) -> str:
        """Name of the file of a run."""
        start = "-symmetric" if self.symmetric else ""
        half = f"-epochs-{self.epochs}-directions-{self.directions or 'all'}" if self.precision == "float16" else ""
        return f"width-{self.width}-scale-{self.init_scale:g}{start}-seed-{self.seed}{half}"


@dataclass(frozen=True, eq=False)
class Retraining:
    """Networks trained with all points and without each of some, from the same start.

    Attributes:
        protocol: how they were trained.
        test_point: the test point for which the removed points are the most influential.
        rows: (r,) the removed training points.
        predictions: (1 + r, k, c) outputs at all test points: of the network trained on all points, then without each.
        following: (1 + r, k, c) the same after one more step; None where an older run did not keep it.
        epochs: (1 + r,) steps taken.
        unsettled: (1 + r,) see `Training`.
        loss: (1 + r,) final value of the objective.
        beginning: (1 + r, 6) the objective before the first step and after 10, 20, ... 50, by which
            `witness.verify_run` knows a run that is too dear to train again; NaN where training was shorter or an
            older run has none.
        seconds: wall time of all trainings, summed over them also where workers trained several at once.
        provenance: how the run was made; empty unless it was loaded from a file.
    """

    protocol: Protocol
    test_point: int
    rows: np.ndarray
    predictions: torch.Tensor
    following: torch.Tensor | None
    epochs: np.ndarray
    unsettled: np.ndarray
    loss: np.ndarray
    beginning: np.ndarray
    seconds: float
    provenance: dict = field(default_factory=dict)

    @property
    def at_rest(self) -> torch.Tensor:
        """(1 + r, k, c) the outputs that influences are computed from, see `Protocol.last_step`."""
        return self.predictions if self.protocol.last_step else (self.predictions + self.following) / 2

    @property
    def hops(self) -> np.ndarray | None:
        """(1 + r,) by how much one more step changes the outputs, root mean square; None where it was not kept."""
        if self.following is None:
            return None
        return (self.following - self.predictions).square().mean((1, 2)).sqrt().numpy()

    def influence(self, y_test: torch.Tensor) -> torch.Tensor:
        """(k, r) true influence of each removed point on each test point (Eq. 7); positive means helpful."""
        return true_influence(self.at_rest, y_test.to(self.predictions))

    def __str__(self) -> str:
        """One line: what was trained on which pixels, where, when and by which code."""
        if not (p := self.provenance):
            return f"{self.protocol}: {len(self.predictions)} networks, not stored"
        return (
            f"{p['dataset']}, {self.protocol}, recorded {p['started'][:10]}: {len(self.predictions)} networks, "
            f"{p['n_train']} + {p['n_test']} images, sha256 {p['pixels'][:8]}; λ = {self.protocol.ridge:g}, "
            f"learning rate {self.protocol.learning_rate:g}, {min(self.epochs)} to {max(self.epochs)} epochs, "
            f"{self.protocol.precision} on {p['device']}, torch {p['torch']}, {p['seconds'] / 60:.0f} min, "
            + (p["trainer"] if "trainer" in p else f"commit {p['commit'][:8]}{p['commit'][40:]}")
        )


def retrain(
    dataset: Dataset,
    protocol: Protocol,
    points: tuple[int, Sequence[int]],
    *,
    parts: Path | None = None,
    progress: bool = True,
    client=None,
) -> Retraining:
    """Train a network on all points and one without each of the chosen ones, all from the same initial weights.

    Args:
        dataset: training and test images, in float64; training takes place on their device.
        protocol: how to train.
        points: a test point and training rows, see `chosen_points`.
        parts: a folder for each network as soon as it is finished; what is found there is not trained again.
        progress: whether to show a bar with the time left.
        client: a Dask client, see `cluster.connect`, whose workers train, a network each; absent: this process.

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
    dtype = _PRECISIONS[protocol.precision]
    arrays = [a.to(dtype) for a in (dataset.x_train, dataset.y_train, dataset.x_test)]
    wanted = dict(enumerate([None, *rows]))
    files = {number: parts / f"{number}.npz" for number in wanted} if parts is not None else {}
    results = {number: _read(file) for number, file in files.items() if file.exists()}
    finished = sum(int(result["epochs"]) for result in results.values())
    total = finished + (len(wanted) - len(results)) * protocol.epochs
    missing = {number: row for number, row in wanted.items() if number not in results}
    slow = 0.1 if sys.stderr.isatty() else 30  # seconds between lines of a log
    with tqdm(total=total, initial=finished, unit="epoch", disable=not progress, mininterval=slow) as bar:
        if half:
            done = _in_batches(wanted, missing, arrays, protocol, bar.update)
        else:
            done = _results(missing, arrays, protocol, client, bar.update)
        for number, result in done:
            results[number] = result
            if files:
                write_atomically(files[number], lambda stream, result=result: np.savez(stream, **result))
            bar.total = bar.n + (len(wanted) - len(results)) * int(result["epochs"])  # if the others take as long
    gathered = {name: np.stack([results[number][name] for number in wanted]) for name in results[0]}
    gathered |= {name: torch.from_numpy(gathered[name]) for name in ("predictions", "following")}
    gathered["seconds"] = float(gathered["seconds"].sum())
    return Retraining(protocol, int(points[0]), np.asarray(rows), **gathered)


def _results(missing: dict, arrays: list, protocol: Protocol, client, update: Callable) -> Iterator[tuple[int, dict]]:
    """The number of each missing network, and what came of it, as they are finished."""
    if client is None:
        start = _start(arrays, protocol) if missing else None
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
        result = _train_without(row, start or _start(arrays, protocol), *arrays, protocol, update)
    return result | {"seconds": np.float64(time.perf_counter() - clock)}


def _no_progress(epochs: int) -> None:
    """Progress of a worker stays with it."""


def _start(arrays: list, protocol: Protocol) -> TwoLayer:
    x_train, y_train, _ = arrays
    return random_network(
        x_train.shape[1],
        width=protocol.width,
        init_scale=protocol.init_scale,
        seed=protocol.seed,
        outputs=y_train.shape[1],
        symmetric=protocol.symmetric,
        dtype=x_train.dtype,
        device=x_train.device,
    )


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


def _in_batches(wanted: dict, missing: dict, arrays: list, protocol: Protocol, update: Callable) -> Iterator:
    """As `_results`, with networks trained together; those of a batch that are there already are not given again."""
    x_train, y_train, x_test = arrays
    start, clock = _start(arrays, protocol), time.perf_counter()
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
        now = stack.predict(x_test)
        stack.step(residual)
        ends, losses = zip(now, stack.predict(x_test), strict=True), torch.stack(stack.watch.losses, 1)
        seconds = np.float64((time.perf_counter() - clock) / len(numbers))
        for number, (end, following), unsettled, loss in zip(numbers, ends, stack.watch.unsettled, losses, strict=True):
            if number in missing:
                result = _result(end, following, protocol.epochs, float(unsettled), loss.tolist())
                yield number, result | {"seconds": seconds}
        clock = time.perf_counter()


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
