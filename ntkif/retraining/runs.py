"""Runs of `retraining` on disk: resumed where they stopped, and kept with how they were made.

`records/runs/<dataset>-<n>/<protocol>.npz` holds the predictions of all networks, and the `.json` beside it the
provenance. What vouches for them is in `witness`.
"""

import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch

from ntkif.data import Dataset
from ntkif.provenance import ROOT, commit, device_name, machine, now
from ntkif.retraining.protocol import LOOKS, Protocol, Retraining
from ntkif.retraining.retrain import retrain
from ntkif.store import changed, digest_of, read, write

__all__ = ["FOLDER", "VERSION", "keep_run", "load_run", "load_runs", "run_file"]

FOLDER = ROOT / "records" / "runs"
VERSION = 1  # raised by hand where runs change on purpose and no witness can see it
_ARRAYS = ("rows", "epochs", "unsettled", "loss", "beginning")
_OUTPUTS = ("predictions", "following", "own_kernel")
_COMMAND = "python -m ntkif retrain ..."


def keep_run(
    dataset: Dataset,
    protocol: Protocol,
    points: tuple[int, Sequence[int]],
    folder: Path,
    *,
    witness: str | None = None,
    progress: bool = True,
    client=None,
    own_kernel: bool = False,
) -> Retraining:
    """`retrain`, with each finished network written at once.

    Killed at any moment and called again, it goes on with the network that it was at, and the `.npz` is in the end
    the same, byte for byte, as without interruption.

    Args:
        dataset: training and test images, in float64; training takes place on their device.
        protocol: how to train.
        points: a test point and training rows, see `chosen_points`.
        folder: where the run is kept, as `<folder>/<dataset>-<n>/<protocol>.npz` and `.json`.
        witness: digest of the witnesses that this code was seen to give, see `retraining.witness.current_witness`.
        progress: whether to show a bar with the time left.
        client: a Dask client whose workers train, see `retrain`; it goes on only with workers of the same kind.
        own_kernel: see `retrain`.

    Returns:
        the run as stored. A finished run is loaded, not made again.

    Raises:
        TypeError, ValueError, MemoryError: as `train`; or the folder holds a run of that name with other settings.
        OSError: the folder cannot be written; it is tried before anything is trained.
    """
    settings, made = _settings(dataset, protocol, points), {"commit": commit(), "started": now()}
    file = run_file(dataset, protocol, folder)
    # Parts of another machine's run are not mixed with this one's.
    where = machine(dataset.x_train.device) | {"device": _device(dataset.x_train.device, client)}
    parts = file.with_name(f"{file.stem}.{digest_of(settings | where)[:16]}.parts")
    if file.with_suffix(".json").exists():
        shutil.rmtree(parts, ignore_errors=True)  # where the call that finished was killed before it could
        return _load_same(file, settings)
    _check_writable(file.parent)
    how = {"parts": parts, "progress": progress, "client": client, "own_kernel": own_kernel}
    run, buffer = retrain(dataset, protocol, points, **how), io.BytesIO()
    arrays = {name: getattr(run, name) for name in _ARRAYS}
    arrays |= {name: kept.numpy() for name in _OUTPUTS if (kept := getattr(run, name)) is not None}
    np.savez_compressed(buffer, **arrays)
    made |= {**where, "seconds": round(run.seconds, 1), "witness": witness}
    write(file, buffer.getvalue(), settings | made)
    shutil.rmtree(parts, ignore_errors=True)
    return load_run(file)


def run_file(dataset: Dataset, protocol: Protocol, folder: Path) -> Path:
    """Where `keep_run` keeps a run: `<folder>/<dataset>-<n>/<protocol>.npz`."""
    return Path(folder) / f"{dataset.name.split()[0]}-{len(dataset.x_train)}" / f"{protocol}.npz"


def load_run(file: Path) -> Retraining:
    """A stored run.

    Args:
        file: its `.npz`.

    Returns:
        the run.

    Raises:
        FileNotFoundError: it or the `.json` beside it is not there.
        ValueError: one of the two was changed or is not the other's.
    """
    content, provenance = read(file, _COMMAND)
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in _ARRAYS if name in saved}
        outputs = {name: torch.from_numpy(saved[name]) if name in saved else None for name in _OUTPUTS}
    arrays.setdefault("beginning", np.full((len(outputs["predictions"]), LOOKS), np.nan))
    named = provenance["protocol"] | ({"last_step": True} if outputs["following"] is None else {})
    return Retraining(
        Protocol(**named),
        provenance["test_point"],
        **outputs,
        seconds=provenance["seconds"],
        provenance=provenance,
        **arrays,
    )


def load_runs(dataset: Dataset) -> list[Retraining]:
    """All runs in `FOLDER` on an image set, or on the first images of it, by size and name.

    Args:
        dataset: the whole set; runs on other pixels of the same name are not listed.

    Returns:
        the runs.
    """
    runs = [load_run(file) for file in sorted(FOLDER.glob("*/*.npz"))]
    same = [run for run in runs if run.provenance["pixels"] == dataset.digest]
    return sorted(same, key=lambda run: (run.provenance["n_train"], run.provenance["n_test"], str(run.protocol)))


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as failure:
        raise OSError(
            f"{folder} cannot be written ({failure.strerror}); name another folder with --output."
        ) from failure


def _device(device: torch.device, client) -> str:
    """The device in words; of a cluster, each kind of device that its workers have, so that none is mixed unseen."""
    if client is None:
        return device_name(device)
    return "Dask workers: " + ", ".join(sorted(set(client.run(device_name, device).values())))


def _settings(dataset: Dataset, protocol: Protocol, points: tuple[int, Sequence[int]]) -> dict:
    """What decides the numbers of a run."""
    return {
        "dataset": dataset.name,
        "protocol": asdict(protocol),
        "test_point": int(points[0]),
        "rows": [int(row) for row in points[1]],
        "n_train": len(dataset.x_train),
        "n_test": len(dataset.x_test),
        "pixels": dataset.digest,
        "pixel_source": dataset.source,
        "version": VERSION,
    }


def _load_same(file: Path, settings: dict) -> Retraining:
    found = load_run(file)
    made = found.provenance | {"protocol": asdict(found.protocol)}  # with what was not yet named when it was made
    if other := changed(made, settings):
        raise ValueError(
            f"{file} holds a run with another {', '.join(other)}; name another folder with --output, or delete it."
        )
    return found
