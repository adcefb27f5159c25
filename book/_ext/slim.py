"""What a page loads and does not use is left out: rules of the theme's styles, its 1.5 MB script of icons, colours.

A rule of the theme's is kept if each class that it asks for occurs in some page or script. Icons are letters of a font,
which is cut down to those that the rules name and lies in the style itself; so it also works where a browser reads no
font from another folder, as Firefox does not for files. A figure has few colours beside those that smooth its edges:
128 or 256 are enough where hardly a point of it changes to the eye. As WebP without loss it is then a quarter of its
PNG.
"""

import base64
import io
import re
from pathlib import Path

import numpy as np
from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image

ICONS = "fontawesome.js"
SCRIPT = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
PICTURE = re.compile(r"(_images/[\w.-]+)\.png\b")
COMMENT, LICENSE = re.compile(r"/\*.*?\*/", re.DOTALL), re.compile(r"/\*!.*?\*/", re.DOTALL)
CLASS, NOT = re.compile(r"\.(-?[A-Za-z_][\w-]*)"), re.compile(r":not\([^)]*\)")
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
FONT = re.compile(r"url\([./]*/vendor/fontawesome/webfonts/([\w-]+)\.woff2\)[^,}]*,url\([^)]*\) format\([^)]*\)")
UNUSED = ("scripts/fontawesome.js*", "*/*.map", "vendor/fontawesome/webfonts/*", "sphinx-thebe.js")

WHITE = 255  # stays, since a page is white
SEEN, SHARE = 16, 1e-3  # a change of a colour, of 255, that an eye may see; the share of points that may have it


def words(texts):
    """All that could be the name of a class."""
    return set().union(*(re.findall(r"[\w-]+", text) for text in texts))


def used(style, known):
    """A style without the selectors that name an unknown class, and without the rules that have no other.

    Of its comments those stay, at the top, that say whose it is.
    """

    def kept(rule):
        selectors = re.split(r",(?![^(]*\))", rule[1])
        left = [each for each in selectors if set(CLASS.findall(NOT.sub("", each))) <= known]
        return f"{','.join(left)}{{{rule[2]}}}" if left else ""

    return "".join(LICENSE.findall(style)) + RULE.sub(kept, COMMENT.sub("", style))


def icons(styles):
    """Numbers of the letters that stand for icons; a style has them as they are or by their numbers."""
    found = re.findall(r"\\([ef][0-9a-f]{3})\b|([\ue000-\uf8ff])", "".join(styles), re.IGNORECASE)
    return {int(code, 16) if code else ord(letter) for code, letter in found}


def font(file, letters):
    """A font with some letters alone, as an address that holds it."""
    options = subset.Options(flavor="woff", notdef_outline=True)
    cut, whole = subset.Subsetter(options), TTFont(file)
    cut.populate(unicodes=letters)
    cut.subset(whole)
    whole.flavor, stream = "woff", io.BytesIO()
    whole.save(stream)
    return f'url(data:font/woff;base64,{base64.b64encode(stream.getvalue()).decode()}) format("woff")'


def few_colors(picture):
    """A picture in 127 or 255 colours and white; as it is where more than a few points would change, or it is clear."""
    if "A" in picture.mode and picture.getchannel("A").getextrema()[0] < 255:
        return picture
    flat = np.asarray(picture.convert("RGB"))
    white = (flat == WHITE).all(2, keepdims=True)
    for count in (127, 255):
        few = Image.fromarray(flat).quantize(count, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few = np.where(white, np.uint8(WHITE), np.asarray(few.convert("RGB")))
        apart = np.abs(few.astype(np.int16) - flat).max(2)
        if (apart > SEEN).mean() <= SHARE:
            return Image.fromarray(few)
    return Image.fromarray(flat)


def lighten(file):
    """Replace a PNG by the like of it as WebP, of the same name otherwise."""
    with Image.open(file) as picture:
        few_colors(picture).save(file.with_suffix(".webp"), lossless=True)
    file.unlink()


def read(files):
    return {file: file.read_text(encoding="utf-8") for file in files}


def slim(app, failure):
    if failure is not None or app.builder.format != "html":
        return
    static, pages = Path(app.outdir) / "_static", read(Path(app.outdir).rglob("*.html"))
    scripts = read(file for file in static.rglob("*.js") if "mathjax" not in file.parts and file.name != ICONS)
    known = words([*pages.values(), *scripts.values()])
    own = {file.name for file in (Path(app.srcdir) / "book" / "_static").iterdir()}
    styles = {
        file: style if file.name in own else used(style, known) for file, style in read(static.rglob("*.css")).items()
    }
    letters = icons(styles.values())
    fonts = static / "vendor" / "fontawesome" / "webfonts"
    for file, style in styles.items():
        file.write_text(FONT.sub(lambda match: font(fonts / f"{match[1]}.ttf", letters), style), encoding="utf-8")
    for page, text in pages.items():
        page.write_text(PICTURE.sub(r"\1.webp", SCRIPT.sub("", text)), encoding="utf-8")
    for file in [file for pattern in UNUSED for file in static.glob(pattern)]:
        file.unlink(missing_ok=True)
    for file in (Path(app.outdir) / "_images").glob("*.png"):
        lighten(file)


def setup(app):
    app.connect("build-finished", slim, priority=900)
    return {"parallel_read_safe": True}
