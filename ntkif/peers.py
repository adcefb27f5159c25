"""What other tools for influence answer, measured by `benchmarks/conventions.py` in an environment of their own."""

import hashlib
import io
from pathlib import Path

import pandas as pd

from ntkif.provenance import read_story

__all__ = ["conventions"]

_ROOT = Path(__file__).parents[1]


def conventions(root: Path = _ROOT) -> tuple[pd.DataFrame, str]:
    """Sign, orientation and scale of each tool's influence, and how that was measured.

    Args:
        root: of the project.

    Returns:
        a row for each tool and loss, and one line of provenance.

    Raises:
        ValueError: the record was changed, or the code that made it has changed since.
    """
    file = root / "records" / "conventions.csv"
    content = file.read_bytes()
    story = read_story(file, content)
    source = hashlib.sha256((root / "benchmarks" / "conventions.py").read_bytes()).hexdigest()
    if story is None or story["source"] != source:
        raise ValueError(f"{file}: this record or the code that made it was changed; make it again with `make peers`.")
    versions = ", ".join(f"{name} {number}" for name, number in story["versions"].items())
    line = f"conventions recorded {story['started'][:10]}: {versions}; {story['device']}, commit {story['commit'][:8]}"
    return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False), line
