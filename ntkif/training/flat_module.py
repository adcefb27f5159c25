"""A module as a function of one vector of all its trained parameters."""

import copy
from contextlib import ExitStack

import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from ntkif.networks.modules import trained_parameters

__all__ = ["FlatModule"]


class FlatModule:
    """A module as a function of one flat vector of its trained parameters.

    Args:
        module: not changed.

    Attributes:
        start: (P,) the parameters as they are.
    """

    def __init__(self, module: torch.nn.Module):
        try:
            self.module, self._as_given = copy.deepcopy(module), copy.deepcopy(module)
        except RuntimeError as failure:
            raise ValueError(
                f"module: expected one that can be copied, which says {failure}; its forward pass keeps tensors on it "
                f"that hang on its parameters: make it anew, or keep them with detach()."
            ) from failure
        # In single precision on a CPU those of oneDNN are not made in batches; those of torch itself are.
        self._own_recurrence = any(isinstance(part, torch.nn.LSTM) for part in module.modules())
        parameters = trained_parameters(self.module)
        self._shapes = {name: value.shape for name, value in parameters.items()}
        self.start = torch.cat([value.detach().flatten() for value in parameters.values()])

    def __call__(self, theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """(n, c) outputs with the parameters `theta` (P,)."""
        with ExitStack() as around:
            # The fused kernels of attention have no second derivative.
            around.enter_context(sdpa_kernel(SDPBackend.MATH))
            if self._own_recurrence and theta.device.type == "cpu":
                around.enter_context(torch.backends.mkldnn.flags(enabled=False))
            return functional_call(self.module, self._named(theta), (x,))

    def moved(self, size: float) -> torch.Tensor:
        """(P,) the start with each parameter changed at random by `size` of itself, which keeps signs if it is small.

        What is zero changes by `size` of the root mean square of its tensor, or of one.
        """
        noise = torch.randn(self.start.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        scales = []
        for value in self._named(self.start).values():
            usual = value.square().mean().sqrt()
            scales.append(torch.where(value == 0, torch.where(usual > 0, usual, 1), value.abs()).flatten())
        return self.start + size * noise.to(self.start) * torch.cat(scales)

    @torch.no_grad()
    def numbers_of(self, x: torch.Tensor) -> int:
        """How many numbers the module's parts make of one point on their way."""
        made: list[int] = []
        hooks = [
            part.register_forward_hook(lambda _, __, out: made.append(out.numel() if torch.is_tensor(out) else 0))
            for part in self.module.modules()
            if not list(part.children())
        ]
        self.module(x[:1].clone())
        for hook in hooks:
            hook.remove()
        return max(1, sum(made))

    def at(self, theta: torch.Tensor) -> torch.nn.Module:
        """The module with the parameters `theta` (P,), a copy."""
        module = copy.deepcopy(self._as_given)  # the other may keep what was on its way in a derivative
        for name, value in self._named(theta).items():
            module.get_parameter(name).data.copy_(value)
        return module

    def _named(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = theta.split([shape.numel() for shape in self._shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
