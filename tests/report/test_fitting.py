"""What a fit needs, and what is chosen for it."""

import numpy as np
import pytest

from ntkif import NTKInfluence, NTKInfluenceClassifier
from ntkif.report import fitting
from ntkif.report.fitting import KERNELS, fitted, plan

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(40, 3)
Y = X[:, 0] + 0.1 * RANDOM.randn(40)


@pytest.fixture
def memory(monkeypatch):
    return lambda gib: monkeypatch.setattr(fitting, "available_bytes", lambda device: int(gib * 2**30))


def test_the_need_is_said_and_refused_with_a_size_that_fits(memory):
    memory(8)
    whole = plan(10_000, 20)
    assert not whole.tiled and 2 * 8 * 1e8 < whole.needed < 3e9
    assert str(whole).startswith("10000 rows, kernel in one piece: needs up to ") and str(whole).endswith("are free")
    memory(1.6)
    assert plan(10_000, 20).tiled
    memory(0.7)
    with pytest.raises(MemoryError, match=r"10000 rows need 0\.9 GiB even in tiles.*--rows \d+.*`nystrom_fit`") as why:
        plan(10_000, 20)
    rows = int(str(why.value).partition("--rows ")[2].partition(",")[0])
    assert plan(rows, 20).rows == rows > 2000


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_kernel_and_ridge_are_those_of_the_estimator(task):
    kind, y = (NTKInfluence, Y) if task == "regression" else (NTKInfluenceClassifier, Y > 0)
    model, notes = fitted(X, y, task, images=False)
    wanted = kind(ridge="loo", kernel=list(KERNELS), normalize="append-one").fit(X, y)
    assert type(model) is kind and (model.ridge_, model.kernel_) == (wanted.ridge_, wanted.kernel_)
    assert model.leverage_ == pytest.approx(wanted.leverage_)
    assert "on all rows" in notes[0] and "a 1 at its end" in notes[1]


def test_images_are_divided_by_their_norm():
    model, notes = fitted(X, Y, "regression", images=True)
    assert model.normalize is True and len(notes) == 2


def test_many_rows_are_chosen_for_on_some(monkeypatch):
    monkeypatch.setattr(fitting, "CHOSEN_OF", 25)
    model, notes = fitted(X, Y, "regression", images=False, seed=3)
    some = np.random.RandomState(3).permutation(40)[:25]
    wanted = NTKInfluence(ridge="loo", kernel=list(KERNELS), normalize="append-one").fit(X[some], Y[some])
    assert (model.ridge_, model.kernel_) == (wanted.ridge_, wanted.kernel_) and len(model.leverage_) == 40
    assert "25 rows, drawn at random (seed 3)" in notes[0]


def test_a_rare_class_is_among_those_that_are_chosen_for(monkeypatch):
    monkeypatch.setattr(fitting, "CHOSEN_OF", 10)
    for row in range(0, 40, 7):
        model, _ = fitted(X, np.arange(40) == row, "classification", images=False)
        assert len(model.leverage_) == 40
