"""Fits on worker processes: the numbers of one process, whoever dies on the way."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ntkif.checks import peak_bytes
from ntkif.data import load
from ntkif.data.shifts import ShiftedImages
from ntkif.regression import cluster
from ntkif.regression.nystrom import nystrom_fit

DATA = load("mini-mnist-sample").head(100, 20)
ROWS = ShiftedImages(DATA.images_train, DATA.y_train, radius=1)
LANDMARKS, BLOCK = DATA.x_train[:30], 60  # fifteen blocks, added in two rounds


def deadly_rows(mark: Path):
    """Rows whose third block kills the worker that first asks for it. Made here, so that it travels by value."""

    @dataclass
    class Deadly:
        rows: ShiftedImages
        mark: str

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, block):
            if block.start == 2 * BLOCK and not os.path.exists(self.mark):
                Path(self.mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return self.rows[block]

    return Deadly(ROWS, str(mark))


@pytest.fixture(scope="module")
def fit(client):
    return cluster.fit_on(client, ROWS, LANDMARKS, 1.0, block_size=BLOCK)


def test_a_fit_is_that_of_one_process(client, fit):
    alone = nystrom_fit([ROWS[0:500], ROWS[500:900]], LANDMARKS, 1.0)
    assert fit.sums.count == 900 and torch.allclose(fit.dual, alone.dual, rtol=1e-8, atol=1e-10)
    influence = cluster.influence_on(client, ROWS, fit, DATA.x_test, DATA.y_test, block_size=BLOCK)
    here = fit.loo_influence(*ROWS[0:900], DATA.x_test, DATA.y_test)
    assert torch.allclose(influence, here, rtol=1e-9, atol=1e-12)


def test_a_killed_worker_loses_nothing(client, fit, tmp_path):
    again = cluster.fit_on(client, deadly_rows(tmp_path / "one"), LANDMARKS, 1.0, block_size=BLOCK)
    assert (tmp_path / "one").exists()
    assert torch.equal(again.dual, fit.dual) and torch.equal(again.whiten, fit.whiten)
    points = DATA.x_test, DATA.y_test
    influence = cluster.influence_on(client, ROWS, fit, *points, block_size=BLOCK)
    rows = deadly_rows(tmp_path / "two")
    assert torch.equal(cluster.influence_on(client, rows, fit, *points, block_size=BLOCK), influence)
    assert (tmp_path / "two").exists()


def test_the_memory_of_each_worker_is_its_own():
    """Not that of the process which started it."""
    torch.ones(150_000_000).sum()  # 600 MB, and gone
    assert peak_bytes(torch.device("cpu")) > 600e6
    with cluster.connect(workers=1, memory_limit="2GiB") as client:
        (peak,) = cluster.peaks_of(client).values()
        assert 50e6 < peak < 550e6
        client.submit(lambda: float(torch.ones(150_000_000).sum())).result()
        (after,) = cluster.peaks_of(client).values()
        assert after > peak + 400e6


def test_a_pass_that_fails_frees_the_workers(client, tmp_path):
    class Broken:
        def __len__(self):
            return 40

        def __getitem__(self, block):
            time.sleep(0.2)
            broken = tmp_path / "broken"
            if len(list(tmp_path.iterdir())) >= 3 and not broken.exists():  # two may come at once, in whatever order
                broken.touch()
                raise OSError("the fourth block cannot be read")
            (tmp_path / str(block.start)).touch()
            return ROWS[block]

    with pytest.raises(OSError, match="fourth block"):
        cluster.fit_on(client, Broken(), LANDMARKS, 1.0, block_size=1)
    time.sleep(1)
    done = len(list(tmp_path.iterdir()))
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) == done < 15


def test_a_scheduler_elsewhere_is_used_by_its_address(client, fit):
    with cluster.connect(client.scheduler.address) as other:
        assert torch.equal(cluster.fit_on(other, ROWS, LANDMARKS, 1.0, block_size=BLOCK).dual, fit.dual)


def test_rows_that_the_fit_has_not_seen_are_refused(client, fit):
    with pytest.raises(ValueError, match="expected the 900 training points of the fit, got 1500"):
        cluster.influence_on(client, ShiftedImages(ROWS.images[:60], ROWS.targets[:60]), fit, DATA.x_test, DATA.y_test)
    with pytest.raises(ValueError, match="at least one training point"):
        cluster.fit_on(client, [], LANDMARKS, 1.0)
    with pytest.raises(ValueError, match="positive"):
        cluster.fit_on(client, ROWS, LANDMARKS, 0.0)


def test_rows_that_workers_cannot_import_are_refused(client, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("class Rows:\n    __len__ = lambda self: 4\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from only_here import Rows

    with pytest.raises(TypeError, match=r"rows: expected what the workers can import, got No module .*only_here"):
        cluster.fit_on(client, Rows(), torch.eye(3, dtype=torch.float64), 1.0)
