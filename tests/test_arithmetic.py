"""The tests' runner under other arithmetics: what it leaves out, chooses and tells, and its other order of sums."""

import importlib.util
import os
import subprocess
import sys

import arithmetic
import pytest
import torch

ORDER = arithmetic.ROOT / "tests/another_order/sitecustomize.py"
REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_one"/>
<testcase classname="tests.test_a" name="test_two">{two}</testcase>
<testcase classname="tests.test_a" name="test_three"><skipped message="no GPU"/></testcase>
<testcase classname="notebooks.b" name="::Cell 3"/>{more}
</testsuite></testsuites>"""
OWN = arithmetic.outcomes(REPORT.format(two="", more=""))
OTHER = arithmetic.outcomes(
    REPORT.format(two="<failure/>", more='<testcase classname="notebooks.b" name="::Cell 3"><error/></testcase>')
)
PRODUCTS = """
import torch
a, b, c, v = (torch.randn(*s, generator=torch.Generator().manual_seed(s[0]), dtype=torch.float64).requires_grad_()
              for s in ((50, 60), (60, 70), (51, 70), (61,)))
with_v = torch.cat([a, a[:, :1]], 1) @ v
results = [a @ b, torch.addmm(c[1:], a, b, beta=0.5, alpha=2), with_v, a.expand(3, 50, 60) @ b]
results += [torch.func.vmap(lambda row: row @ b)(a), torch.autograd.grad((a @ b).square().sum(), a)[0]]
results += [c[1:].detach().clone().addmm_(a.detach(), b.detach())]
torch.save([result.detach() for result in results], {file!r})
"""


def test_outcomes_of_a_report():
    assert OWN == {
        "tests.test_a::test_one": "passed",
        "tests.test_a::test_two": "passed",
        "tests.test_a::test_three": "skipped",
        "notebooks.b::::Cell 3": "passed",
    }
    assert OTHER == OWN | {"tests.test_a::test_two": "failed", "notebooks.b::::Cell 3": "failed"}


def test_the_table():
    short = {test: outcome for test, outcome in OWN.items() if "three" not in test}
    runs = {"own": (OWN, 100.4), "mkl-avx2": (OTHER, 120.0), "two-threads": (short, 9.0)}
    assert arithmetic.table(runs, {"mkl-avx512": "the same bits as own here"}).splitlines() == [
        "arithmetic          passed  failed skipped  seconds",
        "own                      3       0       1      100",
        "mkl-avx2                 1       2       1      120",
        "two-threads              3       0       0        9",
        "mkl-avx512         left out: the same bits as own here",
        "",
        "3 differences from own",
        "mkl-avx2 tests.test_a::test_two: failed, and passed in own",
        "mkl-avx2 notebooks.b::::Cell 3: failed, and passed in own",
        "two-threads tests.test_a::test_three: not run, and skipped in own",
    ]
    assert "2 differences" in arithmetic.table({"mkl-avx2": (OTHER, 1.0)}, {}), "each failure, without own outcomes"


def test_what_gives_the_same_bits_or_crashes_is_left_out():
    digests = {"own": "a", "mkl-avx512": "a", "mkl-avx2": "b", "mkl-compatible": "b", "openblas-nehalem": ""}
    assert arithmetic.left_out(digests, digests.get) == {
        "mkl-avx512": "the same bits as own here",
        "mkl-compatible": "the same bits as mkl-avx2 here",
        "openblas-nehalem": "a small computation ends in a crash here",
    }


def test_each_arithmetic_has_its_turn():
    names = ["mkl-avx2", "two-threads", "another-order"]
    assert [arithmetic.of_commit(f"{n:040x}\n", names) for n in range(2, 6)] == [names[2], *names]


def test_unknown_names_are_refused():
    with pytest.raises(SystemExit, match=r"expected some of own, mkl-avx512, .*by-commit, got mkl-sse"):
        arithmetic.main(["own", "mkl-sse"], [])


def test_changes_of_the_environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert arithmetic.environment("two-threads")["OMP_NUM_THREADS"] == "2"
    assert arithmetic.environment("another-order")["PYTHONPATH"].endswith(f"another_order{os.pathsep}elsewhere")
    assert arithmetic.environment("own") == os.environ


def test_products_in_another_order_differ_in_their_last_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")  # the tests may themselves run in the other order
    results = []
    for name in ("own", "another-order"):
        program = PRODUCTS.format(file=str(tmp_path / name))
        environment = arithmetic.environment(name) | {"PYTHONWARNINGS": "error"}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
        results.append(torch.load(tmp_path / name))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12 * float(one.abs().max()))
        assert not torch.equal(one, other)


def test_the_order_stays_where_a_search_for_doctests_imports_it():
    spec = importlib.util.spec_from_file_location("found", ORDER)
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    assert not any(isinstance(finder, module.AfterTorch) for finder in sys.meta_path)
