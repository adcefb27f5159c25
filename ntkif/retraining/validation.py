"""Whether influences of a trained network are to be believed: a few removals really carried out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from ntkif.checks import check_group, group_rows
from ntkif.influence.network import NetworkInfluence
from ntkif.metrics import agreement
from ntkif.networks.inputs import reading_of
from ntkif.networks.modules import predict
from ntkif.retraining.leave_one_out import leave_one_out, true_influence

__all__ = ["Validation", "validate"]

_DRAWS = 500
_OUTER = 0.05, 0.95


@dataclass(frozen=True, eq=False)
class Validation:
    """Influences that were predicted beside those that retraining found.

    Attributes:
        rows: (r,) training points that were left out.
        predicted: (k, r) influences on the test points.
        actual: (k, r) those of networks really trained without them.
        scores: pearson, spearman, slope and relative_error over all pairs, see `agreement`.
        spread: of each the 5 % and 95 % quantile over draws of the removals, with replacement.
    """

    rows: list[int]
    predicted: torch.Tensor
    actual: torch.Tensor
    scores: dict[str, float]
    spread: dict[str, tuple[float, float]]

    def __str__(self) -> str:
        lines = [
            f"{name:15} {value:7.3f}   from {self.spread[name][0]:.3f} to {self.spread[name][1]:.3f}"
            for name, value in self.scores.items()
        ]
        return "\n".join([f"{len(self.rows)} removals, {len(self.actual)} test points, 90 % of draws", *lines])


def validate(
    influence: NetworkInfluence,
    train: Callable[[torch.Tensor], torch.nn.Module],
    x_test,
    y_test: torch.Tensor,
    *,
    count: int = 10,
    rows: Sequence[int] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Validation:
    """Train without each of a few points and compare with what was predicted.

    Args:
        influence: of the network.
        train: of the rows of the training points that are kept, a network in evaluation mode, trained as this one was:
            from the same start, with the same batches, and with the same sum (or the same divisor) of losses. Called
            with all rows first: what it gives then is the network that the others are compared with.
        x_test: k test points.
        y_test: their targets.
        count: how many points to leave out.
        rows: which; where absent half of them those of the largest influence over all test points, and the others by
            chance, since how well the large ones are predicted says little of the rest.
        seed: of that chance.
        progress: whether to show a bar.

    Returns:
        the influences and how they agree.

    Raises:
        TypeError: no `NetworkInfluence`, but a recorded training or a matrix, for example.
        ValueError: fewer than two removals, or more than points; rows that are named twice or are not there; or as
            `NetworkInfluence`.
    """
    if not isinstance(influence, NetworkInfluence):
        raise TypeError(
            f"influence: expected a NetworkInfluence, got {type(influence).__name__}; a recorded training has carried "
            f"out removals of its own, and says with check(x_test, y_test) how well they are predicted."
        )
    n = len(influence.y)
    if rows is not None:
        rows = check_group(group_rows(rows), n, "rows").tolist()
        if len(rows) < 2:
            raise ValueError(f"rows: expected at least two training points, got {rows}.")
    x_test, targets = influence.test_points(x_test, y_test)
    predicted = influence.influence(x_test, targets, trust=True)  # the scores say more than a warning
    if rows is None:
        if not 2 <= count <= n:
            raise ValueError(f"count: expected between 2 and {n} training points, got {count}.")
        rows = _some(predicted, count, seed)
    every = torch.arange(n)
    trained = leave_one_out(lambda kept, _: train(kept), every, every, rows)
    outputs = []
    for network in tqdm(trained, total=1 + len(rows), unit="network", disable=not progress):
        outputs.append(predict(reading_of(network, influence.output), x_test))
    actual = true_influence(outputs, targets, influence.loss.value)
    predicted = predicted[:, rows].to(actual)
    scores = agreement(predicted, actual)
    generator, draws = torch.Generator().manual_seed(seed), []
    while len(draws) < _DRAWS:
        drawn = torch.randint(len(rows), (len(rows),), generator=generator)
        pair = predicted[:, drawn], actual[:, drawn]
        if all(each.min() < each.max() for each in pair):  # else they have no correlation
            draws.append(agreement(*pair))
    levels = torch.tensor(_OUTER, dtype=torch.float64)
    of_draws = {name: torch.tensor([draw[name] for draw in draws], dtype=torch.float64) for name in scores}
    spread = {name: tuple(values.quantile(levels).tolist()) for name, values in of_draws.items()}
    return Validation(rows, predicted, actual, scores, spread)


def _some(predicted: torch.Tensor, count: int, seed: int) -> list[int]:
    """Half of the largest, half of the others."""
    order = predicted.norm(dim=0).argsort(descending=True).tolist()
    largest, others = order[: count // 2], order[count // 2 :]
    chosen = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[: count - count // 2]
    return [*largest, *(others[place] for place in chosen.tolist())]
