"""What scripts of `benchmarks/` measured once and kept under `records/`, with how it was made."""

import hashlib
import io
from pathlib import Path

import pandas as pd

from ntkif.provenance import read_story

__all__ = ["MADE_BY", "ROOT", "measured"]

ROOT = Path(__file__).parents[1]

#: Record -> its scripts, and the command that makes it.
MADE_BY = {
    "conventions": (("conventions.py",), "make peers"),
    "peers": (("truth.py", "peer_tools.py", "peers.py"), "make peers"),
    "peers-large": (("truth.py", "peer_tools.py", "peers.py"), "make peers-large"),
    "growth": (("growth.py", "common.py"), "python benchmarks/growth.py"),
}


def measured(name: str, root: Path = ROOT, **reading) -> tuple[pd.DataFrame, dict]:
    """A table that a benchmark wrote, and its provenance.

    Args:
        name: of `MADE_BY`.
        root: of the project.
        **reading: for `pandas.read_csv`.

    Returns:
        table and provenance, with a `line` that sums it up.

    Raises:
        FileNotFoundError: it was not made yet.
        ValueError: an unknown name; or the record was changed, or the scripts that made it have changed since.
    """
    if name not in MADE_BY:
        raise ValueError(f"unknown measurement {name!r}: expected one of {', '.join(MADE_BY)}.")
    (scripts, command), file = MADE_BY[name], root / "records" / f"{name}.csv"
    if not file.exists():
        raise FileNotFoundError(f"{file} is not made yet; run `{command}`.")
    content = file.read_bytes()
    story = read_story(file, content)
    source = hashlib.sha256(b"".join((root / "benchmarks" / script).read_bytes() for script in scripts)).hexdigest()
    if story is None or story["source"] != source:
        raise ValueError(f"{file}: this record or the code that made it was changed; make it again with `{command}`.")
    versions = ", ".join(f"{package} {number}" for package, number in story["versions"].items())
    said = f"{name} recorded {story['started'][:10]}: {versions}; {story['device']}, commit {story['commit'][:8]}"
    return pd.read_csv(io.BytesIO(content), **reading), story | {"line": said}
