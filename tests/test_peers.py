"""What benchmarks measured: records whole and fresh, and tools whose answers could be turned into ours."""

import shutil

import pytest

from ntkif import measured, peers
from ntkif.provenance import source_digest
from ntkif.trained import network_influence

ROOT = measured.ROOT


def test_every_tool_can_be_converted_to_ours():
    table, line = peers.conventions()
    assert {"captum", "dattri", "pyDVL", "Koh and Liang, 2017"} == set(table["tool"])
    assert (table["relative error then"].astype(float) < 1e-4).all()
    assert ((table["positive means"] == "harmful") == table["ours = theirs times"].str.startswith("-")).all()
    assert "dattri" in line and "commit" in line


@pytest.mark.parametrize("name", [name for name in measured.MADE_BY if name != "peers-large"])  # needs an hour
def test_a_measurement_is_whole_and_fresh(name):
    table, story = measured.measured(name)
    assert len(table) > 3 and len(story["commit"]) == 40


def test_what_tools_were_compared_with_is_our_code_as_it_is():
    _, story = peers.against_truth()
    assert story["package"] == source_digest(network_influence), "make it again with `make peers`"


def test_each_tool_has_one_best_setting():
    table, _ = peers.against_truth()
    best = peers.chosen(table)
    assert (best.groupby("case")["tool"].nunique() == best.groupby("case").size()).all()
    for (case, tool), tried in table.groupby(["case", "tool"]):
        mine = best[(best["case"] == case) & (best["tool"] == tool)].iloc[0]
        assert not (tried["relative_error"] < mine["relative_error"]).any()
    assert (table["status"] == "").equals(table["slope"].notna())


@pytest.mark.parametrize(
    "changed", ["records/conventions.csv", "records/conventions.json", "benchmarks/conventions.py"]
)
def test_a_changed_record_is_refused(tmp_path, changed):
    for name in ("records/conventions.csv", "records/conventions.json", "benchmarks/conventions.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert len(peers.conventions(tmp_path)[0]) == 5
    file = tmp_path / changed
    file.write_text(file.read_text().replace("0.5", "0.7").replace("helpful", "harmful"))
    with pytest.raises(ValueError, match="make peers"):
        peers.conventions(tmp_path)


def test_what_is_missing_or_unknown_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run `python benchmarks/growth\.py`"):
        measured.measured("growth", tmp_path)
    with pytest.raises(ValueError, match="expected one of conventions, peers, peers-large, growth"):
        measured.measured("gowth")
