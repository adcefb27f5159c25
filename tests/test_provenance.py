"""How a result was made."""

from ntkif import provenance


def test_versions_name_what_multiplies():
    found = provenance.versions()
    assert set(found) == {"torch", "numpy", "scipy"}
    assert all(len(words.split(", ")[1]) > 3 for words in found.values())
