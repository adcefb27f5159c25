"""Tables on disk as pandas reads them, but for words that it takes for missing values."""

from pathlib import Path

import pandas as pd

from ntkif.checks import require_extra

__all__ = ["read_table"]


def read_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """A .csv or .parquet file.

    Of a .csv an empty field is missing; NA, None and what else pandas takes for "missing" is so beside numbers and
    truth values, and beside texts a text, as which a user may have a class.

    Returns:
        the table, and sentences on what was taken as it stands.

    Raises:
        ValueError: what cannot be read, with what to do.
        ModuleNotFoundError: what reads .parquet is not installed.
    """
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)


def _read_parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    require_extra("report", "pyarrow")
    try:
        return pd.read_parquet(path, engine="pyarrow"), []
    except (ValueError, OSError) as failure:  # of which pyarrow's own are kinds
        raise ValueError(
            f"{path}: expected a table that pyarrow can read, got something else, or a part of one; write it again."
        ) from failure


def _read_csv(path: Path) -> tuple[pd.DataFrame, list[str]]:
    table = _parsed(path)
    if table.shape[1] == 1 and (between := [mark for mark in ";\t|" if mark in str(table.columns[0])]):
        raise ValueError(
            f"{path}: expected columns with commas between them, got one, {table.columns[0]!r}; where {between[0]!r} "
            f"stands between them, pandas.read_csv({path.name!r}, sep={between[0]!r}).to_csv(..., index=False) helps."
        )
    places = [at for at in range(table.shape[1]) if _may_be_words(table.iloc[:, at])]
    words = _parsed(path, keep_default_na=False, na_values=[""]) if places else table
    found = []
    for at in places:
        column = words.iloc[:, at]
        if kept := sorted(set(column[table.iloc[:, at].isna().to_numpy()].dropna().astype(str))):
            found.append(f"{table.columns[at]} ({', '.join(kept)})")
            table.isetitem(at, column.array)
    said = "Of texts only empty fields are missing; words like these are taken as they stand: {}."
    return table, [said.format("; ".join(found))] if found else []


def _parsed(path: Path, **options) -> pd.DataFrame:
    try:
        return pd.read_csv(path, low_memory=False, **options)
    except ValueError as failure:  # of letters, of lines, or of nothing there
        raise ValueError(
            f"{path}: expected a table in UTF-8, its first line the names of the columns, with commas between them and "
            f"as many in each line, got what cannot be read so ({str(failure).strip()}); save it as CSV UTF-8."
        ) from failure


def _may_be_words(column: pd.Series) -> bool:
    """Whether what is missing in a column may be a word: all else in it are texts, or nothing else is there."""
    known = column.dropna()
    return len(known) < len(column) and (known.empty or pd.api.types.infer_dtype(known) == "string")
