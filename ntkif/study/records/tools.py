"""What scripts of `benchmarks/` measured once and kept under `records/tools/`, each table with how it was made."""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from ntkif.data import Dataset
from ntkif.influence.network import network_influence
from ntkif.networks.descent import safe_learning_rate, train
from ntkif.networks.modules import Antisymmetric, Mlp, train_module
from ntkif.networks.two_layer import random_network
from ntkif.provenance import ROOT, commit, machine, now
from ntkif.store import read, status, write
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.experiments.experiment import Column, Experiment
from ntkif.study.records.witness import witness_digest

__all__ = [
    "MEASUREMENTS",
    "OWN_ANSWER",
    "Measurement",
    "against_truth",
    "best_of_columns",
    "chosen",
    "conventions",
    "keep_measurement",
    "load_measurement",
    "own_answer",
    "witness_of",
]


@dataclass(frozen=True)
class Measurement:
    """What can be measured.

    Attributes:
        command: makes it.
        version: raised by hand where the script measures something else.
        witness: of what ours is in it: "own-answer", see `OWN_ANSWER`, or an experiment, of its images of ten classes.
    """

    command: str
    version: int = 1
    witness: str | None = None


MEASUREMENTS = {
    "conventions": Measurement("make peers"),
    "peers": Measurement("make peers", witness="own-answer"),
    "peers-large": Measurement("make peers-large", witness="own-answer"),
    "peers-through-training": Measurement("make peers-through-training", witness="through-training"),
    "growth": Measurement("python benchmarks/speed/growth.py"),
    "cost-through-training": Measurement("python benchmarks/speed/through_training.py --keep"),
    "durations": Measurement("python benchmarks/durations.py"),
    "page-durations": Measurement("python benchmarks/durations.py"),
    "labels": Measurement("python benchmarks/tools/labels.py"),
    "curvature": Measurement("python benchmarks/tools/curvature.py", witness="own-answer"),
}


def keep_measurement(name: str, content: bytes, provenance: dict, root: Path = ROOT) -> None:
    """Store a table that a script measured.

    Args:
        name: of `MEASUREMENTS`.
        content: the table as CSV.
        provenance: what only the script knows; started, commit, version and the machine are added where absent.
        root: of the project.
    """
    made = {"started": now(), "commit": commit(), "version": MEASUREMENTS[name].version}
    write(_file(name, root), content, made | machine(torch.device("cpu")) | provenance)


def load_measurement(name: str, root: Path = ROOT, **reading) -> tuple[pd.DataFrame, dict]:
    """A table that a benchmark wrote, and its provenance.

    Args:
        name: of `MEASUREMENTS`.
        root: of the project.
        **reading: for `pandas.read_csv`.

    Returns:
        table and provenance, with a `line` that sums it up.

    Raises:
        FileNotFoundError: it was not made yet.
        ValueError: an unknown name; or the record was changed, or is of another version than the script is now.
    """
    if name not in MEASUREMENTS:
        raise ValueError(f"unknown measurement {name!r}: expected one of {', '.join(MEASUREMENTS)}.")
    known, file = MEASUREMENTS[name], _file(name, root)
    content, provenance = read(file, known.command)
    if reason := status(file, {"version": known.version}, known.command):
        raise ValueError(reason)
    p, versions = provenance, ", ".join(f"{package} {number}" for package, number in provenance["versions"].items())
    line = f"{name} recorded {p['started'][:10]}: {versions}; {p['device']}, commit {p['commit'][:8]}"
    if scores := p.get("scores"):  # of which the times were measured anew
        line += f"; scores recorded {scores['started'][:10]}, commit {scores['commit'][:8]}"
    return pd.read_csv(io.BytesIO(content), **reading), provenance | {"line": line}


def own_answer(dataset: Dataset, n_train: int, n_test: int, width: int) -> pd.DataFrame:
    """Our influence of each training image on each test image, by two small trained networks.

    Args:
        dataset: training and test images.
        n_train: training images, the first.
        n_test: test images, the first.
        width: hidden neurons.
    """
    cut = dataset.head(n_train, n_test)
    arrays, outputs = (cut.x_train, cut.y_train, cut.x_test, cut.y_test), cut.y_train.shape[1]
    shape = {"width": width, "outputs": outputs, "seed": 0}
    place = {"dtype": cut.x_train.dtype, "device": cut.x_train.device}
    two_layer = random_network(cut.x_train.shape[1], init_scale=1.0, symmetric=True, **shape, **place)
    rate = safe_learning_rate(two_layer, cut.x_train, 1.0)
    mlp = Antisymmetric(Mlp(cut.x_train.shape[1], **shape)).to(cut.x_train)
    trained = {
        "two-layer": train(two_layer, *arrays[:2], 1.0, learning_rate=rate, epochs=300).network,
        "mlp": train_module(mlp, *arrays[:2], 1.0, iterations=10),
    }
    rows = []
    for name, network in trained.items():
        influence = network_influence(network, *arrays, 1.0, start=None)
        rows += [
            {"network": name, "test_row": test, "row": row, "influence": float(influence[test, row])}
            for test in range(n_test)
            for row in range(n_train)
        ]
    return pd.DataFrame(rows)


#: The witness of what other tools are compared with: our own answer on small networks.
OWN_ANSWER = Experiment(
    "own-answer",
    own_answer,
    settings={"mnist": {}},
    witness={"n_train": 12, "n_test": 4, "width": 16},
    columns={
        "network": Column.key("trained"),
        "test_row": Column.key("the test image"),
        "row": Column.key("the training image"),
        "influence": Column.value("change of loss"),
    },
    slice=None,
)


def witness_of(name: str, root: Path = ROOT) -> str | None:
    """Digest of the stored witness of what a measurement compares others with; None where it has none."""
    known = MEASUREMENTS[name].witness
    if known == OWN_ANSWER.name:
        return witness_digest(OWN_ANSWER, "two", root / "records" / "tools")
    return known and witness_digest(EXPERIMENTS[known], "ten", root / "records" / "tables" / known)


def _file(name: str, root: Path) -> Path:
    return root / "records" / "tools" / f"{name}.csv"


def conventions(root: Path = ROOT) -> tuple[pd.DataFrame, str]:
    """Sign, orientation and scale of each tool's influence, and how that was measured.

    Args:
        root: of the project.

    Returns:
        a row for each tool and loss, and one line of provenance.

    Raises:
        FileNotFoundError, ValueError: as `load_measurement`.
    """
    table, provenance = load_measurement("conventions", root, dtype=str, keep_default_na=False)
    return table, provenance["line"]


def against_truth(record: str = "peers", root: Path = ROOT) -> tuple[pd.DataFrame, dict]:
    """Every tool, with every setting that was tried, against networks trained without each of some points.

    Args:
        record: "peers", or "peers-large" with 5000 points, or "peers-through-training" of networks that were trained in
            batches and stopped.
        root: of the project.

    Returns:
        a row for each case, tool and setting: case; parameters, trained ones of the network; train_seconds, of one
        training; tool, "another start" for the yardstick; settings; status, empty or why there is no answer; chosen,
        whether the setting is the tool's best; pearson, spearman, slope, relative_error, and rescaled_error, with the
        best factor; seconds; peak_mib. Of networks that were stopped also seed; check, of the recording; trainings,
        that the answer took; and lds_10 and lds_50, of subsets that lack a tenth and half of the points, each with the
        ends of its interval, `_low` and `_high`. And its provenance.

    Raises:
        FileNotFoundError, ValueError: as `load_measurement`.
    """
    return load_measurement(record, root, keep_default_na=False, na_values=dict.fromkeys(_NUMBERS, ""))


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Of each tool the setting with the smallest error, best first; those without an answer come last."""
    best = table[table["chosen"]]
    return best.sort_values(["case", "relative_error"], kind="stable")


def best_of_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Of each tool on each case the best number of each column that any of its settings gave, by relative error.

    No setting need have all of a row, so this can only flatter a tool.

    Args:
        table: of `against_truth`.

    Returns:
        a row for each case and tool that answered: the scores, of the slope that nearest to one, and the least seconds
        and memory.
    """
    answered = table[table["slope"].notna()]
    best = answered.groupby(["case", "tool"], sort=False).agg(
        pearson=("pearson", "max"),
        spearman=("spearman", "max"),
        slope=("slope", lambda each: min(each, key=lambda slope: abs(slope - 1))),
        **{name: (name, "min") for name in ("relative_error", "rescaled_error", "seconds", "peak_mib")},
    )
    return best.reset_index().sort_values(["case", "relative_error"], kind="stable")


_LDS = tuple(f"lds_{share}{end}" for share in (10, 50) for end in ("", "_low", "_high"))
_SCORES = ("pearson", "spearman", "slope", "relative_error", "rescaled_error")
_NUMBERS = (*_SCORES, "seconds", "peak_mib", "trainings", *_LDS)
