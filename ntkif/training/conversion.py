"""An optimiser of torch, with the scheduler of its learning rate, as one of `optimizers`."""

import copy
from collections.abc import Sequence

import torch

from ntkif.checks import check_count
from ntkif.networks.modules import trained_parameters
from ntkif.training.differences import check_own_optimizer
from ntkif.training.optimizers import SGD, Adam, AdamW, Optimizer

__all__ = ["from_torch"]


def from_torch(
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
    *,
    module: torch.nn.Module | None = None,
    steps: int | None = None,
    every: int = 1,
    clip_value: float | None = None,
    clip_norm: float | None = None,
) -> Optimizer:
    """The same optimiser here, from one of torch before its first step.

    Args:
        optimizer: SGD, Adam or AdamW, over all parameters that ask for gradients, unless `module` is given. Groups may
            differ in rate and weight decay.
        scheduler: of its learning rate alone, before its first step. One that looks at the loss cannot be known
            beforehand.
        module: whose parameters they are; needed where groups differ, or where some parameters of it ask for
            gradients but are not the optimizer's: these stay as they are. To freeze them is faster.
        steps: of the training; needed with a scheduler.
        every: steps between two calls of `scheduler.step()`, such as the batches of an epoch, n / b rounded up.
        clip_value: as in `Optimizer`.
        clip_norm: as in `Optimizer`.

    Raises:
        TypeError: another optimiser, a scheduler that needs the loss, or `steps` or `every` that are no whole numbers.
        ValueError: hooks on its steps; a setting that is not supported; an optimiser or scheduler that has made steps
            already; a scheduler without `steps`, left out, or of another optimizer; groups that differ without the
            module; or parameters that are not the module's.
    """
    kinds = {torch.optim.SGD: SGD, torch.optim.Adam: Adam, torch.optim.AdamW: AdamW}
    if type(optimizer) not in kinds:
        raise TypeError(
            f"optimizer: expected torch's SGD, Adam or AdamW, got {type(optimizer).__name__}; for another one whose "
            f"step treats each parameter by itself, write a subclass of ntkif.training.optimizers.Optimizer."
        )
    if optimizer.state:
        raise ValueError("optimizer: expected one before its first step, got one with a state; make a new one.")
    check_own_optimizer(optimizer)
    groups = optimizer.param_groups
    for name in ("amsgrad", "maximize"):
        if any(group.get(name) for group in groups):
            raise ValueError(f"optimizer: {name}=True is not supported; train without it.")
    kind, first = kinds[type(optimizer)], groups[0]
    if first.get("decoupled_weight_decay"):
        kind = AdamW
    if scheduler is None and "initial_lr" in first:
        raise ValueError("scheduler: the optimizer has one; pass it too, or make an optimizer without.")
    if module is not None:
        _check_parameters(groups, module, clip_norm)
    shared = ("momentum", "dampening", "nesterov") if kind is SGD else ("betas", "eps")
    alike = (*shared, "decoupled_weight_decay")
    if other := [name for name in alike if any(group.get(name) != first.get(name) for group in groups)]:
        raise ValueError(f"optimizer: expected groups that differ in lr and weight_decay only, got {other}.")
    schedule = None if scheduler is None else _factors(optimizer, scheduler, steps, every)
    return kind(
        learning_rate=_by_parameter(groups, "lr" if scheduler is None else "initial_lr", module),
        weight_decay=_by_parameter(groups, "weight_decay", module),
        schedule=schedule,
        clip_value=clip_value,
        clip_norm=clip_norm,
        shapes=[tuple(value.shape) for value in _parameters(groups, module)],
        **{name: first[name] for name in shared},
    )


def _factors(optimizer: torch.optim.Optimizer, scheduler, steps: int | None, every: int) -> tuple[float, ...]:
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        raise TypeError("scheduler: expected one that is known before training; ReduceLROnPlateau looks at the loss.")
    if steps is None:
        raise ValueError("steps: expected the number of steps of the training, since a scheduler is given.")
    steps, every = check_count("steps", steps), check_count("every", every)
    if scheduler.optimizer is not optimizer:
        raise ValueError("scheduler: expected that of the optimizer, got another one's; make one of this optimizer.")
    if _steps_made(scheduler) > 0:
        raise ValueError("scheduler: expected one before its first step; make a new one, with a new optimizer.")
    state = copy.deepcopy(scheduler.state_dict())
    # A rate may be a tensor, which schedulers write into.
    before = [{name: _copied(value) for name, value in group.items()} for group in optimizer.param_groups]
    try:
        return tuple(_factor(scheduler, optimizer, index, every, before) for index in range(steps))
    finally:  # so that yours stays as it was
        scheduler.load_state_dict(state)
        for group, kept in zip(optimizer.param_groups, before, strict=True):
            for name, value in kept.items():
                group[name] = group[name].copy_(value) if torch.is_tensor(value) else value
        optimizer._opt_called = False


def _steps_made(scheduler) -> int:
    """By a scheduler, or by those that it chains."""
    if hasattr(scheduler, "last_epoch"):
        return scheduler.last_epoch
    return max(map(_steps_made, scheduler._schedulers))


def _copied(value):
    return value.clone() if torch.is_tensor(value) else value


def _factor(scheduler, optimizer, index: int, every: int, before: list[dict]) -> float:
    if index and index % every == 0:
        optimizer._opt_called = True  # else torch warns that no step was made
        scheduler.step()
    groups = optimizer.param_groups
    if any(a.get(name) != b.get(name) for a, b in zip(groups, before, strict=True) for name in ("momentum", "betas")):
        raise ValueError("scheduler: it changes the momentum too; pass cycle_momentum=False to it.")
    ratios = {float(group["lr"]) / float(group["initial_lr"]) for group in groups if group["initial_lr"]}
    if not ratios:
        raise ValueError("optimizer: expected a learning rate above zero in some group.")
    if max(ratios) - min(ratios) > 1e-6 * max(ratios):  # rates may be tensors in single precision
        raise ValueError("scheduler: expected one factor for all groups of parameters at each step.")
    return max(ratios)


def _by_parameter(groups: Sequence[dict], name: str, module: torch.nn.Module | None) -> float | torch.Tensor:
    """The setting, where all share it; else for each parameter of the module, in its order, 0 where it has none."""
    settings = {id(value): float(group[name]) for group in groups for value in group["params"]}
    wanted = {settings.get(id(value), 0.0) for value in _parameters(groups, module)}
    if len(wanted) == 1:
        return wanted.pop()
    if module is None:
        raise ValueError(
            f"module: expected the module whose parameters the optimizer has, since its groups differ in {name}; pass "
            f"module=... ."
        )
    parameters = _parameters(groups, module)
    return torch.cat([value.new_full((value.numel(),), settings.get(id(value), 0.0)).detach() for value in parameters])


def _parameters(groups: Sequence[dict], module: torch.nn.Module | None) -> list[torch.nn.Parameter]:
    """Those that the module trains, or all of the optimizer where there is none."""
    if module is None:
        return [value for group in groups for value in group["params"]]
    return list(trained_parameters(module).values())


def _check_parameters(groups: Sequence[dict], module: torch.nn.Module, clip_norm: float | None) -> None:
    mine = {id(value) for group in groups for value in group["params"] if value.requires_grad}
    theirs = {id(value) for value in _parameters(groups, module)}
    if not mine or mine - theirs:
        raise ValueError("optimizer: expected one over parameters of the module, got others; make one of the module's.")
    if theirs - mine and clip_norm is not None:
        raise ValueError(
            "clip_norm: expected an optimizer over all parameters of the module that ask for gradients, since the norm "
            "is that of all; freeze the others with requires_grad_(False)."
        )
