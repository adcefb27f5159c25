"""What a machine with a GPU made, packed into few files and taken in at home: runs, parts of records, benchmarks."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from ntkif.retraining import runs
from ntkif.store import read, write_atomically
from ntkif.study.records import gpu_speed, tables
from ntkif.study.records.parts import join_parts

__all__ = ["collect", "pack"]

_PACKED = {"runs": "*/*.npz", "parts": "*/*/*.csv", "benchmarks": "benchmarks/*.txt"}
_FILE = 15 * 2**20  # bytes of an archive; some machines give back files of 16 MiB at most


def pack(work: Path, output: Path) -> None:
    """All that is finished in `work`, in as few archives as hold it: `runs-1.zip`, ..., `parts-1.zip`, ..."""
    for name, pattern in _PACKED.items():
        finished = [file for file in sorted(work.glob(pattern)) if file.with_suffix(".json").exists()]
        for number, files in enumerate(_in_archives(finished), 1):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as packed:
                for member in files:
                    packed.write(member, member.relative_to(work))
            made = buffer.getvalue()
            write_atomically(output / f"{name}-{number}.zip", lambda stream, made=made: stream.write(made))


def _in_archives(finished: Sequence[Path]) -> list[list[Path]]:
    """Results, each with its provenance, by archive."""
    archives, size = [], 0
    for file in finished:
        both = [file.with_suffix(".json"), file]
        needed = sum(each.stat().st_size for each in both)
        if not archives or size + needed > _FILE:
            archives.append([])
            size = 0
        archives[-1] += both
        size += needed
    return archives


def collect(
    packed: Path, kept_runs: Path = runs.FOLDER, records: Path = tables.FOLDER, benchmarks: Path = gpu_speed.KEPT
) -> list[Path]:
    """Take in what was packed elsewhere.

    Each file is read whole before anything is moved. A run takes the place of one of the same name that kept one step
    alone, and of no other; a part joins the record of its data set.

    Args:
        packed: folder of the archives.
        kept_runs: where runs are kept.
        records: where records are kept.
        benchmarks: where what they printed is kept; a new measurement takes the place of an old one.

    Returns:
        the files of the runs and benchmarks that were taken in, and the records that have more than before.

    Raises:
        FileNotFoundError: no archive is there.
        ValueError: a run or part is damaged or not of today's settings, or another run of the same name is kept.
    """
    archives = [file for name in _PACKED for file in sorted(Path(packed).glob(f"{name}-*.zip"))]
    if not archives:
        raise FileNotFoundError(f"{packed}: expected archives runs-1.zip, ..., as `python -m ntkif gpu` packs them.")
    kept_runs.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=kept_runs) as beside:
        for archive in archives:
            _unpack(archive, beside)
        found = sorted(Path(beside).glob(_PACKED["runs"]))
        for file in found:
            _check_run(file, kept_runs / file.relative_to(beside))
        measured = sorted(Path(beside).glob(_PACKED["benchmarks"]))
        for file in measured:
            read(file, "python -m ntkif gpu")
        joined = join_parts(sorted(Path(beside).glob(_PACKED["parts"])), records)
        moved = [_moved(file, kept_runs / file.relative_to(beside)) for file in found]
        return moved + [_moved(file, benchmarks / file.name) for file in measured] + joined


def _unpack(archive: Path, folder: str) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as failure:
        raise ValueError(
            f"{archive}: expected a whole archive, got a damaged one ({failure}); copy it again."
        ) from None


def _check_run(file: Path, kept: Path) -> None:
    """Require a whole run, and no other of its name with both steps."""
    runs.load_run(file)
    if kept.exists() and kept.read_bytes() != file.read_bytes() and runs.load_run(kept).following is not None:
        raise ValueError(f"{kept} holds another run of that name; delete one of the two.")


def _moved(file: Path, kept: Path) -> Path:
    kept.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (file.suffix, ".json"):
        file.with_suffix(suffix).replace(kept.with_suffix(suffix))
    return kept
