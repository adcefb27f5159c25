"""What vouches for a run: a network made again, and the witnesses of today's code."""

import re

import numpy as np
import pytest
import torch
from retrained import COMMITTED, PROTOCOL, SMALL, files

from ntkif import store
from ntkif.data import load, sets
from ntkif.data.samples import KINDS
from ntkif.retraining import retrain as trainer
from ntkif.retraining import runs, witness
from ntkif.retraining.runs import keep_run, load_run
from ntkif.retraining.witness import run_status, verify_run


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_committed_run_is_whole_and_fresh(path):
    run = load_run(path)
    story = run.provenance
    assert run_status(path) is None
    assert re.fullmatch("[0-9a-f]{40}", story["commit"]) or story["trainer"]
    assert story["pixels"] == sets.published_digest(story["dataset"].split()[0])
    assert path.stem == str(run.protocol) and path.parent.name == f"{story['dataset'].split()[0]}-{story['n_train']}"
    assert run.predictions.shape[:2] == (1 + len(run.rows), story["n_test"])
    assert torch.isfinite(run.predictions).all()


def unvouched(folder):
    """A kept run of two networks that no witness vouches for."""
    keep_run(SMALL, PROTOCOL, (4, [7]), folder, progress=False)
    (file,) = folder.glob("*/*.npz")
    return file


@pytest.mark.parametrize("beginning", [False, True])
def test_a_run_is_vouched_for_once_its_first_network_is_reproduced(tmp_path, beginning):
    file = unvouched(tmp_path)
    assert run_status(file).endswith(
        "witness changed since it was recorded; run `python -m ntkif verify runs mnist-sample`."
    )
    note = verify_run(file, load("mnist-sample"), beginning=beginning).provenance["reproduced"]
    assert run_status(file) is None and set(note["share_of_tolerance"].values()) == {0}
    assert ("predictions" in note["share_of_tolerance"], note["epochs"]) == (not beginning, 50 if beginning else 60)
    story = load_run(file).provenance
    store.add_note(file, "", reproduced=story["reproduced"] | {"witness": "older"})
    assert "witness changed since" in run_status(file)
    store.add_note(file, "", version=0, reproduced=story["reproduced"])
    assert "version and witness changed since" in run_status(file)
    store.add_note(file, "", version=runs.VERSION, witness=witness.digest_of_witnesses("two"))
    assert run_status(file) is None


@pytest.mark.parametrize(
    ("change", "beginning"),
    [({"learning_rate": 0.021}, False), ({"learning_rate": 0.021}, True), ({"epochs": 59}, False)],
)
def test_a_run_that_todays_code_does_not_reproduce_is_not_vouched_for(tmp_path, monkeypatch, change, beginning):
    file = unvouched(tmp_path)
    before, real = files(tmp_path), trainer.train
    monkeypatch.setattr(trainer, "train", lambda *a, **k: real(*a, **k | change))
    with pytest.raises(
        ValueError, match=r"today's code gives another network in .0 epochs: objective .* record it again"
    ):
        verify_run(file, load("mnist-sample"), beginning=beginning)
    assert files(tmp_path) == before


def test_a_network_that_comes_to_nothing_vouches_for_no_run(tmp_path, monkeypatch):
    file, real = unvouched(tmp_path), trainer._train_without

    def fails(*arguments):
        return {name: value * np.nan if value.dtype.kind == "f" else value for name, value in real(*arguments).items()}

    monkeypatch.setattr(trainer, "_train_without", fails)
    with pytest.raises(ValueError, match="predictions by nan times what is allowed"):
        verify_run(file, load("mnist-sample"))
    assert witness.witness_difference("two") is not None


def test_a_run_without_a_beginning_is_trained_whole(tmp_path, monkeypatch):
    file = unvouched(tmp_path)
    with np.load(file) as saved:
        arrays = {name: saved[name] for name in saved if name != "beginning"}
    made = load_run(file).provenance
    np.savez_compressed(file, **arrays)
    store.write(file, file.read_bytes(), made)
    assert np.isnan(load_run(file).beginning).all()
    with pytest.raises(ValueError, match="has no beginning, since an older version made it; train"):
        verify_run(file, load("mnist-sample"), beginning=True)
    assert verify_run(file, load("mnist-sample")).provenance["reproduced"]["share_of_tolerance"]["predictions"] == 0


def test_a_witness_of_other_code_is_named_and_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    first = witness.current_witness("two")
    assert len(witness.witness_files("two")) == 2 and witness.current_witness("two") == first
    real = trainer.train
    monkeypatch.setattr(trainer, "train", lambda *a, **k: real(*a, **k | {"learning_rate": 0.0200001}))
    assert re.search(r"seed-0\.npz differs: predictions by \S+e-0\d, objective by", witness.witness_difference("two"))
    assert witness.current_witness("two") != first and witness.witness_difference("two") is None
    monkeypatch.setattr(witness, "find_spec", lambda name: None)
    assert witness.current_witness("two") is None


@pytest.mark.parametrize("kind", KINDS)
def test_todays_code_gives_the_witnesses_of_the_runs(kind):
    assert witness.witness_difference(kind) is None
