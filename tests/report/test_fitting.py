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
    memory(1.0)
    few = plan(10_000, 20)
    assert few.landmarks == 1500 and not few.tiled and few.needed < 2**30
    assert str(few).startswith("10000 rows, kernel by 1500 landmarks: needs up to ")
    memory(0.5)
    with pytest.raises(MemoryError, match=r"10000 rows need 0\.7 GiB by 500 landmarks.*--rows \d+.*`fit_on`") as why:
        plan(10_000, 20)
    rows = int(str(why.value).partition("--rows ")[2].partition(",")[0])
    assert plan(rows, 20).rows == rows > 2000


def test_landmarks_that_are_asked_for_are_taken(memory):
    memory(8)
    assert plan(10_000, 20, landmarks=700).landmarks == 700 and plan(60, 20, landmarks=700).landmarks == 60
    memory(0.5)
    with pytest.raises(MemoryError, match=r"by 9000 landmarks, but 0\.5 GiB are free; take a random subset, --rows"):
        plan(10_000, 20, landmarks=9000)


@pytest.mark.filterwarnings("ignore:landmarks")
def test_a_fit_by_landmarks_says_so():
    model, notes = fitted(X, Y, "regression", images=False, landmarks=12, seed=5)
    assert (model.landmarks, model.random_state) == (12, 5) and len(notes) == 4
    assert (
        notes[2].startswith("12 of 40 rows span the kernel.")
        and f"up to {model.missed_:.0%} of its freedom" in notes[2]
    )


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
