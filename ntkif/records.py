"""Results computed beforehand, at the paper's size: a table and how it was made <-> two files under `records/`.

`records/<experiment>/<dataset>.csv` holds the table, and the `.json` beside it the provenance, with the digest of the
table and of the code that produced it, so that neither can change unnoticed.
"""

import base64
import hashlib
import io
import platform
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ntkif import (
    complexity_experiments,
    deep_experiments,
    experiments,
    finite_width,
    ihvp_density,
    ihvp_errors,
    label_noise,
    own_kernel_experiments,
    paper,
    training_dynamics,
)
from ntkif.data import Dataset
from ntkif.files import write_atomically
from ntkif.provenance import commit, device_name, now, read_story, source_digest, write_story

__all__ = [
    "EXPERIMENTS",
    "FOLDER",
    "Experiment",
    "Record",
    "load_record",
    "record",
    "settings_of",
    "unpack_images",
    "unpack_test_images",
]

FOLDER = Path(__file__).parents[1] / "records"


@dataclass(frozen=True)
class Experiment:
    """What can be recorded: a function of `experiments` and its settings, by data set."""

    function: Callable[..., pd.DataFrame]
    settings: dict[str, dict]


_RIDGES = [2.0**e for e in range(-4, 5)]  # of Figure 2
_FEW_RIDGES = [2.0**-4, 0.25, 1.0, 4.0, 10.0, 16.0]  # the same range, with those of Figure 8
_TIMES = [float(f"{10 ** (e / 2):.2g}") for e in range(-10, 5)]  # two for each factor of ten, 1e-5 to 100
EXPERIMENTS = {
    "proposition-2": Experiment(experiments.decomposition, {name: {"ridges": _RIDGES} for name in paper.RIDGE}),
    "figure-2": Experiment(ihvp_errors.errors_by_ridge, {name: {"ridges": _RIDGES} for name in paper.RIDGE}),
    "figure-3": Experiment(
        ihvp_density.density_correlations,
        {
            name: {
                "ridges": [2.0**-4, 0.5, 4.0, 2.0**4],
                "factors": [0.25, 0.5, 1.0, 2.0, 4.0],
                "components": [2, 5, 10, 20, 50, 100],
            }
            for name in paper.RIDGE
        },
    ),
    "figure-3-deciles": Experiment(
        ihvp_density.density_deciles,
        {name: {"ridges": [2.0**-4, 0.5, 4.0, 2.0**4], "factors": [1.0], "components": [10]} for name in paper.RIDGE},
    ),
    "figure-4-images": Experiment(
        experiments.extreme_images, {name: {"ridge": ridge, "count": 10} for name, ridge in paper.RIDGE.items()}
    ),
    "figure-4-likeness": Experiment(
        experiments.image_likeness,
        {name: {"ridge": ridge, "count": 40, "draws": 1000, "seed": 0} for name, ridge in paper.RIDGE.items()},
    ),
    "figure-5": Experiment(
        complexity_experiments.complexity_by_group,
        {name: {"ridges": _FEW_RIDGES, "groups": 10, "draws": 1000, "seed": 0} for name in paper.RIDGE},
    ),
    "figure-5-points": Experiment(
        complexity_experiments.complexity_by_point, {name: {"ridges": _FEW_RIDGES} for name in paper.RIDGE}
    ),
    "figure-6-images": Experiment(
        training_dynamics.images_along,
        {
            name: {
                "ridge": 0.0,
                "times": [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0],
                "test_rows": [0, 1, 2, 3, 4],
                "kinds": ["influential"],
            }
            for name in paper.RIDGE
        },
    ),
    "figure-6-turnover": Experiment(
        training_dynamics.turnover, {name: {"ridge": 0.0, "times": _TIMES, "top": 10} for name in paper.RIDGE}
    ),
    "figure-7": Experiment(
        label_noise.noise_along,
        {name: {"share": 0.4, "seed": 0, "ridge": 0.0, "times": _TIMES, "tops": [1, 10, 40]} for name in paper.RIDGE},
    ),
    "own-kernel": Experiment(
        own_kernel_experiments.two_layer_scores,
        {
            name: {
                "n_train": 200,
                "n_test": 200,
                "ridge": 1.0,
                "widths": [256, 1024],
                "starts": [[1.0, True], [0.01, False]],
                "seeds": [0, 1, 2],
                "removals": 12,
            }
            for name in paper.RIDGE
        },
    ),
    "deeper-networks": Experiment(
        deep_experiments.deep_scores,
        {
            name: {
                "n_train": 200,
                "n_test": 200,
                "ridge": 1.0,
                "networks": networks,
                "seeds": [0, 1, 2],
                "removals": 6,
                "iterations": 100,
            }
            for names, networks in {
                ("mnist", "cifar"): [
                    "MLP, width 128",
                    "antisymmetric MLP, width 128",
                    "antisymmetric conv, ReLU",
                    "antisymmetric conv, GELU",
                ],
                # With ten outputs the own kernel costs a hundred times as much, so the networks are smaller.
                ("mini-mnist", "mini-cifar"): ["antisymmetric MLP, width 64", "antisymmetric conv, GELU"],
            }.items()
            for name in names
        },
    ),
    "figure-1": Experiment(finite_width.recorded_pairs, {name: {} for name in paper.RIDGE}),
    "table-1": Experiment(finite_width.recorded_scores, {name: {} for name in paper.RIDGE}),
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


def _pack_image(image: np.ndarray) -> str:
    packed = base64.b64encode(zlib.compress(np.ascontiguousarray(image), 9)).decode()
    return "x".join(map(str, image.shape)) + ":" + packed


def _unpack_image(text: str) -> np.ndarray:
    shape, packed = text.split(":")
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    return pixels.reshape([int(size) for size in shape.split("x")])
