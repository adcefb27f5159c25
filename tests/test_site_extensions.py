"""What `book/_ext` leaves out of the site and says of its pages: offline.py, slim.py and meta.py, on small things."""

import base64
import importlib.util
import io
import re
from importlib.metadata import distribution
from types import SimpleNamespace

import numpy as np
import pytest
from docutils import nodes
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw

from ntkif.provenance import ROOT


def extension(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


offline, slim, meta = (extension(name) for name in ("offline", "slim", "meta"))
OUTLINES = (
    "T.fraktur=void 0,T.fraktur={65:[.6,.1,.7,{sk:.03}],66:[.6,0,.7]};T.normal={65:[.7,0,.7]};"
    'T.normal=(0,H.AddPaths)(V.normal,{65:"1 2Q3 4 5 6T7 8",8704:"1 2Q3 4 5 6",64256:"1 2Q3 4 5 6"},{160:" "});'
    'T.fraktur=(0,H.AddPaths)(V.fraktur,{65:"9 9Q3 4 5 6T7 8"},{8260:"/"})'
)


def test_outlines_of_other_letters_and_alphabets_are_left_out():
    left = offline.without_unused(OUTLINES, {"normal": {65, 8704}, "fraktur": set()})
    assert left == (
        "T.fraktur=void 0,T.fraktur={};T.normal={65:[.7,0,.7]};"
        'T.normal=(0,H.AddPaths)(V.normal,{65:"1 2Q3 4 5 6T7 8",8704:"1 2Q3 4 5 6",},{160:" "});'
        "T.fraktur=(0,H.AddPaths)(V.fraktur,{},{})"
    )


def test_letters_are_those_of_the_formulas():
    plain = offline.letters_of("")
    found = offline.letters_of(
        r"<p>\mathbf{K}^{-1}_{\text{te}} \mathcal L \boldsymbol{b_{0}} \log \mathbf{z_\mathrm{Q}} \alpha"
    )
    new = {alphabet: {chr(code) for code in found[alphabet] - plain[alphabet]} for alphabet in found}
    assert new.pop("texCalligraphic") == {"L"}
    assert new.pop("normal") == set("𝐊𝐛𝟎𝐳𝐐telogQ")
    assert not any(new.values()) and {0x1D44E, 0x1D6FC, ord("+")} <= plain["normal"]


def test_mathjax_has_the_outlines_where_they_are_looked_for():
    folder = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")
    whole = (folder / offline.LETTERS).read_text(encoding="utf-8")
    left = offline.without_unused(whole, offline.letters_of(r"\mathbf{K}"))
    assert len(left) < 0.15 * len(whole)
    assert left.count("AddPaths)") == whole.count("AddPaths)")
    for code, there in {0x1D40A: True, 0x1D40B: False, 0x1D70E: True, ord("∑"): True, ord("≤"): True}.items():
        assert (re.search(rf'[{{,]{code}:"-?\d', left) is not None) == there


FACE = 'url(../vendor/fontawesome/webfonts/fa.woff2) format("woff2"),url(../f.ttf) format("truetype")'
STYLE = (
    "/*! whose, it is .gone */.a,.b{x:1}.gone{x:2}/* .a{ */.gone .a,.b:not(.c,.gone){x:3}.b>i{x:4}"
    f"@media print{{.a{{x:5}}.gone{{x:6}}}}@font-face{{src:{FACE}}}"
)


def test_rules_of_unknown_classes_are_left_out():
    left = slim.used(STYLE, slim.words(["<i class='a b'>", "classList.add('c')"]))
    assert left.startswith("/*! whose, it is .gone */.a,.b{x:1}.b:not(.c,.gone){x:3}.b>i{x:4}")
    assert "@media print{.a{x:5}}" in left and "gone{" not in left and len(slim.FONT.findall(left)) == 1


def test_icons_are_found_as_letters_and_as_numbers():
    assert slim.icons([r'.a:before{content:"\f0c9"}', '--bell:"\uf0f3";x:"\\2713"']) == {0xF0C9, 0xF0F3}


def test_font_keeps_the_letters_asked_for():
    from matplotlib import get_data_path

    address = slim.font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", {0x41, 0x3BB})
    data = base64.b64decode(re.match(r'url\(data:font/woff;base64,([^)]*)\) format\("woff"\)', address)[1])
    assert set(TTFont(io.BytesIO(data)).getBestCmap()) == {0x41, 0x3BB}


@pytest.mark.parametrize("base", ["", "https://host.invalid/book/"])
def test_page_is_described_by_its_first_sentence(base):
    words = "Of the influence & more. " * 20
    run_time = nodes.paragraph("", "Runs in 7 s, on one thread of 2 cores of a processor", classes=["run-time"])
    page = nodes.section("", nodes.title("", "A title"), run_time, nodes.paragraph("", words), ids=["a"])
    config = SimpleNamespace(html_title="The book", html_baseurl=base, root_doc="book/index")
    context = {"metatags": "before\n", "docstitle": "The book"}
    meta.describe(SimpleNamespace(config=config), "notebooks/a", "page.html", context, page)
    about = re.search('<meta name="description" content="([^"]*)" />', context["metatags"])[1]
    assert about.startswith("Of the influence &amp; more. Of") and 150 < len(about.replace("&amp;", "&")) <= 200
    assert context["metatags"].startswith("before\n") and 'property="og:title" content="A title"' in context["metatags"]
    assert context["docstitle"] == "The book" and ("og:image" in context["metatags"]) == bool(base)
    if base:
        assert '"https://host.invalid/book/_static/front/preview.png"' in context["metatags"]


def test_title_of_the_front_page_is_said_once():
    page = nodes.section("", nodes.title("", "The book"), nodes.paragraph("", "x" * 50), ids=["a"])
    config = SimpleNamespace(html_title="The book", html_baseurl="", root_doc="book/index")
    context = {"metatags": "", "docstitle": "The book"}
    meta.describe(SimpleNamespace(config=config), "book/index", "page.html", context, page)
    assert context["docstitle"] == ""


def line_art():
    picture = Image.new("RGBA", (400, 300), "white")
    draw = ImageDraw.Draw(picture)
    for i, color in enumerate(("#0072B2", "#D55E00", "#009E73", "#000000")):
        draw.line([(10, 20 + 60 * i), (390, 60 + 40 * i)], fill=color, width=3)
        draw.ellipse([200, 40 * i, 230, 40 * i + 30], outline=color)
    return picture.resize((800, 600), Image.Resampling.BICUBIC)  # which smooths the edges, as a plot does


def kept(picture, folder):
    """A picture as the site has it, how much of its PNG is left, and what of its points changed to the eye."""
    picture.save(folder / "a.png")
    before = (folder / "a.png").stat().st_size
    slim.lighten(folder / "a.png")
    assert [file.name for file in folder.iterdir()] == ["a.webp"]
    found = Image.open(folder / "a.webp")
    apart = np.abs(np.asarray(found.convert("RGB"), dtype=int) - np.asarray(picture.convert("RGB"))).max(2)
    return found, (folder / "a.webp").stat().st_size / before, apart


def test_a_figure_in_few_colours_looks_the_same_and_is_smaller(tmp_path):
    found, left, apart = kept(line_art(), tmp_path)
    assert left < 0.5 and found.size == line_art().size and len(found.convert("RGB").getcolors()) <= 256
    white = np.asarray(line_art().convert("RGB")).min(2) == 255
    assert white.mean() > 0.5 and apart[white].max() == 0, "the ground of a figure is that of the page"
    assert apart.max() > 0 and (apart > slim.SEEN).mean() <= slim.SHARE


def test_photographs_and_what_is_clear_stay_as_they_are(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    assert kept(Image.fromarray(noise), tmp_path)[2].max() == 0
    (tmp_path / "a.webp").unlink()
    clear = line_art()
    clear.putalpha(100)
    found, _, apart = kept(clear, tmp_path)
    assert apart.max() == 0 and found.getchannel("A").getextrema() == (100, 100)


def test_pages_name_the_pictures_as_they_are_now():
    page = '<a href="../_images/3f-a.b.png"><img src="../_images/3f-a.b.png"></a><img src="../_static/logo.png">'
    assert slim.PICTURE.sub(r"\1.webp", page) == (
        '<a href="../_images/3f-a.b.webp"><img src="../_images/3f-a.b.webp"></a><img src="../_static/logo.png">'
    )
