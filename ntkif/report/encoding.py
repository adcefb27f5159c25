"""From what was read to numbers: what is predicted, and columns that a kernel can be computed of."""

import numpy as np
import pandas as pd

from ntkif.report.sources import Source

__all__ = ["CLASSIFICATION", "REGRESSION", "encode_columns", "points_of", "target_of", "task_of", "whole"]

CLASSIFICATION, REGRESSION = "classification", "regression"
_CLASSES, _TEXTS = 20, 50


def whole(values: np.ndarray | float) -> np.ndarray | bool:
    """Which floating-point numbers are whole, and below 2^53, where they know their units."""
    return (np.abs(values) < 2.0**53) & (values == np.round(values))


def task_of(y: np.ndarray, asked: str | None = None) -> str:
    """What a target asks for: texts and up to 20 whole numbers are classes, all else is to be hit.

    Raises:
        ValueError: another task than the two, or one that the target does not allow.
    """
    if asked not in (None, CLASSIFICATION, REGRESSION):
        raise ValueError(f"--task: expected {CLASSIFICATION} or {REGRESSION}, got {asked}.")
    if asked is not None:
        return asked
    if y.dtype.kind not in "iuf":
        return CLASSIFICATION
    whole = bool((y == np.round(y)).all())
    return CLASSIFICATION if whole and len(np.unique(y)) <= _CLASSES else REGRESSION


def target_of(y: np.ndarray, task: str, name: str) -> np.ndarray:
    """(n,) targets as the estimators take them: numbers to be hit, or labels, texts or whole numbers.

    Raises:
        ValueError: complex numbers, one class, nearly as many classes as rows, or what has to be hit is no number.
    """
    if y.dtype.kind == "c":
        raise ValueError(f"{name}: expected labels or real numbers, got {y.dtype}; save one of their two parts.")
    if task == REGRESSION:
        return _numbers(y, name)
    if y.dtype.kind == "f" and whole(y).all():
        y = y.astype(np.int64)
    y = y if y.dtype.kind in "iu" else y.astype(str)
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(f"{name}: expected at least two classes, got one, {classes[0]}; there is nothing to tell.")
    if len(classes) > len(y) / 2:
        raise ValueError(
            f"{name}: expected a label that several rows have, got {len(classes)} different ones in {len(y)} rows; "
            f"name another column, or set --task {REGRESSION} where it is a number."
        )
    return y


def _numbers(y: np.ndarray, name: str) -> np.ndarray:
    try:
        numbers = y.astype(np.float64)
    except (ValueError, TypeError) as failure:
        raise ValueError(
            f"{name}: expected numbers for {REGRESSION}, got {y[0]!r} and others; set --task {CLASSIFICATION} where "
            f"they are labels."
        ) from failure
    if not np.isfinite(numbers).all() or (numbers == numbers[0]).all():
        raise ValueError(f"{name}: expected finite numbers that are not all equal, got {numbers[:3].tolist()} ...")
    with np.errstate(over="ignore", under="ignore"):
        squares = np.square(numbers - numbers.mean()).sum()
    if not 0 < squares < np.inf:
        raise ValueError(
            f"{name}: expected numbers whose squares can be summed, got {numbers[:3].tolist()} ...; give them in "
            f"another unit."
        )
    return numbers


def points_of(source: Source) -> tuple[np.ndarray, list[str]]:
    """(n, d) numbers of what was read, and what was done to it."""
    if source.images is None:
        return encode_columns(source.columns)
    return source.images.reshape(len(source.y), -1), ["Pixels stand as they are, each image divided by its norm."]


def encode_columns(columns: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Columns as numbers, from all rows at once: what they teach is held fixed when a row is left out.

    Numbers and dates are standardised, with their mean where they are missing; texts, labels and truth values get a
    column of zeros and ones for each value, missing ones too. Columns that say nothing, or texts with more than 50
    values, are left out.

    Args:
        columns: of a table.

    Returns:
        (n, d) numbers, and sentences that say what was done.

    Raises:
        ValueError: an infinite or complex number, lists or other things in a column, or no column that says anything.
    """
    parts, done = [], {kind: [] for kind in _SENTENCES}
    for name in columns:
        column = columns[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            column = column.astype("int64").where(column.notna())
        number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        kind, part = (_standardised if number else _one_hot)(name, column)
        done[kind].append(str(name))
        if part is not None:
            parts.append(part)
            if column.isna().any() and number:
                done["missing"].append(f"{name} ({column.isna().sum()})")
    if not parts:
        raise ValueError(f"expected a column beside the target that says something, got {list(columns)}.")
    notes = [_SENTENCES[kind].format(_list(names)) for kind, names in done.items() if names]
    return np.hstack(parts), notes


_SENTENCES = {
    "standardised": "Numbers were standardised, mean 0 and deviation 1: {}.",
    "missing": "Missing numbers were set to the mean of their column: {}.",
    "one-hot": "Texts became a column of zeros and ones for each value, missing ones too: {}.",
    "constant": "Left out, since all rows have the same: {}.",
    "too many": f"Left out, texts with more than {_TEXTS} values: {{}}.",
}


def _standardised(name: str, column: pd.Series) -> tuple[str, np.ndarray | None]:
    if pd.api.types.is_complex_dtype(column):
        raise ValueError(
            f"{name}: expected real numbers, got {column.dtype}; make a column of each of their two parts."
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        raise ValueError(f"{name}: expected finite numbers, got {values[np.isinf(values)][0]}; mend or drop the rows.")
    known = values[~np.isnan(values)]
    if len(known) == 0 or known.max() == known.min():
        return "constant", None
    power = -np.frexp(np.abs(known).max())[1]  # of two, which rounds nothing, so that squares keep their digits
    values, known = np.ldexp(values, power), np.ldexp(known, power)
    scaled = (values - known.mean()) / known.std()
    return "standardised", np.nan_to_num(scaled)[:, None]


def _one_hot(name: str, column: pd.Series) -> tuple[str, np.ndarray | None]:
    try:
        place, values = pd.factorize(column.astype(object), use_na_sentinel=False)
    except TypeError as failure:  # of what cannot be told apart
        raise ValueError(
            f"{name}: expected numbers, dates or texts, got {column.iloc[0]!r}; drop the column."
        ) from failure
    if len(values) < 2:
        return "constant", None
    if len(values) > _TEXTS:
        return "too many", None
    return "one-hot", np.eye(len(values))[place]


def _list(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
