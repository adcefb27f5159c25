"""The tests under other arithmetics than the machine's own: no rounding error may decide one. Run by the Makefile:

    python tests/arithmetic.py [NAME ... | by-commit] -- PYTEST ARGUMENTS

Each arithmetic is a change of the environment, which the kernels of notebooks and other processes inherit. One that
gives the same bits here as an earlier one, since the processor or the library cannot do it, is named and left out.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
OWN, BY_COMMIT, BITS = "own", "by-commit", "bits"
ARITHMETICS = {
    OWN: {},
    "mkl-avx512": {"MKL_CBWR": "AVX512"},
    "mkl-avx2": {"MKL_CBWR": "AVX2"},
    "mkl-compatible": {"MKL_CBWR": "COMPATIBLE"},
    "torch-plain": {"ATEN_CPU_CAPABILITY": "default"},
    "numpy-plain": {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
    "openblas-nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "openblas-armv8": {"OPENBLAS_CORETYPE": "ARMV8"},
    "two-threads": {"OMP_NUM_THREADS": "2"},
    "another-order": {"PYTHONPATH": str(ROOT / "tests/another_order")},
}


def environment(name: str) -> dict[str, str]:
    """The environment of an arithmetic: the present one but for its changes; a path goes in front of others."""
    changes = dict(ARITHMETICS[name])
    if "PYTHONPATH" in changes and "PYTHONPATH" in os.environ:
        changes["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
    return os.environ | changes


def bits() -> str:
    """A digest of sums, products, functions and factorisations in this process, which another rounding changes."""
    import numpy
    import torch

    numbers = numpy.random.RandomState(0).standard_normal((300, 300))
    results = [numbers @ numbers, numpy.linalg.inv(numbers), numpy.exp(numbers), numpy.log(numpy.abs(numbers))]
    for dtype in (torch.float32, torch.float64):
        a = torch.from_numpy(numbers).to(dtype)
        results += [a @ a, torch.linalg.inv(a), a.sum(), torch.add(a, a.T, alpha=0.3), a.softmax(1)]
    return hashlib.sha256(b"".join(numpy.asarray(result).tobytes() for result in results)).hexdigest()


def digest(name: str) -> str:
    """`bits` under an arithmetic, or "" where that ends the process."""
    came = subprocess.run(
        [sys.executable, __file__, BITS], env=environment(name), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return came.stdout.decode().strip() if came.returncode == 0 else ""


def left_out(names, digest=digest) -> dict[str, str]:
    """Which of the arithmetics are none of their own here, and why."""
    seen, reasons = {digest(OWN): OWN}, {}
    for name in names:
        if name != OWN and not (found := digest(name)):
            reasons[name] = "a small computation ends in a crash here"
        elif name != OWN and seen.setdefault(found, name) != name:
            reasons[name] = f"the same bits as {seen[found]} here"
    return reasons


def of_commit(commit: str, names: list[str]) -> str:
    """The arithmetic whose turn it is, so that successive commits are tested under all of them."""
    return names[int(commit, 16) % len(names)]


def outcomes(report: str) -> dict[str, str]:
    """The outcome of each test in the text of a JUnit report; an error counts as a failure, whatever else is told."""
    found = {}
    for case in ElementTree.fromstring(report).iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[test] = "failed" if found.get(test) == "failed" else outcome
    return found


def differences(own: dict[str, str], other: dict[str, str]) -> list[str]:
    """Where an arithmetic's outcomes are not the machine's own; without a run of its own, every test passed there."""
    if not own:
        return [f"{test}: {outcome}" for test, outcome in other.items() if outcome == "failed"]
    pairs = {test: (other.get(test, "not run"), own.get(test, "not run")) for test in own | other}
    return [f"{test}: {here}, and {there} in {OWN}" for test, (here, there) in pairs.items() if here != there]


def table(runs: dict[str, tuple[dict[str, str], float]], reasons: dict[str, str]) -> str:
    """The counts of each run (outcomes, seconds), what was left out, and each difference from the machine's own."""
    lines = [f"{'arithmetic':18}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}"]
    for name, (found, seconds) in runs.items():
        count = Counter(found.values())
        lines.append(f"{name:18}{count['passed']:8}{count['failed']:8}{count['skipped']:8}{seconds:9.0f}")
    lines += [f"{name:18} left out: {reason}" for name, reason in reasons.items()]
    own = runs.get(OWN, ({}, 0))[0]
    different = [f"{name} {line}" for name, (found, _) in runs.items() for line in differences(own, found)]
    return "\n".join([*lines, "", f"{len(different)} differences from {OWN}", *different])


def run(name: str, arguments: list[str]) -> tuple[int, dict[str, str], float]:
    """Exit status, outcomes and seconds of pytest under an arithmetic."""
    report = ROOT / f"_build/arithmetic/{name}.xml"
    report.unlink(missing_ok=True)
    print(f"\n{name}: {ARITHMETICS[name]}", flush=True)
    command, start = [Path(sys.executable).with_name("pytest"), *arguments, f"--junitxml={report}"], time.monotonic()
    status = subprocess.run(command, cwd=ROOT, env=environment(name)).returncode
    return status, outcomes(report.read_text()) if report.exists() else {}, time.monotonic() - start


def main(names: list[str], arguments: list[str]) -> int:
    """Run the named arithmetics, all of them where none is named, or the one whose turn it is."""
    if unknown := set(names) - {*ARITHMETICS, BY_COMMIT}:
        sys.exit(f"expected some of {', '.join([*ARITHMETICS, BY_COMMIT])}, got {', '.join(sorted(unknown))}")
    by_commit = names == [BY_COMMIT]
    names = list(ARITHMETICS) if by_commit or not names else names
    reasons = left_out(names)
    names = [name for name in names if name not in reasons]
    if by_commit:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        names = [of_commit(head.stdout, [name for name in names if name != OWN])]
    runs = {name: run(name, arguments) for name in names}
    print("\n" + table({name: found for name, (_, *found) in runs.items()}, reasons))
    return max((status for status, *_ in runs.values()), default=0)


if __name__ == "__main__":
    if sys.argv[1:] == [BITS]:
        print(bits())
    else:
        at = sys.argv.index("--")
        sys.exit(main(sys.argv[1:at], sys.argv[at + 1 :]))
