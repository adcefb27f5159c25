"""A record in parts, small: what a card would make of it, tried on a CPU."""

from dataclasses import replace

import pytest

from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.records.parts import parts_of
from ntkif.study.records.tables import FOLDER

_CASES = [
    {"name": f"MLP, {name}", "width": 4, "optimizer": name.lower(), "rate": 0.01, "batch_size": 6, "epochs": 1}
    for name in ("SGD", "Adam")
]
_SIZE = {"n_train": 12, "n_test": 2, "removals": 3, "folds": 2, "alone": 1, "pool": 7, "precision": "float64"}


@pytest.fixture
def parts(monkeypatch):
    """Two cases with two seeds, of a record on a sample."""
    settings = {"mini-mnist-sample": {"cases": _CASES, "seeds": [1, 2], "kernel": False} | _SIZE}
    known = replace(EXPERIMENTS["through-training-gpu"], settings=settings)
    monkeypatch.setitem(EXPERIMENTS, "through-training-gpu", known)
    return parts_of("through-training-gpu", "mini-mnist-sample")


@pytest.fixture
def records(tmp_path):
    """A folder of records with the witness that parts name."""
    (tmp_path / "records" / "through-training-gpu").mkdir(parents=True)
    witness = FOLDER / "through-training-gpu" / "witness-ten.csv"
    (tmp_path / "records" / "through-training-gpu" / "witness-ten.csv").write_bytes(witness.read_bytes())
    return tmp_path / "records"
