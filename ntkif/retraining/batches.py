"""The networks of a run in batches that fit in memory, by kernels that were held against plain torch first."""

from collections.abc import Callable, Iterator, Sequence

import torch

from ntkif.blocks import row_blocks
from ntkif.checks import available_bytes
from ntkif.networks.two_layer import TwoLayer
from ntkif.retraining.stacked import Stack, fused_on, leading_directions

__all__ = ["check_kernels", "networks_at_once", "train_in_batches"]

_NEURONS = 2**19  # at most so many in a batch: what a killed run may lose, and enough to fill a device
_SHARE_OF_MEMORY = 0.8
_OFF = 5e-5  # of the losses after ten epochs: in float16 up to 1e-5 is seen


def networks_at_once(start: TwoLayer, n: int, q: int, networks: int) -> int:
    """How many networks a batch has, that all of it fits in memory and the batches are about alike.

    Args:
        start: their start.
        n: training points.
        q: directions of the movement.
        networks: all of the run.

    Raises:
        MemoryError: not even one would fit.
    """
    m, d = start.weights.shape
    size = start.weights.element_size()
    shared, each = m * (n * size + 2 * d * size), m * (2 * n + q * (2 * size + 2)) + n * q * 2
    free = available_bytes(start.weights.device)
    fit = networks if free is None else int((_SHARE_OF_MEMORY * free - shared) // each)
    if fit < 1:
        raise MemoryError(
            f"training needs {(shared + each) / 2**30:.1f} GiB on {start.weights.device} for one network of width {m}, "
            f"but {free / 2**30:.1f} GiB are free; use a smaller width, fewer points or fewer directions."
        )
    batches = -(-networks // max(1, min(fit, _NEURONS // m)))
    return -(-networks // batches)


def train_in_batches(
    start: TwoLayer,
    x: torch.Tensor,
    y: torch.Tensor,
    ridge: float,
    removed: Sequence[int | None],
    *,
    learning_rate: float,
    epochs: int,
    directions: int | None = None,
    batch: int | None = None,
    finished: Callable[[int], bool] = lambda number: False,
    progress: Callable[[int], object] = lambda epochs: None,
) -> Iterator[tuple[range, Stack, torch.Tensor]]:
    """Train in float16, a batch of networks after the other.

    Which networks share a batch does not depend on what is finished, so that a run that goes on is the same run.

    Args:
        start: (m, d) weights and (m, c) signs of all networks.
        x: (n, d) training points.
        y: (n, c) targets.
        ridge: penalty λ.
        removed: for each network the training point that it lacks, or None.
        learning_rate: step size.
        epochs: steps.
        directions: how many are kept; all where absent.
        batch: networks at once; chosen by `networks_at_once` where absent.
        finished: whether a network, by its number, is there already; a batch whose networks all are is left out.
        progress: called with the epochs since the last call, summed over networks.

    Yields:
        the numbers of the networks of a batch, their stack after training, and its last residual.

    Raises:
        TypeError, ValueError, MemoryError: as `Stack`, `Stack.train` and `networks_at_once`.
        ArithmeticError: as `check_kernels`, which is called first where the kernels of `fused` are used.
    """
    along = leading_directions(x, directions)
    how = {"learning_rate": learning_rate, "directions": along}
    checked = not fused_on(x)
    for members in row_blocks(len(removed), batch or networks_at_once(start, len(x), along.shape[1], len(removed))):
        numbers = range(members.start, members.stop)
        if all(map(finished, numbers)):
            continue
        if not checked:
            check_kernels(start, x, y, ridge, removed[members], **how)
            checked = True
        stack = Stack(start, x, y, ridge, removed[members], half=True, **how)
        yield numbers, stack, stack.train(epochs, progress)


def check_kernels(
    start: TwoLayer,
    x: torch.Tensor,
    y: torch.Tensor,
    ridge: float,
    removed: Sequence[int | None],
    *,
    kernels: Callable | None = None,
    epochs: int = 10,
    **how,
) -> None:
    """Whether the losses of a stack's first epochs in float16 are those of float32 by plain torch.

    What a compiler makes of a kernel on a card of its own is not taken on trust: a version of these whose operands
    were overwritten while they were read trained on, with losses off by one or two in a thousand.

    Args:
        start: their start.
        x: (n, d) training points.
        y: (n, c) targets.
        ridge: penalty λ.
        removed: of a whole batch, since what goes wrong depends on the size. The first and the last are compared.
        kernels: as of `Stack`.
        epochs: so many.
        **how: learning rate and directions of `Stack`.

    Raises:
        ArithmeticError: they are not; the error says by how much.
    """
    fast = Stack(start, x, y, ridge, removed, half=True, kernels=kernels, **how)
    fast.train(epochs)
    found = fast.watch.losses[-1][[0, -1]]
    del fast  # which may fill most of the memory
    plain = Stack(start, x, y, ridge, [removed[0], removed[-1]], **how)
    plain.train(epochs)
    off = float((found / plain.watch.losses[-1] - 1).abs().max())
    if not off < _OFF:
        raise ArithmeticError(
            f"the kernels on {x.device}: expected the losses of float32 after {epochs} epochs to {_OFF:g} of "
            f"themselves, got {off:.1e}; train in float32, and report card, torch and triton."
        )
