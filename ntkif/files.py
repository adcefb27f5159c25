"""Files that are whole or not there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["write_atomically"]


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
