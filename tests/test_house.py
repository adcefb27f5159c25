"""The import rule: each part imports from its own folder or from those before it, and the method never the study."""

import ast

import pytest

from ntkif.provenance import ROOT

RULE = "checks blocks metrics files provenance < store < data networks < kernels < regression < influence"
RULE += " < retraining estimators < paper < experiments < records plots < pages < __main__"
FLOOR = {part: floor for floor, parts in enumerate(RULE.split(" < ")) for part in parts.split()}


def part(dotted):
    """The part of the house that a module is in, by its path without the package's name."""
    return dotted.removeprefix("study.").split(".")[0]


def imports(file):
    """The modules of this package that a file imports anywhere, without the package's name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ntkif":
            inside = node.module.partition(".")[2]
            yield from (
                [inside] if inside not in ("", "study") else [f"{inside}.{n.name}".strip(".") for n in node.names]
            )


@pytest.mark.parametrize("file", sorted((ROOT / "ntkif").rglob("*.py")), ids=lambda file: file.stem)
def test_imports_follow_the_data(file):
    own = part(".".join(file.relative_to(ROOT / "ntkif").with_suffix("").parts))
    if own in ("__init__", "study"):  # the names of the method, and the study's first page
        return
    for other in map(part, imports(file)):
        if other in FLOOR and other != own:
            assert FLOOR[other] < FLOOR[own], f"{file.name} is in {own} and imports {other}: {RULE}"
