"""What the prose pages of the book show and code computes: explorer, front figure, scoreboard in short, lists."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ntkif.data import Dataset, load
from ntkif.influence.closed_form import influence_terms
from ntkif.metrics import agreement
from ntkif.regression.factorized import factorized
from ntkif.store import write_atomically
from ntkif.study import plots
from ntkif.study.pages import figures as page_plots
from ntkif.study.pages.address import install
from ntkif.study.pages.explorer import METHODS, RIDGES, TIMES, chosen_tests, explore, write_explorer
from ntkif.study.pages.figures import verdict_tiles
from ntkif.study.pages.house import arrows
from ntkif.study.pages.lists import columns, contents, package, recorded
from ntkif.study.pages.scoreboard import MARKS, judged_claims, scoreboard, verdicts

__all__ = ["DATASET", "in_short", "write_pages"]

DATASET = "mini-mnist-sample"
_CHOSEN_AT = 1.0  # the ridge at which the explorer's test images are chosen


def write_pages(folder: Path) -> None:
    """Write everything that the pages under `book/` show and that is computed.

    `static/explorer/` has data and pixels of the influence explorer, `explorer.svg` its first setting as a picture;
    `front.svg` and `front.md` are the figure of the front page with its numbers, `scoreboard.svg` and `scoreboard.md`
    the verdicts in short; `contents.md`, `recorded.md`, `columns.md` and `package.md` are the lists of `lists`,
    `install.md` says how to install the package, and `house.svg` draws its folders.

    Args:
        folder: is made if need be.
    """
    folder, dataset = Path(folder), load(DATASET)
    plots.use_style()
    explored = explore(dataset, chosen_tests(dataset, _CHOSEN_AT))
    ridge, time = RIDGES.index(min(RIDGES)), len(TIMES) - 1
    losses = [states[ridge][time]["loss"] for states in explored["states"]]
    test = int(np.argmax(losses))  # the digit that is read worst
    explored["start"] = [test, ridge, time]
    write_explorer(dataset, explored, folder / "static" / "explorer")
    _write_figure(folder / "explorer.svg", page_plots.ranking(dataset, explored, test, ridge, time))
    figure, text = _front(dataset, *explored["test"][test], explored["states"][test][ridge][time]["class"])
    _write_figure(folder / "front.svg", figure)
    _write_text(folder / "front.md", text)
    for made in (contents, recorded, columns, package, install):
        _write_text(folder / f"{made.__name__}.md", made())
    _write_figure(folder / "house.svg", page_plots.house(arrows()))
    found = verdicts(scoreboard(judged_claims()))
    _write_figure(folder / "scoreboard.svg", verdict_tiles(found))
    _write_text(folder / "scoreboard.md", in_short(found))


def _front(dataset: Dataset, row: int, label: int, read_as: int) -> tuple[Figure, str]:
    parts, ridge = factorized(dataset), min(RIDGES)
    one, two = influence_terms(parts.fit(ridge), parts.k_test_train[row, None], dataset.y_test[row, None])
    values = dict(zip(METHODS, (one + two, (1 - parts.fit(ridge).leverage) * one, one), strict=True))
    figure = page_plots.estimate_and_truth(
        dataset.images_test[row],
        f"a {dataset.classes[label]},\nread as {dataset.classes[read_as]}",
        dataset.images_train,
        {method: each[0].numpy() for method, each in values.items()},
    )
    scores = {method: agreement(values[method], values["exact"]) for method in METHODS[1:]}
    words = [
        f"{method} has Pearson's $R$ {score['pearson']:.3f}, Spearman's $\\rho$ {score['spearman']:.3f}, "
        f"slope {score['slope']:.2f} and relative error {score['relative_error']:.2f}"
        for method, score in scores.items()
    ]
    return figure, f"Against the exact influence, {'; '.join(words)}.\n"


def in_short(found) -> str:
    """The verdicts in one sentence.

    Args:
        found: item -> verdict, of `scoreboard.verdicts`.
    """
    counts = found.value_counts()
    parts = [f"{counts[verdict]} {MARKS[verdict]} {verdict}" for verdict in MARKS if verdict in counts]
    return f"Of {len(found)} numbered items of the paper: {', '.join(parts)}.\n"


def _write_figure(file: Path, figure: Figure) -> None:
    write_atomically(file, lambda stream: figure.savefig(stream, format="svg", metadata={"Date": None}))
    plt.close(figure)


def _write_text(file: Path, text: str) -> None:
    write_atomically(file, lambda stream: stream.write(text.encode()))
