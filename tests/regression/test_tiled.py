"""Fits in tiles: those of `ridge_fit`, in less memory."""

import pytest
import torch
from numpy.linalg import LinAlgError
from problem import close, linear, make_problem

from ntkif import checks, group_influence, ihvp_influence, loo_influence, ntk, ridge_fit
from ntkif.regression.tiled import solve_without, tiled_fit, tiled_numbers

TILES = (1, 7, 13, 39, 40, 64)  # of 40 points: all alike, a last one of another size, one for all


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("outputs", (1, 3))
def test_a_tiled_fit_is_the_fit(tile, outputs):
    p = make_problem(outputs=outputs)
    tiled = tiled_fit(p.x_train, p.y_train, p.ridge, tile=tile, progress=False)
    assert close(tiled.dual, p.fit.dual) and close(tiled.inverse.diagonal(), p.fit.inverse.diagonal())
    assert close(tiled.inverse[[3, 17]], p.fit.inverse[[3, 17]])
    assert close(tiled.inverse[:, [3, 17]], p.fit.inverse[:, [3, 17]])
    assert close(tiled.coefficients(p.k_test_train), p.fit.coefficients(p.k_test_train))
    assert close(tiled.loo_predict(p.k_test_train), p.fit.loo_predict(p.k_test_train))
    for influence in (loo_influence, ihvp_influence):
        assert close(influence(tiled, p.k_test_train, p.y_test), influence(p.fit, p.k_test_train, p.y_test))
    groups = [torch.tensor([0, 39]), torch.tensor([5])]
    assert close(
        group_influence(tiled, p.k_test_train, p.y_test, groups),
        group_influence(p.fit, p.k_test_train, p.y_test, groups),
    )


def test_the_condition_is_a_lower_bound():
    p = make_problem()
    bound = tiled_fit(p.x_train, p.y_train, 1e-3, tile=16, progress=False).condition
    true = ridge_fit(ntk(p.x_train), p.y_train, 1e-3).condition
    assert true / len(p.x_train) < bound <= true


def test_other_kernels_and_float32(problem):
    x = problem.x_train.float()
    tiled = tiled_fit(x, problem.y_train.float(), 0.5, kernel=linear, tile=9, progress=False)
    assert tiled.dual.dtype == torch.float32
    exact = ridge_fit(problem.x_train @ problem.x_train.T, problem.y_train, 0.5)
    assert torch.allclose(tiled.dual.double(), exact.dual, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_said_before_anything_is_computed(problem, monkeypatch):
    needed = 8 * tiled_numbers(40, 16)
    monkeypatch.setattr(checks, "available_bytes", lambda device: needed - 1)

    def never(x, z):
        raise AssertionError("the kernel was asked for")

    with pytest.raises(MemoryError, match="fewer training points"):
        tiled_fit(problem.x_train, problem.y_train, 1.0, kernel=never, tile=16)
    monkeypatch.setattr(checks, "available_bytes", lambda device: needed)
    tiled_fit(problem.x_train, problem.y_train, 1.0, tile=16, progress=False)


def test_a_singular_kernel_and_bad_input_are_refused(problem):
    twice = torch.cat([problem.x_train, problem.x_train[:1]])
    y = torch.cat([problem.y_train, problem.y_train[:1]])
    with pytest.raises(LinAlgError, match="singular"):
        tiled_fit(twice, y, 0.0, tile=8, progress=False)
    tiled_fit(twice, y, 1e-3, tile=8, progress=False)
    for bad, message in ((lambda x: 2 * x, "norm 1"), (lambda x: x[:5], "y_train")):
        with pytest.raises(ValueError, match=message):
            tiled_fit(bad(problem.x_train), problem.y_train, 1.0, progress=False)
    for ridge, tile in ((-1.0, 8), (1.0, 0)):
        with pytest.raises(ValueError):
            tiled_fit(problem.x_train, problem.y_train, ridge, tile=tile, progress=False)


@pytest.mark.parametrize("outputs", (1, 3))
def test_refits_are_those_of_scikit_learn(outputs):
    from problem import sklearn_without

    p = make_problem(outputs=outputs)
    dual, residual = solve_without(
        p.x_train, tiled_fit(p.x_train, p.y_train, p.ridge, tile=16, progress=False), [3, 30]
    )
    assert residual.max() < 1e-12 and not dual[3, 0].any() and not dual[30, 1].any()
    for place, row in enumerate((3, 30)):
        assert close(p.k_test_train @ dual[:, place], sklearn_without(p, [row]))


def test_refits_do_not_trust_their_preconditioner(problem):
    """With the factor of another kernel they take longer or say in their residual that they are not solved."""
    wrong = tiled_fit(
        problem.x_train, problem.y_train, problem.ridge, kernel=lambda x, z: (x @ z.T) ** 3, progress=False
    )
    _, residual = solve_without(problem.x_train, wrong, [3], iterations=2)
    assert residual > 1e-6
    dual, residual = solve_without(problem.x_train, wrong, [3], iterations=200)
    right, _ = solve_without(problem.x_train, problem.fit, [3])
    assert residual < 1e-12 and close(dual, right)


def test_what_a_kernel_gives_is_not_written_to():
    p = make_problem()
    whole = ntk(p.x_train)
    kept, numbers = whole.clone(), torch.arange(len(whole), dtype=torch.float64)[:, None]

    def part(rows, columns):
        return whole[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]

    tiled = tiled_fit(numbers, p.y_train, p.ridge, kernel=part, tile=16, progress=False)
    assert close(tiled.dual, p.fit.dual) and torch.equal(whole, kept)
