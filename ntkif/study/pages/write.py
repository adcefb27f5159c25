"""What the prose pages of the book show and code computes: explorer, front figure, scoreboard in short, lists."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ntkif.data import Dataset, load
from ntkif.store import write_atomically
from ntkif.study import plots
from ntkif.study.pages import figures as page_plots
from ntkif.study.pages.address import install
from ntkif.study.pages.explorer import RIDGES, TIMES, chosen_tests, explore, write_explorer
from ntkif.study.pages.front import estimates, in_short, moving, score_table, tiles, write_moving
from ntkif.study.pages.house import arrows
from ntkif.study.pages.lists import columns, contents, package, recorded
from ntkif.study.pages.scoreboard import judged_claims, scoreboard, smaller

__all__ = ["DATASET", "write_pages"]

DATASET = "mini-mnist-sample"
_CHOSEN_AT = 1.0  # the ridge at which the explorer's test images are chosen


def write_pages(folder: Path) -> None:
    """Write everything that the pages under `book/` show and that is computed.

    `static/explorer/` has data and pixels of the influence explorer, `explorer.svg` its first setting as a picture;
    `static/front/data.js`, `front.svg` and `front.md` are the picture of the front page that moves, its first state and
    the numbers of that, `static/front/preview.png` what a link to the book shows; `scoreboard.md` and `tiles.html` are
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
    _write_front(folder, dataset, explored["test"][test][0])
    for made in (contents, recorded, columns, package, install):
        _write_text(folder / f"{made.__name__}.md", made())
    _write_figure(folder / "house.svg", page_plots.house(arrows()))
    judged = judged_claims()
    board = scoreboard(judged)
    _write_text(folder / "scoreboard.md", in_short(board, smaller(judged)))
    _write_text(folder / "tiles.html", tiles(board))


def _write_front(folder: Path, dataset: Dataset, row: int) -> None:
    shown = moving(dataset, row, RIDGES)
    first, label = shown["states"][0], dataset.classes[shown["test"][1]]
    title = f"a {label},\nread as {dataset.classes[first['class']]}"
    values = {method: each.numpy() for method, each in estimates(dataset, row, first["ridge"]).items()}
    figure = page_plots.estimate_and_truth(dataset.images_test[row], title, dataset.images_train, values)
    write_atomically(folder / "static" / "front" / "preview.png", lambda stream: figure.savefig(stream, dpi=140))
    _write_figure(folder / "front.svg", figure)
    write_moving(dataset, shown, folder / "static" / "front" / "data.js")
    _write_text(folder / "front.md", score_table(first["scores"]))


def _write_figure(file: Path, figure: Figure) -> None:
    write_atomically(file, lambda stream: figure.savefig(stream, format="svg", metadata={"Date": None}))
    plt.close(figure)


def _write_text(file: Path, text: str) -> None:
    write_atomically(file, lambda stream: stream.write(text.encode()))
