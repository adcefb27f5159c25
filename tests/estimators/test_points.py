"""Rows as points of the sphere, and kernels where some rows are blank."""

import pytest
import torch
from problem import linear, make_problem

from ntkif import ntk
from ntkif.estimators.points import kernel_between, normalized, to_sphere, warn_of_one_direction
from ntkif.kernels.infinite import deep_ntk


@pytest.mark.parametrize("scale", [1e200, 1.0, 1e-300])
def test_rows_have_norm_one_however_long_they_are(scale):
    x = make_problem(n=6).x_train
    padded = torch.cat([scale * x, torch.zeros(1, 6, dtype=x.dtype)])
    assert torch.allclose(to_sphere(padded)[:6], x, rtol=1e-14) and not to_sphere(padded)[6].any()


@pytest.mark.parametrize("kernel", [ntk, deep_ntk])
def test_the_kernel_of_a_blank_row_is_zero(kernel):
    p = make_problem(n=6)
    x, z = (torch.cat([rows[:2], torch.zeros(1, 6, dtype=rows.dtype), rows[2:]]) for rows in (p.x_train, p.x_test))
    there = [row for row in range(7) if row != 2]
    for other, truth in ((x, kernel(p.x_train)), (z, kernel(p.x_train, p.x_test))):
        found = kernel_between(kernel, x, other, block_size=3)
        assert not found[2].any() and not found[:, 2].any()
        columns = [column for column in range(found.shape[1]) if column != 2]
        assert torch.allclose(found[there][:, columns], truth, rtol=1e-14)


def test_a_function_of_the_user_gets_the_points_as_they_are():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert kernel_between(linear, x, x, block_size=1).tolist() == [[25.0, 0.0], [0.0, 0.0]]
    assert kernel_between(lambda a, b: linear(a, b) + 1, x, x, block_size=1)[1].tolist() == [1.0, 1.0]


def test_what_a_function_of_the_user_gives_is_a_matrix_of_real_numbers():
    x = torch.eye(3).double()[:2]
    found = kernel_between(lambda a, b: linear(a, b) > 0, x, x, block_size=1)
    assert found.dtype == torch.float64 and found.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    for kernel, error, message in (
        (lambda a, b: linear(a, b).numpy(), TypeError, "a torch tensor of real numbers, got ndarray"),
        (lambda a, b: 1j * linear(a, b), TypeError, "a torch tensor of real numbers, got torch.complex128"),
        (lambda a, b: linear(a, b)[0], ValueError, r"\(2, 2\) matrix of 2 and 2 points, got shape \(2,\)"),
    ):
        with pytest.raises(error, match=f"kernel: expected a function that gives .*{message}"):
            kernel_between(kernel, x, x, block_size=1)


def test_rows_as_they_are_on_the_sphere_or_with_a_one_at_their_end():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert normalized(x, False) is x and torch.equal(normalized(x, True), to_sphere(x))
    ones = torch.nn.functional.normalize(torch.tensor([[3.0, 4.0, 1.0], [0.0, 0.0, 1.0]]))
    assert torch.allclose(normalized(x, "append-one"), ones)


@pytest.mark.parametrize("lost", [True, False])
def test_one_direction_is_warned_of(lost, recwarn):
    rows = [[3.0, 4.0], [0.0, 0.0], [-6.0, -8.0], [6.0, 8.0 if lost else 8.001]]
    warn_of_one_direction(to_sphere(torch.tensor(rows).double()))
    assert len(recwarn.list) == lost
