import importlib.util
import json
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ntkif import experiments, records
from ntkif.data import load
from ntkif.records import EXPERIMENTS, load_record, record, source_digest, unpack_images

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
    found = load_record(path.parent.name, path.stem).provenance
    experiment = EXPERIMENTS[path.parent.name]
    again = f"run `python -m ntkif record {path.parent.name} {path.stem}` again"
    assert found["source"] == source_digest(experiment.function), f"the code of {path} has changed: {again}"
    assert found["settings"] == experiment.settings[path.stem], f"the settings of {path} have changed: {again}"
    assert "dirty" not in found["commit"]


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


def test_colour_pixels_survive():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    table = pd.DataFrame({"pixels": [records._pack_image(image), records._pack_image(255 - image)]})
    assert (unpack_images(table) == np.stack([image, 255 - image])).all()


def test_a_changed_table_is_found(small, tmp_path):
    record("figure-4-images", DATA, tmp_path)
    file = tmp_path / "figure-4-images" / "mnist.csv"
    file.write_text(file.read_text().replace("helpful,1,", "helpful,2,", 1))
    with pytest.raises(ValueError, match=r"is not the table that its .json describes; run `python -m ntkif record"):
        load_record("figure-4-images", "mnist", tmp_path)


def test_a_missing_record_names_its_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="not recorded yet; run `python -m ntkif record proposition-2 cifar`"):
        load_record("proposition-2", "cifar", tmp_path)


def test_unknown_names(tmp_path):
    with pytest.raises(ValueError, match="unknown experiment 'figure-99': expected one of proposition-2"):
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


@pytest.mark.parametrize(
    ("change", "goes_stale"),
    [
        (("0.1", "0.2"), True),
        (("x + HALF", "x - HALF"), True),
        (("HALF = 0.5", "HALF = 0.25"), True),
        (("return 2 * x", "return 3 * x"), True),
        (("return x.y", "return x.z"), True),
        (('"""Twice."""', '"""Two times."""'), False),
        (("# a comment", "# another"), False),
        (("    return 2", "\n    return 2"), False),
        (("def other():", "def unrelated():"), False),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_what_makes_a_record_stale(change, goes_stale, tmp_path, monkeypatch):
    """Code that is reached counts, whichever module it is in; comments, docstrings, layout and the rest do not."""
    source = textwrap.dedent('''
        HALF = 0.5

        def twice(x):
            """Twice."""
            return 2 * x  # a comment

        class Thing:
            @property
            def value(x):
                return x.y

        def other():
            return 7

        def experiment(x):
            """Docstring with (parentheses."""
            return [twice(x + HALF) * 0.1 for _ in range(2)], Thing()
    ''')

    def digest(text, name):
        (tmp_path / f"{name}.py").write_text(text)
        spec = importlib.util.spec_from_file_location("ntkif.made_up", tmp_path / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "ntkif.made_up", module)
        spec.loader.exec_module(module)
        return source_digest(module.experiment)

    assert change[0] in source
    assert (digest(source, "before") != digest(source.replace(*change), "after")) == goes_stale


def test_the_command_line_says_what_is_wrong():
    answer = subprocess.run(
        [sys.executable, "-m", "ntkif", "record", "figure-4-images", "mnist-sample"], capture_output=True, text=True
    )
    assert answer.returncode == 1 and answer.stderr.startswith("figure-4-images has no settings for 'mnist-sample'")
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
