"""The import rule: each part imports from its own folder or from those before it, and the method never the study.

And that the tests mirror the package.
"""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from ntkif.provenance import ROOT
from ntkif.study.pages.house import FLOOR, RULE, imports, part

MODULES = sorted((ROOT / "ntkif").rglob("*.py"))


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_follow_the_data(file):
    own = part(".".join(file.relative_to(ROOT / "ntkif").with_suffix("").parts))
    if own in ("__init__", "study"):  # the names of the method, and the study's first page
        return
    for other in map(part, imports(file)):
        if other in FLOOR and other != own:
            assert FLOOR[other] < FLOOR[own], f"{file.name} is in {own} and imports {other}: {RULE}"


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_reaches_into_another_module(file):
    """Only names of a module's `__all__` are imported from it, modules aside."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ntkif":
            module = importlib.import_module(node.module)
            for name in (each.name for each in node.names):
                inside = (ROOT / node.module.replace(".", "/") / f"{name}.py").exists()
                inside |= (ROOT / node.module.replace(".", "/") / name).is_dir()
                assert inside or name in module.__all__, f"{file.name} takes {name} of {node.module}"


@cache
def every_module():
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in MODULES]
    return {name: importlib.import_module(name) for name in names if not name.endswith("__main__")}


@cache
def every_argument():
    trees = (ast.parse(each.read_text(encoding="utf-8")) for each in MODULES)
    return frozenset(node.arg for tree in trees for node in ast.walk(tree) if isinstance(node, ast.arg))


@cache
def found(reference):
    """Whether a name, or names with dots between them, is one of the package's, from any module on."""
    parts, modules = reference.split("."), every_module()
    for count in range(len(parts) + 1):
        head = ".".join(parts[:count])
        for name, each in modules.items():
            if count == 0 or name == head or name.endswith(f".{head}"):
                for part_of_name in parts[count:]:
                    fields = getattr(each, "__annotations__", {})
                    each = getattr(each, part_of_name, fields.get(part_of_name))
                if each is not None:
                    return True
    return False


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_a_text_refers_to_is_there(file):
    """Names in backticks, in docstrings and errors: of the package, of an argument, or of something in the file."""
    text = file.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    own = set(every_argument())
    own |= {name for node in nodes for name in (getattr(node, "id", None), getattr(node, "attr", None)) if name}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for reference in re.findall(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\([^`\n]*\))?`", text):
        known = reference.split(".")[0] in {"dataclasses", "numpy", "pandas", "torch"}
        known |= reference.split(".")[-1] in {"toml", "yml", "md", "svg", "png", "js"}
        assert known or reference.split(".")[0] in own or found(reference), f"{file.name}: `{reference}`"


TESTS = Path(__file__).parent
#: Test files that are of no module, and what they are of.
OF_NO_MODULE = {
    "test_house.py": "all modules at once",
    "test_notebooks.py": "the notebooks",
    "test_book.py": "the pages of prose",
    "test_arithmetic.py": "tests/arithmetic.py",
    "test_docstrings.py": "book/_ext/docstrings.py",
    "test_folds.py": "book/_ext/folds.py",
    "test_workflows.py": ".github",
    "site/test_site.py": "the built site",
    "site/test_redirects.py": "the built site",
    "site/test_browser.py": "the built site",
    "site/test_front_page.py": "the built site",
    "site/test_explorer_page.py": "the built site",
    "test_site_extensions.py": "book/_ext: offline, slim and meta",
    "site/test_report.py": "the page of a report",
    "site/test_reference.py": "the reference of the site",
}


def test_the_tests_mirror_the_package():
    """One file a module, in the same folder; an `__init__` only gathers names."""
    modules = [path.relative_to(ROOT / "ntkif") for path in (ROOT / "ntkif").rglob("*.py")]
    wanted = {str(path.with_name(f"test_{path.stem.strip('_')}.py")) for path in modules if path.stem != "__init__"}
    files = {str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
    assert files - wanted - set(OF_NO_MODULE) == set(), "test files of no module; rename them as their module is"
    assert wanted - files == set(), "modules without a test file"


INSTALLED = """
import sys
for name in "pandas matplotlib seaborn sklearn mlxtend pooch requests distributed".split():
    sys.modules[name] = None  # importing it fails
import torch
import ntkif
from ntkif.retraining import runs
x = torch.nn.functional.normalize(torch.arange(1.0, 25).reshape(8, 3).cos().double())
print(ntkif.__version__, ntkif.ntk_influence(x, x[:, :1], x[:2], x[:2, :1], 1.0).shape, runs.FOLDER)
"""


def test_where_it_is_installed_the_method_needs_no_extra_and_writes_to_the_working_folder(tmp_path):
    shutil.copytree(ROOT / "ntkif", tmp_path / "site" / "ntkif")
    (tmp_path / "work").mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", INSTALLED]
    answer = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
    assert answer.stdout == f"0.1.0 torch.Size([2, 8]) {tmp_path}/work/records/runs\n", answer.stderr
