"""How a result was made: the digest of its code, the commit, the machine. Nothing here needs more than torch."""

import ast
import functools
import hashlib
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ntkif.files import write_atomically

__all__ = ["code_digest", "commit", "device_name", "digest_of", "now", "read_story", "source_digest", "write_story"]

# What these modules do, pixels and tables answer for with digests of their own.
_NO_NUMBERS = {"ntkif.archives", "ntkif.checks", "ntkif.files", "ntkif.provenance"}


@functools.cache
def source_digest(function: Callable) -> str:
    """SHA-256 of the code behind an experiment, by its syntax: comments, docstrings and layout do not count.

    That is the function, what it reaches in its own module, and the whole of every other module of this package that
    its module imports, directly or not, but for those that only check input and handle files. Taken once in a run, so
    that files edited meanwhile are not read for the code that is running.
    """
    name = inspect.getmodule(function).__name__
    parts = [_reached(function)]
    parts += [ast.parse(inspect.getsource(sys.modules[imported])) for imported in sorted(_imports(name))]
    return _digest(parts)


def code_digest(*functions: Callable) -> str:
    """As `source_digest`, of just these functions or classes and what each reaches in its own module.

    For results that are dear to make again: they do not go stale with code that has no part in them.
    """
    return _digest([_reached(function) for function in functions])


def _digest(parts: list) -> str:
    return hashlib.sha256("\n".join(str(_skeleton(part)) for part in parts).encode()).hexdigest()


def _reached(function: Callable) -> list[ast.stmt]:
    """The definition of a function or class, and those of all that it uses from the top level of its module."""
    module, defined = ast.parse(inspect.getsource(inspect.getmodule(function))), {}
    for statement in module.body:
        for target in getattr(statement, "targets", [getattr(statement, "target", statement)]):
            defined[getattr(target, "name", getattr(target, "id", None))] = statement
    found, wanted = {}, [function.__name__]
    while wanted:
        statement = defined.get(name := wanted.pop())
        if statement is not None and name not in found:
            found[name] = statement
            wanted += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return [found[name] for name in sorted(found)]


def _imports(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """Modules of this package that a module imports, directly or not."""
    # A module that another imports only where it is needed may not be there yet.
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(name)))):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "ntkif":
            names = [node.module] if node.module != "ntkif" else [f"ntkif.{alias.name}" for alias in node.names]
            for imported in set(names) - seen - _NO_NUMBERS:
                seen = _imports(imported, seen | {imported})
    return seen


def _skeleton(node: object) -> object:
    """A syntax tree as nested lists without docstrings and positions, the same for every version of Python."""
    if isinstance(node, list):
        return [_skeleton(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, []) and name != "kind"}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
        fields["body"] = fields["body"][1:]
    return [type(node).__name__, *([name, _skeleton(fields[name])] for name in sorted(fields))]


def device_name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def digest_of(provenance: dict) -> str:
    """SHA-256 of a provenance, but for its own entry `digest`."""
    told = {key: value for key, value in provenance.items() if key != "digest"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def write_story(file: Path, story: dict) -> None:
    """Write the `.json` beside a result, with the digest of all that it tells.

    Args:
        file: the result.
        story: how it was made; its entry `table` is the SHA-256 of the result.
    """
    text = json.dumps(story | {"digest": digest_of(story)}, indent=1) + "\n"
    write_atomically(file.with_suffix(".json"), lambda stream: stream.write(text.encode()))


def read_story(file: Path, content: bytes) -> dict | None:
    """What the `.json` beside a result tells, or None where one of the two was changed or is not the other's."""
    try:
        story = json.loads(file.with_suffix(".json").read_text())
        whole = story["table"] == hashlib.sha256(content).hexdigest() and story["digest"] == digest_of(story)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return story if whole else None


def now() -> str:
    """The time, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def commit() -> str:
    """The commit of the package, marked where its code has changes that are not committed.

    On a machine without the history, the environment variable NTKIF_COMMIT may name it.
    """
    if "NTKIF_COMMIT" in os.environ:
        return os.environ["NTKIF_COMMIT"]
    folder = Path(__file__).parents[1]
    try:
        head, changes = (
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "ntkif"))
        )
    except OSError:  # no git on this machine
        return "unknown"
    return (head or "unknown") + ("-dirty" if changes else "")
