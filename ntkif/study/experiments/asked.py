"""What is asked of a network's recorded training, and how long it took."""

import math
from collections.abc import Sequence

import torch

from ntkif.metrics import agreement
from ntkif.networks.modules import predict
from ntkif.study.experiments.experiment import AGREEMENT
from ntkif.study.experiments.trained_networks import Case, kernel_influence, moment, record_case, seconds_by_torch
from ntkif.training.recorded import RecordedTraining

__all__ = ["left_out", "own_kernel_scores", "recorded_and_asked"]


def recorded_and_asked(
    case: Case, points: Sequence[torch.Tensor], test: Sequence[torch.Tensor], seed: int, **how
) -> tuple[RecordedTraining, torch.Tensor, dict]:
    """A case recorded, asked for the influences at test points, and trained once by torch.

    Args:
        case: how the network is made and trained.
        points: (n, ...) training points and (n, c) targets.
        test: (k, ...) test points and (k, c) targets.
        seed: of start and batches.
        **how: to record, as of `record_training`.

    Returns:
        the recording; its (k, n) influences; and the columns of the check, of the losses and of the seconds.
    """
    device = points[0].device
    clock = moment(device)
    run = record_case(case, *points, seed, **how)
    told = {"recording_seconds": moment(device) - clock}
    clock = moment(device)
    ours = run.influence(*test, trust=True)
    told["influence_seconds"] = moment(device) - clock
    check = run.check(*test)
    told |= {"check": check["relative_error"], "of": check["of"], "curvature": check["curvature"]}
    for name, (inputs, targets) in (("train_loss", points), ("test_loss", test)):
        told[name] = float(run.tape.loss.value(predict(run.module, inputs), targets).mean())
    return run, ours, told | {"train_seconds": seconds_by_torch(run, case)}


def left_out(n_train: int, removals: int, seed: int) -> list[int]:
    """So many training rows, drawn at random."""
    return torch.randperm(n_train, generator=torch.Generator().manual_seed(seed))[:removals].tolist()


def own_kernel_scores(
    run: RecordedTraining, rows: list[int], test: Sequence[torch.Tensor], truth: torch.Tensor
) -> dict[str, float]:
    """`agreement` of the own kernel, with the damping that the truth would choose; NaN where there is none."""
    kernels = [agreement(found[:, rows], truth) for found in kernel_influence(run, *test).values()]
    return min(kernels, key=lambda each: each["relative_error"], default=dict.fromkeys(AGREEMENT, math.nan))
