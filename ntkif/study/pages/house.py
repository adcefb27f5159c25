"""The house: which part of the package imports which, and which may."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

__all__ = ["FLOOR", "GROUND", "PACKAGE", "RULE", "arrows", "folders", "imports", "part"]

PACKAGE = Path(__file__).parents[2]
#: A part imports from itself and from those further left, and the method never from the study.
RULE = (
    "checks < blocks metrics provenance scores < store < data networks < kernels < regression < influence"
    " < retraining estimators < training report < paper < experiments < records plots < pages < __main__"
)
FLOOR = {name: floor for floor, names in enumerate(RULE.split(" < ")) for name in names.split()}
#: What all others stand on.
GROUND = ("checks", "blocks", "metrics", "provenance", "scores", "store")


def part(module: str) -> str:
    """The part that a module belongs to, by its name without that of the package.

    >>> part("study.experiments.label_noise"), part("kernels.infinite")
    ('experiments', 'kernels')
    """
    return module.removeprefix("study.").split(".")[0]


def imports(file: Path) -> Iterator[str]:
    """The modules of this package that a file imports anywhere, without the package's name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ntkif":
            inside = node.module.partition(".")[2]
            if inside in ("", "study"):
                yield from (f"{inside}.{name.name}".strip(".") for name in node.names)
            else:
                yield inside


def arrows() -> Counter[tuple[str, str]]:
    """How many imports go from one part (first) to another that it uses (second)."""
    found = Counter()
    for file in PACKAGE.rglob("*.py"):
        own = part(".".join(file.relative_to(PACKAGE).with_suffix("").parts))
        if own in FLOOR:
            used = (part(module) for module in imports(file))
            found.update((own, other) for other in used if other in FLOOR and other != own)
    return found


def folders() -> dict[str, str]:
    """Each folder of the package, in the order of the rule, and what its `__init__` says of it."""
    files = [file for file in PACKAGE.rglob("__init__.py") if file.parent != PACKAGE]
    named = {str(file.parent.relative_to(PACKAGE)): file for file in files}
    found = {name: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for name, file in named.items()}
    order = [*RULE.replace("<", "").split()]
    order.insert(order.index("paper"), "study")
    return dict(sorted(found.items(), key=lambda each: order.index(part(each[0].replace("/", ".")))))
