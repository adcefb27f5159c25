"""The built site: no broken link, and every figure has a picture, a number, a caption and alt text.

`make book` runs this after the build; without a built site there is nothing to look at.
"""

import html
import re
from base64 import b64decode
from functools import cache
from html.parser import HTMLParser
from io import BytesIO
from urllib.parse import unquote, urlsplit

import pytest
from fontTools.ttLib import TTFont
from site_pages import PAGES, SITE, name


class Page(HTMLParser):
    """Links, anchors and figures of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.figures, self.images, self._figure, self._part = [], set(), [], [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors |= {attributes[name] for name in ("id", "name") if name in attributes}
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]
        if tag == "figure":
            self._figure = {"id": attributes.get("id"), "number": "", "caption": "", "alt": None, "src": None}
            self.figures.append(self._figure)
        elif tag == "img":
            self.images.append(attributes)
            if self._figure is not None:
                self._figure |= {"alt": attributes.get("alt"), "src": attributes.get("src")}
        elif self._figure is None or tag != "span":
            return
        elif "caption-number" in attributes.get("class", ""):
            self._part = "number"
        elif "caption-text" in attributes.get("class", ""):
            self._part = "caption"

    def handle_endtag(self, tag):
        if tag == "figure":
            self._figure = self._part = None

    def handle_data(self, data):
        if self._figure is not None and self._part:
            self._figure[self._part] += data


@cache
def read(path):
    return Page(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    broken = []
    for link in read(page).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        whole = target.exists()
        if whole and parts.fragment and target.suffix == ".html":
            whole = unquote(parts.fragment) in read(target).anchors
        if not whole:
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_figure_has_picture_number_caption_and_alt_text(page):
    for figure in read(page).figures:
        assert figure["number"].strip().startswith("Fig. "), figure
        assert len(figure["caption"]) > 60, figure
        assert len(figure["alt"] or "") > 40, figure
        assert (page.parent / figure["src"]).stat().st_size > 2000, figure
    assert all(image.get("alt") for image in read(page).images), "an image without alt text"


def test_most_pages_have_formulas_and_figures_and_all_lead_on():
    pages = [page for page in PAGES if page.parent.name == "notebooks"]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    assert sum(len(read(page).figures) for page in pages) >= len(pages) >= 30
    assert sum('class="math notranslate' in text for text in texts) >= 0.9 * len(pages)
    assert sum(len(read(page).images) > 0 for page in pages) >= 0.9 * len(pages)
    assert all('class="left-prev"' in text and 'class="right-next"' in text for text in texts)


def test_formulas_need_no_network():
    """MathJax comes from the site itself, and no page asks another host for a script or a style."""
    for page in PAGES:
        remote = [link for link in read(page).links if urlsplit(link).netloc and link.endswith((".js", ".css"))]
        assert remote == [], page
    assert {file.name for file in (SITE / "_static" / "mathjax").rglob("*.js")} >= {"startup.js", "core.js", "svg.js"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_is_light(page):
    """A page with its figures and its data is below 0.7 MB; scripts and styles of the theme are shared by all pages."""
    own = {page} | {
        (page.parent / link).resolve() for link in read(page).links if re.search("_images|/explorer/|/front/", link)
    }
    assert sum(file.stat().st_size for file in own) < 700_000


def test_icons_have_their_outlines():
    """The font of icons is cut down to what the styles name (book/_ext/slim.py)."""
    styles = "".join(file.read_text(encoding="utf-8") for file in (SITE / "_static").rglob("*.css"))
    fonts = [TTFont(BytesIO(b64decode(data))) for data in re.findall(r"data:font/woff;base64,([^)]+)", styles)]
    drawn = set().union(*(font.getBestCmap() for font in fonts))
    named = {int(code, 16) for code in re.findall(r'content:"\\(f[0-9a-f]{3})"', styles)}
    named |= {ord(letter) for letter in re.findall("[\ue000-\uf8ff]", styles)}
    assert len(fonts) == 3 and {0xF0C9, 0xF0F3} <= named <= drawn


def described(page):
    """Title and description of a page, as a search engine reads them."""
    text = page.read_text(encoding="utf-8")
    found = re.search('<meta name="description" content="([^"]*)"', text)
    return re.search("<title>(.*?)</title>", text, re.DOTALL)[1], found and found[1]


def test_every_page_has_a_description_of_its_own():
    written = [page for page in PAGES if page.parent != SITE]
    found = {name(page): described(page) for page in written}
    assert all(about and 40 <= len(html.unescape(about)) <= 200 for _, about in found.values()), found
    assert len({title for title, _ in found.values()}) == len(written)
    assert found["book/index.html"][0] == "Influence functions of wide networks"
