"""Training as a map of the points' weights: run forwards for many weightings at once, and backwards for its derivative.

A step of training minimises, over a batch B_t,

    1/|B_t| Σ_{j in B_t} w_j l(f(x_j; θ), y_j) + λ/2n |θ - θ(0)|²

from a fixed start, with fixed batches. Points are removed by their weights w_j, from 1 to 0: the batches and their
divisors stay as they were.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.func import grad, vmap

from ntkif.checks import available_bytes, check_count
from ntkif.networks.losses import Loss
from ntkif.training.flat_module import FlatModule
from ntkif.training.optimizers import Optimizer

__all__ = ["Tape", "batches_of", "stride_for"]


def batches_of(n: int, batch_size: int | None, epochs: int, seed: int) -> list[torch.Tensor]:
    """Rows of each batch in the order of training: each epoch a new permutation; all rows where no size is given."""
    epochs, seed = check_count("epochs", epochs), check_count("seed", seed, 0)
    if batch_size is None:
        return [torch.arange(n)] * epochs
    if (batch_size := check_count("batch_size", batch_size, None)) < 1:
        raise ValueError(f"batch_size: expected at least one point of a step, got {batch_size}.")
    generator = torch.Generator().manual_seed(seed)
    return [rows for _ in range(epochs) for rows in torch.randperm(n, generator=generator).split(batch_size)]


class Tape:
    """A training that can be run with any weights of the points, and, once run, be gone through backwards.

    Args:
        function: outputs by parameters and points.
        x: (n, ...) training points.
        y: (n, c) targets.
        loss: of one point.
        optimizer: one of `optimizers`.
        batches: rows of each step.
        ridge: penalty λ of the sum of losses, towards the start.
        stride: every so many-th state is kept, and those between are made again when they are needed.
    """

    def __init__(
        self,
        function: FlatModule,
        x: torch.Tensor,
        y: torch.Tensor,
        loss: Loss,
        optimizer: Optimizer,
        batches: Sequence[torch.Tensor],
        *,
        ridge: float = 0.0,
        stride: int = 1,
    ):
        self.function, self.x, self.y, self.loss, self.optimizer = function, x, y, loss, optimizer
        self.batches, self.ridge, self.stride = list(batches), ridge, stride
        self.kept: list[tuple[torch.Tensor, tuple[torch.Tensor, ...]]] = []

    def __str__(self) -> str:
        """What the tape will take."""
        start = self.function.start
        states = (1 + len(self.optimizer.states(start))) * -(-len(self.batches) // self.stride)
        size = states * start.numel() * start.element_size() / 2**20
        return f"tape of {size:.0f} MiB" + (f", every {self.stride} steps" if self.stride > 1 else "")

    def run(
        self,
        weights: torch.Tensor | None,
        see: Callable[[int, torch.Tensor], None],
        tick: Callable[[], None] = lambda: None,
        start: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Train, for several weightings side by side; without weights once, with all points, and keep the tape.

        Args:
            weights: (m, n); None for all ones.
            see: told each step's number and the outputs before it at its batch, (m, b, c), or (b, c) without weights.
            tick: called after each step.
            start: (P,) other parameters to begin with.

        Returns:
            (m, P) parameters at the end, or (P,) without weights.
        """
        start = self.function.start if start is None else start
        theta = start if weights is None else start.expand(len(weights), -1)
        states = self.optimizer.states(theta)
        by_weights = vmap(self._gradient, in_dims=(0, None, 0))
        if weights is None:
            self.kept = []
        for index, rows in enumerate(self.batches):
            if weights is None and index % self.stride == 0:
                self.kept.append((theta, states))
            if weights is None:
                gradient, outputs = self._gradient(theta, rows)
            else:
                gradient, outputs = by_weights(theta, rows, weights[:, rows])
            see(index, outputs)
            theta, states = self.optimizer.step(index, theta, self.optimizer.scaled(gradient), states)
            tick()
        return theta

    def back(
        self,
        seeds: torch.Tensor,
        forces: Sequence[Sequence[torch.Tensor]],
        *,
        gauss_newton: bool = False,
        tick: Callable[[], None] = lambda: None,
    ) -> list[torch.Tensor]:
        """What quantities of the trained network make of forces on the outputs of the training points at every step.

        With a_t the derivative of a quantity by the gradient of step t, and J_i the Jacobian of the outputs of point i,

            Σ_{t: i in B_t} a_t J_i(t)ᵀ F_i(t) / |B_t|

        Args:
            seeds: (q, P) derivatives of the quantities by the parameters at the end.
            forces: several times, for each step, (b, c) forces F on the outputs of its batch.
            gauss_newton: whether the reverse pass takes J S Jᵀ, S the curvature of the loss by the outputs, in place of
                the Hessian.
            tick: called after each step.

        Returns:
            for each of `forces`, (q, n).
        """
        adjoint = seeds
        of_states = [torch.zeros_like(seeds) for _ in self.optimizer.states(self.function.start)]
        sums = [seeds.new_zeros(len(seeds), len(self.x)) for _ in forces]
        for index, theta, states in self._reversed():
            rows = self.batches[index]
            gradient, product = self._linearized(theta, rows, gauss_newton=gauss_newton)
            diagonals = self.optimizer.diagonals(index, theta, self.optimizer.scaled(gradient), states)
            adjoint, by_gradient, *of_states = _transposed(diagonals, [adjoint, *of_states])
            by_gradient = self.optimizer.scaled_back(gradient, by_gradient)
            curved, pushed = product(by_gradient)
            adjoint = adjoint + curved
            for total, path in zip(sums, forces, strict=True):
                total[:, rows] += torch.einsum("qbc,bc->qb", pushed, path[index]) / len(rows)
            tick()
        return sums

    def _objective(self, theta, rows, weights=None):
        outputs = self.function(theta, self.x[rows])
        losses = self.loss.value(outputs, self.y[rows])
        total = (losses if weights is None else weights * losses).sum() / len(rows)
        if self.ridge:
            total = total + self.ridge / (2 * len(self.x)) * (theta - self.function.start).square().sum()
        return total, outputs

    def _gradient(self, theta, rows, weights=None):
        return grad(self._objective, has_aux=True)(theta, rows, weights)

    def hessian(self, theta, rows, directions):
        """(q, P) Hessian of the step's objective by directions, and (q, b, c) Jacobian of the outputs by them."""
        return self._linearized(theta, rows, gauss_newton=False)[1](directions)

    def gauss_newton(self, theta, rows, directions):
        """The same with J S Jᵀ, S the curvature of the loss by the outputs, in place of the Hessian."""
        return self._linearized(theta, rows, gauss_newton=True)[1](directions)

    def _linearized(self, theta, rows, *, gauss_newton):
        """Gradient (P,) of the step's objective, and what `hessian` or `gauss_newton` make of directions.

        The gradient is Jᵀu, u the derivative of the losses by the outputs, and J v the derivative of its product with v
        by u. So the graph of one gradient gives all, and no operation needs a forward-mode derivative.
        """
        ridge = self.ridge / len(self.x)
        with torch.enable_grad():
            theta = theta.detach().requires_grad_()
            outputs = self.function(theta, self.x[rows])
            losses = self.loss.value(outputs, self.y[rows]).sum() / len(rows)
            (u,) = torch.autograd.grad(losses, outputs, create_graph=True)
            moved = torch.zeros_like(outputs, requires_grad=True)
            (pulled,) = torch.autograd.grad(outputs, theta, u + moved, create_graph=True)

        def product(directions):
            if gauss_newton:
                (pushed,) = _pulled(pulled, (moved,), directions)
                (curved,) = _pulled(outputs, (theta,), self._bent(outputs.detach(), rows, pushed) / len(rows))
            else:
                curved, pushed = _pulled(pulled, (theta, moved), directions)
            return torch.add(curved, directions, alpha=ridge) if ridge else curved, pushed

        return (pulled + ridge * (theta - self.function.start)).detach(), product

    def _bent(self, outputs, rows, pushed):
        """S times (q, b, c) changes of the outputs; S is one where a loss has no curvature of its own."""
        if self.loss.curvature is None:
            return pushed
        return torch.einsum("bcd,qbd->qbc", self.loss.curvature(outputs, self.y[rows]), pushed)

    def _reversed(self) -> Iterator[tuple[int, torch.Tensor, tuple[torch.Tensor, ...]]]:
        """Steps with parameters and state before each, last first."""
        for number in reversed(range(len(self.kept))):
            first = number * self.stride
            last = min(first + self.stride, len(self.batches))
            (theta, states), found = self.kept[number], []
            for index in range(first, last):
                found.append((index, theta, states))
                if index + 1 < last:
                    gradient, _ = self._gradient(theta, self.batches[index])
                    theta, states = self.optimizer.step(index, theta, self.optimizer.scaled(gradient), states)
            yield from reversed(found)


def stride_for(optimizer: Optimizer, theta: torch.Tensor, steps: int, share: float = 0.5) -> int:
    """1 where the whole tape takes at most a share of the memory that is free, else √steps.

    Raises:
        MemoryError: not even every √steps-th state would fit.
    """
    one = (1 + len(optimizer.states(theta))) * theta.numel() * theta.element_size()
    free = available_bytes(theta.device)
    if free is None or steps * one <= share * free:
        return 1
    stride = math.isqrt(steps - 1) + 1
    held = 2 * stride
    if held * one > share * free:
        raise MemoryError(
            f"the tape: {held} states of {one / 2**20:.0f} MiB need {held * one / 2**30:.1f} GiB on {theta.device}, of "
            f"which {share:.0%} of {free / 2**30:.1f} GiB may be taken; train fewer steps, fewer parameters (freeze "
            f"the others), or in float32."
        )
    return stride


def _pulled(
    outputs: torch.Tensor, inputs: tuple[torch.Tensor, ...], directions: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Derivatives by inputs of products of outputs with each of some directions (q, ...)."""

    def one(direction):
        found = torch.autograd.grad(outputs, inputs, direction, retain_graph=True, allow_unused=True)
        return tuple(torch.zeros_like(each) if by is None else by for each, by in zip(inputs, found, strict=True))

    return vmap(one)(directions)


def _transposed(diagonals: list[list[torch.Tensor | None]], after: list[torch.Tensor]) -> list[torch.Tensor]:
    """Adjoints (q, P) of what a step takes, from those of what it gives, and its diagonals; some may share memory."""
    plain = [[None if each is None else _constant(each) for each in row] for row in diagonals]
    return [
        _weighted([(adjoint, row[place]) for adjoint, row in zip(after, plain, strict=True) if row[place] is not None])
        for place in range(len(diagonals[0]))
    ]


def _constant(diagonal: torch.Tensor) -> torch.Tensor | float:
    """The number, where all entries are one: what follows then reads less memory."""
    first = diagonal[0]
    return float(first) if (diagonal == first).all() else diagonal


def _weighted(terms: list[tuple[torch.Tensor, torch.Tensor | float]]) -> torch.Tensor:
    first, weight = terms[0]
    total = first if isinstance(weight, float) and weight == 1 else first * weight
    for adjoint, weight in terms[1:]:
        if isinstance(weight, float):
            total = torch.add(total, adjoint, alpha=weight)
        else:
            total = torch.addcmul(total, adjoint, weight)
    return total
