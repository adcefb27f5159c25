"""Records: whole, fresh, and made again where code gives other numbers."""

import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from ntkif.data import load, sets
from ntkif.retraining import runs
from ntkif.study.experiments.images import extreme_images
from ntkif.study.records import tables
from ntkif.study.records.pixels import unpack_images, unpack_test_images
from ntkif.study.records.tables import EXPERIMENTS, load_record, record
from ntkif.study.records.witness import compare_tables

DATA = replace(load("mnist-sample").head(40, 20), name="mnist")
RECORDED = sorted(path for path in tables.FOLDER.glob("*/*.csv") if not path.stem.startswith("witness-"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_committed_record_is_whole_and_fresh(path):
    """With the settings and version as they are, of the pixels as published, and naming the witness beside it."""
    assert tables.stale_reason(path.parent.name, path.stem) is None
    found = load_record(path.parent.name, path.stem).provenance
    assert re.fullmatch("[0-9a-f]{40}", found["commit"])
    assert found["pixels"] == sets.published_digest(path.stem)
    size = (60000, 10000) if path.stem == "mnist-full" else (5000, 1000)
    dtype = f"torch.{found['settings'].get('precision', 'float64')}"
    assert (found["n_train"], found["n_test"], found["dtype"]) == (*size, dtype)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_columns_of_a_committed_record_are_declared_and_tell_its_rows_apart(path):
    table, columns = load_record(path.parent.name, path.stem).table, EXPERIMENTS[path.parent.name].columns
    again = table.drop(columns=["pixels", "test_pixels"], errors="ignore")
    assert compare_tables(table, again, columns, whole=True) == ([], 0.0)


def test_every_experiment_is_recorded_on_every_data_set():
    """Those that want a GPU may be missing."""
    every = {f"{name}/{dataset}": known for name, known in EXPERIMENTS.items() for dataset in known.settings}
    missing = every.keys() - {f"{path.parent.name}/{path.stem}" for path in RECORDED}
    assert {f"{path.parent.name}/{path.stem}" for path in RECORDED} <= every.keys()
    assert {every[name].device for name in missing} <= {"cuda"}


def test_what_wants_a_gpu_has_its_witness_stored_and_no_record_made_without(parts, tmp_path):
    name, data = "through-training-gpu", load("mini-mnist-sample")
    with pytest.raises(ValueError, match=r"its witness \(ten\) is stored .* takes a GPU, where `python -m ntkif gpu`"):
        record(name, data, tmp_path)
    witness = tmp_path / name / "witness-ten.csv"
    before = witness.read_bytes()
    assert tables.witness_reason(name, "ten", tmp_path) is None
    with pytest.raises(ValueError, match="takes a GPU"):
        record(name, data, tmp_path, force=True)
    assert witness.read_bytes() == before and len(list(tmp_path.rglob("*.csv"))) == 1
    with pytest.raises(FileNotFoundError, match="is not recorded yet; run `python -m ntkif gpu`"):
        load_record(name, "mini-mnist-sample", tmp_path)
    assert tables.load_recorded(name, tmp_path) == {}


def test_a_record_is_read_as_it_was_written(small, tmp_path):
    made, new = record("figure-4-images", DATA, tmp_path)
    read = load_record("figure-4-images", "mnist", tmp_path)
    table = extreme_images(DATA, 1.0, 3)
    pd.testing.assert_frame_equal(read.table.drop(columns="pixels"), table, rtol=1e-9)
    pd.testing.assert_frame_equal(read.table, made.table)
    assert new
    assert (unpack_images(read.table) == DATA.images_train[table["row"]]).all()
    assert read.provenance["pixels"] == DATA.digest and read.provenance["settings"] == {"ridge": 1.0, "count": 3}
    assert str(read).startswith("mnist recorded 20") and ": 40 + 20 images" in str(read)


def test_a_record_of_some_images_of_a_set_says_so():
    assert ": 200 + 200 of 5000 + 1000 images, MNIST" in str(load_record("own-kernel", "mnist"))
    assert ": 60000 + 200 of 60000 + 10000 images, MNIST" in str(load_record("full-mnist", "mnist-full"))


def test_test_images_are_kept_once(monkeypatch, tmp_path):
    settings = {"mnist": {"ridge": 0.0, "times": [0.1, 1.0], "test_rows": [4, 2], "kinds": ["helpful"]}}
    monkeypatch.setitem(EXPERIMENTS, "figure-6-images", replace(EXPERIMENTS["figure-6-images"], settings=settings))
    table = record("figure-6-images", DATA, tmp_path)[0].table
    assert (
        table["test_row"].tolist() == [4, 2, 4, 2]
        and table["test_pixels"].notna().tolist() == [True, True] + [False] * 2
    )
    assert (unpack_test_images(table) == DATA.images_test[[4, 2]]).all()


def test_a_stale_record_names_its_command(small, tmp_path, monkeypatch):
    def reason():
        return tables.stale_reason("figure-4-images", "mnist", tmp_path)

    def becomes(**changes):
        monkeypatch.setitem(EXPERIMENTS, "figure-4-images", replace(EXPERIMENTS["figure-4-images"], **changes))

    command = "changed since it was recorded; run `python -m ntkif record figure-4-images mnist`."
    assert "not recorded yet; run `python -m ntkif record figure-4-images mnist`" in reason()
    record("figure-4-images", DATA, tmp_path)
    assert reason() is None
    becomes(version=2)
    assert reason().endswith(f"mnist.csv: version {command}")
    becomes(version=1, settings={"mnist": {"ridge": 2.0, "count": 3}})
    assert reason().endswith(f"mnist.csv: settings {command}")
    becomes(settings={"mnist": {"ridge": 1.0, "count": 3}})
    assert reason() is None
    (tmp_path / "figure-4-images" / "witness-two.csv").write_text("another")
    assert reason().endswith(f"mnist.csv: witness {command}")
    (tmp_path / "figure-4-images" / "mnist.csv").write_text("changed")
    assert "do not belong together or were changed; run" in reason()


def times(factor):
    """The experiment of Figure 4, with influences that are off by a factor."""

    def function(dataset, ridge, count):
        table = extreme_images(dataset, ridge, count)
        return table.assign(influence=factor * table["influence"])

    return function


def test_what_todays_code_reproduces_is_not_recorded_again(small, tmp_path, monkeypatch):
    def code(factor):
        changed = replace(EXPERIMENTS["figure-4-images"], function=times(factor))
        monkeypatch.setitem(EXPERIMENTS, "figure-4-images", changed)

    def kept():
        return {path.name: path.read_bytes() for path in tmp_path.rglob("*.*")}

    first, made = record("figure-4-images", DATA, tmp_path)
    before = kept()
    assert made and len(before) == 4
    code(1 + 1e-9)  # another way to the same numbers
    assert record("figure-4-images", DATA, tmp_path)[1] is False and kept() == before
    assert record("figure-4-images", DATA, tmp_path, force=True)[1] is True
    assert kept()["witness-two.csv"] == before["witness-two.csv"]
    code(1 + 1e-5)  # other numbers: the witness goes with the record
    assert "influence: differs by 1.0e-05" in tables.witness_reason("figure-4-images", "two", tmp_path)
    second, made = record("figure-4-images", DATA, tmp_path)
    assert made and kept()["witness-two.csv"] != before["witness-two.csv"]
    assert first.provenance["witness"] != second.provenance["witness"]
    assert tables.witness_reason("figure-4-images", "two", tmp_path) is None


def test_other_pixels_are_recorded_again(small, tmp_path):
    record("figure-4-images", DATA, tmp_path)
    other = replace(load("mnist-sample").head(41, 20), name="mnist", digest="other")
    assert record("figure-4-images", other, tmp_path)[1] is True


def test_a_witness_that_changed_makes_all_records_of_its_kind_stale(tmp_path, monkeypatch):
    settings = {name: {"ridge": 1.0, "count": 3} for name in ("mnist", "cifar")}
    monkeypatch.setattr("ntkif.study.experiments.catalogue.EXPERIMENTS", chosen := {})
    monkeypatch.setattr(tables, "EXPERIMENTS", chosen)
    chosen["figure-4-images"] = replace(EXPERIMENTS["figure-4-images"], settings=settings)
    assert len(tables.record_all(lambda name: replace(DATA, name=name), tmp_path, list)) == 2
    assert tables.record_all(lambda name: replace(DATA, name=name), tmp_path, list) == []
    chosen["figure-4-images"] = replace(chosen["figure-4-images"], function=times(1.001))
    record("figure-4-images", replace(DATA, name="cifar"), tmp_path)
    assert "witness changed since" in tables.stale_reason("figure-4-images", "mnist", tmp_path)
    assert [r.provenance["dataset"] for r in tables.record_all(lambda n: replace(DATA, name=n), tmp_path, list)] == [
        "mnist"
    ]


def test_a_slice_of_a_record_is_made_again(tmp_path, monkeypatch):
    """The rows of one time, against the record with all; other numbers and other pixels are refused."""
    known = replace(
        EXPERIMENTS["figure-7"],
        settings={"mnist": {"share": 0.4, "seed": 0, "ridge": 0.0, "times": [0.1, 1.0], "tops": [3]}},
        slice={"times": [1.0]},
    )
    monkeypatch.setitem(EXPERIMENTS, "figure-7", known)
    with pytest.raises(FileNotFoundError, match="not recorded yet"):
        tables.verify_record("figure-7", DATA, tmp_path)
    before, _ = record("figure-7", DATA, tmp_path)
    note = tables.verify_record("figure-7", DATA, tmp_path)
    assert note["rows"] == 1 and note["largest_difference"] < 1e-9
    after = load_record("figure-7", "mnist", tmp_path).provenance
    assert after["reproduced"]["versions"]["torch"] and after["started"] == before.provenance["started"]
    assert tables.stale_reason("figure-7", "mnist", tmp_path) is None
    with pytest.raises(ValueError, match="its pixels are not those of the record"):
        tables.verify_record("figure-7", replace(DATA, digest="other"), tmp_path)
    other = lambda dataset, **settings: known.function(dataset, **settings | {"seed": 1})  # noqa: E731
    monkeypatch.setitem(EXPERIMENTS, "figure-7", replace(known, function=other))
    with pytest.raises(ValueError, match=r"figure-7 on mnist is not reproduced: accuracy: differs by"):
        tables.verify_record("figure-7", DATA, tmp_path)
    monkeypatch.setitem(EXPERIMENTS, "figure-7", replace(known, slice=None))
    with pytest.raises(ValueError, match="no part of it is small"):
        tables.verify_record("figure-7", DATA, tmp_path)


def test_record_all_makes_what_is_missing_and_goes_on_after_a_kill(tmp_path, monkeypatch):
    settings = {name: {"ridge": 1.0, "count": 3} for name in ("mnist", "cifar")}
    likeness = {name: each | {"draws": 5, "seed": 0} for name, each in settings.items()}
    chosen = {
        "figure-4-images": replace(EXPERIMENTS["figure-4-images"], settings=settings),
        "figure-4-likeness": replace(EXPERIMENTS["figure-4-likeness"], settings=likeness),
    }
    monkeypatch.setattr(tables, "EXPERIMENTS", chosen)
    monkeypatch.setattr("ntkif.study.experiments.catalogue.EXPERIMENTS", chosen)
    loaded, said = [], []

    def load_small(name):
        loaded.append(name)
        if loaded == ["mnist", "cifar"]:
            raise KeyboardInterrupt
        return replace(DATA, name=name)

    with pytest.raises(KeyboardInterrupt):
        tables.record_all(load_small, tmp_path, said.append)
    kept = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("mnist.csv"))
    assert kept == ["figure-4-images/mnist.csv", "figure-4-likeness/mnist.csv"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("mnist.*")}
    made = tables.record_all(load_small, tmp_path, said.append)
    assert [each.provenance["dataset"] for each in made] == ["cifar", "cifar"] and loaded == ["mnist", "cifar", "cifar"]
    assert said[0].startswith("4 records, 0 of them fresh, 4 to make") and "2 of them fresh, 2 to make" in " ".join(
        said
    )
    assert any(line.startswith("[1/2] figure-4-images on cifar: ") for line in said)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("mnist.*")}
    assert tables.record_all(load_small, tmp_path, said.append) == [] and len(loaded) == 3


def test_a_missing_record_names_its_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="not recorded yet; run `python -m ntkif record proposition-2 cifar`"):
        load_record("proposition-2", "cifar", tmp_path)


def test_a_failed_experiment_leaves_the_old_record(small, tmp_path, monkeypatch):
    record("figure-4-images", DATA, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "figure-4-images").iterdir()}
    monkeypatch.setattr("ntkif.store.os.replace", lambda *names: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        record("figure-4-images", DATA, tmp_path, force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "figure-4-images").iterdir()} == before


def test_a_changed_provenance_is_found(small, tmp_path):
    record("figure-4-images", DATA, tmp_path)
    file = tmp_path / "figure-4-images" / "mnist.json"
    for old, new in (('"n_train": 40', '"n_train": 5000'), ("{", "[")):
        before = file.read_text()
        file.write_text(before.replace(old, new, 1))
        with pytest.raises(ValueError, match="do not belong together or were changed; run"):
            load_record("figure-4-images", "mnist", tmp_path)
        file.write_text(before)


def test_a_machine_without_git(small, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record("figure-4-images", DATA, tmp_path)[0].provenance["commit"] == "unknown"


def test_provenance_is_json_that_a_person_can_read(small, tmp_path):
    record("figure-4-images", DATA, tmp_path)
    text = (tmp_path / "figure-4-images" / "mnist.json").read_text()
    assert {
        "experiment",
        "settings",
        "dtype",
        "device",
        "torch",
        "versions",
        "version",
        "witness",
        "pixels",
        "commit",
        "started",
        "seconds",
    } <= set(json.loads(text))
    assert text.count("\n") > 10


@pytest.mark.parametrize(
    ("experiment", "dataset"),
    [(name, dataset) for name in ("table-1", "figure-1", "theorem-2") for dataset in EXPERIMENTS[name].settings],
)
def test_recorded_tables_are_of_all_committed_runs(experiment, dataset):
    files = [path for path in runs.FOLDER.glob("*/*.npz") if path.parent.name.rsplit("-", 1)[0] == dataset]
    digests = {runs.load_run(file).provenance["table"][:12] for file in files}
    again = f"run `python -m ntkif record {experiment} {dataset}` again"
    assert set(tables.load_record(experiment, dataset).table["run"]) == digests, again
