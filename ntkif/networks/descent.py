"""Full-batch gradient descent on a two-layer network (Eq. 2 and 3), with the gradient written out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import check_fits, check_matrix, check_ridge, check_unit_rows
from ntkif.networks.two_layer import TwoLayer
from ntkif.networks.watch import LOOK_EVERY, Watch

__all__ = ["Descent", "Training", "coordinates", "safe_learning_rate", "train"]

_ALIGNED = 8  # numbers: products whose rows begin at multiples of it in memory are a fifth faster


@dataclass(frozen=True, eq=False)
class Training:
    """What training left.

    Attributes:
        network: the trained network.
        following: the network one step on. Where descent does not come to rest, the two are the ends of an
            oscillation, and the mean of their predictions is nearly what a smaller step gives.
        epochs: steps taken.
        loss: the objective (2) before the first step, then every ten epochs, and at the end.
        movement: the largest distance max_r |w_r - w_r(0)| that any neuron had at those epochs.
        unsettled: the largest change of a training prediction, over the last 1 / (learning_rate * ridge) epochs, in
            which the slowest mode of the linearised network falls by the factor e, or over the last one, whichever
            is larger; infinite if training was shorter. (The epochs of looks count, every tenth and the last.)
            (The gradient itself need not vanish: where weights stay on a kink of the ReLU, it jumps to and fro.)
    """

    network: TwoLayer
    following: TwoLayer
    epochs: int
    loss: list[float]
    movement: float
    unsettled: float


@torch.no_grad()
def safe_learning_rate(network: TwoLayer, x: torch.Tensor, ridge: float) -> float:
    """A step size for `train` below half of the largest stable one, whichever gates open or close on the way.

        1 / (|X|² |signs|² / m + λ)

    With spectral norms: no eigenvalue of the Hessian of (2), which is J J^T + λI between kinks, is larger than the
    denominator. At a kink of the ReLU it guarantees nothing: where weights settle on kinks, the network flickers, the
    more the larger the step.

    Args:
        network: of which the signs, (m, c), count.
        x: (n, d) training points.
        ridge: penalty λ.

    Returns:
        the step size.
    """
    points, signs = (float(torch.linalg.matrix_norm(a.double(), 2)) for a in (x, network.signs))
    return 1 / ((points * signs) ** 2 / len(network.signs) + ridge)


@torch.no_grad()
def train(
    network: TwoLayer,
    x: torch.Tensor,
    y: torch.Tensor,
    ridge: float,
    *,
    learning_rate: float = 0.001,
    epochs: int = 5000,
    tolerance: float | None = None,
    tf32: bool = False,
    block_size: int | None = None,
    progress: Callable[[int], object] = lambda epochs: None,
) -> Training:
    """Full-batch gradient descent on the first layer (Eq. 3, appendix A), from the weights of `network`.

        loss = Σ_i 1/2 |f(x_i) - y_i|² + λ/2 |W - W(0)|²                                                   (Eq. 2)
        gradient_r = 1/√m Σ_i Σ_c signs_rc (f_c(x_i) - y_ic) 1[w_r·x_i > 0] x_i + λ (w_r - w_r(0))

    Only the movement W - W(0) is kept, in coordinates of the span of the training points, which it never leaves; the
    response of the initial weights is computed once. That is exact, cheaper where there are few points or dark
    pixels, and keeps the digits of a small movement in low precision.

    Args:
        network: the start, (m, d) weights and (m, c) signs; not changed.
        x: (n, d) training points, rows of norm one.
        y: (n, c) targets.
        ridge: penalty λ on the distance from the start.
        learning_rate: step size, 0.001 in the paper.
        epochs: steps, 5000 in the paper.
        tolerance: stop earlier, once `unsettled` is below this; needs a positive ridge. Absent: take all steps.
        tf32: round the operands of the matrix products to 10 bits, as the tensor cores do; needs float32. On a CPU
            the rounding is imitated, slowly, so that its effect can be tested.
        block_size: neurons handled at once; working memory beside weights and gates is about
            2 * block_size * n numbers. Chosen for the device where absent.
        progress: called with the number of epochs since the last call.

    Returns:
        the trained network and how it went.

    Raises:
        TypeError, ValueError: wrong shapes or dtypes, NaN, rows not of norm one, a negative ridge; or the loss grew,
            since the learning rate was too large: the error names a safe one.
        MemoryError: gates and responses would not fit in memory.
    """
    _check_training(network, x, y, ridge, learning_rate, epochs, tolerance, tf32)
    x, y = (torch.nn.functional.pad(a, (0, 0, 0, -len(a) % _ALIGNED)) for a in (x, y))  # by points that do nothing
    descent = Descent(network, x, y, ridge, block_size=block_size, tf32=tf32)
    watch, movement, residual = Watch(learning_rate, ridge, lambda: safe_learning_rate(network, x, ridge)), 0.0, -y
    for epoch in range(epochs + 1):
        before, residual = residual, descent.residual()
        if epoch % LOOK_EVERY == 0 or epoch == epochs:
            progress(epoch - LOOK_EVERY * max(0, len(watch.losses) - 1))
            distances = descent.distances()
            movement = max(movement, float(distances.max()))
            loss = (residual.square().sum() + ridge * distances.square().sum()).double() / 2
            watch.look(epoch, loss[None], residual[None], before[None])
            if epoch == epochs or (tolerance is not None and watch.unsettled < tolerance):
                break
        descent.step(residual, learning_rate)
    trained = descent.network()
    descent.step(residual, learning_rate)
    return Training(trained, descent.network(), epoch, [*map(float, watch.losses)], movement, float(watch.unsettled))


class _Block(NamedTuple):
    """Views of what belongs to some of the neurons, a row each; `room` is shared by all blocks."""

    response: torch.Tensor
    signs: torch.Tensor
    move: torch.Tensor
    gates: torch.Tensor
    room: torch.Tensor


class Descent:
    """The state of gradient descent: how far each neuron has moved, W - W(0) = move @ basis.

    Attributes:
        move: (m, q) the movement in the coordinates.
        response: (m, n) the response of the initial weights, which several descents from one start may share.
    """

    def __init__(
        self,
        start: TwoLayer,
        x: torch.Tensor,
        y: torch.Tensor,
        ridge: float,
        *,
        directions: torch.Tensor | None = None,
        response: torch.Tensor | None = None,
        block_size: int | None = None,
        tf32: bool = False,
    ):
        m, n = len(start.weights), len(x)
        self.start, self.y, self.ridge, self.scale = start, y, ridge, m**-0.5
        self.basis, self.forward, self.backward = coordinates(x, directions)
        self.move = x.new_zeros(m, len(self.basis))
        self.response = start.weights @ x.T if response is None else response
        gates = torch.empty_like(self.response, dtype=torch.bool)
        blocks = list(row_blocks(m, block_size or _block_size(x)))
        room = x.new_empty(blocks[0].stop, n)
        self.blocks = [
            _Block(self.response[b], start.signs[b], self.move[b], gates[b], room[: b.stop - b.start]) for b in blocks
        ]
        self.product = _tf32_addmm if tf32 else torch.addmm

    def residual(self) -> torch.Tensor:
        """(n, c) prediction minus target; notes which gates are open."""
        prediction = torch.zeros_like(self.y)
        for block in self.blocks:
            response = self.product(block.response, block.move, self.forward, out=block.room).relu_()
            block.gates.copy_(response)  # open where it is not zero
            prediction.addmm_(response.T, block.signs)
        return prediction.mul_(self.scale).sub_(self.y)

    def step(self, residual: torch.Tensor, learning_rate: float) -> None:
        """One step down the gradient, at the gates that `residual` found open."""
        pull_of_outputs, kept = residual.T * (-learning_rate * self.scale), 1 - learning_rate * self.ridge
        for block in self.blocks:
            pull = torch.mm(block.signs, pull_of_outputs, out=block.room)
            pull.mul_(block.gates.view(torch.int8))  # twice as fast as by booleans
            if self.backward is None:
                torch.add(pull, block.move, alpha=kept, out=block.move)
            else:
                self.product(block.move.mul_(kept), pull, self.backward, out=block.move)

    def distances(self) -> torch.Tensor:
        """(m,) how far each neuron has moved."""
        if self.backward is not None:
            return torch.linalg.vector_norm(self.move, dim=1)
        squares = [torch.mm(block.move, self.forward, out=block.room).mul_(block.move).sum(1) for block in self.blocks]
        return torch.cat(squares).clamp_(min=0).sqrt_()

    def network(self) -> TwoLayer:
        """The network at the present weights."""
        return TwoLayer(torch.addmm(self.start.weights, self.move, self.basis), self.start.signs)


def _block_size(x: torch.Tensor) -> int:
    """Neurons at once: on a CPU such that a block stays in the cache of each core, but not too few for a product."""
    if x.device.type != "cpu":
        return max(1, 2**28 // len(x))  # smaller ones would stay in a card's cache, but took longer: they are many
    return max(256, 2**16 // len(x)) * torch.get_num_threads()


def coordinates(
    x: torch.Tensor, directions: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Coordinates of the movement: rows B (q, d), B x^T (q, n), and x in these rows (n, q).

    Of many points, the pixels that are lit in any; of few, the points themselves. There x is the identity, given as
    None, and the backward product is saved. Where directions are named, (d, q) with orthonormal columns, these.
    """
    if directions is not None:
        along = x @ directions
        return directions.T, along.T.contiguous(), along
    lit = (x != 0).any(0)
    if len(x) < 2 * int(lit.sum()):
        return x, x @ x.T, None
    pixels = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[lit]
    return pixels, x[:, lit].T.contiguous(), x[:, lit]


def _tf32_addmm(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
    """C + a @ b with a and b rounded to 10 bits: by the tensor cores on CUDA, imitated elsewhere."""
    if a.device.type != "cuda":
        return torch.addmm(c, _round_to_tf32(a), _round_to_tf32(b), out=out)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        return torch.addmm(c, a, b, out=out)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _round_to_tf32(a: torch.Tensor) -> torch.Tensor:
    return (a.contiguous().view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)


def _check_training(network, x, y, ridge, learning_rate, epochs, tolerance, tf32) -> None:
    check_matrix("x", x, columns=network.weights.shape[1], like=network.weights)
    check_unit_rows("x", x)
    check_matrix("y", y, rows=len(x), columns=network.signs.shape[1], like=x)
    check_ridge(ridge, positive=tolerance is not None)
    if not learning_rate > 0 or epochs < 1 or (tolerance is not None and not tolerance > 0):
        raise ValueError(
            f"expected a positive learning rate, at least one epoch and a positive tolerance or none, "
            f"got {learning_rate}, {epochs} and {tolerance}."
        )
    if tf32 and x.dtype != torch.float32:
        raise TypeError(f"tf32: expected float32 points and weights to round, got {x.dtype}.")
    # Response in full and gates as bytes; the movement is not larger than the weights.
    size = (len(network.weights), 2 * len(x) + network.weights.shape[1])
    check_fits("training", *size, like=x, advice="use fewer points, a smaller width or float32.")
