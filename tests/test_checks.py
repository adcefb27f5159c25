"""Bad input: each error says what was expected, what came and what to do."""

import numpy as np
import pandas as pd
import pytest
import torch
from problem import make_problem

from ntkif import (
    checks,
    group_influence,
    ihvp_influence,
    influence_terms,
    loo_influence,
    ntk,
    ntk_influence,
    ntk_monte_carlo,
    refit_without,
    ridge_fit,
)
from ntkif.checks import check_group, check_ridge, group_rows, groups_of, warn
from ntkif.regression import flow, ridge
from ntkif.regression.flow import kernel_flow

P = make_problem()
K, K_TEST, Y, Y_TEST = P.k_train_train, P.k_test_train, P.y_train, P.y_test


def with_nan(matrix, value=float("nan")):
    matrix = matrix.clone()
    matrix[3, 0] = value
    return matrix


CASES = {
    "an array of numpy": (lambda: ntk(np.eye(2)), TypeError, "x: expected a torch tensor of float32 or .* got ndarray"),
    "whole numbers": (lambda: ntk(torch.eye(2).long()), TypeError, "got torch.int64; convert it"),
    "half precision": (lambda: ntk(torch.eye(2).bfloat16()), TypeError, "got torch.bfloat16; convert it"),
    "two dtypes of points": (lambda: ntk(P.x_test, P.x_train.float()), TypeError, "z: expected torch.float64 on cpu"),
    "two dtypes in a fit": (lambda: ridge_fit(K, Y.float(), 1.0), TypeError, "y_train: expected torch.float64 on cpu"),
    "two dtypes at test": (lambda: loo_influence(P.fit, K_TEST, Y_TEST.float()), TypeError, "y_test: expected"),
    "rows nearly of norm one": (lambda: ntk(1.00001 * P.x_train), ValueError, "row . has norm 1.00001|row .. has norm"),
    "a kernel that is nearly symmetric": (
        lambda: ridge_fit(K + 1e-6 * torch.eye(40).roll(1, 0), Y, 1.0),
        ValueError,
        "two triangles differ",
    ),
    "a negative ridge in a refit": (lambda: refit_without(K, K_TEST, Y, -1.0, [0]), ValueError, "ridge: expected zero"),
    "NaN in a refit": (lambda: refit_without(with_nan(K), K_TEST, Y, 1.0, [0]), ValueError, "k_train_train: .*NaN"),
    "a vector of points": (
        lambda: ntk(torch.ones(3)),
        ValueError,
        r"x: expected a matrix of shape .* got shape \(3,\)",
    ),
    "no points": (lambda: ntk(torch.ones(0, 3)), ValueError, r"got shape \(0, 3\)"),
    "rows not of norm one": (lambda: ntk(3 * P.x_train), ValueError, "rows of norm 1, but row 0 has norm 3; divide"),
    "test rows not of norm one": (lambda: ntk(P.x_test, 2 * P.x_train), ValueError, "z: expected rows of norm 1"),
    "points of another dimension": (
        lambda: ntk(P.x_test, torch.ones(2, 1).double()),
        ValueError,
        r"z: expected a matrix of shape \('any', 6\)",
    ),
    "NaN in a point": (lambda: ntk(with_nan(P.x_train)), ValueError, r"got NaN or infinity \(first in row 3\); clean"),
    "no neurons": (lambda: ntk_monte_carlo(P.x_train, width=0), ValueError, "width: expected at least one neuron"),
    "a block of nothing": (lambda: ntk(P.x_train, block_size=0), ValueError, "block_size .* expected 1 or more, got 0"),
    "a kernel that is not square": (lambda: ridge_fit(K_TEST, Y_TEST, 1.0), ValueError, r"shape \(9, 9\), got .*9, 40"),
    "a kernel that is not symmetric": (
        lambda: ridge_fit(K_TEST[:, :9].contiguous(), Y_TEST, 1.0),
        ValueError,
        "symmetric kernel matrix.*two triangles differ",
    ),
    "infinity in the kernel": (lambda: ridge_fit(with_nan(K, torch.inf), Y, 1.0), ValueError, "k_train_train: .*row 3"),
    "a vector of targets": (lambda: ridge_fit(K, Y[:, 0], 1.0), ValueError, r"y_train: .*column with y\[:, None\]"),
    "too few targets": (lambda: ridge_fit(K, Y[:-1], 1.0), ValueError, r"y_train: expected a matrix of shape \(40,"),
    "NaN in a target": (lambda: ridge_fit(K, with_nan(Y), 1.0), ValueError, "y_train: expected finite numbers"),
    "a negative ridge": (
        lambda: ridge_fit(K, Y, -1.0),
        ValueError,
        "ridge: expected zero or a positive number, got -1",
    ),
    "a ridge that is NaN": (lambda: ridge_fit(K, Y, float("nan")), ValueError, "ridge: .* got nan"),
    "IHVP without a ridge": (
        lambda: ihvp_influence(make_problem(ridge=0.0).fit, K_TEST, Y_TEST),
        ValueError,
        "ridge: expected a positive number, got 0.0.*Hessian",
    ),
    "a test kernel turned round": (
        lambda: loo_influence(P.fit, K_TEST.T, Y_TEST),
        ValueError,
        r"k_test_train: expected a matrix of shape \('any', 40\), got shape \(40, 9\)",
    ),
    "too few test targets": (lambda: loo_influence(P.fit, K_TEST, Y_TEST[:2]), ValueError, r"y_test: .*\(9, 1\)"),
    "other outputs at test": (
        lambda: loo_influence(P.fit, K_TEST, torch.ones(9, 10).double()),
        ValueError,
        r"y_test: expected a matrix of shape \(9, 1\), got shape \(9, 10\)",
    ),
    "a group outside": (lambda: P.fit.predict_without(K_TEST, [40]), ValueError, "whole numbers from 0 to 39, got"),
    "a negative row": (lambda: P.fit.predict_without(K_TEST, [-1]), ValueError, "distinct training rows"),
    "a row twice": (lambda: P.fit.predict_without(K_TEST, [1, 1]), ValueError, r"distinct .*got .*\[1, 1\]"),
    "an empty group": (lambda: refit_without(K, K_TEST, Y, 1.0, []), ValueError, "distinct training rows"),
    "a mask for a group": (lambda: P.fit.predict_without(K_TEST, [True]), ValueError, "whole numbers .* torch.bool"),
    "no groups": (lambda: group_influence(P.fit, K_TEST, Y_TEST, []), ValueError, "at least one set"),
    "targets of other points": (
        lambda: ntk_influence(P.x_train, Y_TEST, P.x_test, Y_TEST, 1.0),
        ValueError,
        "y_train: expected a matrix",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case):
    call, error, message = CASES[case]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    "wrong",
    [(K_TEST, Y, 1.0), (K.triu(), Y, 1.0), (with_nan(K), Y, 1.0), (K, Y[1:], 1.0), (K, Y.float(), 1.0), (K, Y, -1.0)],
    ids=["rectangular", "one triangle", "NaN", "too few targets", "two dtypes", "negative ridge"],
)
def test_a_fit_and_a_flow_check_their_input_alike(wrong):
    """By the same words, which stand in one function."""
    said = []
    for solve in (ridge_fit, kernel_flow):
        with pytest.raises((TypeError, ValueError)) as refused:
            solve(*wrong)
        said.append((refused.type, str(refused.value)))
    assert said[0] == said[1]
    assert ridge.check_training_kernel is flow.check_training_kernel is checks.check_training_kernel


def test_finite_numbers_whose_sum_overflows_are_fine():
    assert ridge_fit(torch.eye(40).double(), torch.full((40, 1), 1e308, dtype=torch.float64), 1.0).dual.isfinite().all()


@pytest.mark.parametrize("repeat", ["equal", "almost equal"])
def test_repeated_points_without_a_ridge(repeat):
    x = torch.cat([P.x_train, P.x_train[:1]])
    if repeat == "almost equal":
        x[-1, 0] += 1e-15
    with pytest.raises(
        np.linalg.LinAlgError, match=r"singular to torch.float64 precision at ridge=0 .*Remove repeated"
    ):
        ridge_fit(ntk(x), torch.ones(41, 1).double(), 0.0)
    assert ridge_fit(ntk(x), torch.ones(41, 1).double(), 0.1).condition < 1e3


def test_a_matrix_that_does_not_fit_in_memory():
    x = torch.ones(3_000_000, 1)
    with pytest.raises(
        MemoryError, match=r"kernel matrix of shape \(3000000, 3000000\) needs 33527.6 GiB .* are free; use"
    ):
        ntk(x)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: ridge_fit(K, Y, 1.0), "the inverse kernel"),
        (lambda: P.fit.loo_predict(K_TEST), "the leave-one-out predictions"),
        (lambda: loo_influence(P.fit, K_TEST, Y_TEST), "the influence matrix"),
        (lambda: ihvp_influence(P.fit, K_TEST, Y_TEST), "the influence matrix"),
        (lambda: influence_terms(P.fit, K_TEST, Y_TEST), "the two terms"),
        (lambda: group_influence(P.fit, K_TEST, Y_TEST, [[i] for i in range(40)]), "the influence of groups"),
    ],
)
def test_every_large_matrix_is_checked(call, what, monkeypatch):
    monkeypatch.setattr("ntkif.checks.available_bytes", lambda device: 1000)
    with pytest.raises(MemoryError, match=f"{what} of shape .* are free; "):
        call()


def test_rows_of_a_group_come_in_many_forms():
    wanted = torch.tensor([1, 2, 5])
    read_only = np.array([1, 2, 5])
    read_only.flags.writeable = False
    for group in ([1, 2, 5], (1, 2, 5), {5, 1, 2}, read_only, pd.Series([1, 2, 5]), wanted, range(1, 6)):
        assert torch.equal(check_group(group_rows(group), 9)[[0, 1, -1]], wanted)
    with pytest.raises(TypeError, match="group: expected rows of the training set, whole numbers, got <U1"):
        group_rows(["a", "b"])
    for none in ([], {}):
        with pytest.raises(ValueError, match="groups: expected at least one set of training rows, got none"):
            groups_of(none)
    with pytest.raises(ValueError, match="expected a list of distinct training rows"):
        check_group(group_rows([1.5]), 9)


@pytest.mark.parametrize("ridge", [None, "1"])
def test_a_ridge_is_a_number(ridge):
    with pytest.raises(TypeError, match=f"ridge: expected a number, got {type(ridge).__name__}"):
        check_ridge(ridge)


def test_a_warning_names_the_line_of_the_user():
    with pytest.warns(UserWarning, match="such as this") as caught:
        warn("such as this")
    assert caught[0].filename == __file__


def test_counts_are_whole_numbers():
    assert checks.check_count("k", np.int64(3)) == 3 and checks.check_count("k", torch.tensor(2)) == 2
    assert checks.check_count("k", -5, None) == -5
    with pytest.raises(TypeError, match=r"k: expected a whole number, got 2\.0 of float"):
        checks.check_count("k", 2.0)
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        checks.check_count("k", 0)


def test_one_row_is_no_list_of_sets():
    with pytest.raises(TypeError, match="sets: expected a list of sets of training rows, got 3; put it into a list"):
        checks.groups_of(3, "sets")
