"""Influence in closed form against refits, for points, groups and IHVP."""

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problem import close, linear, make_problem, sklearn_without

from ntkif import group_influence, ihvp_influence, influence_terms, loo_influence, ntk, ntk_influence, ridge_fit


def loss(prediction, y):
    return (prediction - y).square().sum(1) / 2


def brute_force(p, groups):
    """Eq. 8 as it is written, with scikit-learn refits."""
    with_all = loss(sklearn_without(p, []), p.y_test)
    return torch.stack([loss(sklearn_without(p, group), p.y_test) - with_all for group in groups], dim=1)


def test_influence_is_brute_force_for_every_pair(problem):
    p = problem
    assert close(loo_influence(p.fit, p.k_test_train, p.y_test), brute_force(p, [[i] for i in range(40)]))


@pytest.mark.parametrize("outputs", [1, 10])
def test_influence_of_every_pair_to_ten_digits_of_its_own_size(outputs):
    """A difference of float64 losses has no ten digits where the influence is small; 50-digit refits have."""
    p = make_problem(n=10, k=6, outputs=outputs, ridge=0.3)
    got = loo_influence(p.fit, p.k_test_train, p.y_test)
    with mpmath.workdps(50):
        k, k_test, y, y_test = (
            mpmath.matrix(m.tolist()) for m in (p.k_train_train, p.k_test_train, p.y_train, p.y_test)
        )

        def losses(rows):
            system = mpmath.matrix([[k[i, j] + (p.ridge if i == j else 0) for j in rows] for i in rows])
            targets = mpmath.matrix([[y[i, c] for c in range(y.cols)] for i in rows])
            errors = mpmath.matrix([[k_test[t, j] for j in rows] for t in range(6)]) * (system**-1 * targets) - y_test
            return [sum(errors[t, c] ** 2 for c in range(y.cols)) / 2 for t in range(6)]

        with_all = losses(range(10))
        for i in range(10):
            without = losses([j for j in range(10) if j != i])
            for t in range(6):
                truth = without[t] - with_all[t]
                assert abs(mpmath.mpf(float(got[t, i])) - truth) < 1e-10 * abs(truth)


def test_group_influence_is_brute_force_for_every_pair(problem):
    p, groups = problem, [[3], [0, 1, 2], list(range(5, 40, 2)), [39, 0]]
    found = group_influence(p.fit, p.k_test_train, p.y_test, groups)
    assert close(found, brute_force(p, groups))
    for same in (dict(enumerate(groups)), [set(group) for group in groups]):
        assert close(group_influence(p.fit, p.k_test_train, p.y_test, same), found)


def test_a_group_of_one_is_a_single_point(problem):
    p = problem
    groups = group_influence(p.fit, p.k_test_train, p.y_test, [torch.tensor([i]) for i in range(40)])
    assert close(groups, loo_influence(p.fit, p.k_test_train, p.y_test))


@pytest.mark.parametrize("ridge", [0.01, 0.5, 20.0])
def test_ihvp_is_one_minus_leverage_times_term_one(problem, ridge):
    p, fit = problem, ridge_fit(problem.k_train_train, problem.y_train, ridge)
    term_one, term_two = influence_terms(fit, p.k_test_train, p.y_test)
    ihvp, exact = (method(fit, p.k_test_train, p.y_test) for method in (ihvp_influence, loo_influence))
    assert close(ihvp, (1 - fit.leverage) * term_one, 1e-12)
    assert close(term_one + term_two, exact, 1e-12)
    assert (term_two >= 0).all()


def test_ihvp_is_eq_12_of_the_linear_model_with_these_features():
    """Gradient of the test loss, times the inverse Hessian, times that of the training loss, for explicit features."""
    p = make_problem(n=12, k=4)
    features = torch.linalg.cholesky(
        torch.cat([torch.cat([p.k_train_train, p.k_test_train.T], 1), torch.cat([p.k_test_train, ntk(p.x_test)], 1)])
    )
    train, test = features[:12], features[12:]
    hessian = train.T @ train + p.ridge * torch.eye(16, dtype=torch.float64)
    weights = torch.linalg.solve(hessian, train.T @ p.y_train)
    gradients = (test @ weights - p.y_test) * test, (train @ weights - p.y_train) * train
    eq_12 = gradients[0] @ torch.linalg.solve(hessian, gradients[1].T)
    assert close(ihvp_influence(p.fit, p.k_test_train, p.y_test), eq_12)


def test_positive_means_helpful():
    """A training point equal to the test point, with its label, helps; with the wrong label, harms."""
    p = make_problem(ridge=1.0)
    x_train = torch.cat([p.x_train, p.x_test[:1]])
    for sign in (1, -1):
        y_train = torch.cat([p.y_train, sign * p.y_test[:1]])
        assert sign * ntk_influence(x_train, y_train, p.x_test[:1], p.y_test[:1], 1.0)[0, -1] > 0


@given(order=st.permutations(range(40)))
def test_permuting_training_points_permutes_columns(order):
    p = make_problem(outputs=3)
    whole = ntk_influence(p.x_train, p.y_train, p.x_test, p.y_test, p.ridge)
    permuted = ntk_influence(p.x_train[order], p.y_train[order], p.x_test, p.y_test, p.ridge)
    assert torch.allclose(permuted, whole[:, order], rtol=1e-10, atol=1e-14)


@given(order=st.permutations(range(10)))
def test_the_order_of_outputs_does_not_matter(order):
    p = make_problem(outputs=10)
    fit = ridge_fit(p.k_train_train, p.y_train[:, order], p.ridge)
    for method in (loo_influence, ihvp_influence):
        got = method(fit, p.k_test_train, p.y_test[:, order])
        assert torch.allclose(got, method(p.fit, p.k_test_train, p.y_test), rtol=1e-10, atol=1e-14)


@given(block_size=st.integers(1, 60), outputs=st.sampled_from([1, 4]))
def test_blocks_of_any_size_give_the_same_matrix(block_size, outputs):
    p = make_problem(outputs=outputs)
    whole = loo_influence(p.fit, p.k_test_train, p.y_test)
    for got in (
        loo_influence(p.fit, p.k_test_train, p.y_test, block_size=block_size),
        ntk_influence(p.x_train, p.y_train, p.x_test, p.y_test, p.ridge, block_size=block_size),
    ):
        assert torch.allclose(got, whole, rtol=1e-10, atol=1e-14)
    ihvp = ihvp_influence(p.fit, p.k_test_train, p.y_test, block_size=block_size)
    assert torch.allclose(ihvp, ihvp_influence(p.fit, p.k_test_train, p.y_test), rtol=1e-10, atol=1e-14)


def test_outputs_add_up():
    """The ten-class influence is the sum of those of its outputs, each alone."""
    p = make_problem(outputs=10)
    parts = [
        loo_influence(ridge_fit(p.k_train_train, p.y_train[:, [c]], p.ridge), p.k_test_train, p.y_test[:, [c]])
        for c in range(10)
    ]
    assert close(loo_influence(p.fit, p.k_test_train, p.y_test), torch.stack(parts).sum(0))


@pytest.mark.parametrize("block_size", [2, 512])
def test_influence_by_another_kernel(problem, block_size):
    p = problem
    fit = ridge_fit(linear(p.x_train), p.y_train, p.ridge)
    wanted = loo_influence(fit, linear(p.x_test, p.x_train), p.y_test)
    arrays = 3 * p.x_train, p.y_train, 3 * p.x_test, p.y_test  # of any length, since it is not of the sphere
    assert close(ntk_influence(*arrays, 9 * p.ridge, kernel=linear, block_size=block_size), wanted)
