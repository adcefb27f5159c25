"""Results computed beforehand, at the paper's size: a table and how it was made <-> two files under `records/`.

`records/<experiment>/<dataset>.csv` holds the table, and the `.json` beside it the provenance, with the digest of the
table and of the code that produced it, so that neither can change unnoticed.
"""

import ast
import base64
import hashlib
import inspect
import io
import json
import platform
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ntkif import experiments
from ntkif.data import Dataset
from ntkif.files import write_atomically

__all__ = [
    "EXPERIMENTS",
    "FOLDER",
    "Experiment",
    "Record",
    "load_record",
    "record",
    "settings_of",
    "source_digest",
    "unpack_images",
]

FOLDER = Path(__file__).parents[1] / "records"
# What these modules do, pixels and tables answer for with digests of their own.
_NO_NUMBERS = {"ntkif.archives", "ntkif.checks", "ntkif.files"}
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
    source, commit = source_digest(function), _commit()  # before the run: the code may be edited meanwhile
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
        "commit": commit,
        "source": source,
        "table": hashlib.sha256(text.encode()).hexdigest(),
        "started": started,
        "seconds": round(seconds, 1),
    }
    provenance["digest"] = _digest_of(provenance)
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
        ValueError: an unknown name, or a table or provenance that was changed or is not the other's.
        FileNotFoundError: not recorded yet; gives the command that records it.
    """
    settings_of(experiment, dataset)
    file, command = Path(folder) / experiment / f"{dataset}.csv", f"python -m ntkif record {experiment} {dataset}"
    if not file.exists() or not file.with_suffix(".json").exists():
        raise FileNotFoundError(f"{file} is not recorded yet; run `{command}`.")
    text = file.read_text()
    try:
        provenance = json.loads(file.with_suffix(".json").read_text())
        whole = provenance["table"] == hashlib.sha256(text.encode()).hexdigest()
        whole = whole and provenance["digest"] == _digest_of(provenance)
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ValueError(f"{file} and the .json beside it do not belong together or were changed; run `{command}`.")
    return Record(pd.read_csv(io.StringIO(text), dtype={"label": str}), provenance)


def unpack_images(table: pd.DataFrame) -> np.ndarray:
    """(count, height, width) or (count, height, width, 3) pixels of the images in a recorded table."""
    return np.stack([_unpack_image(text) for text in table["pixels"]])


def source_digest(function: Callable) -> str:
    """SHA-256 of the code behind an experiment, by its syntax: comments, docstrings and layout do not count.

    That is the function, what it reaches in its own module, and the whole of every other module of this package that
    its module imports, directly or not, but for those that only check input and handle files.
    """
    module = inspect.getmodule(function)
    parts = [_reached(ast.parse(inspect.getsource(module)), function.__name__)]
    parts += [ast.parse(inspect.getsource(sys.modules[name])) for name in sorted(_imports(module.__name__))]
    return hashlib.sha256("\n".join(str(_skeleton(part)) for part in parts).encode()).hexdigest()


def settings_of(experiment: str, dataset: str) -> tuple[Callable, dict]:
    """Function and settings of an experiment on a data set.

    Raises:
        ValueError: an unknown experiment, or one that has no settings for this data set.
    """
    if experiment not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment!r}: expected one of {', '.join(EXPERIMENTS)}.")
    known = EXPERIMENTS[experiment]
    if dataset not in known.settings:
        raise ValueError(f"{experiment} has no settings for {dataset!r}: expected one of {', '.join(known.settings)}.")
    return known.function, known.settings[dataset]


def _reached(module: ast.Module, name: str) -> list[ast.stmt]:
    """The definition of a name at the top level of a module, and those of all that it uses from there."""
    defined = {}
    for statement in module.body:
        for target in getattr(statement, "targets", [getattr(statement, "target", statement)]):
            defined[getattr(target, "name", getattr(target, "id", None))] = statement
    found, wanted = {}, [name]
    while wanted:
        statement = defined.get(name := wanted.pop())
        if statement is not None and name not in found:
            found[name] = statement
            wanted += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return [found[name] for name in sorted(found)]


def _imports(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """Modules of this package that a module imports, directly or not."""
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[name]))):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "ntkif":
            names = [node.module] if node.module != "ntkif" else [f"ntkif.{alias.name}" for alias in node.names]
            for imported in set(names) - seen - _NO_NUMBERS:
                seen = _imports(imported, seen | {imported})
    return seen


def _skeleton(node: object) -> object:
    """A syntax tree as nested lists without docstrings and positions, the same for every version of Python."""
    if isinstance(node, list):
        return [_skeleton(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, []) and name != "kind"}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        fields["body"] = fields["body"][1:]
    return [type(node).__name__, *([name, _skeleton(fields[name])] for name in sorted(fields))]


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


def _digest_of(provenance: dict) -> str:
    told = {key: value for key, value in provenance.items() if key != "digest"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _commit() -> str:
    """The commit of the package, marked where its code has changes that are not committed."""
    try:
        commit, changes = (
            subprocess.run(["git", *words], cwd=FOLDER.parent, capture_output=True, text=True).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "ntkif"))
        )
    except OSError:  # no git on this machine
        return "unknown"
    return (commit or "unknown") + ("-dirty" if changes else "")
