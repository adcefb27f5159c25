"""Feature fits: ridge regression in feature space, whose leave-one-out fits are refits there."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from numpy.linalg import LinAlgError
from problem import close, make_problem

from ntkif import checks, loo_influence, ntk, ridge_fit
from ntkif.regression.nystrom import FeatureSums, feature_fit, feature_sums, nystrom_fit


def parts(p, size=13):
    return [(p.x_train[i : i + size], p.y_train[i : i + size]) for i in range(0, len(p.x_train), size)]


def nystrom_kernel(x, z, landmarks):
    """K(x, Z) K(Z, Z)^-1 K(Z, z), in plain words."""
    return ntk(x, landmarks) @ torch.linalg.inv(ntk(landmarks)) @ ntk(landmarks, z)


@pytest.mark.parametrize("outputs", (1, 3))
def test_it_is_kernel_ridge_regression_with_the_kernel_of_nystrom(outputs):
    p = make_problem(outputs=outputs)
    landmarks = p.x_train[::4]
    fit = nystrom_fit(parts(p), landmarks, p.ridge)
    exact = ridge_fit(nystrom_kernel(p.x_train, p.x_train, landmarks), p.y_train, p.ridge)
    k_test_train = nystrom_kernel(p.x_test, p.x_train, landmarks)
    assert close(fit.predict(p.x_test), exact.predict(k_test_train)) and fit.sums.count == 40
    assert close(fit.leverage(p.x_train), exact.leverage)
    influence = fit.loo_influence(p.x_train, p.y_train, p.x_test, p.y_test)
    assert close(influence, loo_influence(exact, k_test_train, p.y_test))


def test_with_all_points_as_landmarks_it_is_the_exact_method(problem):
    p = problem
    fit = nystrom_fit(parts(p), p.x_train, p.ridge)
    influence = fit.loo_influence(p.x_train, p.y_train, p.x_test, p.y_test)
    assert torch.allclose(influence, loo_influence(p.fit, p.k_test_train, p.y_test), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("row", (0, 8, 33))
def test_a_leave_one_out_influence_is_that_of_a_fit_without_the_point(problem, row):
    """Row 8 is a landmark, and stays one."""
    p, landmarks = problem, problem.x_train[::4]
    kept = torch.arange(40) != row
    with_it = nystrom_fit(parts(p), landmarks, p.ridge)
    without = nystrom_fit([(p.x_train[kept], p.y_train[kept])], landmarks, p.ridge)
    loss = [(fit.predict(p.x_test) - p.y_test).square().sum(1) / 2 for fit in (without, with_it)]
    influence = with_it.loo_influence(p.x_train, p.y_train, p.x_test, p.y_test)
    assert close(influence[:, row], loss[0] - loss[1])


def test_a_set_is_removed_by_a_fit_without_it(problem):
    p, landmarks = problem, problem.x_train[::4]
    left = nystrom_fit(parts(p), landmarks, p.ridge).without(p.x_train[:9], p.y_train[:9])
    right = nystrom_fit([(p.x_train[9:], p.y_train[9:])], landmarks, p.ridge)
    assert close(left.predict(p.x_test), right.predict(p.x_test)) and left.sums.count == 31


def test_sums_add_in_any_blocks(problem):
    landmarks = problem.x_train[:7]
    whole = feature_sums(landmarks, problem.x_train, problem.y_train, block_size=40)
    added = sum(
        (feature_sums(landmarks, *part) for part in parts(problem)[1:]), feature_sums(landmarks, *parts(problem)[0])
    )
    small = feature_sums(landmarks, problem.x_train, problem.y_train, block_size=3)
    for other in (added, small):
        assert close(whole.gram, other.gram) and close(whole.moment, other.moment) and whole.count == other.count


def test_bad_input_is_refused(problem, monkeypatch):
    p = problem
    with pytest.raises(ValueError, match="positive"):
        nystrom_fit(parts(p), p.x_train[:5], 0.0)
    with pytest.raises(ValueError, match="at least one block"):
        nystrom_fit([], p.x_train[:5], 1.0)
    # The copy's pivot is half a rounding, and the threshold twenty; of two landmarks it would be one.
    with pytest.raises(LinAlgError, match="landmarks: expected points that all differ"):
        nystrom_fit(parts(p), torch.cat([p.x_train, p.x_train[:1]]), 1.0)
    with pytest.raises(ValueError, match=r"sums\.gram"):
        feature_fit(p.x_train[:5], feature_sums(p.x_train[:4], p.x_train, p.y_train), 1.0)
    with pytest.raises(LinAlgError, match="sums: expected those of these landmarks"):
        feature_fit(p.x_train[:2], FeatureSums(-100 * torch.eye(2).double(), torch.ones(2, 1).double(), 1), 1.0)
    with pytest.raises(ValueError, match="y_test"):
        nystrom_fit(parts(p), p.x_train[:5], 1.0).loo_influence(p.x_train, p.y_train, p.x_test, p.y_test[:3])
    with pytest.raises(ValueError, match="same landmarks and outputs"):
        nystrom_fit([*parts(p), (p.x_train, torch.ones(40, 7).double())], p.x_train[:5], 1.0)
    monkeypatch.setattr(checks, "available_bytes", lambda device: 100)
    with pytest.raises(MemoryError, match="fewer landmarks"):
        nystrom_fit(parts(p), p.x_train[:5], 1.0)


def test_a_leverage_that_rounding_took_to_one_is_refused():
    """It is 1 - 2e-9 here: float32, with 6e-8 between numbers, has no such number, and float64 has it by far."""
    p = make_problem(n=5)
    arrays = p.x_train, p.y_train, p.x_test, p.y_test
    single = tuple(array.float() for array in arrays)
    with pytest.raises(LinAlgError, match="use float64, a larger ridge or fewer landmarks"):
        nystrom_fit([single[:2]], single[0], 1e-9).loo_influence(*single)
    for ridge, (x, y, *test) in ((1e-9, arrays), (0.5, single)):
        assert torch.isfinite(nystrom_fit([(x, y)], x, ridge).loo_influence(x, y, *test)).all()


@pytest.mark.parametrize("below_one", (-1.0, 0.0, 0.5, 2.0))
def test_a_leverage_must_be_below_one_by_a_hundred_roundings_for_each_landmark(below_one):
    """In units of that threshold: each case stands off it by half of it, which is fifty times the rounding."""
    p = make_problem()
    fit = nystrom_fit(parts(p), p.x_train[:5], p.ridge)
    wanted = 1 - below_one * 100 * 5 * torch.finfo(torch.float64).eps
    fit = replace(fit, whiten=fit.whiten * (wanted / fit.leverage(p.x_train).max()).sqrt())
    with nullcontext() if below_one > 1 else pytest.raises(LinAlgError, match="a leverage of 1 came out"):
        fit.loo_influence(p.x_train, p.y_train, p.x_test, p.y_test)
