"""Influences with the names of their points: the largest of them, as a table of pandas, and as a picture."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ntkif.checks import check_count, check_matrix, require_extra

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["InfluenceTable", "Ranked", "names_of"]

_TOLD, _EACH = 10, 3  # test points, and training points at either end, that a table says of itself
_COLOURS = (1, 3, 4)


class Ranked(NamedTuple):
    """Some influences on each of k test points, in order.

    Attributes:
        influence: (k, count).
        rows: (k, count) positions of the training points.
    """

    influence: torch.Tensor
    rows: torch.Tensor


class InfluenceTable:
    """Influences of n training points on k test points, with names for both.

    Args:
        influence: (k, n) tensor or array; positive means helpful.
        names: n names of the training points; their positions where absent.
        test_names: k names of the test points; their positions where absent.
        unit: what is measured, in words.

    Attributes:
        influence: (k, n) tensor.
        names: n names.
        test_names: k names.
        unit: a text.

    Raises:
        TypeError, ValueError: no matrix of finite floats, or another number of names.

    >>> table = InfluenceTable(torch.tensor([[0.5, -2.0, 1.0]]), names=["ann", "bob", "cat"], test_names=["dan"])
    >>> table
    InfluenceTable of 1 test point and 3 training points: change of the loss
    dan: cat +1; ann +0.5; bob -2 | bob -2; ann +0.5; cat +1
    >>> table.helpful(1).rows.tolist()
    [[2]]
    """

    def __init__(
        self,
        influence: torch.Tensor,
        *,
        names: Sequence | None = None,
        test_names: Sequence | None = None,
        unit: str = "change of the loss",
    ):
        self.influence = _tensor(influence)
        check_matrix("influence", self.influence)
        k, n = self.influence.shape
        self.names, self.test_names = _named("names", names, n), _named("test_names", test_names, k)
        self.unit = unit

    def top(self, count: int) -> Ranked:
        """The `count` training points of largest influence on each test point, the largest in size first.

        Raises:
            ValueError: a count below one or above the number of training points.
        """
        rows = self.influence.abs().topk(self._checked(count), dim=1).indices
        return Ranked(self.influence.gather(1, rows), rows)

    def helpful(self, count: int) -> Ranked:
        """The `count` most helpful, the most helpful first; where fewer help, the last ones harm. Errors as `top`."""
        return Ranked(*self.influence.topk(self._checked(count), dim=1))

    def harmful(self, count: int) -> Ranked:
        """The `count` most harmful, the most harmful first; where fewer harm, the last ones help. Errors as `top`."""
        return Ranked(*self.influence.topk(self._checked(count), dim=1, largest=False))

    def to_pandas(self, *, long: bool = False, count: int | None = None) -> "pd.DataFrame":
        """A table of pandas.

        Args:
            long: whether to give a row for each pair of points, not for each test point.
            count: of the long table, so many training points for each test point, those of `top`; all where absent.

        Returns:
            test points as rows and training points as columns; long, the columns test, train, influence and rank,
            where 1 is the largest in size.

        Raises:
            ModuleNotFoundError: pandas is not installed.
            ValueError: a count without `long`; or as `top`.
        """
        require_extra("study", "pandas")
        import pandas as pd

        if not long:
            if count is not None:
                raise ValueError(f"count: expected none for the wide table, got {count}; pass long=True.")
            index, columns = pd.Index(self.test_names, name="test"), pd.Index(self.names, name="train")
            return pd.DataFrame(self.influence.cpu().numpy(), index, columns)
        influence, rows = self.top(len(self.names) if count is None else count)
        k, count = rows.shape
        columns = {
            "test": [name for name in self.test_names for _ in range(count)],
            "train": [self.names[row] for row in rows.flatten().tolist()],
            "influence": influence.flatten().cpu().numpy(),
            "rank": [*range(1, count + 1)] * k,
        }
        return pd.DataFrame(columns)

    def picture(self, test: int, test_image, train_images, count: int = 4) -> "Figure":
        """The image of a test point beside its most helpful and most harmful training images.

        Grey images are drawn dark on light, and all on one scale.

        Args:
            test: position of the test point.
            test_image: (height, width) grey values, or with 1, 3 or 4 colours as the last axis or the first; whole
                numbers from 0 to 255, or floats, which are drawn from the least to the largest where they leave 0 to 1.
            train_images: of all n training points likewise, indexed by their positions.
            count: how many of either kind.

        Returns:
            the figure, a row of helpful and one of harmful images, under their names and influences.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
            ValueError: no such test point, another number of images, something else than an image; or as `top`.
        """
        require_extra("study", "matplotlib")
        import matplotlib.pyplot as plt

        if not 0 <= test < len(self.test_names):
            raise ValueError(f"test: expected a position from 0 to {len(self.test_names) - 1}, got {test}.")
        if len(train_images) != len(self.names):
            raise ValueError(
                f"train_images: expected an image for each of {len(self.names)} training points, got "
                f"{len(train_images)}; pass those that the influences are of, in their order."
            )
        kinds = {"helpful": self.helpful(count), "harmful": self.harmful(count)}
        rows = [row for ranked in kinds.values() for row in ranked.rows[test].tolist()]
        first, *others = _on_one_scale([_pixels(test_image), *(_pixels(train_images[row]) for row in rows)])
        figure, axes = plt.subplots(2, 1 + count, figsize=(1.3 * (1 + count), 3.2), squeeze=False, layout="constrained")
        _show(axes[0, 0], first, f"test: {self.test_names[test]}")
        axes[1, 0].axis("off")
        values = torch.cat([ranked.influence[test] for ranked in kinds.values()]).tolist()
        for ax, image, row, value in zip(axes[:, 1:].flat, others, rows, values, strict=True):
            _show(ax, image, f"{self.names[row]}\n{value:+.2g}")
        for ax, kind in zip(axes[:, 1], kinds, strict=True):
            ax.set_ylabel(kind, fontsize=9)
        return figure

    def __repr__(self) -> str:
        lines = [
            f"{name}: {'; '.join(helpful)} | {'; '.join(harmful)}" for name, helpful, harmful in self._extremes(str)
        ]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        cells = [
            f"<tr><th>{escape(str(name))}</th><td>{'<br>'.join(helpful)}</td><td>{'<br>'.join(harmful)}</td></tr>"
            for name, helpful, harmful in self._extremes(lambda name: escape(str(name)))
        ]
        head = "<tr><th>test</th><th>most helpful</th><th>most harmful</th></tr>"
        return f"<p>{escape(self._title())}</p><table>{head}{''.join(cells)}</table>"

    def _title(self) -> str:
        k, n = self.influence.shape
        points = [f"{size} {kind} point{'s' * (size > 1)}" for size, kind in ((k, "test"), (n, "training"))]
        more = f"; the first {_TOLD} test points:" if k > _TOLD else ""
        return f"InfluenceTable of {points[0]} and {points[1]}: {self.unit}{more}"

    def _extremes(self, written) -> list[tuple]:
        """Of the first test points each: its name, and the most helpful and most harmful ones in words."""
        count = min(_EACH, len(self.names))
        ends = [
            [
                [f"{written(self.names[row])} {value:+.2g}" for row, value in zip(*pair, strict=True)]
                for pair in zip(ranked.rows[:_TOLD].tolist(), ranked.influence[:_TOLD].tolist(), strict=True)
            ]
            for ranked in (self.helpful(count), self.harmful(count))
        ]
        return list(zip(self.test_names[:_TOLD], *ends, strict=True))

    def _checked(self, count: int) -> int:
        if not 1 <= (whole := check_count("count", count, least=None)) <= len(self.names):
            raise ValueError(f"count: expected between 1 and {len(self.names)} training points, got {count}.")
        return whole


def names_of(x) -> list | None:
    """Names of the rows of a DataFrame of pandas, its index, with what is no number or text as text; None of others."""
    index = getattr(x, "index", None)
    if index is None or callable(index):  # a list has a method of this name
        return None
    return [name if isinstance(name, (int, float, str)) else str(name) for name in index.tolist()]


def _tensor(values) -> torch.Tensor:
    """As it is, or of a copy, since arrays may be read-only."""
    return values.detach() if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))


def _named(what: str, names: Sequence | None, count: int) -> list:
    if names is None:
        return list(range(count))
    found = [names] if isinstance(names, str) else names.tolist() if isinstance(names, torch.Tensor) else list(names)
    if isinstance(names, str) or len(found) != count:
        raise ValueError(f"{what}: expected {count}, one for each point, got {len(found)}; pass a list of them.")
    return found


def _pixels(image) -> torch.Tensor:
    """(height, width) or (height, width, colours); of two axes that could be colours they are the last."""
    image = _tensor(image).cpu()
    if image.ndim == 3 and image.shape[2] not in _COLOURS and image.shape[0] in _COLOURS:
        image = image.movedim(0, 2)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in _COLOURS):
        raise ValueError(
            f"image: expected (height, width), with 1, 3 or 4 colours first or last, got shape {tuple(image.shape)}; "
            f"reshape the rows into images."
        )
    return image.double() if image.is_floating_point() or image.dtype == torch.bool else image / 255


def _on_one_scale(images: list[torch.Tensor]) -> list[torch.Tensor]:
    low, high = min(float(image.min()) for image in images), max(float(image.max()) for image in images)
    if low >= 0 and high <= 1:
        return images
    return [(image - low) / ((high - low) or 1) for image in images]


def _show(ax, image: torch.Tensor, title: str) -> None:
    ax.imshow(image.numpy(), cmap=None if image.ndim == 3 else "gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=8, pad=3)
