"""`book/_ext/docstrings.py`: what `help()` shows becomes an entry of the reference, and nothing is lost on the way."""

import ast
import doctest
import importlib.util
import re

from ntkif.provenance import ROOT

_SPEC = importlib.util.spec_from_file_location("docstrings", ROOT / "book" / "_ext" / "docstrings.py")
docstrings = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(docstrings)
DOCUMENTED = (ast.FunctionDef, ast.ClassDef)


def texts():
    """Where each docstring of the method stands, and the docstring."""
    for file in sorted(ROOT.glob("ntkif/**/*.py")):
        nodes = [] if "study" in file.parts else ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for node in nodes:
            if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                yield f"{file.stem}.{node.name}", text


def words(text: str) -> list[str]:
    """The words of a text without its marks."""
    fields = {f"{name}:" for name in [*docstrings.FIELDS, *docstrings.FIELDS.values()]}
    text = text.replace(".. code-block:: text\n   :class: formula", "").replace("\\ ", "")
    return [re.sub(r"[`*\\]", "", word) for word in text.split() if word.strip(":") + ":" not in fields | {"-:"}]


def test_no_word_of_a_docstring_is_lost():
    for where, text in texts():
        assert sorted(words(docstrings.to_rst(text))) == sorted(words(text)), where


def test_sections_are_whole():
    """A section ends at its first blank line, so what follows is an example or a paragraph of its own."""
    for where, text in texts():
        rest = re.split(r"^(?:Args|Attributes|Returns|Yields|Raises|Warns):\n", text, flags=re.MULTILINE)[1:]
        assert not [part for part in rest if re.search(r"\n\n +\S", part)], where


def test_the_parts_of_a_docstring():
    text = "Add.\n\n    x + y_\n\nArgs:\n    x, y_: `a` or\n        |b|.\n\n"
    text += "Raises:\n    ValueError, MyError: no.\n\n>>> 1\n1"
    assert docstrings.to_rst(text) == (
        "Add.\n\n.. code-block:: text\n   :class: formula\n\n   x + y_\n\n"
        ":Parameters:\n   - **x**, **y\\_**: ``a``\\  or \\|b\\|.\n"
        ":Raises:\n   - ``ValueError``, ``MyError``: no.\n\n>>> 1\n1"
    )


def test_its_examples():
    assert doctest.testmod(docstrings).failed == 0
