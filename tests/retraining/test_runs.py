"""Runs on disk: kept whole, resumed, told apart; and those that are committed."""

import io
import json
import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from retrained import COMMITTED, PROTOCOL, SMALL, files

from ntkif.data import load
from ntkif.retraining import retrain as trainer
from ntkif.retraining import runs
from ntkif.retraining.protocol import LOOKS
from ntkif.retraining.retrain import retrain
from ntkif.retraining.runs import keep_run, load_run
from ntkif.retraining.selection import chosen_points
from ntkif.store import write


@pytest.fixture
def watched(monkeypatch):
    """Replace what trains one network."""
    return lambda function: monkeypatch.setattr(trainer, "_train_without", function)


def test_a_run_is_read_as_it_was_made(tmp_path):
    kept = keep_run(SMALL, PROTOCOL, (4, [7, 2]), tmp_path, progress=False)
    fleeting = retrain(SMALL, PROTOCOL, (4, [7, 2]), progress=False)
    assert torch.equal(kept.following, fleeting.following) and (kept.hops == fleeting.hops).all()
    assert torch.equal(kept.predictions, fleeting.predictions) and kept.rows.tolist() == [7, 2]
    assert kept.test_point == 4 and kept.protocol == PROTOCOL
    assert sorted(files(tmp_path)) == [f"mnist-sample-40/width-32-scale-0.01-seed-0.{kind}" for kind in ("json", "npz")]
    story = kept.provenance
    assert story["pixels"] == SMALL.digest and (story["n_train"], story["n_test"]) == (40, 30)
    assert story["version"] == runs.VERSION and story["witness"] is None and story["versions"]["torch"]
    assert "3 networks, 40 + 30 images" in str(kept)
    assert kept.beginning.shape == (3, LOOKS) and (kept.beginning == fleeting.beginning).all()
    assert fleeting.provenance == {}


def test_a_finished_run_is_not_made_again(tmp_path, watched):
    first = keep_run(SMALL, PROTOCOL, (4, [7, 2]), tmp_path, progress=False)
    watched(None)
    again = keep_run(SMALL, PROTOCOL, (4, [7, 2]), tmp_path, progress=False)
    assert torch.equal(again.predictions, first.predictions)


def test_a_run_that_kept_a_single_step_is_read_by_its_last(tmp_path):
    first = keep_run(SMALL, PROTOCOL, (4, [7, 2]), tmp_path, progress=False)
    (file,) = tmp_path.glob("*/*.npz")
    with np.load(file) as saved:
        arrays = {name: saved[name] for name in saved if name != "following"}
    np.savez(buffer := io.BytesIO(), **arrays)
    made = json.loads(file.with_suffix(".json").read_text())
    del made["protocol"]["last_step"]
    write(file, buffer.getvalue(), {name: value for name, value in made.items() if name not in ("table", "sha256")})
    older = load_run(file)
    assert older.protocol.last_step and older.following is None and older.hops is None
    assert torch.equal(older.at_rest, first.predictions) and not torch.equal(first.at_rest, first.predictions)


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path, watched):
    watched(None)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file.* cannot be written \(.*; name another folder with --output"):
        keep_run(SMALL, PROTOCOL, (4, [7, 2]), tmp_path / "file", progress=False)


@pytest.mark.parametrize(
    ("change", "points", "named"),
    [
        ({"learning_rate": 0.01}, (4, [7, 2]), "protocol"),
        ({}, (4, [7, 3]), "rows"),
        ({}, (5, [7, 2]), "test_point"),
    ],
)
def test_a_run_with_other_settings_is_not_mistaken(tmp_path, change, points, named):
    keep_run(SMALL, PROTOCOL, (4, [7, 2]), tmp_path, progress=False)
    with pytest.raises(ValueError, match=f"holds a run with another {named}; name another folder with --output"):
        keep_run(SMALL, replace(PROTOCOL, **change), points, tmp_path, progress=False)


def test_a_run_that_fails_keeps_what_is_finished_and_nothing_half_done(tmp_path, watched):
    real, calls = trainer._train_without, []

    def fails_at_the_third(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    watched(fails_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        keep_run(SMALL, PROTOCOL, (4, [7, 2, 9]), tmp_path, progress=False)
    (parts,) = tmp_path.glob("*/*.parts")
    assert sorted(path.name for path in parts.iterdir()) == ["0.npz", "1.npz"]
    keep_run(SMALL, PROTOCOL, (4, [7, 2, 9]), tmp_path, progress=False)
    assert len(calls) == 5 and not parts.exists()


def test_a_changed_run_is_found(tmp_path):
    keep_run(SMALL, PROTOCOL, (4, [7]), tmp_path, progress=False)
    (file,) = tmp_path.glob("*/*.npz")
    story = file.with_suffix(".json").read_text()
    file.with_suffix(".json").write_text(story.replace('"ridge": 1.0', '"ridge": 2.0'))
    with pytest.raises(ValueError, match="do not belong together or were changed"):
        load_run(file)
    file.with_suffix(".json").write_text(story)
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match="do not belong together or were changed"):
        load_run(file)


@pytest.mark.skipif("NTKIF_DATA" not in os.environ, reason="needs the prepared image sets, see NTKIF_DATA")
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_committed_run_removed_the_points_that_the_closed_form_chooses(path):
    run = load_run(path)
    size = run.provenance["n_train"], run.provenance["n_test"]
    chosen = points_of(path.parent.name.rsplit("-", 1)[0], *size, run.protocol.ridge, len(run.rows))
    assert chosen == (run.test_point, run.rows.tolist())


@cache
def points_of(name, n_train, n_test, ridge, count):
    return chosen_points(load(name).head(n_train, n_test), ridge, count)


def test_runs_on_other_pixels_are_not_mixed_in(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    keep_run(SMALL, PROTOCOL, (4, [7]), tmp_path, progress=False)
    assert len(runs.load_runs(load("mnist-sample"))) == 1 and runs.load_runs(load("mini-mnist-sample")) == []


def test_parts_left_by_a_kill_at_the_very_end_are_cleared(tmp_path):
    keep_run(SMALL, PROTOCOL, (4, [7]), tmp_path, progress=False)
    done = files(tmp_path)
    real = runs.shutil.rmtree
    try:
        runs.shutil.rmtree = lambda *a, **k: None
        keep_run(SMALL, replace(PROTOCOL, seed=1), (4, [7]), tmp_path, progress=False)
    finally:
        runs.shutil.rmtree = real
    assert list(tmp_path.glob("*/*.parts"))
    keep_run(SMALL, replace(PROTOCOL, seed=1), (4, [7]), tmp_path, progress=False)
    assert not list(tmp_path.glob("*/*.parts")) and len(files(tmp_path)) == 2 * len(done)


def test_no_half_finished_run_is_committed():
    assert not list(runs.FOLDER.glob("*/*.parts"))


def test_a_run_of_a_cluster_says_so(client, tmp_path):
    points = chosen_points(SMALL, 1.0, 2)
    run = runs.keep_run(SMALL, PROTOCOL, points, tmp_path, progress=False, client=client)
    assert run.provenance["device"].startswith("Dask workers: CPU")
