"""What benchmarks measured: records whole and fresh, and tools whose answers could be turned into ours."""

import shutil
from dataclasses import replace

import pytest

from ntkif.provenance import ROOT
from ntkif.study.experiments.catalogue import EXPERIMENTS
from ntkif.study.records import tools
from ntkif.study.records.tables import FOLDER
from ntkif.study.records.witness import (
    difference,
    witness_digest,
    witness_table,
)


def test_every_tool_can_be_converted_to_ours():
    table, line = tools.conventions()
    assert {"captum", "dattri", "pyDVL", "Koh and Liang, 2017"} == set(table["tool"])
    assert (table["relative error then"].astype(float) < 1e-4).all()
    assert ((table["positive means"] == "harmful") == table["ours = theirs times"].str.startswith("-")).all()
    assert "dattri" in line and "commit" in line


@pytest.mark.parametrize("name", [name for name in tools.MEASUREMENTS if name != "peers-large"])  # an hour
def test_a_measurement_is_whole_and_of_its_version(name):
    table, made = tools.load_measurement(name)
    assert len(table) > 3 and len(made["commit"]) == 40 and made["versions"] and made["line"].startswith(name)


def test_what_tools_were_compared_with_is_our_answer_as_its_witness_has_it():
    """That today's code gives the witness is the test below."""
    for name, known in tools.MEASUREMENTS.items():
        if known.witness and name != "peers-large":
            assert tools.load_measurement(name)[1]["witness"] == tools.witness_of(name), f"again: `{known.command}`"


def test_witnesses_of_measurements_are_those_of_the_book():
    assert tools.witness_of("growth") is None
    own, trained = tools.witness_of("peers"), tools.witness_of("peers-through-training")
    assert own == witness_digest(tools.OWN_ANSWER, "two", ROOT / "records" / "tools")
    assert trained == witness_digest(EXPERIMENTS["through-training"], "ten", FOLDER / "through-training")
    assert len(own) == len(trained) == 64


def test_each_tool_has_one_best_setting():
    table, _ = tools.against_truth()
    best = tools.chosen(table)
    assert (best.groupby("case")["tool"].nunique() == best.groupby("case").size()).all()
    for (case, tool), tried in table.groupby(["case", "tool"]):
        mine = best[(best["case"] == case) & (best["tool"] == tool)].iloc[0]
        assert not (tried["relative_error"] < mine["relative_error"]).any()
    assert (table["status"] == "").equals(table["slope"].notna())


def test_of_each_column_the_best_of_all_settings_is_taken():
    table, _ = tools.against_truth()
    best = tools.best_of_columns(table).set_index(["case", "tool"])
    conv = table[(table["case"] == "conv") & (table["tool"] == "dattri, CG")]
    few, many = conv.set_index("settings").loc[['{"max_iter": 10}', '{"max_iter": 30}']].to_dict("records")
    assert best.loc[("conv", "dattri, CG"), "relative_error"] == few["relative_error"] < many["relative_error"]
    assert best.loc[("conv", "dattri, CG"), "spearman"] == many["spearman"] > few["spearman"]
    assert best.loc[("two-layer", "pyDVL, Nystrom"), "slope"] == pytest.approx(1.0355)  # above one, and nearest
    assert set(best.reset_index()["tool"]) == set(table[table["status"] == ""]["tool"])


def test_of_networks_that_were_stopped_settings_are_chosen_on_the_first_draw():
    table, story = tools.against_truth("peers-through-training")
    assert set(story["settings"]) == set(table["case"] + ", seed " + table["seed"].astype(str))
    best = tools.chosen(table)
    assert not best.duplicated(["case", "seed", "tool"]).any()
    for (case, tool), tried in table.groupby(["case", "tool"]):
        first = tried[tried["seed"] == 20]
        error = "rescaled_error" if tool == "TRAK" else "relative_error"
        chosen = first[first["chosen"]].iloc[0]
        assert not (first[error] < chosen[error]).any()
        assert set(tried[tried["seed"] != 20]["settings"]) <= {chosen["settings"]}, (case, tool)
    for share in (10, 50):
        scored = table.dropna(subset=[f"lds_{share}"])
        assert scored[f"lds_{share}"].between(scored[f"lds_{share}_low"], scored[f"lds_{share}_high"]).mean() > 0.9


@pytest.mark.parametrize("changed", ["conventions.csv", "conventions.json"])
def test_a_changed_record_is_refused(tmp_path, changed):
    (folder := tmp_path / "records" / "tools").mkdir(parents=True)
    for name in ("conventions.csv", "conventions.json"):
        shutil.copy(ROOT / "records" / "tools" / name, folder / name)
    assert len(tools.conventions(tmp_path)[0]) == 5
    (folder / changed).write_text((folder / changed).read_text().replace("0.5", "0.7").replace("helpful", "harmful"))
    with pytest.raises(ValueError, match="make peers"):
        tools.conventions(tmp_path)


def test_a_measurement_of_another_version_is_refused(tmp_path, monkeypatch):
    tools.keep_measurement("growth", b"a\n1\n", {"device": "a machine"}, tmp_path)
    table, made = tools.load_measurement("growth", tmp_path)
    assert table["a"].tolist() == [1] and made["device"] == "a machine" and made["version"] == 1
    assert "scores" not in made["line"]
    scores = {"started": "2026-11-25T22:36:31Z", "commit": "767339738734"}
    tools.keep_measurement("growth", b"a\n1\n", {"device": "a machine", "scores": scores}, tmp_path)
    assert tools.load_measurement("growth", tmp_path)[1]["line"].endswith("scores recorded 2026-11-25, commit 76733973")
    monkeypatch.setitem(tools.MEASUREMENTS, "growth", replace(tools.MEASUREMENTS["growth"], version=2))
    with pytest.raises(ValueError, match=r"growth\.csv: version changed since .* run `python .*growth\.py`"):
        tools.load_measurement("growth", tmp_path)


def test_what_is_missing_or_unknown_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run `python .*growth\.py`"):
        tools.load_measurement("growth", tmp_path)
    names = "conventions, peers, peers-large, peers-through-training, growth"
    with pytest.raises(ValueError, match=f"expected one of {names}"):
        tools.load_measurement("gowth")


def test_todays_code_answers_as_when_it_was_compared_with_other_tools():
    table = witness_table(tools.OWN_ANSWER, "two")
    assert difference(tools.OWN_ANSWER, "two", table, ROOT / "records" / "tools") is None
