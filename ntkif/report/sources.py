"""What a user has on disk, a table or images with labels, read into one kind of thing."""

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ntkif.checks import require_extra
from ntkif.report.tables import read_table

__all__ = ["KINDS", "Source", "read_source"]

KINDS = ".csv, .parquet, .npz or a folder of images, one folder a class"
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Source:
    """Rows and their targets, as they were read.

    Attributes:
        title: what was read.
        target: name of what is predicted.
        y: (n,) targets.
        names: n names of the rows.
        columns: of a table the other columns, else None.
        images: of images (n, height, width) or (n, height, width, 3) numbers from 0 to 1, else None.
        picture: of images a function of a row that gives it in full as (height, width[, 3]) whole numbers to 255.
        notes: what was done in reading, in sentences.
    """

    title: str
    target: str
    y: np.ndarray
    names: list
    columns: pd.DataFrame | None = None
    images: np.ndarray | None = None
    picture: Callable[[int], np.ndarray] | None = None
    notes: list[str] = field(default_factory=list)


def read_source(
    path: Path, target: str | None = None, *, rows: int | None = None, seed: int = 0, side: int = 32
) -> Source:
    """Read a table or images.

    Args:
        path: of a .csv, .parquet or .npz file, or of a folder of images, one folder a class.
        target: of a table the column to predict; of an .npz the array, "y" where absent; of a folder none.
        rows: so many of them, drawn at random; all where absent.
        seed: of the draw.
        side: pixels of the longer side that images of a folder are shrunk to where they are larger.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: another kind of file, no such column or array, no rows, missing targets, no images.
        ModuleNotFoundError: what reads .parquet or images is not installed.
    """
    if path.is_dir():
        return _folder(path, target, rows, seed, side)
    readers = {".csv": _table, ".parquet": _table, ".npz": _arrays}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: expected {KINDS}, got {path.suffix or 'a name without an ending'}.")
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; expected {KINDS}.")
    return readers[path.suffix.lower()](path, target, rows, seed)


def _table(path: Path, target: str | None, rows: int | None, seed: int) -> Source:
    table, of_words = read_table(path)
    table.columns = table.columns.astype(str)
    if target not in table.columns:
        raise ValueError(f"--target: expected one of the columns {', '.join(table.columns)}, got {target}.")
    if table.columns.duplicated().any():
        raise ValueError(f"{path}: expected distinct names of columns, got {target} and others more than once.")
    drawn, notes = _drawn(len(table), rows, seed, path)
    notes += of_words
    table = table.iloc[drawn]
    y = table.pop(target)
    _check_targets(y.isna().to_numpy(), target, drawn)
    return Source(path.name, target, y.to_numpy(), drawn.tolist(), columns=table.reset_index(drop=True), notes=notes)


def _arrays(path: Path, target: str | None, rows: int | None, seed: int) -> Source:
    target = target or "y"
    x, y = _read_arrays(path, target)
    shaped = y.ndim == 1 and (x.ndim in (2, 3) or (x.ndim == 4 and x.shape[3] in (1, 3)))
    if not shaped or len(x) != len(y):
        raise ValueError(
            f"{path}: expected x of shape (n, d), (n, height, width) or (n, height, width, 1 or 3) and {target} of "
            f"shape (n,), got {x.shape} and {y.shape}."
        )
    drawn, notes = _drawn(len(x), rows, seed, path)
    x, y = x[drawn], y[drawn]
    _check_targets(pd.isna(y), target, drawn)
    if x.ndim == 2:
        columns = pd.DataFrame(x, columns=[f"x{column}" for column in range(x.shape[1])])
        return Source(path.name, target, y, drawn.tolist(), columns=columns, notes=notes)
    x = x[..., 0] if x.ndim == 4 and x.shape[3] == 1 else x
    images = _from_zero_to_one(x)
    notes.append(f"The images have {x.shape[1]} x {x.shape[2]} pixels.")
    return Source(
        path.name, target, y, drawn.tolist(), images=images, picture=lambda row: _bytes(images[row]), notes=notes
    )


def _read_arrays(path: Path, target: str) -> tuple[np.ndarray, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: expected a file that numpy.savez wrote, got something else, or a part of one.")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = arrays.files
            read = {name: np.asarray(arrays[name]) for name in ("x", target) if name in names}
    except ValueError as failure:
        raise ValueError(
            f"{path}: expected arrays of numbers or texts, got one of objects, which could hold code, or a broken one; "
            f"save x.astype(float) and {target}.astype(str)."
        ) from failure
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, OSError, RuntimeError) as failure:
        raise ValueError(
            f"{path}: expected a file that numpy.savez wrote, got a broken one ({failure}); write it again."
        ) from failure
    if missing := {"x", target} - set(names):
        raise ValueError(
            f"{path}: expected arrays x and {target}, got {', '.join(names) or 'none'}, without "
            f"{' and '.join(sorted(missing))}; numpy.savez(file, x=..., y=...) makes them."
        )
    return read["x"], read[target]


def _folder(path: Path, target: str | None, rows: int | None, seed: int, side: int) -> Source:
    require_extra("report", "PIL")
    if target is not None:
        raise ValueError(f"--target: expected none for images, whose folders are their classes, got {target}.")
    every = [file for file in path.rglob("*") if file.suffix.lower() in _IMAGES and not _hidden(file, path)]
    files = sorted(file for file in every if file.parent.parent == path)
    if not files:
        raise ValueError(
            f"{path}: expected a folder for each class with images in it ({', '.join(_IMAGES)}), got none; see that "
            f"they lie as {path.name}/cat/1.png."
        )
    drawn, notes = _drawn(len(files), rows, seed, path)
    taken = [files[row] for row in drawn]
    images, of_sizes = _read_images(taken, side)
    notes += of_sizes
    if len(every) > len(files):
        notes.append(
            f"{len(every) - len(files)} images that lie elsewhere than in the folder of a class were left out."
        )
    return Source(
        path.name,
        "class",
        np.array([file.parent.name for file in taken]),
        [f"{file.parent.name}/{file.name}" for file in taken],
        images=images,
        picture=lambda row: _opened(taken[row], 96),
        notes=notes,
    )


def _read_images(files: list[Path], side: int) -> tuple[np.ndarray, list[str]]:
    """Images of one size and one number of colours, and what was done for that."""
    from PIL import Image

    read = [_opened(file, side) for file in files]
    (size, often), *others = Counter(each.shape[:2] for each in read).most_common()
    height, width = size
    colours = any(each.ndim == 3 for each in read)
    notes = [f"The images have {height} x {width} pixels; larger ones were shrunk to {side} on the longer side."]
    if others:
        notes.append(f"{len(read) - often} images of another size were stretched or shrunk to that one.")
    whole = [Image.fromarray(each).convert("RGB" if colours else "L").resize((width, height)) for each in read]
    return np.stack([np.asarray(each) for each in whole]) / 255, notes


def _opened(file: Path, side: int) -> np.ndarray:
    """An image in grey or in three colours, upright, on white where it is transparent, at most so large."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            image = _eight_bits(ImageOps.exif_transpose(image))
            image.thumbnail((side, side))
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as failure:  # as PIL meets broken files
        raise ValueError(
            f"{file}: expected an image, got what cannot be read as one ({failure}); mend or move it."
        ) from failure


def _eight_bits(image):
    """An image of PIL in grey or in three colours, of 8 bits each."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise OSError(f"pixels of kind {image.mode}")  # of no known range
    if image.mode in ("P", "LA", "PA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _hidden(file: Path, folder: Path) -> bool:
    return any(name.startswith(".") for name in file.relative_to(folder).parts)


def _drawn(n: int, rows: int | None, seed: int, path: Path) -> tuple[np.ndarray, list[str]]:
    """Positions of the rows that are taken, in order, and what to say of that."""
    if n == 0:
        raise ValueError(f"{path}: expected rows, got none.")
    if rows is not None and not 1 <= rows <= n:
        raise ValueError(f"--rows: expected between 1 and {n}, the rows there are, got {rows}.")
    if rows is None or rows == n:
        return np.arange(n), []
    drawn = np.sort(np.random.RandomState(seed).permutation(n)[:rows])
    return drawn, [f"{rows} of {n} rows were drawn at random (seed {seed})."]


def _check_targets(missing: np.ndarray, target: str, drawn: np.ndarray) -> None:
    if missing.any():
        raise ValueError(
            f"{target}: expected a target in every row, got none in {missing.sum()} row(s), the first of them row "
            f"{drawn[missing][0]}; drop those rows."
        )


def _from_zero_to_one(x: np.ndarray) -> np.ndarray:
    """Pixels divided by 255 where they are bytes, and else scaled from the least to the largest."""
    if x.dtype == np.uint8:
        return x / 255
    if x.dtype.kind not in "biuf" or not np.isfinite(x).all():
        raise ValueError(f"x: expected finite numbers, got {x.dtype} with others among them.")
    low, high = float(x.min()), float(x.max())
    return (x - low) / ((high - low) or 1)


def _bytes(image: np.ndarray) -> np.ndarray:
    return (255 * image).round().astype(np.uint8)
