"""Leave-one-out influence at every time of training, exactly and for all training points at once (Eq. 7, 8 and 20).

Training for a time t is a Laplace transform away from ridge regression: the transform of the coefficients is the ridge
fit at ridge λ + s, divided by s. Removing point i is Eq. 9 at that complex ridge, and a contour brings it back to t.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_matrix
from ntkif.regression.flow import KernelFlow, check_time, quadrature_error, talbot

__all__ = ["TimedInfluence", "influence_along", "influence_at", "loo_change_at", "loo_predict_train"]

_MOST_NODES = 40  # beyond, rounding grows faster than the error of the rule falls
_STEP = 4  # nodes between the two rules that are compared; the error falls about 170 times


@dataclass(frozen=True, eq=False)
class TimedInfluence:
    """Influence at one time of training.

    Attributes:
        time: of the flow.
        prediction: (k, c) of the model with all points, at that time.
        influence: (k, n) test loss without a training point minus the test loss with it; positive means helpful.
        loo_prediction: (n, c) at each training point, of the model that has not seen it, as `loo_predict_train`.
        nodes: of the contour (one of each conjugate pair counts).
        error: estimate of the relative error of the changes, see `loo_change_at`.
    """

    time: float
    prediction: torch.Tensor
    influence: torch.Tensor
    loo_prediction: torch.Tensor
    nodes: int
    error: float


def influence_at(
    flow: KernelFlow,
    k_test_train: torch.Tensor,
    y_test: torch.Tensor,
    time: float,
    *,
    tolerance: float = 1e-10,
    block_size: int = 512,
) -> TimedInfluence:
    """Leave-one-out influence (Eq. 7) of the model that was trained for a given time; arguments as `influence_along`.

    Returns:
        influence at `time`, with the prediction and an estimate of the error.
    """
    return next(influence_along(flow, k_test_train, y_test, [time], tolerance=tolerance, block_size=block_size))


@torch.no_grad()
def influence_along(
    flow: KernelFlow,
    k_test_train: torch.Tensor,
    y_test: torch.Tensor,
    times: Sequence[float],
    *,
    tolerance: float = 1e-10,
    block_size: int = 512,
) -> Iterator[TimedInfluence]:
    """Leave-one-out influence (Eq. 7) at each of several times of training, one after the other.

        I(t)[x, i] = Σ_c 1/2 (f^{-i}_c(x; t) - y_xc)^2 - 1/2 (f_c(x; t) - y_xc)^2

    Each time costs one product of a (k, n) with an (n, n) matrix for each output.

    Args:
        flow: gradient flow on the kernel of n training points.
        k_test_train: (k, n) kernel between test and training points.
        y_test: (k, c) targets of the test points.
        times: of the flow, each from 0 to infinity; infinity is Eq. 9.
        tolerance: relative error allowed in the changes of the predictor, see `loo_change_at`.
        block_size: training points handled at once. Working memory beside the result and the test kernel in the
            basis of eigenvectors, (k, n), is about block_size * (3 n + 2 k) numbers.

    Yields:
        influence at each time; a progress bar shows how far it is.

    Raises:
        TypeError, ValueError: wrong shapes, NaN, a negative time, or an infinite one where K + λI is singular.
        MemoryError: the result would not fit in memory.
        ArithmeticError: the tolerance is below what rounding allows.
    """
    check_matrix("k_test_train", k_test_train, columns=len(flow.y_train), like=flow.y_train)
    check_matrix("y_test", y_test, rows=len(k_test_train), columns=flow.y_train.shape[1], like=flow.y_train)
    advice = "pass fewer test points at once."
    check_fits("the influence matrix and the test kernel", 2, *k_test_train.shape, like=flow.y_train, advice=advice)
    projected = k_test_train @ flow.eigenvectors
    for time in tqdm(times, desc="times of training", disable=None if len(times) > 1 else True):
        removals = _removals(flow, time, tolerance, block_size)
        prediction, loo_prediction = flow.predict(k_test_train, time), flow.predict_train(time)
        influence = torch.empty_like(k_test_train)
        for rows in row_blocks(len(flow.y_train), block_size):
            influence[:, rows] = 0
            for output in range(y_test.shape[1]):
                dual_change = removals.dual_change(rows, output)
                loo_prediction[rows, output] += _own_change(flow, rows, dual_change)
                change = projected @ dual_change.T
                residual = prediction[:, output, None] - y_test[:, output, None]
                influence[:, rows] += (change / 2).add_(residual).mul_(change)
        yield TimedInfluence(time, prediction, influence, loo_prediction, removals.nodes, removals.error)


@torch.no_grad()
def loo_change_at(
    flow: KernelFlow, k_test_train: torch.Tensor, time: float, *, tolerance: float = 1e-10, block_size: int = 512
) -> torch.Tensor:
    """What removing each training point does to predictions after training for a given time.

        f^{-i}(x; t) - f(x; t) = Re Σ_q weights_q / nodes_q α_s(x_i, x) (f^{-i}_s(x_i) - y_i),   s = nodes_q / t

    with the coefficients α and leave-one-out residuals of Eq. 9 at the complex ridge λ + s, and the contour of
    `talbot`. The nodes are as many as `tolerance` asks for: the rule is compared with one of four nodes fewer,
    and the largest RKHS norm of their difference, over the root mean square of that of the changes, is the estimate of
    the error. It bounds the difference of the two rules at every point of the sphere at once (by K(x, x) = 1/2), and
    the finer rule, whose result this is, is more exact by two digits.

    Args:
        flow: gradient flow on the kernel of n training points.
        k_test_train: (k, n) kernel between test and training points.
        time: of training, from 0 to infinity.
        tolerance: largest error that the change of any training point may have, in the RKHS norm, relative to the root
            mean square of all.
        block_size: training points handled at once.

    Returns:
        (k, n, c) changes; entry [x, i] is that at test point x by removal of training point i.

    Raises:
        TypeError, ValueError, MemoryError, ArithmeticError: as `influence_along`.
    """
    check_matrix("k_test_train", k_test_train, columns=len(flow.y_train), like=flow.y_train)
    size = (len(k_test_train), *flow.y_train.shape)
    check_fits("the changes", *size, like=flow.y_train, advice="pass fewer test points at once.")
    removals, projected = _removals(flow, time, tolerance, block_size), k_test_train @ flow.eigenvectors
    out = k_test_train.new_empty(size)
    for rows in row_blocks(len(flow.y_train), block_size):
        for output in range(size[2]):
            out[:, rows, output] = projected @ removals.dual_change(rows, output).T
    return out


@torch.no_grad()
def loo_predict_train(
    flow: KernelFlow, time: float, *, tolerance: float = 1e-10, block_size: int = 512
) -> torch.Tensor:
    """Prediction at each training point of the model trained without it for a given time: O(n^2) for all n.

    Args:
        flow: gradient flow on the kernel of n training points.
        time: of training, from 0 to infinity.
        tolerance: see `loo_change_at`.
        block_size: training points handled at once.

    Returns:
        (n, c) leave-one-out predictions f^{-i}(x_i; t).

    Raises:
        ValueError, ArithmeticError: as `influence_along`.
    """
    removals, prediction = _removals(flow, time, tolerance, block_size), flow.predict_train(time)
    for rows in row_blocks(len(prediction), block_size):
        for output in range(prediction.shape[1]):
            prediction[rows, output] += _own_change(flow, rows, removals.dual_change(rows, output))
    return prediction


def _own_change(flow: KernelFlow, rows: slice, dual_change: torch.Tensor) -> torch.Tensor:
    """(b,) change of the prediction at each of b training points by its own removal."""
    return (flow.eigenvectors[rows] * dual_change) @ flow.eigenvalues


@dataclass(frozen=True, eq=False)
class _Removals:
    """Change of the coefficients by each removal, in the basis of eigenvectors: U_ij (left_i · right_j)."""

    eigenvectors: torch.Tensor
    left: torch.Tensor  # (c, n, r)
    right: torch.Tensor  # (n, r)
    nodes: int
    error: float = 0.0

    def dual_change(self, rows: slice, output: int) -> torch.Tensor:
        """(b, n) change by the removal of each of b training points."""
        return (self.left[output, rows] @ self.right.T).mul_(self.eigenvectors[rows])


def _removals(flow: KernelFlow, time: float, tolerance: float, block_size: int) -> _Removals:
    """The rule with the fewest nodes that meets the tolerance."""
    rate = flow.eigenvalues + flow.ridge
    check_time(time, rate)
    if time == 0 or math.isinf(time):  # nothing learnt yet but what is learnt at once, or Eq. 9 itself
        left = _loo_residual(flow, (1 / rate if time else torch.ones_like(rate))[:, None], block_size)
        right = _with_at_once(flow, (1 / rate if time else torch.zeros_like(rate))[:, None], 1)
        return _Removals(flow.eigenvectors, left, right, nodes=1)
    counts = range(8, _MOST_NODES - _STEP, 2)
    count = next((count for count in counts if quadrature_error(count) < tolerance / 10), counts[-1])
    error, coarse = math.inf, _talbot_removals(flow, time, count, block_size)
    while count + _STEP <= _MOST_NODES:
        count += _STEP
        fine = _talbot_removals(flow, time, count, block_size)
        error = min(error, _difference(flow.eigenvalues, coarse, fine, block_size))
        if error <= tolerance:
            return _Removals(flow.eigenvectors, fine.left, fine.right, fine.nodes, error)
        coarse = fine
    raise ArithmeticError(
        f"tolerance: at time {time:g} the leave-one-out changes agree to {error:.1e} between two rules, "
        f"not to the {tolerance:.1e} asked for; rounding allows no better, so ask for more."
    )


def _talbot_removals(flow: KernelFlow, time: float, count: int, block_size: int) -> _Removals:
    nodes, weights = (values.to(flow.y_train.device) for values in talbot(count))
    resolvent = 1 / (flow.eigenvalues[:, None] + flow.ridge + nodes / time)
    left = _loo_residual(flow, resolvent, block_size) * (weights / nodes)
    resolvent = _with_at_once(flow, resolvent, 1)
    # Re(left right) as one real product of twice the rank.
    return _Removals(
        flow.eigenvectors,
        torch.cat([left.real, -left.imag], dim=2),
        torch.cat([resolvent.real, resolvent.imag], dim=1),
        count // 2,
    )


def _loo_residual(flow: KernelFlow, resolvent: torch.Tensor, block_size: int) -> torch.Tensor:
    """(c, n, q) leave-one-out residuals -dual_i / [(K + (λ + s) I)^-1]_ii (Eq. 60) from the (n, q) resolvents."""
    vectors, parts = flow.eigenvectors, _real_parts(_with_at_once(flow, resolvent, 0))
    dual = torch.stack([vectors @ (along[:, None] * parts) for along in flow.y_train.T @ vectors])
    blocks = row_blocks(len(vectors), block_size)
    diagonal = torch.cat([vectors[rows].square() @ parts for rows in blocks])
    if not resolvent.is_complex():
        return -dual / diagonal
    return -_complex(dual) / _complex(diagonal)


def _with_at_once(flow: KernelFlow, resolvent: torch.Tensor, learnt: int) -> torch.Tensor:
    """The resolvents, in which a mode that is learnt at once is there in full, or not at all."""
    if flow.at_once is None:
        return resolvent
    return resolvent.where(~flow.at_once[:, None], learnt / flow.eigenvalues[:, None])


def _real_parts(values: torch.Tensor) -> torch.Tensor:
    return torch.cat([values.real, values.imag], dim=-1) if values.is_complex() else values


def _complex(parts: torch.Tensor) -> torch.Tensor:
    return torch.complex(*(half.contiguous() for half in parts.chunk(2, dim=-1)))


def _difference(eigenvalues: torch.Tensor, coarse: _Removals, fine: _Removals, block_size: int) -> float:
    """Largest RKHS distance between the changes by the two rules, over the root mean square RKHS norm of a change."""
    distance, size = torch.zeros_like(eigenvalues), torch.zeros_like(eigenvalues)
    for rows in row_blocks(len(eigenvalues), block_size):
        for output in range(len(fine.left)):
            change = fine.dual_change(rows, output)
            distance[rows] += coarse.dual_change(rows, output).sub_(change).square_() @ eigenvalues
            size[rows] += change.square_() @ eigenvalues
    return float((distance.max() / size.mean()).sqrt()) if size.any() else 0.0
