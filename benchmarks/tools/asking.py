"""Tools are asked each in a process of its own, and what they answer and what it cost is kept.

The processes are forks of one that has imported all tools. Asking may be stopped and begun again: what was answered is
not asked again while the source of the asking is as it was, which its digest tells.
"""

import csv
import hashlib
import io
import multiprocessing
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from ntkif.metrics import agreement
from ntkif.provenance import ROOT, device_name
from ntkif.store import write_atomically
from ntkif.study.records.tools import keep_measurement, witness_of

BUILT = ROOT / "_build" / "peers"
_PATIENCE = 20  # as many times the processor's seconds may take by the clock


def load_case(name: str) -> dict:
    """What a script of truths made."""
    return torch.load(BUILT / f"{name}.pt", weights_only=False)


FORKS = multiprocessing.get_context("forkserver")


def imported(modules: Sequence[str]) -> None:
    """What the processes find imported, so that no time has it: the script itself and these, in this order."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # of which the process that they are forks of knows nothing
    FORKS.set_forkserver_preload([*modules, "__main__"])


@dataclass(frozen=True)
class Asker:
    """Asks, and keeps the answers.

    Attributes:
        answer: takes a case, a tool, its settings and a file, to which it writes by `keep_answer`.
        sources: with another content of these files all is asked again.
        limit: seconds of the processor for one call.
        memory: GiB that the process may take; all there is where absent.
    """

    answer: Callable[[str, str, dict, Path], None]
    sources: Sequence[Path]
    limit: float
    memory: float | None = None

    def measure(self, case: str, tool: str, settings: dict, *, again: bool = False) -> dict | str:
        """The answer of a tool with its cost, or why there is none; measured again where asked for."""
        content = b"".join(source.read_bytes() for source in self.sources)
        words = "-".join(f"{key}-{value:g}" for key, value in settings.items())
        digest = hashlib.sha256(content).hexdigest()[:8]
        file = BUILT / "answers" / digest / f"{case} {tool} {words}.pt"
        reason = file.with_suffix(".txt")  # kept too, since some wait long for no answer
        if again:
            reason.unlink(missing_ok=True)
        if reason.exists():
            return reason.read_text()
        if again or not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            process = FORKS.Process(target=self._alone, args=(case, tool, settings, file))
            process.start()
            process.join(self.limit * _PATIENCE)
            late = process.is_alive()
            process.kill()
            process.join()
            late |= process.exitcode == -signal.SIGXCPU
            if process.exitcode != 0:
                log = file.with_suffix(".log").read_text(errors="replace")
                reason.write_text(f"no answer in {self.limit:g} s" if late else why(process.exitcode, log, self.memory))
                return reason.read_text()
        return torch.load(file)

    def _alone(self, case: str, tool: str, settings: dict, file: Path) -> None:
        """In the process itself."""
        with open(file.with_suffix(".log"), "wb") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        if self.memory:
            resource.setrlimit(resource.RLIMIT_AS, (int(self.memory * 2**30),) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(self.limit), int(self.limit) + 1))
        self.answer(case, tool, settings, file)


def keep_answer(ask: Callable[[], torch.Tensor], file: Path) -> None:
    """Ask, and write the answer with its seconds of the processor and the memory that it added at its peak.

    These seconds are, with one thread, those of the clock on a quiet machine, and the same on a busy one.
    """
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    start = time.process_time()
    influence = ask().detach().double()
    seconds = time.process_time() - start
    made = {"influence": influence, "seconds": seconds, "peak_mib": (_memory("VmHWM") - before) / 1024}
    write_atomically(file, lambda stream: torch.save(made, stream))


def _memory(kind: str) -> int:
    """KiB that this process holds (VmRSS) or held at most (VmHWM)."""
    return int(re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def why(exitcode: int, log: str, memory: float | None) -> str:
    """What went wrong, in words."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    if exitcode == -9 or "DefaultCPUAllocator: can't allocate memory" in log:
        return f"more than {memory or whole:.0f} GiB of memory"
    return f"failed: {(re.findall(r'^.*(?:Error|Exception):.*', log, re.M) or ['no reason given'])[-1][:200]}"


def scores(predicted: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Agreement, and the relative error left by the best factor, which a score without a scale may be given."""
    found = agreement(predicted, truth)
    cosine = float((predicted * truth).sum() / (predicted.norm() * truth.norm()))
    return found | {"rescaled_error": max(0.0, 1 - cosine**2) ** 0.5}


def answered(found: dict | str) -> dict | str:
    """An answer, or why it is none."""
    if isinstance(found, dict) and not torch.isfinite(found["influence"]).all():
        return "failed: NaN"
    return found


def said(row: dict) -> None:
    """Print a row as it is made."""
    print({key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()}, flush=True)


def keep_record(
    record: str, rows: list[dict], started: str, cases: Iterable[str], settings: Iterable[str], packages: Iterable[str]
) -> None:
    """Write what was measured, with how it was made: these settings of the cases, and versions of the packages."""
    made = {
        "settings": {name: {key: load_case(name)[key] for key in settings} for name in cases},
        "versions": {name: version(name) for name in packages},
        "device": device(),
        "started": started,
        # Made in the book's own environment: here another torch may round otherwise.
        "witness": witness_of(record),
    }
    keep_measurement(record, table_of(rows), made)


def device() -> str:
    """The processor, in words."""
    return f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores"


def table_of(rows: list[dict]) -> bytes:
    """Rows as CSV, numbers with six digits."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(max(rows, key=len)), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return stream.getvalue().encode()
