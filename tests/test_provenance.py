"""How a result was made."""

import subprocess
from types import SimpleNamespace

from ntkif import provenance


def test_versions_name_what_multiplies():
    found = provenance.versions()
    assert set(found) == {"torch", "numpy", "scipy"}
    assert all(len(words.split(", ")[1]) > 3 for words in found.values())


def test_a_commit_may_be_named_and_is_marked_where_code_changed(monkeypatch):
    monkeypatch.setenv("NTKIF_COMMIT", "abc")
    assert provenance.commit() == "abc"
    monkeypatch.delenv("NTKIF_COMMIT")
    said = {"rev-parse": "0123\n", "status": " M ntkif/a.py\n"}
    monkeypatch.setattr(subprocess, "run", lambda words, **options: SimpleNamespace(stdout=said[words[1]]))
    assert provenance.commit() == "0123-dirty"
    said["status"] = ""
    assert provenance.commit() == "0123"
