"""Leave-one-out influence of a trained network through its empirical NTK, its own Jacobian's (beyond the paper)."""

import copy
import math
import warnings
from collections.abc import Callable, Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_ridge
from ntkif.influence.linearized import linearized_fit
from ntkif.kernels.module_kernel import module_kernels
from ntkif.kernels.tangent import tangent_kernel
from ntkif.networks.inputs import Points, Reading, in_own_precision, points_of, reading_of, unchanged
from ntkif.networks.losses import SQUARES, Loss, change_of_loss, loss_of, targets_of
from ntkif.networks.modules import predict, prepare, trained_parameters
from ntkif.networks.two_layer import TwoLayer

__all__ = ["NotStationaryError", "gradient_share", "network_influence"]

_NOTABLE = 0.01  # share of the gradient above which the user is warned


class NotStationaryError(ValueError):
    """The network is not at a minimum of the objective that the formula assumes."""


@torch.no_grad()
@in_own_precision
def network_influence(
    network: torch.nn.Module,
    x_train,
    y_train: torch.Tensor,
    x_test,
    y_test: torch.Tensor,
    ridge: float,
    *,
    start: torch.nn.Module | None,
    damping: float = 0.0,
    loss: Loss | str | Callable = SQUARES,
    mean: bool | None = None,
    output: str | int | None = None,
    traced: bool = False,
    tolerance: float = 0.3,
    jacobian_dtype: torch.dtype | None = None,
    block_size: int | None = None,
    **blocks,
) -> torch.Tensor:
    """Leave-one-out influence of a trained network, from its empirical NTK and its residuals.

    Exact for the network linearised at its parameters, where these minimise the sum of half squared errors plus the
    ridge (Eq. 2). What else is approximate where the network was trained otherwise:

    - on another loss: its curvature is taken at the trained network, so the formula is one Newton step.
    - without a ridge, or stopped early: the parameters minimise nothing, and `damping` stands for what stopped them
      (gradient descent for a time t resembles a ridge of about 1/t). Measure it where it matters.

    Args:
        network: trained, with c outputs: any torch module as for `module_kernel`.
        x_train: n training points as the network takes them: a tensor, a tuple of tensors, or a mapping; of a
            DataLoader see `take_all`.
        y_train: (n, c) targets; (n,) for one output, or class numbers for cross-entropy.
        x_test: k test points.
        y_test: their targets.
        ridge: penalty λ of the training.
        start: the network before training, to which the penalty refers; how far the gradient of the objective is from
            zero is then checked. None: no check, for a network that was trained otherwise.
        damping: added to the ridge.
        loss: that of the training and of the influence: see `loss_of`. Another than half squares takes no traced
            kernel of several outputs.
        mean: whether the objective was the mean of the losses plus the ridge, not their sum: λ and damping are then
            n times as large for the sum. Absent: what an object of torch says by its reduction, else the sum.
        output: the entry of a tuple or mapping that the network returns, see `Reading`.
        traced: whether to take the traced kernel, see `tangent_kernel`.
        tolerance: largest `gradient_share` allowed. ReLU networks do not get to zero: on kinks the gradient jumps.
        jacobian_dtype: of the Jacobian and its products, which take most of the time: float32 halves it for a network
            in float64; what is solved stays in the dtype of the network.
        block_size: test points handled at once; as many as there are training points where absent.
        **blocks: for the kernel of a torch module, see `module_kernel`.

    Returns:
        (k, n) change of the loss of each test point; positive means helpful.

    Raises:
        NotStationaryError: the gradient is larger than the tolerance allows; the error says by how much.
        TypeError, ValueError: wrong shapes, dtypes or NaN; targets that the loss does not take; a module in training
            mode, even in part; a start of other shapes; neither ridge nor damping, or a start without a ridge; or
            another loss with the traced kernel, or with a right class of no chance (see `linearized_fit`).
        MemoryError, numpy.linalg.LinAlgError: as `tangent_kernel` and `ridge_fit`.

    Warns:
        UserWarning: the gradient is allowed, but above a hundredth of what it balances.
    """
    loss, of_torch = loss_of(loss)
    model, x_train, x_test = _prepared(network, x_train, x_test, output)
    prediction, n = predict(model, x_train), len(x_train)
    y_train = targets_of(loss, y_train, prediction, "y_train")
    y_test = targets_of(loss, y_test, prediction.new_empty(len(x_test), prediction.shape[1]), "y_test")
    check_ridge(ridge)
    if not ridge + damping > 0 or not damping >= 0:
        raise ValueError(
            f"damping: expected a positive number where the network was trained without a ridge, got {damping}; "
            f"after gradient descent for a time t (steps times step size), 1/t is a first guess."
        )
    if loss.curvature is not None and traced and prediction.shape[1] > 1:
        raise ValueError(
            f"loss: expected half squares with the traced kernel, got another loss with {prediction.shape[1]} outputs; "
            f"its curvature couples the outputs, so take traced=False."
        )
    if of_torch if mean is None else mean:
        ridge, damping = n * ridge, n * damping
    if start is not None:
        _check_start(network, start, ridge)
        _check_stationary(gradient_share(model, start, x_train, y_train, ridge, loss=loss), tolerance, n)
    tests = list(row_blocks(len(x_test), block_size or max(256, n)))
    how = {"traced": traced, **blocks}
    rounded = _rounded(model, x_train, x_test, jacobian_dtype)
    k_train_train, k_test_train = (k.to(prediction) for k in _kernels(*rounded[:2], rounded[2][tests[0]], **how))
    curvature = loss.curvature(prediction, y_train) if loss.curvature else None
    residual = loss.gradient(prediction, y_train)
    fit = linearized_fit(k_train_train, residual, ridge, damping=damping, curvature=curvature, flat=loss.flat)
    del k_train_train
    out = prediction.new_empty(len(x_test), n)
    for rows in tests:
        if rows is not tests[0]:
            k_test_train = tangent_kernel(rounded[0], rounded[2][rows], rounded[1], **how).to(prediction)
        prediction, y = predict(model, x_test[rows]), y_test[rows]
        if fit.root is None:
            out[rows] = fit.loo_influence(k_test_train, loss.gradient(prediction, y))
        else:
            out[rows] = change_of_loss(loss.value, prediction, fit.loo_change(k_test_train), y)
    return out


def _prepared(network: torch.nn.Module, x_train, x_test, output: str | int | None) -> tuple:
    """What predicts, and points that it takes: the two-layer network as it is, any other as its `Reading`."""
    if any(part.training for part in network.modules()):
        raise ValueError("network: expected one in evaluation mode, all parts of it; call network.eval() first.")
    reading, train, _ = prepare(network, x_train, "x_train", output=output)
    test = points_of(x_test, reading, "x_test")
    if test.shapes != train.shapes or test.names != train.names:
        raise ValueError(f"x_test: expected points of shape {_told(train)} as the training points, got {_told(test)}.")
    if isinstance(network, TwoLayer):
        return network, *train.arrays, *test.arrays
    return reading, train, prepare(reading, test, "x_test")[1]


def _rounded(model: torch.nn.Module, x_train, x_test, dtype: torch.dtype | None) -> tuple:
    """Network and points in another dtype, where one is named."""
    if dtype is None:
        return model, x_train, x_test
    if not isinstance(model, Reading):
        raise ValueError("jacobian_dtype: expected none for the two-layer network, which needs no Jacobian.")
    return copy.deepcopy(model).to(dtype), x_train.to(dtype), x_test.to(dtype)


def _told(points: Points) -> str:
    return ", ".join(map(str, points.shapes))


def _kernels(model: torch.nn.Module, x_train, x_test, **how) -> tuple[torch.Tensor, torch.Tensor]:
    """Those among the training points and between test and training points."""
    if isinstance(model, TwoLayer):
        return tangent_kernel(model, x_train, **how), tangent_kernel(model, x_test, x_train, **how)
    return module_kernels(model, x_train, x_test, **how)


@torch.no_grad()
@in_own_precision
def gradient_share(
    network: torch.nn.Module,
    start: torch.nn.Module,
    x,
    y: torch.Tensor,
    ridge: float,
    *,
    loss: Loss = SQUARES,
) -> float:
    """How far training is from a minimum: the gradient of the objective (Eq. 2), as a share of that of its losses.

        |J g + λ (θ - θ(0))| / |J g|,    g the gradient of the losses by the outputs, f - y for half squares

    At a minimum the two parts balance and it is 0. Where a ReLU network rests on kinks it stays above, since the
    gradient there jumps from one side to the other. Where the losses have no gradient at all, as in a perfect fit, only
    a network that has not moved is at the minimum: its share is 0, that of any other infinite.

    Args:
        network: trained.
        start: the same before training.
        x: n training points.
        y: (n, c) targets.
        ridge: penalty λ.
        loss: that of the training.

    Returns:
        the share, from 0 to infinity.
    """
    pull = _loss_gradient(network, x, y, loss)
    ends = trained_parameters(network.module if isinstance(network, Reading) else network).values()
    starts = trained_parameters(start).values()
    moved = [end.detach() - begin.detach() for end, begin in zip(ends, starts, strict=True)]
    gradient = [p + ridge * m for p, m in zip(pull, moved, strict=True)]
    whole, of_losses = _norm(gradient), _norm(pull)
    if of_losses == 0:
        return math.inf if whole > 0 else 0.0
    return whole / of_losses


def _loss_gradient(network: torch.nn.Module, x, y: torch.Tensor, loss: Loss) -> Sequence[torch.Tensor]:
    """J g, the gradient of the sum of the losses, a tensor for each parameter."""
    with torch.enable_grad(), unchanged(network):
        total = loss.value(points_of(x, network).predicted_by(reading_of(network)), y).sum()
        return torch.autograd.grad(total, list(trained_parameters(network).values()), materialize_grads=True)


def _norm(parts: Sequence[torch.Tensor]) -> float:
    return float(torch.stack([part.norm() for part in parts]).norm())


def _check_stationary(share: float, tolerance: float, n: int) -> None:
    size = (
        "only that of its ridge, as its losses have none" if math.isinf(share) else f"{share:.2g} of that of its losses"
    )
    message = f"the gradient of the objective at the trained weights is {size}"
    if not share <= tolerance:
        raise NotStationaryError(
            f"network: expected one that minimises the sum of losses plus ridge/2 times the squared distance "
            f"from `start`, but {message}, above the tolerance {tolerance:g}. Train longer or with a smaller "
            f"step; if the objective was the mean of the losses, pass mean=True, which takes {n} times the ridge; "
            f"or, if it was trained otherwise, pass start=None and a damping, and measure what that gives."
        )
    if share > _NOTABLE:
        warnings.warn(f"{message}; the influences are those of a minimum nearby.", stacklevel=3)


def _check_start(network: torch.nn.Module, start: torch.nn.Module, ridge: float) -> None:
    if ridge == 0:
        raise ValueError(
            "start: expected None where the network was trained without a ridge, since the objective then has no "
            "minimum that depends on the start; pass start=None and a damping, and measure what that gives."
        )
    shapes = [{name: tuple(value.shape) for name, value in trained_parameters(net).items()} for net in (network, start)]
    if type(network) is not type(start) or shapes[0] != shapes[1]:
        raise ValueError(f"start: expected the network before training, with parameters {shapes[0]}, got {shapes[1]}.")
