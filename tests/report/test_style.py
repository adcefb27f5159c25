"""The looks of the page need nothing from outside, and its colours can be told apart."""

import re

import pytest

from ntkif.report.style import STYLE


def test_nothing_is_fetched_and_all_braces_close():
    assert "http" not in STYLE and "@import" not in STYLE and STYLE.count("{") == STYLE.count("}")
    assert re.findall(r"url\(([^)]*)\)", STYLE) == ["#hatch"]


def luminance(colour):
    full = colour if len(colour) == 6 else "".join(2 * each for each in colour)
    parts = [int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "soft", "blue", "red"])
@pytest.mark.parametrize("ground", ["paper", "card"])
def test_text_stands_out(scheme, ink, ground):
    """Contrast of at least 4.5, as WCAG 2 asks of text."""
    light, _, dark = STYLE.partition("prefers-color-scheme: dark")
    colours = dict(re.findall(r"--(\w+): #([0-9a-f]+)", light if scheme == "light" else dark))
    darker, lighter = sorted((luminance(colours[ink]), luminance(colours[ground])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
