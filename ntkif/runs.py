"""Runs of `retraining` on disk: resumed where they stopped, and kept with how they were made.

`records/retraining/<dataset>-<n>/<protocol>.npz` holds the predictions of all networks, and the `.json` beside it the
provenance, with the digests of the arrays and of the code that trained.
"""

import hashlib
import io
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ntkif.data import Dataset
from ntkif.files import write_atomically
from ntkif.provenance import commit, device_name, digest_of, now, read_story, write_story
from ntkif.retraining import Protocol, Retraining, retrain, retraining_digest

__all__ = ["FOLDER", "is_fresh", "keep_run", "load_run", "load_runs", "verify_run"]

FOLDER = Path(__file__).parents[1] / "records" / "retraining"
_ARRAYS = ("rows", "epochs", "unsettled", "loss")


def keep_run(
    dataset: Dataset,
    protocol: Protocol,
    points: tuple[int, Sequence[int]],
    folder: Path,
    *,
    progress: bool = True,
    client=None,
) -> Retraining:
    """`retrain`, with each finished network written at once.

    Killed at any moment and called again, it goes on with the network that it was at, and the `.npz` is in the end
    the same, byte for byte, as without interruption.

    Args:
        dataset: training and test images, in float64; training takes place on their device.
        protocol: how to train.
        points: a test point and training rows, see `chosen_points`.
        folder: where the run is kept, as `<folder>/<dataset>-<n>/<protocol>.npz` and `.json`.
        progress: whether to show a bar with the time left.
        client: a Dask client whose workers train, see `retrain`; it goes on only with workers of the same kind.

    Returns:
        the run as stored. A finished run is loaded, not made again.

    Raises:
        TypeError, ValueError, MemoryError: as `train`; or the folder holds a run of that name with other settings.
    """
    story, started, made_by = _story(dataset, protocol, points), now(), commit()
    file = Path(folder) / f"{dataset.name.split()[0]}-{len(dataset.x_train)}" / f"{protocol}.npz"
    # Parts of another machine's run are not mixed with this one's.
    machine = {"device": _device(dataset.x_train.device, client), "torch": torch.__version__}
    parts = file.with_name(f"{file.stem}.{digest_of(story | machine)[:16]}.parts")
    if file.with_suffix(".json").exists():
        shutil.rmtree(parts, ignore_errors=True)  # where the call that finished was killed before it could
        return _load_same(file, story)
    run, buffer = retrain(dataset, protocol, points, parts=parts, progress=progress, client=client), io.BytesIO()
    arrays = {name: getattr(run, name) for name in _ARRAYS} | {"predictions": run.predictions.numpy()}
    np.savez_compressed(buffer, **arrays)
    story |= {
        "commit": made_by,
        **machine,
        "python": platform.python_version(),
        "started": started,
        "seconds": round(run.seconds, 1),
        "table": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    write_atomically(file, lambda stream: stream.write(buffer.getvalue()))
    write_story(file, story)
    shutil.rmtree(parts, ignore_errors=True)
    return load_run(file)


def _device(device: torch.device, client) -> str:
    """The device in words; of a cluster, each kind of device that its workers have, so that none is mixed unseen."""
    if client is None:
        return device_name(device)
    return "Dask workers: " + ", ".join(sorted(set(client.run(device_name, device).values())))


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
    if not (file.exists() and file.with_suffix(".json").exists()):
        raise FileNotFoundError(f"{file} or the .json beside it is missing; call `python -m ntkif retrain ...` again.")
    content = file.read_bytes()
    story = read_story(file, content)
    if story is None:
        raise ValueError(f"{file} and the .json beside it do not belong together or were changed; record them again.")
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in _ARRAYS}
        predictions = torch.from_numpy(saved["predictions"])
    return Retraining(
        Protocol(**story["protocol"]),
        story["test_point"],
        predictions=predictions,
        seconds=story["seconds"],
        provenance=story,
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


def is_fresh(run: Retraining) -> bool:
    """Whether the code that trains is that which made a stored run, or reproduced its first network."""
    return retraining_digest() in (run.provenance["source"], run.provenance.get("reproduced", {}).get("source"))


def verify_run(file: Path, dataset: Dataset) -> Retraining:
    """Train the first network of a stored run again; if it predicts the same, note in the `.json` that it does.

    So a run that took hours stays valid when the code that trains changes and the numbers do not.

    Args:
        file: the `.npz` of the run.
        dataset: the whole image set; not looked at where the run is fresh.

    Returns:
        the run as it is then stored.

    Raises:
        FileNotFoundError, ValueError: as `load_run`; or a prediction differs by more than 1e-5 or the epochs differ.
    """
    run = load_run(file)
    if is_fresh(run):
        return run
    story = run.provenance
    again = retrain(dataset.head(story["n_train"], story["n_test"]), run.protocol, (run.test_point, []), progress=False)
    difference = float((again.predictions[0] - run.predictions[0]).abs().max())
    if difference > 1e-5 or again.epochs[0] != run.epochs[0]:
        raise ValueError(
            f"{file}: today's code predicts otherwise, by up to {difference:.1e} ({again.epochs[0]} epochs where the "
            f"run took {run.epochs[0]}); delete the run and record it again."
        )
    told = {"source": retraining_digest(), "commit": commit(), "date": now(), "largest_difference": difference}
    write_story(file, story | {"reproduced": told})
    return load_run(file)


def _story(dataset: Dataset, protocol: Protocol, points: tuple[int, Sequence[int]]) -> dict:
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
        "source": retraining_digest(),
    }


def _load_same(file: Path, story: dict) -> Retraining:
    found = load_run(file)
    other = [name for name in story if found.provenance[name] != json.loads(json.dumps(story[name]))]
    if other:
        raise ValueError(
            f"{file} holds a run with another {', '.join(other)}; name another folder with --output, or delete it."
        )
    return found
