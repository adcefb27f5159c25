"""Fitted estimators in a file and back, without running code from it."""

from pathlib import Path
from typing import Any, Self

import torch
from sklearn.utils.validation import check_is_fitted

from ntkif.estimators.state import read_state, write_state
from ntkif.kernels import Kernel
from ntkif.kernels.infinite import kernel_of
from ntkif.regression.low_rank import LowRankInverse
from ntkif.regression.tiled import TiledInverse
from ntkif.regression.weighted import WeightedFit

__all__ = ["Saved"]


class Saved:
    """What an estimator has that can be saved."""

    def save(self, file: str | Path) -> None:
        """Write the fitted model to a file, which is whole or not there; `load` reads it.

        Raises:
            TypeError: an attribute of your own that no file holds; tensors, arrays, numbers, texts and lists do.
        """
        check_is_fitted(self)
        kept = {name: value for name, value in vars(self).items() if name not in ("fit_", "_flow", "_kernel_function")}
        kept["kernel_"] = _named(self.kernel_)
        offered = self.kernel if isinstance(self.kernel, (list, tuple)) else [self.kernel]
        if any(map(callable, offered)):
            kept["kernel"] = kept["kernel_"]
        fit = dict(vars(self.fit_))
        if not isinstance(fit["inverse"], torch.Tensor):
            fit["inverse"] = {name.lstrip("_"): value for name, value in vars(fit["inverse"]).items()}
        write_state(Path(file), type(self).__name__, kept | {"fit": fit})

    @classmethod
    def load(cls, file: str | Path, *, device: str | torch.device | None = None, kernel: Kernel | None = None) -> Self:
        """A fitted model from a file that `save` wrote; no code from the file is run.

        Args:
            file: its path.
            device: where to compute from now on; the CPU where absent, wherever it was fitted.
            kernel: the function that the model was fitted with, where it was one, since no file holds code.

        Raises:
            ValueError: the file holds something else, or a model with a function for its kernel and none is passed.
        """
        state, model = read_state(Path(file), cls.__name__, device or "cpu"), cls()
        fit = state.pop("fit")
        if isinstance(fit["inverse"], dict):
            kind = LowRankInverse if "features" in fit["inverse"] else TiledInverse
            fit["inverse"] = kind(**fit["inverse"])
        if isinstance(state["kernel_"], dict):
            if kernel is None:
                raise ValueError(
                    f"{file}: the model was fitted with the kernel {state['kernel_']['function']}, a function, which "
                    f"no file holds; pass it, {cls.__name__}.load(file, kernel=...)."
                )
            state |= {"kernel": kernel, "kernel_": kernel}
        function = kernel_of(state["kernel_"])
        vars(model).update(state, device=device, fit_=WeightedFit(**fit), _flow=None, _kernel_function=function)
        return model


def _named(kernel: str | Kernel) -> Any:
    return {"function": getattr(kernel, "__name__", repr(kernel))} if callable(kernel) else kernel
