"""Looks at gradient descent on its way: whether the objective falls, and how far from rest the predictions are."""

import math
import sys
from collections import deque
from collections.abc import Callable

import torch

__all__ = ["LOOK_EVERY", "Watch"]

LOOK_EVERY = 10  # epochs; on CUDA each look waits for the device

_LOSS_NOISE = 0.01  # share by which the loss may grow between two looks: weights on kinks make it flicker


class Watch:
    """What is seen of r networks in descent at once, every ten epochs and at the last.

    Attributes:
        losses: the objective of each at those epochs, (r,) in float64.
        unsettled: (r,) see `networks.descent.Training`.
    """

    def __init__(self, learning_rate: float, ridge: float, safe_learning_rate: Callable[[], float]):
        # The slowest mode of the linearised network, exp(-λ time), falls by the factor e in so many looks.
        window = math.ceil(1 / (learning_rate * ridge * LOOK_EVERY)) if ridge > 0 else sys.maxsize - 1
        self.learning_rate, self.safe_learning_rate = learning_rate, safe_learning_rate
        self.losses: list[torch.Tensor] = []
        self._seen: deque[torch.Tensor] = deque(maxlen=1 + window)

    def look(self, epoch: int, loss: torch.Tensor, residual: torch.Tensor, before: torch.Tensor) -> None:
        """Take note of an epoch.

        Args:
            epoch: steps taken so far.
            loss: (r,) the objective (2).
            residual: (r, n, c) predictions minus targets; kept, so it must not be changed later.
            before: (r, n, c) the same one step earlier.

        Raises:
            ValueError: a loss grew, since the learning rate is too large; the error names a safe one.
        """
        self.losses.append(loss.double())
        self._seen.append(residual)
        first, last, now = self.losses[0], self.losses[max(0, len(self.losses) - 2)], self.losses[-1]
        grew = ~(now <= (1 + _LOSS_NOISE) * last + torch.finfo(residual.dtype).eps * first)  # NaN too
        if grew.any():
            worst = int(grew.nonzero()[0])
            safe = min(self.safe_learning_rate(), self.learning_rate / 2)
            raise ValueError(
                f"learning_rate: the loss grew from {float(last[worst]):.6g} to {float(now[worst]):.6g} by epoch "
                f"{epoch}, so {self.learning_rate:g} is too large for these points and this ridge; {safe:.2g} is safe."
            )
        # The last step counts too: looks an even number of epochs apart do not see predictions that alternate.
        changes = [(residual - other).abs().flatten(1).amax(1).double() for other in (self._seen[0], before)]
        enough = len(self._seen) == self._seen.maxlen
        self.unsettled = torch.maximum(*changes) if enough else torch.full_like(now, math.inf)
