"""Results computed beforehand, at the paper's size: a table and how it was made <-> two files under `records/`.

`records/<experiment>/<dataset>.csv` holds the table, and the `.json` beside it the provenance, with the digest of the
table and of the code that produced it, so that neither can change unnoticed.
"""

import base64
import hashlib
import io
import json
import platform
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ntkif.catalogue import EXPERIMENTS, settings_of
from ntkif.data import Dataset
from ntkif.files import write_atomically
from ntkif.provenance import commit, device_name, now, read_story, source_digest, write_story

__all__ = [
    "FOLDER",
    "Record",
    "load_record",
    "record",
    "record_all",
    "stale_reason",
    "unpack_images",
    "unpack_test_images",
]

FOLDER = Path(__file__).parents[1] / "records"


@dataclass(frozen=True, eq=False)
class Record:
    """A recorded table and its provenance."""

    table: pd.DataFrame
    provenance: dict

    def __str__(self) -> str:
        """One line: what was computed on which pixels, where, when and by which code."""
        p = self.provenance
        return (
            f"{p['dataset']} recorded {p['started'][:10]}: {p['n_train']} + {p['n_test']} images, {p['pixel_source']}, "
            f"sha256 {p['pixels'][:8]}; {p['dtype']} on {p['device']}, torch {p['torch']}, {p['seconds']:.0f} s, "
            f"commit {p['commit'][:8]}{p['commit'][40:]}"
        )


def record(experiment: str, dataset: Dataset, folder: Path = FOLDER) -> Record:
    """Run an experiment on a data set and store its table, then its provenance.

    Each file is whole or not there; a table without its own provenance is refused by `load_record`.

    Args:
        experiment: a name of `EXPERIMENTS`.
        dataset: loaded image set; its device and dtype are those of the computation.
        folder: where records are kept.

    Returns:
        the record, as stored.

    Raises:
        ValueError: an unknown experiment, or one that has no settings for this data set.
    """
    function, settings = settings_of(experiment, dataset.name)
    source, made_by = source_digest(function), commit()  # before the run: the code may be edited meanwhile
    started, clock = now(), time.perf_counter()
    table = function(dataset, **settings)
    seconds = time.perf_counter() - clock
    if "row" in table:  # of an image: keep its pixels, so that the record can be drawn without the data set
        table["pixels"] = [_pack_image(image) for image in dataset.images_train[table["row"]]]
    if "test_row" in table:  # once for each test image
        first = table["test_row"].drop_duplicates()
        packed = [_pack_image(image) for image in dataset.images_test[first]]
        table["test_pixels"] = pd.Series(packed, index=first.index).reindex(table.index, fill_value="")
    content = table.to_csv(index=False, float_format="%.10g").encode()
    provenance = {
        "experiment": experiment,
        "dataset": dataset.name,
        "settings": settings,
        "n_train": len(dataset.x_train),
        "n_test": len(dataset.x_test),
        "dtype": str(dataset.x_train.dtype),
        "device": device_name(dataset.x_train.device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "pixels": dataset.digest,
        "pixel_source": dataset.source,
        "commit": made_by,
        "source": source,
        "table": hashlib.sha256(content).hexdigest(),
        "started": started,
        "seconds": round(seconds, 1),
    }
    file = Path(folder) / experiment / f"{dataset.name}.csv"
    write_atomically(file, lambda stream: stream.write(content))
    write_story(file, provenance)
    return load_record(experiment, dataset.name, folder)


def load_record(experiment: str, dataset: str, folder: Path = FOLDER) -> Record:
    """A stored record.

    Args:
        experiment: a name of `EXPERIMENTS`.
        dataset: name of the image set.
        folder: where records are kept.

    Returns:
        table and provenance.

    Raises:
        ValueError: an unknown name, or a table or provenance that was changed or is not the other's.
        FileNotFoundError: not recorded yet; gives the command that records it.
    """
    settings_of(experiment, dataset)
    file, command = Path(folder) / experiment / f"{dataset}.csv", f"python -m ntkif record {experiment} {dataset}"
    if not file.exists() or not file.with_suffix(".json").exists():
        raise FileNotFoundError(f"{file} is not recorded yet; run `{command}`.")
    content = file.read_bytes()
    provenance = read_story(file, content)
    if provenance is None:
        raise ValueError(f"{file} and the .json beside it do not belong together or were changed; run `{command}`.")
    return Record(pd.read_csv(io.BytesIO(content), dtype={"label": str, "run": str}), provenance)


def unpack_images(table: pd.DataFrame) -> np.ndarray:
    """(count, height, width) or (count, height, width, 3) pixels of the training images in a recorded table."""
    return np.stack([_unpack_image(text) for text in table["pixels"]])


def unpack_test_images(table: pd.DataFrame) -> np.ndarray:
    """Pixels of the test images in a recorded table, each once, in the order in which they come."""
    return np.stack([_unpack_image(text) for text in table.drop_duplicates("test_row")["test_pixels"]])


def stale_reason(experiment: str, dataset: str, folder: Path = FOLDER) -> str | None:
    """Why a record has to be made again, with the command that does; None where it is whole and fresh.

    Fresh means: made by the code as it is now, with the settings as they are now.
    """
    function, settings = settings_of(experiment, dataset)
    try:
        found = load_record(experiment, dataset, folder).provenance
    except (FileNotFoundError, ValueError) as failure:
        return str(failure)
    again = f"has changed since it was recorded; run `python -m ntkif record {experiment} {dataset}`."
    if found["source"] != source_digest(function):
        return f"the code of {experiment} {again}"
    if found["settings"] != json.loads(json.dumps(settings)):
        return f"what {experiment} asks for on {dataset} {again}"
    return None


def record_all(
    load: Callable[[str], Dataset], folder: Path = FOLDER, say: Callable[[str], object] = print
) -> list[Record]:
    """Make every record that is missing or stale, one data set after the other, so that each is factorised once.

    Each record is kept as soon as it is made: killed and called again, this goes on with the next.

    Args:
        load: gives the data set of a name; called only for those with something to do.
        folder: where records are kept.
        say: told of each record before and after it is made.

    Returns:
        the records that were made.
    """
    names = list(dict.fromkeys(name for known in EXPERIMENTS.values() for name in known.settings))
    every = [(name, title) for name in names for title, known in EXPERIMENTS.items() if name in known.settings]
    stale = [(name, title) for name, title in every if stale_reason(title, name, folder) is not None]
    say(f"{len(every)} records, {len(every) - len(stale)} of them fresh, {len(stale)} to make")
    made, dataset = [], None
    for place, (name, title) in enumerate(stale, start=1):
        if dataset is None or dataset.name != name:
            dataset = load(name)  # the one before goes, and with it what was solved on it
        say(f"[{place}/{len(stale)}] {title} on {name} ...")
        made.append(record(title, dataset, folder))
        say(f"[{place}/{len(stale)}] {title} on {name}: {made[-1].provenance['seconds']:.0f} s")
    return made


def _pack_image(image: np.ndarray) -> str:
    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(image), 9)).decode()
    return "x".join(map(str, image.shape)) + ":" + packed


def _unpack_image(text: str) -> np.ndarray:
    shape, packed = text.split(":")
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    return pixels.reshape([int(size) for size in shape.split("x")])
