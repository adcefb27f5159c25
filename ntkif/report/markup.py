"""Pieces of HTML that stand alone: text, tables, pictures and bars, each readable without its colours."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np

from ntkif.checks import require_extra
from ntkif.report.encoding import whole

__all__ = ["Html", "bars", "element", "image", "table", "text", "written"]


class Html(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as HTML, escaped."""
    return value if isinstance(value, Html) else Html(escape(written(value)))


def written(value: object) -> str:
    """A value as plain text: fractions with four digits, whole numbers in full, other things as they are."""
    if not isinstance(value, (float, np.floating)):
        return str(value)
    return (str(round(value)) if whole(value) else f"{value:.4g}").replace("-", "\N{MINUS SIGN}")


def element(name: str, *inside: object, **attributes: str) -> Html:
    """An element of HTML with what is inside of it, escaped; attributes are named as Python allows, with _ for -.

    >>> element("a", "1 < 2", href="#end")
    '<a href="#end">1 &lt; 2</a>'
    """
    named = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{named}>{''.join(map(text, inside))}</{name}>")


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence]) -> Html:
    """A table whose first column names its rows; a narrow screen scrolls it by itself."""
    top = element("tr", *(element("th", name, scope="col") for name in head))
    body = [element("tr", element("th", row[0], scope="row"), *(_cell(value) for value in row[1:])) for row in rows]
    whole = element("table", element("caption", caption), element("thead", top), element("tbody", *body))
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def _cell(value: object) -> Html:
    number = isinstance(value, (int, float, np.number))
    return element("td", value, class_="number") if number else element("td", value)


def image(pixels: np.ndarray, alt: str) -> Html:
    """A picture that the page carries itself.

    Args:
        pixels: (height, width) or (height, width, 3) whole numbers to 255.
        alt: what it shows, in words.
    """
    require_extra("report", "PIL")
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return Html(f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}">')


_HATCH = Html(
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" class="back"/><rect width="3" height="6" class="stripe"/></pattern></defs>'
)
_WIDE, _HIGH, _BARS = 600, 124, 30


def bars(
    values: np.ndarray, title: str, marked: float | None = None, within: tuple[float, float] | None = None
) -> Html:
    """How often values are how large, as bars; those below a mark are hatched, so that colour is not needed.

    Args:
        values: (n,) numbers.
        title: what is counted, for those who do not see it.
        marked: where the hatched bars end.
        within: ends of the axis; the least and the largest value where absent.
    """
    low, high = within or (float(values.min()), float(values.max()))
    counts, edges = np.histogram(values, bins=_edges(low, high, marked))
    width = _WIDE / len(counts)
    drawn = [
        _bar(width * at, width - 1, (_HIGH - 10) * count / counts.max(), marked is not None and middle < marked)
        for at, (count, middle) in enumerate(zip(counts, (edges[1:] + edges[:-1]) / 2, strict=True))
        if count
    ]
    ends = [_mark(0, edges[0], "start"), _mark(_WIDE, edges[-1], "end")]
    if marked is not None and edges[0] < marked < edges[-1]:
        x = _WIDE * (marked - edges[0]) / (edges[-1] - edges[0])
        ends.append(element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=4, y2=_HIGH + 4))
        if 60 < x < _WIDE - 60:
            ends.append(_mark(x, marked, "middle"))
    said = f"{title}; the largest bar stands for {counts.max()} rows"
    return element(
        "svg",
        "" if marked is None else _HATCH,
        *drawn,
        *ends,
        viewBox=f"0 0 {_WIDE} {_HIGH + 36}",
        role="img",
        aria_label=said,
    )


def _bar(left: float, wide: float, high: float, low: bool) -> Html:
    place = {"x": left, "y": _HIGH - high, "width": wide, "height": high}
    return element("rect", class_="low" if low else "high", **{key: f"{value:.1f}" for key, value in place.items()})


def _mark(x: float, value: float, anchor: str) -> Html:
    return element("text", float(value), x=f"{x:.1f}", y=_HIGH + 26, text_anchor=anchor)


def _edges(low: float, high: float, marked: float | None) -> np.ndarray:
    """Ends of bars of one width, of which one is at the mark where it lies within."""
    step = (high - low) / _BARS or 1.0
    if marked is None or not low < marked < high:
        return low + step * np.arange(_BARS + 1)
    below, above = int(np.ceil((marked - low) / step)), int(np.ceil((high - marked) / step))
    return marked + step * np.arange(-below, above + 1)
