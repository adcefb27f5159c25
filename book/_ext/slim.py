"""What a page loads and does not use is left out: rules of the theme's styles, and its 1.5 MB script of icons.

A rule of a style is kept if each class that it asks for occurs in some page or script. Icons are letters of a font,
which is cut down to those that the rules name and lies in the style itself; so it also works where a browser reads no
font from another folder, as Firefox does not for files.
"""

import base64
import io
import re
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

ICONS = "fontawesome.js"
SCRIPT = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
COMMENT, LICENSE = re.compile(r"/\*.*?\*/", re.DOTALL), re.compile(r"/\*!.*?\*/", re.DOTALL)
CLASS, NOT = re.compile(r"\.(-?[A-Za-z_][\w-]*)"), re.compile(r":not\([^)]*\)")
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
FONT = re.compile(r"url\([./]*/vendor/fontawesome/webfonts/([\w-]+)\.woff2\)[^,}]*,url\([^)]*\) format\([^)]*\)")
UNUSED = ("scripts/fontawesome.js*", "*/*.map", "vendor/fontawesome/webfonts/*", "sphinx-thebe.js")


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


def read(files):
    return {file: file.read_text(encoding="utf-8") for file in files}


def slim(app, failure):
    if failure is not None or app.builder.format != "html":
        return
    static, pages = Path(app.outdir) / "_static", read(Path(app.outdir).rglob("*.html"))
    scripts = read(file for file in static.rglob("*.js") if "mathjax" not in file.parts and file.name != ICONS)
    known = words([*pages.values(), *scripts.values()])
    styles = {file: used(style, known) for file, style in read(static.rglob("*.css")).items()}
    letters = icons(styles.values())
    fonts = static / "vendor" / "fontawesome" / "webfonts"
    for file, style in styles.items():
        file.write_text(FONT.sub(lambda match: font(fonts / f"{match[1]}.ttf", letters), style), encoding="utf-8")
    for page, text in pages.items():
        page.write_text(SCRIPT.sub("", text), encoding="utf-8")
    for file in [file for pattern in UNUSED for file in static.glob(pattern)]:
        file.unlink(missing_ok=True)


def setup(app):
    app.connect("build-finished", slim, priority=900)
    return {"parallel_read_safe": True}
