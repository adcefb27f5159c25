"""Penalties of a training: a ridge for each parameter, and the start that they refer to."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import torch

from ntkif.checks import check_ridge
from ntkif.networks.modules import trained_parameters

__all__ = ["check_start", "one_ridge", "penalties_of"]


def penalties_of(network: torch.nn.Module, ridge: float | Mapping[str, float], damping: float) -> dict[str, float]:
    """The ridge of each trained parameter, by its name.

    Args:
        network: trained.
        ridge: one for all; or by patterns of names, of which the first that fits counts.
        damping: added to each.

    Raises:
        ValueError: a negative ridge or damping, neither of the two, or a parameter that no pattern fits.
    """
    if isinstance(damping, str) or not damping >= 0:
        raise ValueError(f'damping: expected zero, a positive number or "auto", got {damping!r}.')
    found = {}
    for name in trained_parameters(network):
        own = ridge
        if isinstance(ridge, Mapping):
            fitting = [value for pattern, value in ridge.items() if fnmatchcase(name, pattern)]
            if not fitting:
                raise ValueError(f"ridge: expected one for each parameter, got none for {name!r}; add a pattern '*'.")
            own = fitting[0]
        check_ridge(own)
        if not own + damping > 0:
            what = f"the ridge of {name!r}: expected a positive number, a small one where it is free, got 0"
            raise ValueError(
                f"damping: expected a positive number where the network was trained without a ridge, got {damping}; "
                f"after gradient descent for a time t (steps times step size), 1/t is a first guess."
                if not isinstance(ridge, Mapping)
                else f"{what}; or pass a damping."
            )
        found[name] = own
    return found


def check_start(network: torch.nn.Module, start: torch.nn.Module | str, ridge: float | Mapping[str, float]) -> None:
    """Require a start that is the network before training, with a penalty towards it, or "zero".

    Raises:
        ValueError: another network, or no penalty.
    """
    if ridge == 0:
        raise ValueError(
            "start: expected None where the network was trained without a ridge, since the objective then has no "
            "minimum that depends on the start; pass start=None and a damping, and measure what that gives."
        )
    if isinstance(start, str):
        if start != "zero":
            raise ValueError(f'start: expected a network, "zero" or None, got {start!r}.')
        return
    names = trained_parameters(network)
    shapes = [
        {name: tuple(value.shape) for name, value in net.named_parameters() if name in names}
        for net in (network, start)
    ]
    if type(network) is not type(start) or shapes[0] != shapes[1]:
        raise ValueError(f"start: expected the network before training, with parameters {shapes[0]}, got {shapes[1]}.")


def one_ridge(totals: Mapping[str, float]) -> tuple[float, dict[str, float] | None]:
    """A ridge for all parameters of a `Reading`, and scales of their derivatives; None where all have the same ridge.

    A derivative divided by the root of its ridge asks for a ridge of one.
    """
    if len(set(totals.values())) == 1:
        return next(iter(totals.values())), None
    return 1.0, {f"module.{name}": total**-0.5 for name, total in totals.items()}
