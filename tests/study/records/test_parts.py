"""Parts of records: made once, gone on with, joined at home in any order, refused where they are not of today."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from ntkif.data import load
from ntkif.store import write
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.experiments.on_card import scores_on_card
from ntkif.study.records import parts as module
from ntkif.study.records.parts import join_parts, keep_part, load_part, part_made
from ntkif.study.records.tables import load_record, load_recorded, record_file, stale_reason
from ntkif.training.recorded import RecordedTraining

DATA = load("mini-mnist-sample")
NAME = "through-training-gpu"


def home(folder):
    """Where records are, with a witness that parts name."""
    (folder / NAME).mkdir(parents=True)
    (folder / NAME / "witness-ten.csv").write_text("a witness")
    return folder


def numbers(table):
    clocks = [name for name, column in EXPERIMENTS[NAME].columns.items() if column.kind == "clock"]
    return table.drop(columns=clocks).reset_index(drop=True)


def test_parts_are_each_case_with_each_seed(parts):
    assert [part.key for part in parts] == [("MLP, SGD", 1), ("MLP, SGD", 2), ("MLP, Adam", 1), ("MLP, Adam", 2)]
    assert str(parts[2]) == "mini-mnist-sample MLP, Adam, seed 1"
    assert parts[2].file("x").parts[1:] == (NAME, "mini-mnist-sample", "mlp-adam-1.csv")


def test_parts_joined_in_any_order_are_the_whole_table(parts, tmp_path):
    work, records = tmp_path / "work", home(tmp_path / "records")
    assert load_recorded(NAME, records) == {}
    for part in parts:
        assert not part_made(part, work, records)
        kept = keep_part(part, DATA, work, records)
        assert part_made(part, work, records) and kept.provenance["settings"]["seeds"] == [part.key[1]]
    files = [part.file(work) for part in parts]
    record = record_file(NAME, "mini-mnist-sample", records)
    for some in (files[2:], files[1:2], files):  # the last again with all that are there
        assert join_parts(some, records) == [record]
        assert stale_reason(NAME, "mini-mnist-sample", records) is None
    assert join_parts(files, records) == []
    found = load_recorded(NAME, records)["mini-mnist-sample"]
    settings = EXPERIMENTS[NAME].settings["mini-mnist-sample"]
    whole = scores_on_card(DATA, **settings)
    pd.testing.assert_frame_equal(numbers(found.table), numbers(whole), rtol=1e-8)
    told = found.provenance
    assert [(each["case"], each["seed"]) for each in told["parts"]] == [part.key for part in parts]
    assert told["settings"] == settings and told["dtype"] == "torch.float64" and told["device"].count("CPU") == 1
    assert told["seconds"] == pytest.approx(sum(each["seconds"] for each in told["parts"]), abs=0.1)
    assert all(part_made(part, tmp_path / "elsewhere", records) for part in parts)


def test_a_part_that_was_broken_off_goes_on_with_its_recording(parts, tmp_path, monkeypatch):
    work, records = tmp_path / "work", home(tmp_path / "records")
    whole = keep_part(parts[0], DATA, tmp_path / "other", records).table

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RecordedTraining, "without", killed)
        with pytest.raises(KeyboardInterrupt):
            keep_part(parts[0], DATA, work, records)
    assert not parts[0].file(work).exists() and not part_made(parts[0], work, records)
    (recording,) = (work / "recordings").iterdir()
    assert sorted(file.suffix for file in recording.iterdir()) == [".json", ".json", ".json", ".pt", ".pt", ".pt"]
    with monkeypatch.context() as patched:
        patched.setattr("ntkif.training.trainings.store.write", killed)  # nothing of it is trained again
        again = keep_part(parts[0], DATA, work, records).table
    pd.testing.assert_frame_equal(numbers(again), numbers(whole))
    assert again["recording_seconds"].isna().all() and not recording.exists()


def test_a_failed_write_leaves_no_half_of_a_part(parts, tmp_path, monkeypatch):
    records = home(tmp_path / "records")

    def full(file, content, told):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write", full)
        with pytest.raises(OSError, match="No space left"):
            keep_part(parts[0], DATA, tmp_path, records)
    assert not parts[0].file(tmp_path).exists() and not part_made(parts[0], tmp_path, records)


def test_what_is_not_of_today_is_refused_and_nothing_is_written(parts, tmp_path, monkeypatch):
    work, records = tmp_path / "work", home(tmp_path / "records")
    for part in parts[:2]:
        keep_part(part, DATA, work, records)
    files = [part.file(work) for part in parts[:2]]
    whole = files[1].read_bytes()
    files[1].write_bytes(whole.replace(b"SGD", b"sgd"))
    with pytest.raises(ValueError, match="do not belong together or were changed; run `python -m ntkif gpu`"):
        join_parts(files, records)
    files[1].write_bytes(whole)
    (records / NAME / "witness-ten.csv").write_text("another")
    with pytest.raises(ValueError, match="made with other witness than today's; make it again"):
        join_parts(files, records)
    (records / NAME / "witness-ten.csv").write_text("a witness")
    told = load_part(files[1]).provenance
    for change, words in (
        ({"pixels": "0" * 64}, "other pixels"),
        ({"version": 0}, "other version"),
        ({"settings": told["settings"] | {"seeds": [7]}}, "has no such case and seed on mini-mnist-sample any more"),
        ({"settings": told["settings"] | {"folds": 3}}, "other settings"),
    ):
        write(files[1], whole, told | change)
        with pytest.raises(ValueError, match=words):
            join_parts(files, records)
    assert not record_file(NAME, "mini-mnist-sample", records).exists()


def test_a_record_that_is_stale_or_damaged_is_not_added_to(parts, tmp_path, monkeypatch):
    work, records = tmp_path / "work", home(tmp_path / "records")
    for part in parts[:2]:
        keep_part(part, DATA, work, records)
    join_parts([parts[0].file(work)], records)
    record = record_file(NAME, "mini-mnist-sample", records)
    before = record.read_bytes()
    monkeypatch.setitem(EXPERIMENTS, NAME, replace(EXPERIMENTS[NAME], version=2))
    with pytest.raises(ValueError, match="other version than today's"):
        join_parts([parts[1].file(work)], records)
    keep_part(parts[1], DATA, work, records)
    with pytest.raises(ValueError, match=r"version changed since it was recorded.* delete the record"):
        join_parts([parts[1].file(work)], records)
    assert record.read_bytes() == before
    told = json.loads(record.with_suffix(".json").read_text())
    assert len(told["parts"]) == 1 and len(load_record(NAME, "mini-mnist-sample", records).table) == 2
