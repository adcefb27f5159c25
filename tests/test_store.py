"""Results on disk: whole, together and as expected, or refused."""

import pytest

from ntkif import store


def test_what_is_saved_is_loaded(tmp_path):
    kept = store.write(tmp_path / "a" / "t.csv", b"x\n1\n", {"settings": {"times": (1, 2)}})
    content, found = store.read(tmp_path / "a" / "t.csv", "make t")
    assert content == b"x\n1\n" and found == kept and found["settings"] == {"times": [1, 2]}
    assert store.status(tmp_path / "a" / "t.csv", {"settings": {"times": (1, 2)}}, "make t") is None


def test_what_changed_or_is_missing_names_its_command(tmp_path):
    file = tmp_path / "t.csv"
    with pytest.raises(FileNotFoundError, match=r"t\.csv is not recorded yet; run `make t`"):
        store.read(file, "make t")
    assert "not recorded yet; run `make t`" in store.status(file, {}, "make t")
    store.write(file, b"1", {"version": 1, "witness": "abc"})
    assert store.status(file, {"version": 2, "witness": "abd"}, "make t").endswith(
        "t.csv: version and witness changed since it was recorded; run `make t`."
    )
    assert "settings changed" in store.status(file, {"settings": {}}, "make t")
    made = file.with_suffix(".json")
    for change in (
        lambda: file.write_bytes(b"2"),
        lambda: made.write_text("[]"),
        lambda: made.write_text(made.read_text().replace('"version": 1', '"version": 2')),
    ):
        store.write(file, b"1", {"version": 1})
        change()
        with pytest.raises(ValueError, match="do not belong together or were changed; run `make t`"):
            store.read(file, "make t")


def test_a_note_is_added_to_a_whole_result_alone(tmp_path):
    file = tmp_path / "t.csv"
    store.write(file, b"1", {"version": 1})
    store.add_note(file, "make t", reproduced={"rows": 3})
    assert store.read(file, "make t")[1]["reproduced"] == {"rows": 3}
    file.write_bytes(b"2")
    with pytest.raises(ValueError, match="do not belong together"):
        store.add_note(file, "make t", reproduced={})
