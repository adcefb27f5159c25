"""Figures of the prose pages: the front page and the influence explorer; see `plots` for the style and the rest."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from ntkif.data import Dataset
from ntkif.study.pages.explorer import METHODS
from ntkif.study.pages.house import FLOOR, GROUND
from ntkif.study.plots.style import COLORS, show_image

__all__ = ["estimate_and_truth", "house", "ranking"]


def estimate_and_truth(
    image: np.ndarray, title: str, images_train: np.ndarray, influence: dict[str, np.ndarray], shown: int = 5
) -> Figure:
    """The front page: both estimates of each influence on a test image against the exact one, with some of the images.

    Args:
        image: pixels of the test image.
        title: what stands over it.
        images_train: (n, height, width) pixels of the training images.
        influence: of each of `explorer.METHODS`, (n,).
        shown: images drawn at either end.
    """
    exact, ihvp, rescaled = (1000 * influence[method] for method in METHODS)
    figure, (left, ax) = plt.subplots(1, 2, figsize=(8.6, 4.6), width_ratios=[1, 4.2])
    figure.get_layout_engine().set(wspace=0.06)
    _framed(left, image)
    left.set_title(title, fontsize=11)
    ax.axline((0, 0), slope=1, color=COLORS["theory"], lw=1, ls="--", label="estimate = truth")
    ax.plot(exact, rescaled, ".", color=COLORS["rescaled IHVP"], ms=5, label="the same, rescaled")
    ax.plot(exact, ihvp, ".", color=COLORS["IHVP"], ms=5, label="classic estimate (IHVP)")
    ax.margins(0.09)
    order, span = np.argsort(exact), np.ptp(exact)
    for rows, height, kind in ((order[:shown], 0.25, "harmful"), (order[-shown:], -0.25, "helpful")):
        middle = np.clip(exact[rows].mean(), exact.min() + 0.18 * span, exact.max() - 0.18 * span)
        ax.text(middle, (height + 0.12 * np.sign(height)) * span, f"most {kind}", ha="center", va="center")
        for row, place in zip(rows, np.linspace(-0.18, 0.18, shown), strict=True):
            ax.add_artist(_led(images_train[row], (exact[row], ihvp[row]), (middle + place * span, height * span)))
    ax.set(xlabel="exact influence × 1000: what leaving the image out does to the loss", ylabel="estimate × 1000")
    ax.legend(frameon=False, loc="upper left")
    return figure


def _led(image: np.ndarray, point: tuple[float, float], place: tuple[float, float]) -> AnnotationBbox:
    """An image at a place, with a line to its point."""
    line = {"arrowstyle": "-", "lw": 0.5, "color": COLORS["theory"]}
    box = {"lw": 0.5, "edgecolor": COLORS["theory"]}
    picture = OffsetImage(image, zoom=0.95, cmap="gray_r")
    return AnnotationBbox(picture, point, place, pad=0.1, arrowprops=line, bboxprops=box)


def _framed(ax: Axes, image: np.ndarray) -> None:
    show_image(ax, image)
    for spine in ax.spines.values():
        spine.set(visible=True, lw=0.5, color=COLORS["theory"])


def ranking(dataset: Dataset, explored: dict, test: int, ridge: int, time: int) -> Figure:
    """The explorer in one setting: the most helpful and most harmful images by the exact influence, and its estimates.

    Args:
        dataset: that was explored.
        explored: of `explorer.explore`.
        test: index into its test images.
        ridge: index into its ridges.
        time: index into its times, of the end of training.
    """
    state, top, methods = explored["states"][test][ridge][time], explored["top"], explored["methods"]
    exact_rank = 1 + len(methods)  # after the index and one influence for each method
    images = {image[exact_rank]: image for image in state["images"]}
    figure, axes = plt.subplots(4, top + 1, figsize=(8.6, 4.4), height_ratios=[1, 0.8] * 2)
    for ax in axes[1:, 0]:
        ax.axis("off")
    row, label = explored["test"][test]
    _framed(axes[0, 0], dataset.images_test[row])
    axes[0, 0].set_title(f"test image:\na {label}, read as {state['class']}", fontsize=9)
    largest = 1000 * max(abs(value) for image in images.values() for value in image[1:exact_rank])
    for half, (kind, sign) in enumerate((("helpful", 1), ("harmful", -1))):
        for place in range(1, top + 1):
            picture, bars = axes[2 * half, place], axes[2 * half + 1, place]
            index, *values = images[sign * place][:exact_rank]
            _framed(picture, dataset.images_train[explored["train"][index][0]])
            picture.set_title(f"{kind} {place}: a {explored['train'][index][1]}", fontsize=9)
            bars.barh(methods, 1000 * np.array(values), color=[COLORS[method] for method in methods])
            bars.axvline(0, color=COLORS["theory"], lw=0.8)
            bars.set(xlim=(-1.05 * largest, 1.05 * largest), yticks=[])
            bars.invert_yaxis()
            bars.tick_params(labelsize=8)
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[method]) for method in methods]
    figure.legend(handles, methods, loc="outside lower center", ncols=3, frameon=False, title="influence × 1000")
    return figure


def house(imports: dict[tuple[str, str], int]) -> Figure:
    """The parts of the package from left to right as the import rule has them, the study below, and what uses what.

    Args:
        imports: (part, other part that it uses) -> number, of `house.arrows`; those of the ground floor are left out.
    """
    parts = [name for name in FLOOR if name not in GROUND]
    floors = sorted({FLOOR[name] for name in parts})
    study = FLOOR["paper"]
    place = {}
    for name in parts:
        below = FLOOR[name] >= study
        beside = [other for other in parts if FLOOR[other] == FLOOR[name]]
        column = floors.index(FLOOR[name]) - (floors.index(study) if below else 0)
        place[name] = (2.2 * column, 0.55 * (1 - 2 * beside.index(name)) * (len(beside) - 1) - 3.2 * below)
    figure, ax = plt.subplots(figsize=(8.6, 4.2))
    for user, used in sorted(imports):
        if user in place and used in place and (FLOOR[user] < study) == (FLOOR[used] < study):
            skips = floors.index(FLOOR[user]) - floors.index(FLOOR[used]) > 1
            arrow = {"arrowstyle": "-|>", "color": COLORS["theory"], "alpha": 0.5, "shrinkA": 22, "shrinkB": 26}
            bend = f"arc3,rad={-0.22 if skips else 0}"
            ax.annotate("", place[user], place[used], arrowprops=arrow | {"connectionstyle": bend})
    ax.annotate("", (2.2, -2.6), (2.2, -0.9), arrowprops={"arrowstyle": "simple", "color": "#BBBBBB"})
    ax.text(2.5, -1.8, "all of the method is there for all of the study,\nnever the other way round", va="center")
    for name, (x, y) in place.items():
        color = COLORS["helpful"] if FLOOR[name] < study else COLORS["harmful"]
        label = "command line" if name == "__main__" else name
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": color, "lw": 1.5}
        ax.text(x, y, label, ha="center", va="center", fontsize=10, bbox=box)
    ax.text(-0.9, 1.6, "the method", color=COLORS["helpful"], fontsize=11)
    ax.text(-0.9, -2.3, "the study", color=COLORS["harmful"], fontsize=11)
    # matplotlib leaves out an arrow that ends outside of the axes
    ax.set(xlim=(-1, 1.1 + max(x for x, _ in place.values())), ylim=(-4.2, 1.9))
    ax.axis("off")
    return figure
