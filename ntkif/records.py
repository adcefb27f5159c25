"""Results computed beforehand, at the paper's size: a table and how it was made <-> two files under `records/`.

`records/<experiment>/<dataset>.csv` holds the table, and the `.json` beside it the provenance, with the digest of the
table and of the code that produced it, so that neither can change unnoticed.
"""

import base64
import hashlib
import inspect
import io
import json
import platform
import re
import subprocess
import textwrap
import time
import tokenize
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

import numpy as np
import pandas as pd
import torch

from ntkif import experiments
from ntkif.data import Dataset
from ntkif.files import write_atomically

__all__ = ["EXPERIMENTS", "FOLDER", "Experiment", "Record", "load_record", "record", "source_digest", "unpack_images"]

FOLDER = Path(__file__).parents[1] / "records"
# The paper states these for the ten-class sets (Figure 8) and none for two classes, which get the same here.
_RIDGE = {"mnist": 4.0, "cifar": 10.0, "mini-mnist": 4.0, "mini-cifar": 10.0}


@dataclass(frozen=True)
class Experiment:
    """What can be recorded: a function of `experiments` and its settings, by data set."""

    function: Callable[..., pd.DataFrame]
    settings: dict[str, dict]


EXPERIMENTS = {
    "proposition-2": Experiment(
        experiments.decomposition, {name: {"ridges": [2.0**e for e in range(-4, 5)]} for name in _RIDGE}
    ),
    "figure-4-images": Experiment(
        experiments.extreme_images, {name: {"ridge": ridge, "count": 10} for name, ridge in _RIDGE.items()}
    ),
    "figure-4-likeness": Experiment(
        experiments.image_likeness,
        {name: {"ridge": ridge, "count": 40, "draws": 1000, "seed": 0} for name, ridge in _RIDGE.items()},
    ),
}


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
            f"commit {p['commit'][:8]}"
        )


def record(experiment: str, dataset: Dataset, folder: Path = FOLDER) -> Record:
    """Run an experiment on a data set and store its table and provenance, both or neither.

    Args:
        experiment: a name of `EXPERIMENTS`.
        dataset: loaded image set; its device and dtype are those of the computation.
        folder: where records are kept.

    Returns:
        the record, as stored.

    Raises:
        ValueError: an unknown experiment, or one that has no settings for this data set.
    """
    function, settings = _settings(experiment, dataset.name)
    started, clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.perf_counter()
    table = function(dataset, **settings)
    seconds = time.perf_counter() - clock
    if "row" in table:  # of an image: keep its pixels, so that the record can be drawn without the data set
        table["pixels"] = [_pack_image(image) for image in dataset.images_train[table["row"]]]
    text = table.to_csv(index=False, float_format="%.10g")
    provenance = {
        "experiment": experiment,
        "dataset": dataset.name,
        "settings": settings,
        "n_train": len(dataset.x_train),
        "n_test": len(dataset.x_test),
        "dtype": str(dataset.x_train.dtype),
        "device": _device_name(dataset.x_train.device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "pixels": dataset.digest,
        "pixel_source": dataset.source,
        "commit": _commit(),
        "source": source_digest(function),
        "table": hashlib.sha256(text.encode()).hexdigest(),
        "started": started,
        "seconds": round(seconds, 1),
    }
    file, story = Path(folder) / experiment / f"{dataset.name}.csv", json.dumps(provenance, indent=1) + "\n"
    write_atomically(file, lambda stream: stream.write(text.encode()))
    write_atomically(file.with_suffix(".json"), lambda stream: stream.write(story.encode()))
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
        ValueError: an unknown name, or a table that is not the one that the provenance speaks of.
        FileNotFoundError: not recorded yet; gives the command that records it.
    """
    _settings(experiment, dataset)
    file, command = Path(folder) / experiment / f"{dataset}.csv", f"python -m ntkif record {experiment} {dataset}"
    if not file.exists() or not file.with_suffix(".json").exists():
        raise FileNotFoundError(f"{file} is not recorded yet; run `{command}`.")
    text, provenance = file.read_text(), json.loads(file.with_suffix(".json").read_text())
    if hashlib.sha256(text.encode()).hexdigest() != provenance["table"]:
        raise ValueError(f"{file} is not the table that its .json describes; run `{command}` again.")
    return Record(pd.read_csv(io.StringIO(text), dtype={"label": str}), provenance)


def unpack_images(table: pd.DataFrame) -> np.ndarray:
    """(count, height, width) or (count, height, width, 3) pixels of the images in a recorded table."""
    return np.stack([_unpack_image(text) for text in table["pixels"]])


def source_digest(function: Callable) -> str:
    """SHA-256 of the code of a function and of everything of this package that it calls, directly or not.

    Comments, docstrings and layout do not count, so a record goes stale only when what produced it changes.
    """
    seen: dict[str, str] = {}
    _collect(function, seen)
    return hashlib.sha256("\n".join(f"{name}: {seen[name]}" for name in sorted(seen)).encode()).hexdigest()


def _settings(experiment: str, dataset: str) -> tuple[Callable, dict]:
    if experiment not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment!r}: expected one of {', '.join(EXPERIMENTS)}.")
    known = EXPERIMENTS[experiment]
    if dataset not in known.settings:
        raise ValueError(f"{experiment} has no settings for {dataset!r}: expected one of {', '.join(known.settings)}.")
    return known.function, known.settings[dataset]


def _collect(thing: Callable | type, seen: dict[str, str]) -> None:
    name = f"{thing.__module__}.{thing.__qualname__}"
    if name in seen:
        return
    seen[name] = _bare_source(thing)
    methods = vars(thing).values() if inspect.isclass(thing) else [thing]
    for method in methods:
        method = method.fget if isinstance(method, property) else getattr(method, "__func__", method)
        if inspect.isfunction(method) and method.__module__ == thing.__module__:
            for used in _names(method.__code__):
                found = method.__globals__.get(used)
                if callable(found) and getattr(found, "__module__", "").startswith("ntkif."):
                    _collect(found, seen)
                elif isinstance(found, int | float | str | tuple):
                    seen[f"{method.__module__}.{used}"] = repr(found)


def _names(code: CodeType) -> set[str]:
    nested = [_names(const) for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*nested)


def _bare_source(thing: Callable | type) -> str:
    """Source without comments, docstrings and white space."""
    source = textwrap.dedent(inspect.getsource(thing))
    source = re.sub(r'^( *)(r?"""(?:.|\n)*?""")$', r"\1", source, flags=re.MULTILINE)
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return " ".join(" ".join(lines).split())


def _pack_image(image: np.ndarray) -> str:
    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(image), 9)).decode()
    return "x".join(map(str, image.shape)) + ":" + packed


def _unpack_image(text: str) -> np.ndarray:
    shape, packed = text.split(":")
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    return pixels.reshape([int(size) for size in shape.split("x")])


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def _commit() -> str:
    """The commit of the package, marked where its code has changes that are not committed."""
    commit, changes = (
        subprocess.run(["git", *words], cwd=FOLDER.parent, capture_output=True, text=True).stdout.strip()
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "ntkif"))
    )
    return (commit or "unknown") + ("-dirty" if changes else "")
