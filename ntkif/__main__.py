"""Command line: `python -m ntkif report TABLE.csv --target COLUMN`, and what the book records beforehand."""

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ntkif.data import NAMES, load
from ntkif.data.samples import kind_of
from ntkif.provenance import ROOT
from ntkif.report.command import add_report
from ntkif.retraining import runs
from ntkif.retraining import witness as run_witness
from ntkif.retraining.protocol import Protocol, Retraining
from ntkif.retraining.selection import chosen_points
from ntkif.study import paper


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(
        prog="python -m ntkif", description="A report on your own data, and what the book records beforehand."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add_report(commands)
    _add_record(commands)
    _add_retrain(commands)
    _add_witness(commands)
    _add_verify(commands)
    _add_gpu(commands)
    _add_pages(commands)
    chosen = parser.parse_args(arguments)
    try:
        job = chosen.prepare(chosen)
        torch.empty(0, device=chosen.device)
    except (ValueError, RuntimeError, AssertionError, ModuleNotFoundError) as failure:
        parser.error(str(failure))
    try:
        print(job())
    except KeyboardInterrupt:
        parser.exit(
            130, "interrupted; `retrain`, `record --all` and `gpu` go on where they stopped when called again.\n"
        )
    except (OSError, ValueError, MemoryError, ModuleNotFoundError) as failure:
        parser.exit(1, f"{failure}\n")


def _add_record(commands) -> None:
    one = commands.add_parser("record", help="run an experiment at the paper's size and store its table")
    one.add_argument(
        "experiment", nargs="?", metavar="EXPERIMENT", help="see ntkif/study/experiments; a wrong name lists them"
    )
    one.add_argument("dataset", nargs="?", choices=NAMES, metavar="DATASET", help=", ".join(NAMES))
    one.add_argument("--all", action="store_true", help="make every record that is missing or stale, and no other")
    one.add_argument("--force", action="store_true", help="make it even where today's code reproduces it")
    one.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    one.set_defaults(prepare=_prepare_record)


def _prepare_record(chosen: argparse.Namespace) -> Callable:
    from ntkif.study.experiments.catalogue import settings_of  # needs pandas, which a bare GPU machine may not have
    from ntkif.study.records.tables import record, record_all

    named = (chosen.experiment is not None) + (chosen.dataset is not None)
    if named != (0 if chosen.all else 2):
        raise ValueError("record: name an EXPERIMENT and a DATASET, or --all and neither.")
    if chosen.all:
        return lambda: f"{len(record_all(lambda name: load(name, device=chosen.device)))} records made"
    settings_of(chosen.experiment, chosen.dataset)

    def job() -> str:
        dataset = load(chosen.dataset, device=chosen.device)
        kept, made = record(chosen.experiment, dataset, force=chosen.force)
        reproduced = "today's code reproduces this record; nothing to record (--force makes it again):\n"
        return f"{'' if made else reproduced}{kept}"

    return job


def _add_retrain(commands) -> None:
    one = commands.add_parser(
        "retrain",
        help="train a network with all points and without each of the most influential ones; resumes where it stopped",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    one.add_argument("--dataset", required=True, choices=NAMES, metavar="DATASET", help=", ".join(NAMES))
    one.add_argument("--width", required=True, type=int, help="hidden neurons")
    one.add_argument(
        "--ridge",
        type=float,
        help="penalty; of Figure 8 where absent, 4 for MNIST, 10 for CIFAR",
    )
    one.add_argument("--n-train", type=int, help="only the first so many training images")
    one.add_argument("--n-test", type=int, help="only the first so many test images")
    one.add_argument("--removals", type=int, default=40, help="training points removed, the most influential first")
    one.add_argument(
        "--init-scale", type=float, default=Protocol.init_scale, help="standard deviation of the first weights"
    )
    one.add_argument("--symmetric", action="store_true", help="start at zero: each neuron has a copy of opposite sign")
    one.add_argument("--seed", type=int, default=Protocol.seed, help="of the first weights")
    one.add_argument("--learning-rate", type=float, default=Protocol.learning_rate, help="step size")
    one.add_argument("--epochs", type=int, default=Protocol.epochs, help="steps, at most")
    one.add_argument(
        "--tolerance", type=float, help="stop once no prediction changes by more, see networks.descent.train"
    )
    one.add_argument("--precision", default=Protocol.precision, help="float32, float64, float16, or tf32 on CUDA")
    one.add_argument("--directions", type=int, help="with float16: keep the movement in so many leading directions")
    one.add_argument(
        "--last-step", action="store_true", help="influences of the last step, as the paper's, not the mean of two"
    )
    one.add_argument("--device", default="cpu", help="cpu or cuda")
    one.add_argument(
        "--dask",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="train on a Dask cluster, a network a task: of the scheduler at the address, or on this machine's cores",
    )
    one.add_argument("--output", type=Path, default=runs.FOLDER, help="folder of the runs")
    one.set_defaults(prepare=_prepare_retrain)


def _prepare_retrain(chosen: argparse.Namespace) -> Callable:
    ridge = chosen.ridge if chosen.ridge is not None else paper.RIDGE.get(chosen.dataset)
    if ridge is None:
        raise ValueError(f"--ridge: the paper states none for {chosen.dataset}; name one.")
    if chosen.precision == "tf32" and not chosen.device.startswith("cuda"):
        raise ValueError(f"--precision tf32: expected --device cuda, got {chosen.device}; float32 is faster there.")
    named = {setting.name: getattr(chosen, setting.name) for setting in fields(Protocol)}
    protocol = Protocol(**named | {"ridge": ridge})

    def job() -> Retraining:
        dataset = load(chosen.dataset, device=chosen.device)
        sizes = (chosen.n_train, len(dataset.x_train)), (chosen.n_test, len(dataset.x_test))
        dataset = dataset.head(*(everything if asked is None else asked for asked, everything in sizes))
        points = chosen_points(dataset, ridge, chosen.removals)
        # A run that is kept elsewhere has nothing to stand beside.
        witness = run_witness.current_witness(kind_of(chosen.dataset)) if chosen.output == runs.FOLDER else None
        with _cluster(chosen.dask) as client:
            return runs.keep_run(dataset, protocol, points, chosen.output, witness=witness, client=client)

    return job


def _cluster(address: str | None) -> AbstractContextManager:
    if address is None:
        return nullcontext()
    from ntkif.regression.cluster import connect  # needs Dask, which a bare GPU machine may not have

    return connect(address or None)


def _add_witness(commands) -> None:
    one = commands.add_parser("witness", help="make the small tables by which records are judged, and compare them")
    one.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    one.set_defaults(prepare=_prepare_witness)


def _prepare_witness(chosen: argparse.Namespace) -> Callable:
    from ntkif.study.records.verification import witnesses  # needs pandas, which a bare GPU machine may not have

    return lambda: witnesses(chosen.device)


def _add_verify(commands) -> None:
    one = commands.add_parser(
        "verify",
        help="make slices of records again at full size, or the first network of runs; note what is reproduced",
    )
    one.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="or `runs`, for the runs of `retrain`")
    one.add_argument("dataset", nargs="?", choices=NAMES, metavar="DATASET", help=", ".join(NAMES))
    one.add_argument("--all", action="store_true", help="every record that has a slice, and every run")
    one.add_argument("--sample", type=int, metavar="COUNT", help="so many of them, chosen by the commit")
    one.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    one.set_defaults(prepare=_prepare_verify)


def _prepare_verify(chosen: argparse.Namespace) -> Callable:
    from ntkif.study.records import verification

    named = (chosen.experiment is not None) + (chosen.dataset is not None)
    several = chosen.all + (chosen.sample is not None)
    if several > 1 or named != (0 if several else 2):
        raise ValueError("verify: name an EXPERIMENT (or runs) and a DATASET, or --all, or --sample COUNT.")
    if several:
        wanted = verification.sample(chosen.sample) if chosen.sample is not None else verification.everything()
    else:
        wanted = verification.named(chosen.experiment, chosen.dataset)
    return lambda: verification.verify(wanted, lambda name: load(name, device=chosen.device))


def _add_gpu(commands) -> None:
    one = commands.add_parser(
        "gpu",
        help="what the book wants from a GPU and has not yet, in order of worth, as much as the minutes allow",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    one.add_argument("--minutes", type=float, default=10, help="that there are")
    one.add_argument("--device", default="cuda", help="cuda, or another with --dry-run")
    one.add_argument("--work", type=Path, default=ROOT / "_build" / "gpu", help="where runs are made, and go on")
    one.add_argument("--output", type=Path, default=ROOT / "_build" / "gpu-packed", help="where they are packed")
    one.add_argument("--no-benchmarks", action="store_true", help="runs and trainings alone")
    one.add_argument("--dry-run", action="store_true", help="all of it at tiny size, on the CPU")
    one.add_argument("--collect", type=Path, metavar="FOLDER", help="take in what was packed elsewhere, and no more")
    one.set_defaults(prepare=_prepare_gpu)


def _prepare_gpu(chosen: argparse.Namespace) -> Callable:
    from ntkif.study.records import gpu, packed

    if chosen.collect:
        chosen.device = "cpu"
        return lambda: _collected(packed.collect(chosen.collect))
    if chosen.dry_run:
        chosen.device = "cpu"
    elif not chosen.device.startswith("cuda"):
        raise ValueError(f"--device: expected cuda, got {chosen.device}; try it on a CPU with --dry-run.")

    def job() -> str:
        with TemporaryDirectory() as tiny:
            folders = (Path(tiny), Path(tiny)) if chosen.dry_run else (chosen.work, chosen.output)
            how = {"device": chosen.device, "small": chosen.dry_run, "speed": not chosen.no_benchmarks}
            how["say"] = partial(print, flush=True)  # line by line, where the output is a pipe
            done = gpu.make_all(60 * chosen.minutes, *folders, **how)
        return f"{done}; {'none is kept' if chosen.dry_run else f'packed in {chosen.output}'}"

    return job


def _collected(files: list[Path]) -> str:
    """What is to be done with what was taken in."""
    taken = [file for file in files if file.suffix == ".npz"]
    names = sorted({run_witness.dataset_of(file) for file in taken})
    tables = [f"record {table} {name}" for name in names for table in ("table-1", "figure-1", "theorem-2")]
    steps = "\n".join(f"python -m ntkif {step}" for step in [f"verify runs {name}" for name in names] + tables)
    said = [f"{len(taken)} runs taken in; vouch for them and make the tables again:\n{steps}"] if taken else []
    said += [f"{file} has more trainings; execute the notebooks again." for file in files if file.suffix == ".csv"]
    said += [f"{file.name}:\n{file.read_text()}" for file in files if file.suffix == ".txt"]
    return "\n".join(said) or "nothing that was not there before"


def _add_pages(commands) -> None:
    one = commands.add_parser("pages", help="compute what the prose pages of the book show: explorer, front page")
    one.add_argument("folder", type=Path, metavar="FOLDER", help="where the files go")
    one.set_defaults(prepare=_prepare_pages, device="cpu")


def _prepare_pages(chosen: argparse.Namespace) -> Callable:
    from ntkif.study.pages.write import write_pages  # needs matplotlib, which a bare GPU machine may not have

    def job() -> str:
        write_pages(chosen.folder)
        return f"written to {chosen.folder}"

    return job


if __name__ == "__main__":
    main()
