"""The ridge fit with an intercept and weights, against the normal equations of the points that are left."""

import pytest
import torch
from problem import close, linear, make_problem

from ntkif import RidgeFit, ridge_fit
from ntkif.regression.tiled import tiled_fit
from ntkif.regression.weighted import weighted_fit, with_weights

N, RIDGE = 14, 0.5
WEIGHT = torch.arange(N).double().sin().square() + 0.1
WEIGHT[3] = 0
GROUPS = [[0], [3], [0, 3, 5], list(range(13))]


def refit(p, kept, weight, ridge=RIDGE):
    """Predictions at the test points: Σ w (f - y) = 0 and w (f - y) + λ a = 0 for f = K a + b, of the kept points."""
    kernel, w, y = p.k_train_train[kept][:, kept], weight[kept], p.y_train[kept]
    rows = torch.cat([w[:, None] * kernel + ridge * torch.eye(len(w)), w[:, None]], dim=1)
    last = torch.cat([w @ kernel, w.sum()[None]])[None]
    solved = torch.linalg.solve(torch.cat([rows, last]), torch.cat([w[:, None] * y, (w @ y)[None]]))
    return p.k_test_train[:, kept] @ solved[:-1] + solved[-1]


def fits(p):
    """The fit, and by hand the one in tiles on the scaled kernel."""
    yield weighted_fit(p.k_train_train, p.y_train, RIDGE, weight=WEIGHT)
    scale, roots = WEIGHT.sqrt(), torch.linalg.eigh(p.k_train_train)
    features = WEIGHT.sqrt()[:, None] * roots.eigenvectors * roots.eigenvalues.clamp(min=0).sqrt()
    tiled = tiled_fit(features, scale[:, None] * p.y_train, RIDGE, kernel=linear, tile=5)
    yield with_weights(tiled, p.y_train, scale, intercept=True)


@pytest.mark.parametrize("outputs", [1, 3])
def test_every_removal_is_a_refit(outputs):
    p = make_problem(n=N, k=5, outputs=outputs)
    present = [i for i in range(N) if i != 3]
    for fit in fits(p):
        whole = refit(p, present, WEIGHT)
        assert close(fit.predict(p.k_test_train), whole)
        assert close(fit.coefficients(p.k_test_train) @ p.y_train, whole)
        assert close(fit.coefficients(p.k_test_train).sum(1), torch.ones(5).double())  # constants come through
        left_out = fit.loo_predict(p.k_test_train)
        for i in range(N):
            assert close(left_out[:, i], refit(p, [j for j in present if j != i], WEIGHT))
        for group in GROUPS:
            without = fit.predict_without(p.k_test_train, torch.tensor(group))
            assert close(without, refit(p, [j for j in present if j not in group], WEIGHT))


def test_residuals_and_leverage_at_the_training_points():
    p = make_problem(n=N, k=5, outputs=3)
    p.k_test_train = p.k_train_train  # predictions at the training points
    present = [i for i in range(N) if i != 3]
    for fit in fits(p):
        residual = refit(p, present, WEIGHT) - p.y_train
        assert close(fit.residual[present], residual[present])
        for i in present:
            left_out = refit(p, [j for j in present if j != i], WEIGHT)
            assert close(fit.loo_residual[i], left_out[i] - p.y_train[i])
        assert close(fit.residual, (1 - fit.leverage[:, None]) * fit.loo_residual)
        assert not fit.loo_residual[3].any() and abs(fit.leverage[3]) < 1e-12


def test_without_either_it_is_the_ridge_fit():
    p = make_problem(n=N, k=5, outputs=2)
    plain = ridge_fit(p.k_train_train, p.y_train, RIDGE)
    fit = weighted_fit(p.k_train_train, p.y_train, RIDGE, intercept=False)
    assert isinstance(fit, RidgeFit) and not fit.intercept.any()
    for name in ("dual", "inverse", "residual", "loo_residual", "leverage"):
        assert close(getattr(fit, name), getattr(plain, name))


def test_an_intercept_without_a_ridge_and_with_tiny_weights():
    p = make_problem(n=N, k=5)
    kept = list(range(N))
    fit = weighted_fit(p.k_train_train, p.y_train, 0.0)
    bordered = torch.ones(N + 1, N + 1).double()
    bordered[:N, :N], bordered[N, N] = p.k_train_train, 0
    solved = torch.linalg.solve(bordered, torch.cat([p.y_train, torch.zeros(1, 1).double()]))
    assert close(fit.predict(p.k_test_train), p.k_test_train @ solved[:N] + solved[N], 1e-8)
    tiny = torch.where(torch.arange(N) == 3, 1e-20, 1.0).double()
    absent = torch.where(torch.arange(N) == 3, 0.0, 1.0).double()
    found = weighted_fit(p.k_train_train, p.y_train, RIDGE, weight=tiny)
    assert close(found.predict(p.k_test_train), refit(p, kept[:3] + kept[4:], absent))


def test_bad_weights_and_groups():
    p = make_problem(n=N, k=5)
    one = torch.eye(N).double()[0]
    for weight, ridge, problem in (
        (-one, 1.0, "zero or positive numbers, got -1"),
        (one, 1.0, r"at least 2 training point.*above zero.* got n_samples = 1"),
        (1 - one, 0.0, "positive ones where the ridge is zero"),
        (torch.ones(N - 1).double(), 1.0, "weight: expected a matrix of shape"),
    ):
        with pytest.raises(ValueError, match=problem):
            weighted_fit(p.k_train_train, p.y_train, ridge, weight=weight)
    with pytest.raises(TypeError, match=r"weight: expected torch\.float64"):
        weighted_fit(p.k_train_train, p.y_train, 1.0, weight=torch.ones(N))
    fit = weighted_fit(p.k_train_train, p.y_train, 1.0)
    with pytest.raises(ValueError, match="at least one point left"):
        fit.shift_without(p.k_test_train, torch.arange(N))
