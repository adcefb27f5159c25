"""What vouches for a stored run: small runs on the samples that today's code gives again, or its own first network.

A run names the witnesses that it was made with, and stays fresh as long as the code gives them.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ntkif.data import Dataset
from ntkif.data.samples import kind_of, witness_set
from ntkif.provenance import commit, now, versions
from ntkif.retraining import runs
from ntkif.retraining.protocol import LOOKS, Protocol, Retraining
from ntkif.retraining.retrain import retrain
from ntkif.retraining.selection import chosen_points
from ntkif.store import add_note, read, status

__all__ = [
    "current_witness",
    "dataset_of",
    "digest_of_witnesses",
    "kind_of_run",
    "make_witnesses",
    "run_status",
    "verify_run",
    "witness_difference",
    "witness_files",
]

_MAKE = "python -m ntkif retrain ..."
_WITNESS = Protocol(ridge=1.0, width=64, init_scale=0.3, learning_rate=0.02, epochs=200, precision="float64")
_SAME = 1e-6  # of the largest prediction: a witness that differs by less is the same
_WIDE = 10_000  # neurons, from which on ten epochs have to do
_OBJECTIVE = 1e-4  # of itself; wide enough for a trainer in half precision
_PREDICTIONS = 1e-5, 1e-2  # the least and the most that the predictions of a run may be called unsettled


def run_status(file: Path) -> str | None:
    """Why a stored run cannot be vouched for, with the command that can; None where it is whole and fresh.

    Fresh means: of today's version, and made by code that gives today's witness, or reproduced in part by such code.
    """
    command = f"python -m ntkif verify runs {dataset_of(file)}"
    reason = status(
        file, {"version": runs.VERSION, "witness": (digest := digest_of_witnesses(kind_of_run(file)))}, command
    )
    if reason is None or not file.exists():
        return reason
    _, provenance = read(file, command)
    reproduced = provenance.get("reproduced", {}).get("witness") == digest and provenance["version"] == runs.VERSION
    return None if reproduced else reason


def dataset_of(file: Path) -> str:
    """The name of the image set of a run, from the name of its folder."""
    return file.parent.name.rsplit("-", 1)[0]


def kind_of_run(file: Path) -> str:
    """The kind of witness that stands for a run."""
    return kind_of(dataset_of(file))


def verify_run(file: Path, dataset: Dataset, *, beginning: bool = False) -> Retraining:
    """Train the first network of a stored run again, for as many steps, and note in the `.json` that it is the same.

    In float32, where weights flicker on kinks, another processor may end on another side of them. So the predictions
    have to agree to what the run itself calls unsettled, and the objective, which hardly feels that, more closely.

    Args:
        file: the `.npz` of the run.
        dataset: the whole image set.
        beginning: train for the first fifty epochs alone (ten from a width of 10000 on) and compare the objective,
            where the whole is too dear. A run in float16 is compared with float32.

    Returns:
        the run as it is then stored.

    Raises:
        FileNotFoundError: as `load_run`.
        ValueError: as `load_run`; or the objective differs, at the beginning or at the end, by more than 1e-4 of
            itself; or a prediction by more than the run's `unsettled` or a hundredth; or the run has no beginning.
    """
    run = runs.load_run(file)
    if beginning and np.isnan(run.beginning[0]).all():
        raise ValueError(f"{file} has no beginning, since an older version made it; train its first network whole.")
    first = 1 if run.protocol.width >= _WIDE else LOOKS - 1
    epochs = 10 * first if beginning else int(run.epochs[0])
    size = run.provenance["n_train"], run.provenance["n_test"]
    protocol = replace(run.protocol, epochs=epochs, tolerance=None, directions=None)
    if protocol.precision == "float16":
        protocol = replace(protocol, precision="float32")
    again = retrain(dataset.head(*size), protocol, (run.test_point, []), progress=False)
    shares, looks = {}, slice(1 + first if beginning else None)
    if not np.isnan(run.beginning[0]).all():
        change = _largest_change(again.beginning[0, looks], run.beginning[0, looks])
        shares["objective at the beginning"] = change / _OBJECTIVE
    if not beginning:
        shares["objective at the end"] = _largest_change(again.loss[:1], run.loss[:1]) / _OBJECTIVE
        away = float((again.predictions[0] - run.predictions[0]).abs().max())
        shares["predictions"] = away / float(np.clip(run.unsettled[0], *_PREDICTIONS))
    if not all(share <= 1 for share in shares.values()):  # NaN is no agreement
        words = ", ".join(f"{name} by {share:.2g} times what is allowed" for name, share in shares.items())
        raise ValueError(
            f"{file}: today's code gives another network in {epochs} epochs: {words}; delete it and record it again."
        )
    note = {"commit": commit(), "date": now(), "epochs": epochs, "share_of_tolerance": shares, "versions": versions()}
    add_note(file, _MAKE, reproduced=note | {"witness": digest_of_witnesses(kind_of_run(file))})
    return runs.load_run(file)


def current_witness(kind: str) -> str | None:
    """The digest of the witnesses of a kind, made anew where today's code gives others; None without mlxtend.

    Other runs of the kind then have to be verified or made again.
    """
    if not find_spec("mlxtend"):
        return None
    if len(witness_files(kind)) != 2 or witness_difference(kind) is not None:
        runs.FOLDER.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=runs.FOLDER) as beside:
            list(make_witnesses(kind, Path(beside)))
            (made,) = Path(beside).iterdir()  # the old ones stay until the new ones are whole
            shutil.rmtree(runs.FOLDER / made.name, ignore_errors=True)
            made.rename(runs.FOLDER / made.name)
    return digest_of_witnesses(kind)


def witness_files(kind: str) -> list[Path]:
    """Where the witnesses of all runs of a kind are kept: two small runs that differ in their seed."""
    return sorted((runs.FOLDER / f"witness-{kind}-100").glob("*.npz"))


def make_witnesses(kind: str, folder: Path | None = None) -> Iterator[Retraining]:
    """The witnesses of a kind, made by the code as it is, and kept where a folder is named.

    Args:
        kind: of `samples.KINDS`.
        folder: as of `keep_run`.
    """
    dataset = witness_set(kind).head(100, 60)
    points = chosen_points(dataset, _WITNESS.ridge, 4)
    for seed in (0, 1):
        protocol = replace(_WITNESS, seed=seed)
        if folder is None:
            yield retrain(dataset, protocol, points, progress=False)
        else:
            yield runs.keep_run(dataset, protocol, points, folder, progress=False)


def digest_of_witnesses(kind: str) -> str:
    """Of the stored witnesses of a kind; the provenance of each run names that which it was made with."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in witness_files(kind))).hexdigest()


def witness_difference(kind: str) -> str | None:
    """How the witnesses of a kind, made again, differ from the stored ones; None if they do not."""
    for made, file in zip(make_witnesses(kind), witness_files(kind), strict=True):
        stored = runs.load_run(file)
        size = float(stored.predictions.abs().max())
        off = {
            "predictions": float((made.predictions - stored.predictions).abs().max()) / size,
            "objective": _largest_change(made.beginning, stored.beginning),
        }
        same = made.test_point == stored.test_point and made.rows.tolist() == stored.rows.tolist()
        if not same or not all(value <= _SAME for value in off.values()) or (made.epochs != stored.epochs).any():
            words = ", ".join(f"{name} by {value:.1e}" for name, value in off.items())
            then = stored.provenance
            return (
                f"{file} differs: {words} where {_SAME:.0e} is allowed, rows {made.rows.tolist()} for "
                f"{stored.rows.tolist()}. It was made with {then['versions']} on {then['device']} at commit "
                f"{then['commit'][:8]}; here are {versions()}."
            )
    return None


def _largest_change(found: np.ndarray, stored: np.ndarray) -> float:
    """Of what is stored, as a share of itself; what a run does not have is not compared."""
    there = ~np.isnan(stored)
    return float(np.abs(found[there] / stored[there] - 1).max())
