"""Ridge fits and their leave-one-out fits against scikit-learn, refits and the formulas as printed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problem import close, make_problem, sklearn_without

from ntkif import ntk, refit_without, ridge_fit
from ntkif.regression import ridge


def test_fit_is_the_minimiser_of_eq_5(problem):
    """The gradient of Eq. 5, K (K beta - Y) + ridge K beta, is zero at the dual coefficients."""
    k, dual = problem.k_train_train, problem.fit.dual
    assert (k @ (k @ dual - problem.y_train) + problem.ridge * k @ dual).abs().max() < 1e-13


def test_prediction_is_that_of_scikit_learn(problem):
    assert close(problem.fit.predict(problem.k_test_train), sklearn_without(problem, []))


def test_every_leave_one_out_prediction_is_that_of_a_refit(problem):
    refits = torch.stack([sklearn_without(problem, [i]) for i in range(40)], dim=1)
    assert close(problem.fit.loo_predict(problem.k_test_train), refits)


def test_leave_one_out_prediction_is_eq_9_as_printed(problem):
    p = problem
    inverse = torch.linalg.inv(p.k_train_train + p.ridge * torch.eye(40, dtype=torch.float64))
    for i in (0, 17, 39):
        column = inverse[:, [i]]
        eq_9 = p.k_test_train @ (inverse - column @ column.T / inverse[i, i]) @ p.y_train
        assert close(p.fit.loo_predict(p.k_test_train)[:, i], eq_9)


@given(group=st.sets(st.integers(0, 39), min_size=1), outputs=st.sampled_from([1, 10]))
def test_removing_any_set_is_a_refit_without_it(group, outputs):
    p, group = make_problem(outputs=outputs), sorted(group)
    removed = p.fit.predict_without(p.k_test_train, torch.tensor(group))
    if len(group) < 40:
        assert close(removed, sklearn_without(p, group))
    assert torch.allclose(
        removed, refit_without(p.k_train_train, p.k_test_train, p.y_train, p.ridge, group), rtol=1e-10, atol=1e-12
    )


def test_removing_everything_leaves_the_zero_function(problem):
    everything = torch.arange(40)
    assert problem.fit.predict_without(problem.k_test_train, everything).abs().max() < 1e-12
    refit = refit_without(problem.k_train_train, problem.k_test_train, problem.y_train, problem.ridge, everything)
    assert not refit.any()


def test_residuals_and_leverage_are_what_their_names_say(problem):
    p = problem
    fitted = p.fit.predict(p.k_train_train)
    assert close(p.fit.residual, fitted - p.y_train)
    for i in (0, 20):
        k_i = p.k_train_train[[i]]
        without = refit_without(p.k_train_train, k_i, p.y_train, p.ridge, [i])
        assert close(p.fit.loo_residual[[i]], without - p.y_train[[i]])
    hat = p.k_train_train @ torch.linalg.inv(p.k_train_train + p.ridge * torch.eye(40, dtype=torch.float64))
    assert close(p.fit.leverage, hat.diagonal())


def test_leave_one_out_residual_is_the_residual_over_one_minus_leverage(problem):
    """Appendix, Eq. 64."""
    fit = problem.fit
    assert close(fit.loo_residual * (1 - fit.leverage)[:, None], fit.residual)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_whole_numbers_of_any_kind_name_rows(dtype):
    p, group = make_problem(), [3, 7, 39]
    removed = p.fit.predict_without(p.k_test_train, torch.tensor(group, dtype=dtype))
    assert close(removed, sklearn_without(p, group))


def test_strides_and_gradients_of_the_input_do_not_matter():
    p = make_problem()
    x = p.x_train.clone().requires_grad_()
    turned = ridge_fit(ntk(x).T, p.y_train, p.ridge)
    assert not turned.dual.requires_grad
    assert torch.allclose(turned.inverse, p.fit.inverse, rtol=0, atol=1e-14)


def test_a_ridge_of_zero_interpolates():
    p = make_problem(ridge=0.0)
    assert close(p.fit.predict(p.k_train_train), p.y_train)
    assert close(p.fit.loo_predict(p.k_test_train)[:, 5], sklearn_without(p, [5]))


def test_condition_number(problem):
    matrix = problem.k_train_train + problem.ridge * torch.eye(40, dtype=torch.float64)
    assert problem.fit.condition == pytest.approx(float(torch.linalg.cond(matrix, 1)), rel=1e-10)


def test_fit_leaves_its_input_alone_and_works_in_float32():
    p = make_problem()
    before = p.k_train_train.clone()
    single = ridge_fit(p.k_train_train.float(), p.y_train.float(), p.ridge)
    assert torch.equal(before, p.k_train_train)
    assert single.dual.dtype == torch.float32
    assert torch.allclose(single.dual.double(), p.fit.dual, atol=1e-5)


def test_larger_than_one_block():
    """More rows than one block of the mirrored inverse and of the norm."""
    p = make_problem(n=1100, k=3, d=50)
    expected = torch.linalg.inv(p.k_train_train + p.ridge * torch.eye(1100, dtype=torch.float64))
    assert torch.allclose(p.fit.inverse, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ways_to_the_inverse_agree(dtype):
    """The one in place, for the CPU, and the one of torch, for other devices."""
    k = make_problem().k_train_train.to(dtype) + 0.5 * torch.eye(40, dtype=dtype)
    address = (copy := k.clone()).data_ptr()
    in_place = ridge._lapack_inverse_(copy)
    assert in_place.data_ptr() == address and in_place.dtype == dtype
    assert torch.allclose(in_place, ridge._torch_inverse(k), rtol=0, atol=100 * torch.finfo(dtype).eps)
    not_definite = k - 10 * torch.eye(40, dtype=dtype)
    assert ridge._torch_inverse(not_definite) is None
    assert ridge._lapack_inverse_(not_definite) is None
