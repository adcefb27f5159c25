"""What tells the influence of a trained network's points, from the network as it is, and how long each takes."""

import math
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.func import grad, vmap

from ntkif.influence.network import NetworkInfluence
from ntkif.influence.stationary import balancing_ridge
from ntkif.networks.modules import predict
from ntkif.study.experiments.trained_networks import infinite_influence
from ntkif.training.recorded import RecordedTraining

__all__ = [
    "DAMPINGS",
    "FIRST_ORDER",
    "METHODS",
    "balance",
    "by_hand",
    "estimates",
    "every_method",
    "own_kernel",
    "start_of",
    "timed",
]

#: What is compared: two yardsticks, one that knows the signs and one that retrains from another start in other batches;
#: five estimates; and the own kernel with that of `DAMPINGS` that the truth would choose.
METHODS = (
    "sign alone",
    "another seed",
    "infinite kernel",
    "IHVP, exact Hessian",
    "IHVP, Gauss-Newton",
    "own kernel",
    "through training",
    "own kernel, best damping",
)
#: What `RecordedTraining.first_order` gives, by the same recording as "through training".
FIRST_ORDER = "first order"
#: Named by hand, of the sum of the losses, for networks without a penalty.
DAMPINGS = (0.01, 0.1, 1.0, 10.0)
_INFINITE_RIDGE = 1.0
_ROWS_AT_ONCE = 128  # of the Hessian
_Estimate = tuple[torch.Tensor, float, float]  # influences, the penalty they took, and seconds


def timed(make: Callable) -> tuple:
    """What is made, and the seconds of the processor that it took, which other programs do not change."""
    clock = time.process_time()
    return make(), time.process_time() - clock


def start_of(run: RecordedTraining) -> nn.Module:
    """The network before training."""
    return run.tape.function.at(run.tape.function.start)


def balance(run: RecordedTraining) -> float:
    """What `damping="auto"` takes, see `balancing_ridge`."""
    return balancing_ridge(run.module, start_of(run), run.tape.x, run.tape.y, loss=run.tape.loss)


def every_method(
    run: RecordedTraining, test: list[torch.Tensor], penalty: float, rows: list[int], truth: torch.Tensor
) -> dict[str, _Estimate]:
    """Of `METHODS` all but the yardsticks, and `by_hand` where there is no penalty; the recording is not in the time.

    Args:
        run: the recorded training.
        test: (k, ...) test points and (k, c) targets.
        penalty: of the sum of the losses; where zero, what balances it.
        rows: r training points that were left out.
        truth: (k, r) what that did.
    """
    through, seconds = timed(lambda: run.influence(*test, trust=True))
    found = estimates(run, test, penalty or balance(run)) | {METHODS[6]: (through, math.nan, seconds)}
    return found if penalty else found | by_hand(run, test, rows, truth)


def estimates(run: RecordedTraining, test: list[torch.Tensor], penalty: float) -> dict[str, _Estimate]:
    """(k, n) influences by each method that takes the trained network or its data, its penalty, and its seconds.

    NaN where a network is so sure of its labels that `linearized_fit` refuses it.

    Args:
        run: the recorded training.
        test: (k, ...) test points and (k, c) targets.
        penalty: ridge or damping of the sum of the losses.
    """
    methods = {
        METHODS[2]: lambda: infinite_influence(run, *test, _INFINITE_RIDGE),
        METHODS[3]: lambda: _exact_hessian(run, *test, penalty),
        METHODS[4]: lambda: _gauss_newton(own_kernel(run, penalty), *test),
        METHODS[5]: lambda: own_kernel(run, penalty).influence(*test, trust=True),
    }
    found = {name: timed(lambda ask=ask: _or_nan(ask, run, test)) for name, ask in methods.items()}
    used = dict.fromkeys(methods, penalty) | {METHODS[2]: _INFINITE_RIDGE}
    return {name: (estimate, used[name], seconds) for name, (estimate, seconds) in found.items()}


def by_hand(
    run: RecordedTraining, test: list[torch.Tensor], rows: list[int], truth: torch.Tensor
) -> dict[str, _Estimate]:
    """Influences (k, n) by the own kernel with each of `DAMPINGS`, and with the best of them by (k, r) the truth."""
    found = {}
    for damping in DAMPINGS:
        estimate, seconds = timed(
            lambda damping=damping: _or_nan(lambda: own_kernel(run, damping).influence(*test, trust=True), run, test)
        )
        found[f"own kernel, damping {damping:g}"] = estimate, damping, seconds
    best = min(found.values(), key=lambda each: float((each[0][:, rows] - truth).norm().nan_to_num(math.inf)))
    return found | {METHODS[7]: best}


def own_kernel(run: RecordedTraining, penalty: float, **how) -> NetworkInfluence:
    """The trained network by its own kernel, wherever it began, with a ridge or damping of the sum of the losses."""
    return NetworkInfluence(run.module, run.tape.x, run.tape.y, penalty, start=None, loss=run.tape.loss, **how)


def _or_nan(ask: Callable[[], torch.Tensor], run: RecordedTraining, test: list[torch.Tensor]) -> torch.Tensor:
    """NaN where a network is so sure of its labels that `linearized_fit` refuses it."""
    try:
        return ask()
    except ValueError:
        return torch.full((len(test[0]), len(run.tape.x)), math.nan)


def _gauss_newton(model: NetworkInfluence, x_test: torch.Tensor, y_test: torch.Tensor) -> torch.Tensor:
    points, targets = model.test_points(x_test, y_test)
    gradient = model.loss.gradient(predict(model.reading, points), targets)
    return model.fit.ihvp_influence(model.kernel.against(points, "x_test"), gradient)


def _exact_hessian(run: RecordedTraining, x_test: torch.Tensor, y_test: torch.Tensor, penalty: float) -> torch.Tensor:
    """∇l(x_t)ᵀ (H + penalty)⁻¹ ∇l(x_i), H of the sum of the losses, which need not be positive."""
    tape, n = run.tape, len(run.tape.x)
    every, eye = torch.arange(n), torch.eye(len(run.theta), dtype=run.theta.dtype)
    hessian = n * torch.cat([tape.hessian(run.theta, every, part)[0] for part in eye.split(_ROWS_AT_ONCE)])

    def loss(theta: torch.Tensor, point: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return tape.loss.value(tape.function(theta, point[None]), target[None])[0]

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    hessian.diagonal().add_(penalty - tape.ridge)  # of the ridge the step's objective knows already
    return gradients(run.theta, x_test, y_test) @ torch.linalg.solve(hessian, gradients(run.theta, tape.x, tape.y).T)
