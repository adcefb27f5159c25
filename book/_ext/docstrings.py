"""Docstrings as reStructuredText, for the reference under `book/api`.

They are written for `help()`: names in single backticks, a formula as an indented block, Google's sections. Here names
become literals, which `linked_names` links, a formula a block of its own, and each section a field.
"""

import re
from pathlib import Path
from textwrap import dedent
from zlib import crc32

FIELDS = {"Args": "Parameters"} | {name: name for name in ("Attributes", "Returns", "Yields", "Raises", "Warns")}
_HEADER = re.compile(rf"^({'|'.join(FIELDS)}):\n", re.MULTILINE)
_ITEM = re.compile(r"([\w*.]+(?:, [\w*.]+)*):\s(.*)", re.DOTALL)


def inline(text: str) -> str:
    r"""A paragraph on one line: what stands in backticks is a literal, and nothing else is markup.

    >>> print(inline("of `x` is *|w|* of x_"))
    of ``x``\  is \*\|w\|\* of x\_
    """
    parts = re.split("`([^`]+)`", " ".join(text.split()))
    parts[::2] = (re.sub(r"[\\*|]|_(?!\w)", r"\\\g<0>", part) for part in parts[::2])
    parts[1::2] = (f"``{part}``\\ " for part in parts[1::2])
    return "".join(parts)


def block(text: str) -> str:
    """A paragraph, a list, a formula or an example."""
    if text.startswith(">>>"):
        return text
    if text.startswith("    "):
        formula = dedent(text).replace("\n", "\n   ")
        return f".. code-block:: text\n   :class: formula\n\n   {formula}"
    if text.startswith("- "):
        return "\n".join(f"- {inline(item)}" for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:])
    return inline(text)


def field(name: str, text: str) -> str:
    """A section: named things as a list, other text as a paragraph."""
    items = re.split(r"\n(?=\S)", dedent(text).strip())
    found = [_ITEM.fullmatch(item) for item in items]
    if name in ("Returns", "Yields") or not all(found):
        return f":{FIELDS[name]}: {inline(text)}"
    mark = "``" if name in ("Raises", "Warns") else "**"
    told = (f"{', '.join(_marked(each[1], mark))}: {inline(each[2])}" for each in found)
    return f":{FIELDS[name]}:\n" + "\n".join(f"   - {each}" for each in told)


def _marked(names: str, mark: str) -> list[str]:
    return [f"{mark}{name if mark == '``' else inline(name)}{mark}" for name in names.split(", ")]


def to_rst(text: str) -> str:
    r"""The docstring: its blocks, then its sections as one list of fields, then what follows them.

    >>> print(to_rst("Add.\n\nArgs:\n    x: a number."))
    Add.
    <BLANKLINE>
    :Parameters:
       - **x**: a number.
    """
    head, *rest = _HEADER.split(text)
    bodies = [body.partition("\n\n") for body in rest[1::2]]
    fields = [field(name, inside) for name, (inside, _, _) in zip(rest[::2], bodies, strict=True)]
    after = "\n\n".join(tail for _, _, tail in bodies)
    blocks = [*map(block, _paragraphs(head)), "\n".join(fields), *map(block, _paragraphs(after))]
    return "\n\n".join(filter(None, blocks))


def _paragraphs(text: str) -> list[str]:
    return [part.rstrip() for part in re.split(r"\n\s*\n", text.strip("\n")) if part.strip()]


def rewrite(app, what, name, obj, options, lines):
    lines[:] = to_rst("\n".join(lines).strip("\n")).splitlines()


def defaults(signature: str) -> str:
    """A signature as Python would read it: a function by its name; what a dataclass makes anew as an ellipsis.

    >>> defaults("(kernel: Kernel = <function ntk>, rows: list = <factory>)")
    '(kernel: Kernel = ntk, rows: list = ...)'
    """
    return re.sub(r"<function (\w+)>", r"\1", signature).replace("<factory>", "...")


def resign(app, what, name, obj, options, signature, returns):
    return signature and defaults(signature), returns


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-process-signature", resign)
    # Pages that were read before this file changed are read again.
    return {"parallel_read_safe": True, "env_version": crc32(Path(__file__).read_bytes())}
