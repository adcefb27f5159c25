"""What a report tells, against the package and against fitting again."""

import numpy as np
import pytest

from ntkif.metrics import half_squares
from ntkif.regression.tiled import TiledInverse
from ntkif.report import findings as module
from ntkif.report.findings import alike, findings, removals, steps
from ntkif.report.fitting import fitted

RANDOM = np.random.RandomState(0)
N = 50
X = RANDOM.randn(N, 3)
NUMBER = X[:, 0] + np.abs(X[:, 1]) + 0.1 * RANDOM.randn(N)
LABELS = {"two": NUMBER > 0.8, "three": np.digitize(NUMBER, [0.3, 1.2])}
X[11] = X[4]
for labels in LABELS.values():
    labels[11] = not labels[4] if labels.dtype == bool else (labels[4] + 1) % 3
CASES = {"number": ("regression", NUMBER), **{name: ("classification", y) for name, y in LABELS.items()}}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    task, y = CASES[request.param]
    model, _ = fitted(X, y, task, images=False)
    return model, y, findings(model, X, y, count=6)


def refit(model, y, kept):
    """The same kernel, ridge and targets on some rows."""
    again = type(model)(ridge=model.ridge_, kernel=model.kernel_, normalize=model.normalize)
    return again.fit(X[kept], y[kept])


def test_the_numbers_of_rows_are_those_of_the_estimator(case):
    model, y, found = case
    rows = found.rows
    assert rows["label"].tolist() == y.tolist() and rows["predicted"].tolist() == model.loo_predict().tolist()
    assert rows["leverage"].tolist() == model.leverage_.tolist()
    assert rows["self_influence"].tolist() == model.self_influence().tolist()
    assert (found.kernel, found.ridge, str(found.diagnosis)) == (model.kernel_, model.ridge_, str(model.diagnose()))
    if found.task == "regression":
        order = np.argsort(-np.abs(model.loo_predict() - y), kind="stable")
        assert rows["loo_residual"].tolist() == (model.loo_predict() - y).tolist()
        assert found.score == pytest.approx(1 - np.square(rows["loo_residual"]).sum() / np.square(y - y.mean()).sum())
    else:
        order = np.argsort(model.loo_margin(), kind="stable")
        assert rows["loo_margin"].tolist() == model.loo_margin().tolist()
        own = [model.loo_predict_proba()[i, model.classes_.tolist().index(label)] for i, label in enumerate(y)]
        assert rows["probability"].tolist() == own
        assert found.score == np.mean(model.loo_predict() == y)
    assert rows["rank"].to_numpy()[order].tolist() == list(range(1, N + 1))
    assert found.suspicious == order[:6].tolist()


def losses(model, y, left_out):
    """Leave-one-out losses of the fit to what is left, NaN for the others."""
    kept = np.setdiff1d(np.arange(N), left_out)
    out = np.full(N, np.nan)
    out[kept] = half_squares(refit(model, y, kept).fit_.loo_residual, 0)
    return out


def test_influences_are_those_of_fitting_again(case):
    model, y, found = case
    all_rows = losses(model, y, [])
    worst = np.argsort(-all_rows)[: found.worst]
    assert found.worst == 2
    for i in (0, 7, int(worst[0])):
        change = losses(model, y, [i]) - all_rows
        assert found.rows["influence_on_others"][i] == pytest.approx(np.nansum(change), rel=1e-6, abs=1e-9)
        assert found.rows["influence_on_worst"][i] == pytest.approx(np.nansum(change[worst]), rel=1e-6, abs=1e-9)


def test_contradictions_are_what_would_bring_a_row_closest_to_its_label(case):
    model, y, found = case
    row = found.suspicious[0]
    before = losses(model, y, [])[row]
    others = [i for i in range(N) if i != row and (found.task == "regression" or y[i] != y[row])]
    change = {i: losses(model, y, [i])[row] - before for i in others}
    wanted = sorted((i for i in others if change[i] < 0), key=change.get)[:3]
    told = found.contradictions.query("row == @row")
    assert told["other"].tolist() == wanted
    assert told["influence"].tolist() == pytest.approx([change[i] for i in wanted], rel=1e-6, abs=1e-9)
    assert set(found.contradictions["row"]) <= set(found.suspicious)


def test_a_copy_with_another_label_is_found(case):
    _, y, found = case
    pairs = found.copies
    assert pairs["similarity"].is_monotonic_decreasing and len(pairs) == 6
    if found.task == "classification":
        assert pairs.iloc[0].tolist() == [4, 11, pytest.approx(1)] and pairs["similarity"][1] < 0.999
    for pair in pairs.itertuples():
        assert pair.row < pair.other
        apart = (
            abs(y[pair.row] - y[pair.other]) > y.std() if found.task == "regression" else y[pair.row] != y[pair.other]
        )
        assert apart


def test_removals_are_those_of_fitting_again(case):
    model, y, found = case
    ranked = found.rows["rank"].to_numpy().argsort()
    before = losses(model, y, [])
    for each, count in zip(found.removal.itertuples(), (1, 2, 5), strict=True):
        worst = ranked[:count]
        left = np.setdiff1d(np.arange(N), worst)
        assert each.removed == count
        assert each.loss_before == pytest.approx(before[left].mean(), rel=1e-9)
        assert each.loss_after == pytest.approx(losses(model, y, worst)[left].mean(), rel=1e-6)
        again = refit(model, y, left).loo_predict()
        if found.task == "classification":
            assert each.score_after == np.mean(again == y[left])
            assert each.score_before == np.mean(model.loo_predict()[left] == y[left])
        else:
            target = y[left]
            wanted = 1 - np.square(again - target).sum() / np.square(target - target.mean()).sum()
            assert each.score_after == pytest.approx(wanted, rel=1e-6)
    random = np.random.RandomState(0)
    drawn = [random.permutation(N)[:1] for _ in range(3)]
    wanted = np.mean([np.nanmean(losses(model, y, one)) for one in drawn])
    assert found.removal["random_after"][0] == pytest.approx(wanted, rel=1e-6)


def test_blocks_change_nothing_and_are_counted(case, monkeypatch):
    model, y, found = case
    monkeypatch.setattr(module, "BLOCK", 7)
    done = []
    again = findings(model, X, y, count=6, done=lambda: done.append(1))
    assert len(done) == steps(N) == 2 * 8 + 3
    assert again.copies["similarity"].tolist() == pytest.approx(found.copies["similarity"].tolist())
    assert again.rows["influence_on_others"].tolist() == pytest.approx(found.rows["influence_on_others"].tolist())


def test_blank_rows_are_no_copies():
    x = np.vstack([np.zeros((3, 3)), X[:20]])
    y = np.r_[[0, 1, 0], LABELS["two"][:20]].astype(int)
    model, _ = fitted(x, y, "classification", images=True)
    pairs = alike(model, x, y, 5)
    assert pairs["row"].min() >= 3 and pairs["similarity"].max() <= 1 + 1e-9
    assert removals(model, np.arange(23))["removed"].tolist() == [1, 1, 2]


def assert_tells_the_same(found, wanted):
    for name in ("rows", "contradictions", "copies", "removal"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert a.to_numpy(float) == pytest.approx(b.to_numpy(float), rel=1e-6, abs=1e-8), name


def test_a_fit_in_tiles_or_by_as_many_landmarks_as_rows_tells_the_same(monkeypatch):
    whole = findings(fitted(X, NUMBER, "regression", images=False)[0], X, NUMBER, count=6)
    by_all, _ = fitted(X, NUMBER, "regression", images=False, landmarks=N)
    spanned = findings(by_all, X, NUMBER, count=6)
    assert_tells_the_same(spanned, whole)
    assert whole.missed is None and spanned.missed == by_all.missed_ < 1e-6
    monkeypatch.setattr("ntkif.estimators.solution.available_bytes", lambda device: 8 * N**2)
    model, _ = fitted(X, NUMBER, "regression", images=False)
    assert isinstance(model.fit_.inverse, TiledInverse)
    assert_tells_the_same(findings(model, X, NUMBER, count=6), whole)
