"""The record of other tools' conventions: whole, fresh, and a conversion that works for each of them."""

import shutil

import pytest

from ntkif import peers


def test_every_tool_can_be_converted_to_ours():
    table, line = peers.conventions()
    assert {"captum", "dattri", "pyDVL", "Koh and Liang, 2017"} == set(table["tool"])
    assert (table["relative error then"].astype(float) < 1e-4).all()
    assert ((table["positive means"] == "harmful") == table["ours = theirs times"].str.startswith("-")).all()
    assert "dattri" in line and "commit" in line


@pytest.mark.parametrize(
    "changed", ["records/conventions.csv", "records/conventions.json", "benchmarks/conventions.py"]
)
def test_a_changed_record_is_refused(tmp_path, changed):
    for name in ("records/conventions.csv", "records/conventions.json", "benchmarks/conventions.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(peers._ROOT / name, tmp_path / name)
    assert len(peers.conventions(tmp_path)[0]) == 5
    file = tmp_path / changed
    file.write_text(file.read_text().replace("0.5", "0.7").replace("helpful", "harmful"))
    with pytest.raises(ValueError, match="make peers"):
        peers.conventions(tmp_path)
