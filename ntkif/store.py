"""Results on disk, each a file with a `.json` of provenance beside it: whole and together, or refused.

Tables, runs of retraining and what benchmarks measured are kept the same way.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["add_note", "changed", "digest_of", "read", "status", "write", "write_atomically"]


def write(file: Path, content: bytes, provenance: dict) -> dict:
    """Write a result, then its provenance; each is whole or not there.

    Args:
        file: of the result.
        content: of the file.
        provenance: how it was made, in what JSON can hold.

    Returns:
        the provenance as it is stored, with the SHA-256 of the content (table) and of the provenance (digest).
    """
    provenance = provenance | {"table": hashlib.sha256(content).hexdigest()}
    write_atomically(file, lambda stream: stream.write(content))
    return _write(file, provenance)


def read(file: Path, command: str) -> tuple[bytes, dict]:
    """A result and its provenance.

    Args:
        file: of the result.
        command: what makes it, for the errors.

    Raises:
        FileNotFoundError: it, or the `.json` beside it, is not there.
        ValueError: one of the two was changed, or is not the other's.
    """
    if not (file.exists() and file.with_suffix(".json").exists()):
        raise FileNotFoundError(f"{file} is not recorded yet; run `{command}`.")
    content = file.read_bytes()
    try:
        provenance = json.loads(file.with_suffix(".json").read_text())
        whole = provenance["table"] == hashlib.sha256(content).hexdigest() and provenance["digest"] == digest_of(
            provenance
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ValueError(f"{file} and the .json beside it do not belong together or were changed; run `{command}`.")
    return content, provenance


def status(file: Path, expected: dict, command: str) -> str | None:
    """Why a result has to be made again, with the command that does; None where it is as expected.

    Args:
        file: of the result.
        expected: entries that its provenance must have.
        command: what makes it.
    """
    try:
        _, provenance = read(file, command)
    except (FileNotFoundError, ValueError) as failure:
        return str(failure)
    other = changed(provenance, expected)
    return f"{file}: {' and '.join(other)} changed since it was recorded; run `{command}`." if other else None


def changed(provenance: dict, expected: dict) -> list[str]:
    """The expected entries that a provenance does not have, or has otherwise."""
    return [name for name in expected if provenance.get(name) != _as_json(expected[name])]


def add_note(file: Path, command: str, **entries) -> dict:
    """Add entries to the provenance of a whole result; returns the provenance as it is then stored."""
    _, provenance = read(file, command)
    return _write(file, provenance | entries)


def digest_of(provenance: dict) -> str:
    """SHA-256 of a provenance, but for its own entry `digest`."""
    entries = {name: entry for name, entry in provenance.items() if name != "digest"}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _as_json(entry):
    """As it comes back from a file: tuples as lists, keys as texts."""
    return json.loads(json.dumps(entry))


def _write(file: Path, provenance: dict) -> dict:
    provenance = _as_json(provenance)
    text = json.dumps(provenance | {"digest": digest_of(provenance)}, indent=1) + "\n"
    write_atomically(file.with_suffix(".json"), lambda stream: stream.write(text.encode()))
    return json.loads(text)


def write_atomically(file: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write under another name and rename, so that a file under its own name is always whole.

    Args:
        file: where the content goes; its folder is made if need be.
        write: called with the open binary stream. If it fails, nothing is left behind and an older file stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # a temporary file is private, a finished one is as any other
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
