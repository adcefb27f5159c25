"""What training by torch may do and a recording would not: refused, since influences would be of another training."""

import torch

from ntkif.networks.inputs import unchanged
from ntkif.networks.losses import Loss
from ntkif.networks.modules import trained_parameters
from ntkif.training.optimizers import Optimizer

__all__ = ["check_decay", "check_own_loss", "check_own_module", "check_own_optimizer"]


def check_own_module(module: torch.nn.Module) -> None:
    """Require a module each of whose trained parameters is changed by its gradient alone.

    Raises:
        ValueError: hooks on parameters; two of them in one place of the memory; an embedding that scales gradients.
    """
    spans: dict[str, tuple[int, int, int]] = {}
    for name, value in trained_parameters(module).items():
        if value._backward_hooks or value._post_accumulate_grad_hooks:
            raise ValueError(
                f"module: expected parameters without hooks, which a recording does not call, got some on {name}; "
                f"remove them, and put what they do into the forward pass or the loss."
            )
        first = value.storage_offset()
        last = first + sum((size - 1) * abs(stride) for size, stride in zip(value.shape, value.stride(), strict=True))
        span = value.untyped_storage().data_ptr(), first, last
        for other, (place, low, high) in spans.items():
            if place == span[0] and first <= high and low <= last:
                raise ValueError(
                    f"module: {other} and {name} share memory, and would be trained as two; use one parameter in both "
                    f"places, or a copy in each."
                )
        spans[name] = span
    for name, part in module.named_modules():
        if getattr(part, "scale_grad_by_freq", False):
            raise ValueError(
                f"module: {name or part} scales its gradients by how often a token comes, so that they are no "
                f"derivatives; make it with scale_grad_by_freq=False."
            )


def check_own_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Require an optimizer of torch whose steps do nothing beside.

    Raises:
        ValueError: hooks on its steps.
    """
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        raise ValueError(
            "optimizer: expected one without hooks on its steps, which a recording does not call; make one without, or "
            "write a subclass of ntkif.training.optimizers.Optimizer whose step does what they do."
        )


def check_own_loss(loss) -> None:
    """Require a loss without parameters of its own.

    Raises:
        ValueError: it asks for gradients of some.
    """
    if isinstance(loss, torch.nn.Module) and (own := trained_parameters(loss)):
        raise ValueError(
            f"loss: expected one that is fixed, got one with trained parameters {list(own)[:5]}; "
            f"make them parameters of the module, or fix them with requires_grad_(False)."
        )


def check_decay(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss, optimizer: Optimizer) -> None:
    """Require a gradient of each parameter where weights decay: torch leaves one alone that has none.

    Args:
        module: not changed.
        x: (b, ...) a few points.
        y: (b, c) their targets.
        loss: of one point.
        optimizer: whether it decays.

    Raises:
        ValueError: the loss does not depend on some parameter.
    """
    parameters, decay = trained_parameters(module), torch.as_tensor(optimizer.weight_decay)
    if decay.ndim:  # a number for each entry of the parameters
        parts = decay.split([value.numel() for value in parameters.values()])
        parameters = {name: value for (name, value), part in zip(parameters.items(), parts, strict=True) if part.any()}
    if not decay.any():
        return
    with torch.enable_grad(), unchanged(module):
        total = loss.value(module(x.clone()), y).sum()
        found = [None] * len(parameters)
        if total.requires_grad:
            found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    if without := [name for name, gradient in zip(parameters, found, strict=True) if gradient is None]:
        raise ValueError(
            f"module: the loss does not depend on {', '.join(without[:5])}{' ...' if without[5:] else ''}, which "
            f"torch's optimizers leave alone and a weight decay here would shrink; freeze what is not trained with "
            f"requires_grad_(False)."
        )
