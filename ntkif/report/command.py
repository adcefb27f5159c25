"""`python -m ntkif report TABLE.csv --target COLUMN`: from a file to a page and a table beside it."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from ntkif.checks import require_extra
from ntkif.provenance import now

__all__ = ["add_report", "write_report"]

_FEWEST = 3


def add_report(commands) -> None:
    """Add the command to those of the package."""
    one = commands.add_parser(
        "report",
        help="which labels of a table or of images look wrong, and what drives the predictions: one page of HTML",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    one.add_argument(
        "source", type=Path, metavar="SOURCE", help=".csv, .parquet, .npz (x and y), or a folder of images"
    )
    one.add_argument("--target", metavar="COLUMN", help="what to predict; of .npz y where absent, of a folder none")
    one.add_argument("--task", choices=["classification", "regression"], help="chosen by the target where absent")
    one.add_argument("--rows", type=int, metavar="N", help="so many rows, drawn at random")
    one.add_argument(
        "--landmarks", type=int, metavar="N", help="rows that span the kernel; absent: exact, or N by memory"
    )
    one.add_argument("--top", type=int, default=20, metavar="N", help="suspicious rows shown, and pairs that are alike")
    one.add_argument("--side", type=int, default=32, help="pixels of the longer side that larger images are shrunk to")
    one.add_argument("--seed", type=int, default=0, help="of all draws")
    one.add_argument("--device", default="cpu", help="cpu or cuda")
    one.add_argument("--output", type=Path, metavar="FILE", help="the page, *.html; SOURCE-report.html where absent")
    one.set_defaults(prepare=_prepare_report)


def _prepare_report(chosen: argparse.Namespace) -> Callable[[], str]:
    require_extra("report", "sklearn", "pandas", "PIL")
    import torch

    from ntkif.estimators.solution import check_landmarks

    page = chosen.output or Path(f"{chosen.source.resolve().stem}-report.html")
    if chosen.top < 1 or chosen.side < 1:
        raise ValueError(f"--top and --side: expected 1 or more, got {chosen.top} and {chosen.side}.")
    check_landmarks(chosen.landmarks)
    if (kind := torch.device(chosen.device).type) not in ("cpu", "cuda"):
        raise ValueError(f"--device: expected cpu or cuda, got {kind}.")
    if page.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--output: expected a name that ends in .html, got {page}; the table stands beside it.")
    _beside(page, chosen.source)
    folder = _existing(page.absolute().parent)
    if page.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ValueError(f"--output: expected a file that can be written, got {page}; name another.")
    options = {
        name: getattr(chosen, name) for name in ("target", "task", "rows", "landmarks", "top", "side", "seed", "device")
    }
    made = f"python -m ntkif {shlex.join(sys.argv[1:])}"
    return lambda: write_report(chosen.source, page, made=made, **options)


def _beside(page: Path, source: Path) -> Path:
    """The table beside a page; neither may be what is read."""
    table = page.with_name(f"{page.stem}-rows.csv")
    for file in (page, table):
        if source.exists() and file.exists() and file.samefile(source):
            raise ValueError(
                f"--output: expected names other than that of the source, got {page}, which would write {file} over "
                f"it; name another."
            )
    return table


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def write_report(
    source: Path,
    output: Path,
    *,
    target: str | None = None,
    task: str | None = None,
    rows: int | None = None,
    landmarks: int | None = None,
    top: int = 20,
    side: int = 32,
    seed: int = 0,
    device: str = "cpu",
    made: str = "",
) -> str:
    """Read, fit, compute and write; both files are whole or not there.

    Args:
        source: table or folder of images, see `read_source`.
        output: the page; the table of all rows stands beside it as -rows.csv.
        target: of a table the column to predict.
        task: "classification" or "regression"; chosen by the target where absent.
        rows: so many of them, drawn at random; all where absent.
        landmarks: so many rows that span the kernel; absent: the exact kernel where it fits, else as memory holds.
        top: suspicious rows that are shown, and pairs of rows that are alike.
        side: pixels of the longer side that larger images are shrunk to.
        seed: of all draws.
        device: where it is computed.
        made: the command, for the foot of the page.

    Returns:
        what was written.

    Raises:
        FileNotFoundError, ValueError, MemoryError, ModuleNotFoundError: as `read_source`, `target_of` and `plan`.
        ValueError: fewer than three rows; or one of the two files is the source, which is never written over.
        OSError: a file cannot be written.
    """
    from tqdm import tqdm

    import ntkif
    from ntkif.report.encoding import points_of, target_of, task_of
    from ntkif.report.findings import findings, steps
    from ntkif.report.fitting import fitted, plan
    from ntkif.report.page import page
    from ntkif.report.sources import read_source
    from ntkif.store import write_atomically

    beside = _beside(output, source)
    read = read_source(source, target, rows=rows, seed=seed, side=side)
    if len(read.y) < _FEWEST:
        raise ValueError(f"{source}: expected at least {_FEWEST} rows, two beside each, got {len(read.y)}; take more.")
    task = task_of(read.y, task)
    y, (x, encoded) = target_of(read.y, task, read.target), points_of(read)
    planned = plan(*x.shape, device, landmarks)
    print(planned, file=sys.stderr)
    with tqdm(total=1 + steps(len(y)), desc="choosing and fitting") as bar:
        options = {"landmarks": planned.landmarks, "device": device, "seed": seed}
        model, chosen = fitted(x, y, task, images=read.images is not None, **options)
        bar.set_description("influences")
        bar.update()
        found = findings(model, x, y, count=min(top, len(y)), seed=seed, done=bar.update)
    kind = f"{read.target} is taken as {'classes' if hasattr(model, 'classes_') else 'a number'} (--task)."
    foot = f"ntkif {ntkif.__version__}, {now()}. {made}"
    html = page(read, found, [*read.notes, kind, *encoded, *chosen, f"{planned}."], foot)
    table = found.rows.assign(row=read.names)[["row", *found.rows.columns]].to_csv(index=False)
    for file, content in ((beside, table), (output, html)):
        write_atomically(file, lambda stream, content=content: stream.write(content.encode()))
    return f"{output} and {beside}"
