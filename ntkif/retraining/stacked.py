"""Gradient descent of many networks at once (Eq. 3): all points and without each of some, stacked along the neurons.

The same descent as `networks.descent.train`, which is the reference. All networks start from the same weights, so the
response of these is computed once; a removed point is one whose residual is zero; and the movement is kept in float32,
in leading directions of the training points. Products are of float16 with sums in float32, by the kernels of
`fused` on CUDA; elsewhere in the precision asked for, by plain torch.
"""

from collections.abc import Callable, Sequence

import torch

from ntkif.checks import check_matrix, check_ridge, check_unit_rows
from ntkif.networks.descent import Descent, safe_learning_rate
from ntkif.networks.two_layer import TwoLayer
from ntkif.networks.watch import LOOK_EVERY, Watch
from ntkif.retraining.fused import Fused
from ntkif.retraining.fused_kernels import available

__all__ = ["Stack", "fused_on", "leading_directions", "left_out"]


class Stack:
    """r networks in descent from one start.

    Attributes:
        start: their common start.
        removed: for each the training point that it lacks; None for all points.
        epoch: steps taken.
        watch: the objectives so far, and how far from rest the predictions are; after `train`.

    Args:
        start: (m, d) weights and (m, c) signs; not changed.
        x: (n, d) training points, rows of norm one.
        y: (n, c) targets.
        ridge: penalty λ.
        removed: for each network the training point that it lacks, or None.
        learning_rate: step size.
        directions: (d, q) orthonormal columns in which the movement is kept, see `leading_directions`; all that the
            points span where absent.
        half: products of float16 with float32 sums; needs float32. On CUDA by the kernels of `fused`, where Triton is
            installed; elsewhere the operands are rounded to as many bits, slowly, so that the effect can be tested.
        kernels: what does the products, for tests; chosen where absent.

    Raises:
        TypeError, ValueError: wrong shapes or dtypes, NaN, rows not of norm one, a negative ridge, points that are not
            there.
    """

    def __init__(
        self,
        start: TwoLayer,
        x: torch.Tensor,
        y: torch.Tensor,
        ridge: float,
        removed: Sequence[int | None],
        *,
        learning_rate: float,
        directions: torch.Tensor | None = None,
        half: bool = False,
        kernels: Callable | None = None,
    ):
        check_matrix("x", x, columns=start.weights.shape[1], like=start.weights)
        check_unit_rows("x", x)
        check_matrix("y", y, rows=len(x), columns=start.signs.shape[1], like=x)
        check_ridge(ridge)
        if not all(row is None or 0 <= row < len(x) for row in removed) or not removed:
            raise ValueError(f"removed: expected training rows from 0 to {len(x) - 1} or None, got {list(removed)}.")
        if half and x.dtype != torch.float32:
            raise TypeError(f"half: expected float32 points and weights to round, got {x.dtype}.")
        self.start, self.x, self.y, self.ridge, self.learning_rate = start, x, y, ridge, learning_rate
        self.removed, self.epoch = list(removed), 0
        numbers = [number for number, row in enumerate(removed) if row is not None]
        self._zero = (torch.tensor(numbers, dtype=torch.int64), torch.tensor([removed[i] for i in numbers]).long())
        directions = leading_directions(x) if directions is None else directions
        made = kernels or (Fused if half and fused_on(x) else _Plain)
        self.kernels = made(start, x, y, ridge, learning_rate, directions, len(removed), half)
        self.basis = directions
        self.watch = Watch(learning_rate, ridge, lambda: safe_learning_rate(start, x, ridge))

    @torch.no_grad()
    def residual(self) -> torch.Tensor:
        """(r, n, c) predictions minus targets, zero at the removed points; the kernels note which gates are open."""
        residual = self.kernels.predict().sub_(self.y)
        residual[self._zero] = 0
        return residual

    @torch.no_grad()
    def step(self, residual: torch.Tensor) -> None:
        """One step down the gradient, at the gates that `residual` found open."""
        self.kernels.step(residual)
        self.epoch += 1

    @torch.no_grad()
    def train(self, epochs: int, progress: Callable[[int], object] = lambda epochs: None) -> torch.Tensor:
        """Take `epochs` steps from the start and look how it goes, as `networks.descent.train` does.

        Returns:
            (r, n, c) the residual at the end, from which one further `step` may be taken.

        Raises:
            ValueError: a loss grew, since the learning rate was too large; the error names a safe one.
        """
        before, last = None, -LOOK_EVERY
        while True:
            residual = self.residual()
            if self.epoch % LOOK_EVERY == 0 or self.epoch == epochs:
                loss = (residual.square().sum((1, 2)) + self.ridge * self.kernels.squares()).double() / 2
                self.watch.look(self.epoch, loss, residual, residual if before is None else before)
                progress((self.epoch - max(last, 0)) * len(self.removed))
                last = self.epoch
            if self.epoch == epochs:
                return residual
            before = residual
            self.step(residual)

    @torch.no_grad()
    def network(self, number: int) -> TwoLayer:
        """A network at its present weights."""
        weights = torch.addmm(self.start.weights, self.kernels.moved(number), self.basis.T)
        return TwoLayer(weights, self.start.signs)

    def predict(self, points: torch.Tensor) -> torch.Tensor:
        """(r, k, c) outputs at any points, (k, d)."""
        return torch.stack([self.network(number).predict(points) for number in range(len(self.removed))])


class _Plain:
    """The products by torch, a network after the other."""

    def __init__(self, start, x, y, ridge, learning_rate, directions, networks, half):
        response = start.weights @ x.T
        how = {"directions": directions, "response": response, "tf32": half}  # which has as many bits
        self.y, self.learning_rate = y, learning_rate
        self.descents = [Descent(start, x, y, ridge, **how) for _ in range(networks)]

    def predict(self) -> torch.Tensor:
        return torch.stack([descent.residual() for descent in self.descents]).add_(self.y)

    def step(self, residual: torch.Tensor) -> None:
        for descent, own in zip(self.descents, residual, strict=True):
            descent.step(own, self.learning_rate)

    def squares(self) -> torch.Tensor:
        return torch.stack([descent.move.square().sum() for descent in self.descents])

    def moved(self, number: int) -> torch.Tensor:
        return self.descents[number].move


@torch.no_grad()
def leading_directions(x: torch.Tensor, q: int | None = None) -> torch.Tensor:
    """(d, q) orthonormal directions that carry most of the training points' squared norm, the leading ones first.

    The gradient lies in the span of the points, so all of them (`q` absent) leave nothing out.

    Args:
        x: (n, d) training points.
        q: how many; as many as the points can span where absent.

    Raises:
        ValueError: more than d, or fewer than one.
    """
    values, vectors = _spectrum(x)
    spanned = min(len(x), int((x != 0).any(0).sum()))
    if q is not None and not 1 <= q <= len(values):
        raise ValueError(f"directions: expected between 1 and {len(values)}, got {q}.")
    return vectors[:, : spanned if q is None else q].to(x.dtype).contiguous()


@torch.no_grad()
def left_out(x: torch.Tensor, q: int) -> float:
    """The share of the training points' squared norm outside of `leading_directions(x, q)`."""
    values = _spectrum(x)[0].clamp(min=0)
    return float(values[q:].sum() / values.sum())


def _spectrum(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values, vectors = torch.linalg.eigh(x.T.double() @ x.double())
    return values.flip(0), vectors.flip(1)


def fused_on(x: torch.Tensor) -> bool:
    """Whether the kernels of `fused` do the products there."""
    return x.is_cuda and available()
