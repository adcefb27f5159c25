"""Optimisers as maps of one flat vector of parameters, step by step those of torch.optim, and their derivatives.

A step takes the parameters θ, the gradient g and the optimiser's state s to new ones, each entry by itself. So its
Jacobian is a few diagonals, which automatic differentiation gives for any such optimiser.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real

import torch

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]

_TORCHS = 1e-6  # is added to a norm by torch.nn.utils.clip_grad_norm_


@dataclass(frozen=True)
class Optimizer:
    """What all optimisers here have.

    Attributes:
        learning_rate: a number, or (P,) for each parameter.
        weight_decay: likewise.
        schedule: factors of the learning rate, one a step; none where it stays.
        clip_value: gradients are cut to ± this first, as by `torch.nn.utils.clip_grad_value_`.
        clip_norm: or are scaled to at most this norm, as by `torch.nn.utils.clip_grad_norm_`.
        shapes: of the parameters that it is for, in any order, which may be more than a module has; None for any.

    Raises:
        TypeError: a rate, decay or bound that is no number.
        ValueError: one that is negative, or a bound that is zero; both kinds of clipping.
    """

    learning_rate: float | torch.Tensor
    weight_decay: float | torch.Tensor = 0.0
    schedule: Sequence[float] | None = None
    clip_value: float | None = None
    clip_norm: float | None = None
    shapes: Sequence[tuple[int, ...]] | None = field(default=None, kw_only=True, repr=False, compare=False)

    def __post_init__(self):
        for name in ("learning_rate", "weight_decay", "clip_value", "clip_norm"):
            _check_positive(name, getattr(self, name), zero=not name.startswith("clip"))
        if self.clip_value is not None and self.clip_norm is not None:
            raise ValueError("clip_value, clip_norm: expected one of them, got both; leave one out.")
        if self.schedule is not None:
            object.__setattr__(self, "schedule", tuple(float(factor) for factor in self.schedule))

    def rate(self, index: int) -> float | torch.Tensor:
        """The learning rate of a step, counted from 0."""
        if self.schedule is None:
            return self.learning_rate
        if index >= len(self.schedule):
            raise ValueError(f"schedule: expected a factor for every step, got {len(self.schedule)} of them.")
        return self.learning_rate * self.schedule[index]

    def scaled(self, gradient: torch.Tensor) -> torch.Tensor:
        """What `step` expects: the gradient (..., P) at most as long as `clip_norm`, min(1, clip / |g|) g."""
        return gradient if self.clip_norm is None else self._shrink(gradient)[0] * gradient

    def scaled_back(self, gradient: torch.Tensor, adjoints: torch.Tensor) -> torch.Tensor:
        """Adjoints (q, P) by the gradient (P,), from those by `scaled`: clip / |g| (a - g gᵀ a / |g|²) if cut."""
        if self.clip_norm is None:
            return adjoints
        factor, length = self._shrink(gradient)
        if factor == 1:
            return adjoints
        along = adjoints @ gradient / (length * (length + _TORCHS))
        return factor * (adjoints - along[:, None] * gradient)

    def _shrink(self, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        length = gradient.norm(dim=-1, keepdim=True)
        return (self.clip_norm / (length + _TORCHS)).clamp(max=1), length

    def states(self, theta: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The state before the first step."""
        raise NotImplementedError

    def step(
        self, index: int, theta: torch.Tensor, gradient: torch.Tensor, states: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """New parameters and state; all tensors (..., P)."""
        raise NotImplementedError

    def diagonals(
        self, index: int, theta: torch.Tensor, gradient: torch.Tensor, states: tuple[torch.Tensor, ...]
    ) -> list[list[torch.Tensor | None]]:
        """The Jacobian of a step: of each of (θ, *s) after, (P,) derivatives by each of (θ, g, *s) before; None: 0."""
        with torch.inference_mode(False), torch.enable_grad():
            before = [value.detach().clone().requires_grad_() for value in (theta, gradient, *states)]
            new, after = self.step(index, before[0], before[1], tuple(before[2:]))
            return [
                list(torch.autograd.grad(value.sum(), before, retain_graph=True, allow_unused=True))
                for value in (new, *after)
            ]

    def _decayed(self, theta: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        decay = self.weight_decay
        return gradient if isinstance(decay, float) and decay == 0 else gradient + decay * theta

    def _along(self, index: int, theta: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        rate = self.rate(index)
        return theta - rate * direction if isinstance(rate, torch.Tensor) else torch.add(theta, direction, alpha=-rate)

    def _clipped(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient if self.clip_value is None else gradient.clamp(-self.clip_value, self.clip_value)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent in full or mini-batches, as `torch.optim.SGD`.

        g ← g + decay θ,    m ← momentum m + (1 - dampening) g,    θ ← θ - rate m

    with m = g at the first step, and g + momentum m in place of m with Nesterov's momentum.

    Attributes:
        momentum, dampening, nesterov: as there.
    """

    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False

    def states(self, theta: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The momentum, where there is one."""
        return (torch.zeros_like(theta),) if self.momentum else ()

    def step(self, index, theta, gradient, states):
        """See the class."""
        gradient = self._decayed(theta, self._clipped(gradient))
        if not self.momentum:
            return self._along(index, theta, gradient), ()
        pull = gradient if index == 0 or not self.dampening else (1 - self.dampening) * gradient
        moved = torch.add(pull, states[0], alpha=self.momentum)
        direction = torch.add(gradient, moved, alpha=self.momentum) if self.nesterov else moved
        return self._along(index, theta, direction), (moved,)


@dataclass(frozen=True)
class Adam(Optimizer):
    """As `torch.optim.Adam`.

        g ← g + decay θ,    m ← β1 m + (1 - β1) g,    v ← β2 v + (1 - β2) g²
        θ ← θ - rate m / (1 - β1^t) / (√(v / (1 - β2^t)) + eps)

    Where v = 0, and so g = 0 in all steps so far, the root counts as constant.

    Attributes:
        betas, eps: as there.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def states(self, theta: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The two moments."""
        return torch.zeros_like(theta), torch.zeros_like(theta)

    def step(self, index, theta, gradient, states):
        """See the class."""
        return self._moved(index, theta, self._decayed(theta, self._clipped(gradient)), states)

    def _moved(self, index, theta, gradient, states):
        (first, second), (one, two) = self.betas, states
        one, two = first * one + (1 - first) * gradient, second * two + (1 - second) * gradient.square()
        bias = 1 - first ** (index + 1), 1 - second ** (index + 1)
        below = _root(two) / math.sqrt(bias[1]) + self.eps
        return theta - self.rate(index) / bias[0] * one / below, (one, two)


@dataclass(frozen=True)
class AdamW(Adam):
    """As `torch.optim.AdamW`: `Adam` whose decay multiplies θ by 1 - rate decay and stays out of the gradient."""

    def step(self, index, theta, gradient, states):
        """See the class."""
        kept = theta * (1 - self.rate(index) * self.weight_decay)
        return self._moved(index, kept, self._clipped(gradient), states)


def _root(value: torch.Tensor) -> torch.Tensor:
    """The square root, with derivative 0 at 0."""
    there = value > 0
    return torch.where(there, value, 1).sqrt() * there


def _check_positive(name: str, value: float | torch.Tensor | None, *, zero: bool) -> None:
    if not isinstance(value, Real | torch.Tensor | None):
        raise TypeError(f"{name}: expected a number, got {value!r} of {type(value).__name__}.")
    low = value.min() if torch.is_tensor(value) else value
    if value is not None and not (low >= 0 if zero else low > 0):
        raise ValueError(f"{name}: expected {'zero or more' if zero else 'more than zero'}, got {float(low):g}.")
