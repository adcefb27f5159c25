"""Pieces of HTML: escaped, named, and self-contained."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ntkif.report.markup import bars, element, image, table, text, written


def test_all_text_is_escaped_once():
    assert element("p", "<b> & ", element("i", "'x'"), title='"<"') == (
        '<p title="&quot;&lt;&quot;">&lt;b&gt; &amp; <i>&#x27;x&#x27;</i></p>'
    )
    assert text(text("<")) == "&lt;"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-0.123456, "−0.1235"),
        (3, "3"),
        (np.float64(2), "2"),
        ("-1", "-1"),
        (-123456.0, "−123456"),
        (np.float32(10001), "10001"),
        (1e300, "1e+300"),
        (np.nan, "nan"),
        (-np.inf, "−inf"),
    ],
)
def test_fractions_have_four_digits_and_whole_numbers_all(value, shown):
    assert written(value) == shown


def test_a_table_names_its_rows_and_columns():
    made = table("What <it> tells", ["row", "x"], [("first", 0.5), ("second", "b")])
    assert '<caption>What &lt;it&gt; tells</caption><thead><tr><th scope="col">row</th><th scope="col">x</th>' in made
    assert '<tr><th scope="row">first</th><td class="number">0.5</td></tr>' in made
    assert made.startswith('<div class="scroll" role="region" aria-label="What &lt;it&gt; tells" tabindex="0">')


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 3)])
def test_a_picture_is_in_the_page(shape):
    pixels = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    made = image(pixels, 'a "cat"')
    head, _, rest = made.partition("base64,")
    assert head == '<img src="data:image/png;' and rest.endswith(' alt="a &quot;cat&quot;">')
    read = Image.open(io.BytesIO(base64.b64decode(rest.partition('"')[0])))
    assert np.asarray(read).tolist() == pixels.tolist()


def heights(made, kind):
    return [float(part.partition('height="')[2].partition('"')[0]) for part in made.split("<rect ") if kind in part]


def test_bars_are_cut_at_the_mark():
    values = np.r_[np.full(6, -1.0), np.full(3, -0.01), np.full(12, 0.01), np.full(2, 2.0)]
    made = bars(values, "Margins", marked=0.0)
    low, high = heights(made, 'class="low"'), heights(made, 'class="high"')
    assert [each / max(high) for each in low] == pytest.approx([6 / 12, 3 / 12], abs=1e-3)
    assert [each / max(high) for each in high] == pytest.approx([1, 2 / 12], abs=1e-3)
    assert 'role="img" aria-label="Margins; the largest bar stands for 12 rows"' in made


def test_bars_within_given_ends_and_of_equal_values():
    made = bars(np.full(5, 0.999), "Leverage", within=(0, 1))
    assert ">0<" in made and ">1<" in made and len(heights(made, "high")) == 1
    assert len(heights(bars(np.full(5, 3.0), "Equal"), "high")) == 1
    assert heights(bars(np.array([1.0, 2.0]), "Above", marked=0.0), 'class="low"') == []
