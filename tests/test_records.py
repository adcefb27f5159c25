import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ntkif import data, experiments, provenance, records
from ntkif.data import load
from ntkif.provenance import source_digest
from ntkif.records import EXPERIMENTS, load_record, record, unpack_images, unpack_test_images

DATA = replace(load("mnist-sample").head(40, 20), name="mnist")
RECORDED = sorted(path for path in records.FOLDER.glob("*/*.csv"))


@pytest.fixture
def small(monkeypatch):
    """Settings for forty images."""
    settings = {"mnist": {"ridge": 1.0, "count": 3}}
    monkeypatch.setitem(EXPERIMENTS, "figure-4-images", replace(EXPERIMENTS["figure-4-images"], settings=settings))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_committed_record_is_whole_and_fresh(path):
    """Made by the code as it is, with the settings as they are, of the pixels as published."""
    assert records.stale_reason(path.parent.name, path.stem) is None
    found = load_record(path.parent.name, path.stem).provenance
    assert re.fullmatch("[0-9a-f]{40}", found["commit"])
    assert found["pixels"] == data._RECIPES[path.stem].digest
    size = (60000, 10000) if path.stem == "mnist-full" else (5000, 1000)
    assert (found["n_train"], found["n_test"], found["dtype"]) == (*size, "torch.float64")


def test_every_experiment_is_recorded_on_every_data_set():
    expected = {f"{name}/{dataset}" for name, experiment in EXPERIMENTS.items() for dataset in experiment.settings}
    assert {f"{path.parent.name}/{path.stem}" for path in RECORDED} == expected


def test_a_record_is_read_as_it_was_written(small, tmp_path):
    made = record("figure-4-images", DATA, tmp_path)
    read = load_record("figure-4-images", "mnist", tmp_path)
    table = experiments.extreme_images(DATA, 1.0, 3)
    pd.testing.assert_frame_equal(read.table.drop(columns="pixels"), table, rtol=1e-9)
    pd.testing.assert_frame_equal(read.table, made.table)
    assert (unpack_images(read.table) == DATA.images_train[table["row"]]).all()
    assert read.provenance["pixels"] == DATA.digest and read.provenance["settings"] == {"ridge": 1.0, "count": 3}
    assert str(read).startswith("mnist recorded 20") and "40 + 20 images" in str(read)


def test_test_images_are_kept_once(monkeypatch, tmp_path):
    settings = {"mnist": {"ridge": 0.0, "times": [0.1, 1.0], "test_rows": [4, 2], "kinds": ["helpful"]}}
    monkeypatch.setitem(EXPERIMENTS, "figure-6-images", replace(EXPERIMENTS["figure-6-images"], settings=settings))
    table = record("figure-6-images", DATA, tmp_path).table
    assert (
        table["test_row"].tolist() == [4, 2, 4, 2]
        and table["test_pixels"].notna().tolist() == [True, True] + [False] * 2
    )
    assert (unpack_test_images(table) == DATA.images_test[[4, 2]]).all()


def test_colour_pixels_survive():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    table = pd.DataFrame({"pixels": [records._pack_image(image), records._pack_image(255 - image)]})
    assert (unpack_images(table) == np.stack([image, 255 - image])).all()


def test_a_changed_table_is_found(small, tmp_path):
    record("figure-4-images", DATA, tmp_path)
    file = tmp_path / "figure-4-images" / "mnist.csv"
    file.write_text(file.read_text().replace("helpful,1,", "helpful,2,", 1))
    with pytest.raises(ValueError, match=r"do not belong together or were changed; run `python -m ntkif record"):
        load_record("figure-4-images", "mnist", tmp_path)


def test_a_stale_record_names_its_command(small, tmp_path, monkeypatch):
    def reason():
        return records.stale_reason("figure-4-images", "mnist", tmp_path)

    assert "not recorded yet; run `python -m ntkif record figure-4-images mnist`" in reason()
    record("figure-4-images", DATA, tmp_path)
    assert reason() is None
    monkeypatch.setattr(records, "source_digest", lambda function: "another")
    assert reason() == (
        "the code of figure-4-images has changed since it was recorded; "
        "run `python -m ntkif record figure-4-images mnist`."
    )
    monkeypatch.undo()
    changed = {"mnist": {"ridge": 2.0, "count": 3}}
    monkeypatch.setitem(EXPERIMENTS, "figure-4-images", replace(EXPERIMENTS["figure-4-images"], settings=changed))
    assert reason().startswith("what figure-4-images asks for on mnist has changed since")
    (tmp_path / "figure-4-images" / "mnist.csv").write_text("changed")
    assert "do not belong together or were changed; run" in reason()


def test_record_all_makes_what_is_missing_and_goes_on_after_a_kill(tmp_path, monkeypatch):
    settings = {name: {"ridge": 1.0, "count": 3} for name in ("mnist", "cifar")}
    likeness = {name: each | {"draws": 5, "seed": 0} for name, each in settings.items()}
    chosen = {
        "figure-4-images": replace(EXPERIMENTS["figure-4-images"], settings=settings),
        "figure-4-likeness": replace(EXPERIMENTS["figure-4-likeness"], settings=likeness),
    }
    monkeypatch.setattr(records, "EXPERIMENTS", chosen)
    monkeypatch.setattr("ntkif.catalogue.EXPERIMENTS", chosen)
    loaded, said = [], []

    def load_small(name):
        loaded.append(name)
        if loaded == ["mnist", "cifar"]:
            raise KeyboardInterrupt
        return replace(DATA, name=name)

    with pytest.raises(KeyboardInterrupt):
        records.record_all(load_small, tmp_path, said.append)
    kept = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.csv"))
    assert kept == ["figure-4-images/mnist.csv", "figure-4-likeness/mnist.csv"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("mnist.*")}
    made = records.record_all(load_small, tmp_path, said.append)
    assert [each.provenance["dataset"] for each in made] == ["cifar", "cifar"] and loaded == ["mnist", "cifar", "cifar"]
    assert said[0].startswith("4 records, 0 of them fresh, 4 to make") and "2 of them fresh, 2 to make" in " ".join(
        said
    )
    assert any(line.startswith("[1/2] figure-4-images on cifar: ") for line in said)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("mnist.*")}
    assert records.record_all(load_small, tmp_path, said.append) == [] and len(loaded) == 3


@pytest.mark.parametrize("words", [[], ["figure-2"], ["--all", "figure-2", "mnist"], ["--all", "figure-2"]])
def test_the_command_line_wants_one_or_all(words):
    answer = subprocess.run([sys.executable, "-m", "ntkif", "record", *words], capture_output=True, text=True)
    assert answer.returncode == 2 and "name an EXPERIMENT and a DATASET, or --all and neither" in answer.stderr


def test_a_missing_record_names_its_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="not recorded yet; run `python -m ntkif record proposition-2 cifar`"):
        load_record("proposition-2", "cifar", tmp_path)


def test_unknown_names(tmp_path):
    with pytest.raises(ValueError, match="unknown experiment 'figure-99': expected one of equation-4"):
        load_record("figure-99", "mnist", tmp_path)
    with pytest.raises(ValueError, match="figure-4-images has no settings for 'mnist-sample': expected one of mnist"):
        record("figure-4-images", load("mnist-sample"), tmp_path)


def test_a_failed_experiment_leaves_the_old_record(small, tmp_path, monkeypatch):
    record("figure-4-images", DATA, tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "figure-4-images").iterdir()}
    monkeypatch.setattr("ntkif.files.os.replace", lambda *names: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        record("figure-4-images", DATA, tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "figure-4-images").iterdir()} == before


EXPERIMENT = '''
from ntkif.made_up_below import twice

RATES = [0.1, 0.2]
OFFSET: float = 5.0

def unrelated():
    return 7

def half(x, by=2):
    return x / by

def experiment(x):
    """Docstring with (parentheses."""
    rows = []
    for rate in RATES:
        rows.append(twice(half(x)) * rate + OFFSET)  # a comment
    return rows
'''
BELOW = '''
import functools

class Base:
    start = 1

class Thing(Base):
    @property
    def value(self):
        """Documented."""
        return self.start

@functools.lru_cache
def twice(x):
    return 2 * x + Thing().value
'''


@pytest.mark.parametrize(
    ("change", "goes_stale"),
    [
        (("[0.1, 0.2]", "[0.1, 0.3]"), True),
        (("5.0", "6.0"), True),
        (("by=2", "by=3"), True),
        (("    return rows", "        return rows"), True),
        (("twice(half(x))", "half(twice(x))"), True),
        (("return 2 * x", "return 3 * x"), True),
        (("@functools.lru_cache\n", ""), True),
        (("start = 1", "start = 2"), True),
        (("return self.start", "return -self.start"), True),
        (('"""Documented."""', '"""Said otherwise."""'), False),
        (('"""Docstring with (parentheses."""', '"""Another."""'), False),
        (("# a comment", "# another"), False),
        (("return 2 * x + Thing().value", "return (\n        2 * x + Thing().value\n    )"), False),
        (("return 7", "return 8"), False),
    ],
    ids=lambda value: repr(value[1]) if isinstance(value, tuple) else "",
)
def test_what_makes_a_record_stale(change, goes_stale, tmp_path, monkeypatch):
    """What the function reaches in its module and all of the modules below; not comments, docstrings or layout."""

    def digest(old, new, folder):
        folder.mkdir()
        for name, text in (("made_up_below", BELOW), ("made_up", EXPERIMENT)):
            (folder / f"{name}.py").write_text(text.replace(old, new))
            spec = importlib.util.spec_from_file_location(f"ntkif.{name}", folder / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, f"ntkif.{name}", module)
            spec.loader.exec_module(module)
        return source_digest(module.experiment)

    assert (change[0] in EXPERIMENT) + (change[0] in BELOW) == 1
    assert (digest(*change, tmp_path / "after") != digest("", "", tmp_path / "before")) == goes_stale


def test_the_real_experiments_depend_on_the_method_and_the_data():
    names = provenance._imports("ntkif.experiments")
    assert {"ntkif.kernel", "ntkif.regression", "ntkif.influence", "ntkif.blocks", "ntkif.data"} <= names
    assert not names & {"ntkif.archives", "ntkif.plots", "ntkif.records"}


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
    assert record("figure-4-images", DATA, tmp_path).provenance["commit"] == "unknown"


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(device):
    command = [sys.executable, "-m", "ntkif", "record", "figure-4-images", "mnist", "--device", device]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 2 and "error: " in answer.stderr and "Traceback" not in answer.stderr


def test_the_command_line_says_what_is_wrong():
    answer = subprocess.run(
        [sys.executable, "-m", "ntkif", "record", "figure-4-images", "mnist-sample"], capture_output=True, text=True
    )
    assert answer.returncode == 2 and "error: figure-4-images has no settings for 'mnist-sample'" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_provenance_is_json_that_a_person_can_read(small, tmp_path):
    record("figure-4-images", DATA, tmp_path)
    text = (tmp_path / "figure-4-images" / "mnist.json").read_text()
    assert {
        "experiment",
        "settings",
        "dtype",
        "device",
        "torch",
        "pixels",
        "commit",
        "source",
        "started",
        "seconds",
    } <= set(json.loads(text))
    assert text.count("\n") > 10
