"""What a report tells, as tables: computed here, drawn by `page`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ntkif.blocks import row_blocks
from ntkif.estimators.points import kernel_between, normalized
from ntkif.estimators.regressor import NTKInfluence
from ntkif.influence.unseen import influence_unseen, loo_residual_without
from ntkif.kernels.infinite import kernel_of
from ntkif.metrics import half_squares
from ntkif.report.encoding import CLASSIFICATION
from ntkif.report.fitting import BLOCK

__all__ = ["REMOVED", "Findings", "alike", "findings", "removals", "steps"]

REMOVED = (0.01, 0.05, 0.10)
_DRAWS, _WORST = 3, 0.05


@dataclass(frozen=True, eq=False)
class Findings:
    """Rows are named by their positions in what was fitted.

    Attributes:
        task: "classification" or "regression".
        score: leave-one-out accuracy, or R².
        rows: a row for each training row: label, predicted (by the others), loo_margin or loo_residual, probability (of
            its label), self_influence, leverage, influence_on_others (change of the leave-one-out loss of all others,
            in sum), influence_on_worst (the same of the worst predicted), rank (of suspicion, from 1).
        suspicious: rows of the first ranks, in their order.
        contradictions: for each of them: row, other, influence; the others, of
            another label, without which the model that has not seen the row would come closest to its label.
        copies: pairs of rows that are alike and have other labels, the most alike first: row, other, similarity.
        removal: for each share of the worst: removed, loss_before, loss_after, score_before, score_after, of the rows
            that are left; random_before and random_after, the same losses where random rows are removed.
        worst: how many rows are the worst predicted.
        diagnosis: of the fit.
        kernel, ridge: of the fit.
        missed: `missed_` of a fit by landmarks, None of an exact one.
    """

    task: str
    score: float
    rows: pd.DataFrame
    suspicious: list[int]
    contradictions: pd.DataFrame
    copies: pd.DataFrame
    removal: pd.DataFrame
    worst: int
    diagnosis: object
    kernel: str
    ridge: float
    missed: float | None


def steps(n: int) -> int:
    """How often `findings` calls `done`."""
    return 2 * len(list(row_blocks(n, BLOCK))) + len(REMOVED)


def findings(
    model: NTKInfluence,
    x: np.ndarray,
    y: np.ndarray,
    *,
    count: int = 20,
    others: int = 3,
    seed: int = 0,
    done: Callable[[], object] = lambda: None,
) -> Findings:
    """What the fit says of its rows.

    Args:
        model: a fitted estimator, without weights.
        x: (n, d) points that it was fitted to.
        y: (n,) their targets.
        count: suspicious rows, and pairs of rows that are alike.
        others: that contradict each.
        seed: of the random rows that removals are compared with.
        done: called when a part is finished, `steps` times.
    """
    task = CLASSIFICATION if hasattr(model, "classes_") else "regression"
    rows = _of_each_row(model, y, task)
    worst = _worst(model)
    rows["influence_on_others"], rows["influence_on_worst"] = _influences(model, worst, done)
    ranked = rows["rank"].to_numpy().argsort()
    return Findings(
        task,
        _score(model, model.fit_.loo_residual, slice(None)),
        rows,
        ranked[:count].tolist(),
        _contradictions(model, y, ranked[:count], min(others, len(y) - 1)),
        alike(model, x, y, count, done),
        removals(model, ranked, seed, done),
        len(worst),
        model.diagnose(),
        model.kernel_,
        model.ridge_,
        model.missed_,
    )


def _of_each_row(model: NTKInfluence, y: np.ndarray, task: str) -> pd.DataFrame:
    columns = {"label": y, "predicted": model.loo_predict()}
    if task == CLASSIFICATION:
        columns["loo_margin"] = suspicion = model.loo_margin()
        columns["probability"] = model.loo_predict_proba()[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    else:
        columns["loo_residual"] = columns["predicted"] - y
        suspicion = -np.abs(columns["loo_residual"])
    rank = suspicion.argsort(kind="stable").argsort() + 1
    return pd.DataFrame(columns | {"self_influence": model.self_influence(), "leverage": model.leverage_, "rank": rank})


def _worst(model: NTKInfluence) -> torch.Tensor:
    """Rows with the largest leave-one-out loss, one in twenty."""
    loss = model.fit_.loo_residual.square().sum(1)
    return loss.topk(max(1, round(_WORST * len(loss)))).indices


def _influences(model: NTKInfluence, worst: torch.Tensor, done: Callable) -> tuple[np.ndarray, np.ndarray]:
    """(n,) influences on the leave-one-out losses of all others and of the worst, in sum."""
    n = len(model.leverage_)
    overall = on_worst = torch.zeros(n, dtype=torch.float64, device=worst.device)
    among = torch.zeros(n, dtype=torch.float64, device=worst.device)
    among[worst] = 1
    for block in row_blocks(n, BLOCK):
        influence = influence_unseen(model.fit_, torch.arange(n)[block])
        overall = overall + influence.sum(0)
        on_worst = on_worst + among[block] @ influence
        done()
    return overall.cpu().numpy(), on_worst.cpu().numpy()


def _contradictions(model: NTKInfluence, y: np.ndarray, suspicious: np.ndarray, others: int) -> pd.DataFrame:
    """Of labels those alone that are others: a row of the same label may harm from afar, and contradicts nothing."""
    influence = influence_unseen(model.fit_, torch.tensor(suspicious))
    if hasattr(model, "classes_"):
        influence[torch.as_tensor(y == y[suspicious][:, None], device=influence.device)] = 0
    values, places = influence.topk(others, dim=1, largest=False)
    columns = {
        "row": suspicious.repeat(others),
        "other": places.flatten().cpu().numpy(),
        "influence": values.flatten().cpu().numpy(),
    }
    return pd.DataFrame(columns)[columns["influence"] < 0].reset_index(drop=True)


def alike(
    model: NTKInfluence, x: np.ndarray, y: np.ndarray, count: int, done: Callable[[], object] = lambda: None
) -> pd.DataFrame:
    """Pairs of rows with other labels, or targets that differ by more than their deviation, whose kernel is largest.

    The similarity of two rows is their kernel divided by its largest value, that of a row with itself.

    Args:
        model: fitted estimator with a kernel of the sphere.
        x: (n, d) points.
        y: (n,) targets.
        count: pairs at most.
        done: called after each block of rows.
    """
    points = normalized(torch.tensor(x, dtype=torch.float64, device=model.device), model.normalize)
    kernel, pairs = kernel_of(model.kernel_), []
    one = points[points.any(1)][:1]
    largest = kernel(one, one, block_size=BLOCK)
    for block in row_blocks(len(y), BLOCK):
        similarity = kernel_between(kernel, points[block], points, BLOCK) / largest
        similarity.masked_fill_(~torch.as_tensor(_differ(model, y, block), device=similarity.device), -torch.inf)
        best, at = similarity.flatten().topk(min(count, similarity.numel()))
        places = (at // len(y) + block.start, at % len(y), best)
        pairs += list(zip(*(each.tolist() for each in places), strict=True))
        done()
    found = pd.DataFrame(pairs, columns=["row", "other", "similarity"])
    found = found[np.isfinite(found["similarity"])].sort_values("similarity", ascending=False, kind="stable")
    return found.head(count).reset_index(drop=True)


def _differ(model: NTKInfluence, y: np.ndarray, block: slice) -> np.ndarray:
    """(b, n) whether a later row has another label, or a target that is further off than their deviation."""
    later = np.arange(len(y)) > np.arange(len(y))[block, None]
    other = y != y[block, None] if hasattr(model, "classes_") else np.abs(y - y[block, None]) > y.std()
    return later & other


def removals(
    model: NTKInfluence, ranked: np.ndarray, seed: int = 0, done: Callable[[], object] = lambda: None
) -> pd.DataFrame:
    """The leave-one-out loss of the rows that are left when the worst go, each share at once, exactly.

    Args:
        model: fitted estimator.
        ranked: (n,) rows, the worst first.
        seed: of the random rows that the worst are compared with, three draws.
        done: called after each share.

    Returns:
        the columns of `Findings.removal`, for each of `REMOVED` that leaves rows to judge by.
    """
    before, random, found = model.fit_.loo_residual, np.random.RandomState(seed), []
    for share in REMOVED:
        removed = max(1, round(share * len(ranked)))
        drawn = [_losses(model, before, random.permutation(len(ranked))[:removed])[:2] for _ in range(_DRAWS)]
        found.append((share, removed, *_losses(model, before, ranked[:removed]), *np.mean(drawn, axis=0)))
        done()
    names = ["loss_before", "loss_after", "score_before", "score_after", "random_before", "random_after"]
    return pd.DataFrame(found, columns=["share", "removed", *names])


def _losses(model: NTKInfluence, before: torch.Tensor, group: np.ndarray) -> tuple[float, float, float, float]:
    """Mean leave-one-out loss, and score, of the rows that are left, before and after a set goes."""
    after = loo_residual_without(model.fit_, torch.tensor(group))
    left = np.setdiff1d(np.arange(len(before)), group)
    losses = [float(half_squares(each[left], 0).mean()) for each in (before, after)]
    return *losses, *(_score(model, each, left) for each in (before, after))


def _score(model: NTKInfluence, residual: torch.Tensor, rows) -> float:
    """Share of labels that the outputs at some rows name, or R² there."""
    residual, targets = residual[rows], model.fit_.y_train[rows]
    if not hasattr(model, "classes_"):
        return float(1 - residual.square().sum() / (targets - targets.mean(0)).square().sum())
    outputs = targets + residual
    named = outputs * targets > 0 if outputs.shape[1] == 1 else (outputs.argmax(1) == targets.argmax(1))
    return float(named.double().mean())
