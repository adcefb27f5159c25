"""The front page: the picture that moves with the ridge, and the verdicts in short, a tile for each item."""

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from ntkif.data import Dataset
from ntkif.influence.closed_form import influence_terms
from ntkif.metrics import agreement
from ntkif.regression.factorized import factorized
from ntkif.store import write_atomically
from ntkif.study.pages.claims import VERDICTS
from ntkif.study.pages.explorer import METHODS, RIDGES, sprite
from ntkif.study.pages.scoreboard import DEFINITION, MARKS, verdicts

__all__ = ["estimates", "in_short", "moving", "score_table", "tiles", "write_moving"]

_STEPS = 1000  # a point is drawn to this share of the largest influence, finer than a pixel


def estimates(dataset: Dataset, row: int, ridge: float) -> dict[str, torch.Tensor]:
    """Influence of each training image on one test image, exact and by both estimates.

    Args:
        dataset: training and test images.
        row: of the test image.
        ridge: penalty λ > 0.

    Returns:
        each of `explorer.METHODS` -> (n,): Eq. 7, IHVP (Eq. 13), and IHVP over one minus the leverage (term I, Eq. 15).
    """
    parts = factorized(dataset)
    fit = parts.fit(ridge)
    one, two = influence_terms(fit, parts.k_test_train[row, None], dataset.y_test[row, None])
    return dict(zip(METHODS, ((one + two)[0], ((1 - fit.leverage) * one)[0], one[0]), strict=True))


def moving(dataset: Dataset, row: int, ridges: Sequence[float] = RIDGES, top: int = 4) -> dict:
    """What the picture of the front page needs: at each ridge both estimates of every influence on a test image.

    Args:
        dataset: training and test images.
        row: of the test image.
        ridges: penalties λ > 0, one state each.
        top: images named at each end of the exact ranking.

    Returns:
        numbers and texts alone, ready for JSON: n, test ([row, class]), digits ([row, class] of each training image
        that is named) and states. A state has ridge, class (as which the image is read), largest (of the exact
        influences), points (for each of `explorer.METHODS` the influences in thousandths of the largest), scores
        (estimate -> `metrics.agreement` with the exact influence), foretold (one minus the mean leverage), helpful
        and harmful (places in digits, the first first).
    """
    states = [_state(dataset, row, ridge, top) for ridge in ridges]
    used = sorted({image for state in states for kind in ("helpful", "harmful") for image in state[kind]})
    for state in states:
        state |= {kind: [used.index(image) for image in state[kind]] for kind in ("helpful", "harmful")}
    return {
        "n": len(dataset.x_train),
        "test": [row, int(dataset.labels_test[row])],
        "digits": [[image, int(dataset.labels_train[image])] for image in used],
        "states": states,
    }


def _state(dataset: Dataset, row: int, ridge: float, top: int) -> dict:
    parts, values = factorized(dataset), estimates(dataset, row, ridge)
    exact = values[METHODS[0]]
    largest, order = float(exact.abs().max()), exact.argsort(descending=True).tolist()
    return {
        "ridge": ridge,
        "class": int(parts.fit(ridge).predict(parts.k_test_train[row, None]).argmax()),
        "largest": float(f"{largest:.3g}"),
        "points": {name: (each * _STEPS / largest).round().int().tolist() for name, each in values.items()},
        "scores": {name: _rounded(agreement(values[name], exact)) for name in METHODS[1:]},
        "foretold": round(1 - float(parts.fit(ridge).leverage.mean()), 3),
        "helpful": order[:top],
        "harmful": order[::-1][:top],
    }


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in scores.items()}


def write_moving(dataset: Dataset, shown: dict, file: Path) -> None:
    """Write what the front page reads, a script with the numbers and the pixels of the digits that are named.

    Args:
        dataset: whose images they are.
        shown: of `moving`.
        file: is made, with its folder if need be.
    """
    rows = [image for image, _ in shown["digits"]]
    pixels = np.concatenate([dataset.images_test[[shown["test"][0]]], dataset.images_train[rows]])
    stream = io.BytesIO()
    Image.fromarray(sprite(pixels)).save(stream, "png", optimize=True)
    picture = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    text = json.dumps(shown | {"picture": picture}, separators=(",", ":"), allow_nan=False)
    write_atomically(file, lambda target: target.write(f"window.ntkifFront = {text};\n".encode()))


def score_table(scores: dict[str, dict[str, float]]) -> str:
    """How well the estimates agree with the exact influence, a row each.

    Args:
        scores: estimate -> `metrics.agreement`.
    """
    lines = ["| estimate | size (slope) | order (Spearman's ρ) | relative error |", "|---|---|---|---|"]
    for name, each in scores.items():
        lines.append(f"| {name} | {each['slope']:.2f} | {each['spearman']:.3f} | {each['relative_error']:.2f} |")
    return "\n".join(lines) + "\n"


def in_short(board: pd.DataFrame, smaller: Sequence[str] = ()) -> str:
    """What became of the paper's claims, in two or three sentences.

    Args:
        board: of `scoreboard.scoreboard`.
        smaller: items with a claim that was not measured at the paper's size, of `scoreboard.smaller`.
    """
    judged = board[board["verdict"] != DEFINITION]
    claims = judged.drop_duplicates("key")["verdict"]  # some belong to two items
    counts = {verdict: (claims == verdict).sum() for verdict in MARKS if (claims == verdict).any()}
    parts = [f"{count} {_plural(verdict)} {MARKS[verdict]}" for verdict, count in counts.items()]
    numbered = sum(name[-1].isdigit() for name in board["item"].unique())  # the abstract has no number
    defined = (board["verdict"] == DEFINITION).sum()
    below = f"Measured below the paper's size: {', '.join(smaller)}." if smaller else ""
    failed = judged[judged["verdict"] == VERDICTS[2]]
    wrong = "; ".join(f"{row.claim} ({row.item})" for row in failed.itertuples())
    missed = f"Not holding: {wrong}. " if wrong else ""
    return (
        f"The book judges {len(claims)} claims of the paper: {', '.join(parts)}. "
        f"They belong to {numbered} numbered items, {defined} of which only define something. {missed}{below}\n"
    )


def _plural(verdict: str) -> str:
    return verdict.replace("holds", "hold").replace("does", "do")


def tiles(board: pd.DataFrame) -> str:
    """A list in HTML with a tile for each item of the paper: its name, and a mark for each of its claims.

    Args:
        board: of `scoreboard.scoreboard`.
    """
    lines = ['<ul class="tiles">']
    overall = verdicts(board)
    for item, rows in board.groupby("item", sort=False):
        page = rows["notebook"].iloc[0].replace(".ipynb", ".html")
        marks = "".join(_mark(verdict) for verdict in rows["verdict"])
        label = html.escape(f"{item}: {overall[item]}; {_counts(rows['verdict'])}")
        lines.append(f'<li><a href="../notebooks/{page}" aria-label="{label}"><span>{item}</span>{marks}</a></li>')
    return "\n".join([*lines, "</ul>\n"])


def _mark(verdict: str) -> str:
    return f'<i class="mark {verdict.replace(" ", "-")}" aria-hidden="true">{MARKS[verdict]}</i>'


def _counts(found: pd.Series) -> str:
    """In words how many claims have which verdict.

    >>> _counts(pd.Series(["holds", "holds in part", "holds"]))
    'of 3 claims 2 holds, 1 holds in part'
    """
    if set(found) == {DEFINITION}:
        return "it claims nothing"
    counts = ", ".join(f"{(found == verdict).sum()} {verdict}" for verdict in MARKS if (found == verdict).any())
    return f"of {len(found)} claim{'s' * (len(found) > 1)} {counts}"
