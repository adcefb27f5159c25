"""Pictures of the prose pages show what they are given."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.offsetbox import AnnotationBbox

from ntkif.data.dataset import from_pixels
from ntkif.study.pages import figures, house
from ntkif.study.pages.explorer import METHODS

pytestmark = pytest.mark.usefixtures("book_style")
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(1, 256, (12, 5, 5), dtype=np.uint8)


def test_estimates_stand_over_the_truth():
    influence = {method: GENERATOR.uniform(-1, 2, 12) for method in METHODS}
    left, ax = figures.estimate_and_truth(IMAGES[0], "a 4", IMAGES, influence, shown=2).axes
    assert left.get_title() == "a 4" and (left.images[0].get_array() == IMAGES[0]).all()
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    for label, method in (("classic estimate (IHVP)", METHODS[1]), ("the same, rescaled", METHODS[2])):
        assert np.allclose(drawn[label], 1000 * np.column_stack([influence[METHODS[0]], influence[method]]))
    order = influence[METHODS[0]].argsort()
    pictures = [artist for artist in ax.artists if isinstance(artist, AnnotationBbox)]
    wanted = 1000 * np.column_stack([influence[method][order[[0, 1, -2, -1]]] for method in METHODS[:2]])
    assert np.allclose([picture.xy for picture in pictures], wanted)
    shown = [picture.offsetbox.get_data() for picture in pictures]
    assert all((one == IMAGES[row]).all() for one, row in zip(shown, order[[0, 1, -2, -1]], strict=True))


def test_the_ranking_is_that_of_the_exact_influence():
    """Of four training images, listed in any order: two helpful ones in ranks 1 and 2, two harmful in -1 and -2."""
    data = from_pixels("made", (IMAGES[:8], np.arange(8) % 3, IMAGES[8:], np.arange(4) % 3), ("a", "b", "c"), "made")
    listed = [[2, 0.3, 0.1, 0.2, 2, 1, 1], [0, -0.6, -0.4, -0.5, -1, -2, -1], [1, 0.7, 0.6, 0.8, 1, 2, 2]]
    listed.append([3, -0.2, -0.1, -0.3, -2, -1, -2])
    explored = {"methods": list(METHODS), "top": 2, "test": [[1, 1], [3, 0]], "train": [[7, 1], [4, 1], [6, 0], [2, 2]]}
    explored["states"] = [None, [[{"class": 2, "images": listed}]]]
    figure = figures.ranking(data, explored, 1, 0, 0)
    axes = np.array(figure.axes).reshape(4, 3)
    assert axes[0, 0].get_title() == "test image:\na 0, read as 2"
    assert (axes[0, 0].images[0].get_array() == data.images_test[3]).all()
    shown = [("helpful 1: a 1", 4, [0.7, 0.6, 0.8]), ("helpful 2: a 0", 6, [0.3, 0.1, 0.2])]
    shown += [("harmful 1: a 1", 7, [-0.6, -0.4, -0.5]), ("harmful 2: a 2", 2, [-0.2, -0.1, -0.3])]
    for (title, row, values), picture, bars in zip(shown, axes[::2, 1:].flat, axes[1::2, 1:].flat, strict=True):
        assert picture.get_title() == title and (picture.images[0].get_array() == data.images_train[row]).all()
        assert [bar.get_width() for bar in bars.patches] == pytest.approx([1000 * value for value in values])
        assert [to_rgb(bar.get_facecolor()) for bar in bars.patches] == [to_rgb(figures.COLORS[m]) for m in METHODS]
        assert bars.get_xlim() == pytest.approx((-840, 840))  # one scale for all
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(METHODS)


def test_plan_shows_every_part_and_its_arrows():
    """matplotlib leaves out an arrow that ends outside of the axes."""
    (ax,) = figures.house(house.arrows()).axes
    labels = {text.get_text(): text for text in ax.texts}
    assert {"data", "training", "command line"} <= set(labels)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for text in ax.texts:
        for x, y in (text.get_position(), getattr(text, "xy", text.get_position())):
            assert left < x < right and low < y < high
