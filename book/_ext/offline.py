"""What makes the site work without a network, and MathJax light enough for a telephone.

MathJax is served from the site itself: its parts that the book needs are copied from the installed package
sphinx-mathjax-offline, the outlines of letters without those that no formula has: letters are looked for in the pages,
symbols are listed here. One without its outline would be blank, and tests/site says so. The scripts of thebe, which
would run cells on a remote server and which Jupyter Book puts into every page (twice, which a browser reports as an
error), are left out; and MathJax where a page has no formula (Sphinx loads it on the front page for those of all
others).
"""

import re
import shutil
from importlib.metadata import distribution
from pathlib import Path

from docutils import nodes

LETTERS = "output/svg/fonts/tex.js"
PACKAGES = ["ams", "newcommand", "boldsymbol", "noundefined"]
PARTS = ["core", "input/tex-base", *(f"[tex]/{name}" for name in PACKAGES), "output/svg", "a11y/assistive-mml"]
CONFIG = {
    "loader": {"load": PARTS},
    "tex": {"packages": {"[+]": PACKAGES}},
    "options": {"processHtmlClass": "tex2jax_process|mathjax_process|math|output_area"},
}
#: Symbols and digits that the book has, by MathJax's alphabets; "normal" has bold and italic letters too, and what the
#: others take from it: of the prime and the tall bar they have sizes alone.
SYMBOLS = {
    "normal": " ()+,./0123456789:;<=>[]^{|}\u00a0±×Δ\u03a6Ω‖′∣\u2061ℎℓℝ←→∇∈−∖√∞∼≈≠≤≥≪≫⊤⋅⟨⟩𝔼𝕀𝜷𝜹𝜽",
    "largeop": "∑√∫()[]",
    "smallop": "∑√()[]",
    "texCalligraphic": "",
    "texSize3": "√()[]",
    "texSize4": "∣()[]\ue150\ue151\ue152\ue153\ue154",
    "texVariant": "′",
}
ITALIC = set(range(0x1D434, 0x1D468)) | set(range(0x1D6FC, 0x1D71C))
#: Commands whose letters are upright, bold or calligraphic, and functions, whose names are upright.
STYLED = re.compile(  # one within another is found too
    r"\\(?=(mathrm|text|operatorname|mathbf|boldsymbol|mathcal)\b\*?\s*(\{(?:[^{}]|\{[^{}]*\})*\}|\w))"
)
FUNCTION = re.compile(r"\\(arg|cos|det|dim|exp|inf|ker|lim|ln|log|max|min|Pr|sin|sup|tan|tanh)\b")


def letters_of(pages):
    """Numbers of the letters that formulas in some text need, by alphabet."""
    kept = {alphabet: {ord(symbol) for symbol in symbols} for alphabet, symbols in SYMBOLS.items()}
    kept["normal"] |= ITALIC
    for command, argument in STYLED.findall(pages):
        letters = {ord(each) for each in re.sub(r"\\[A-Za-z]+", "", argument) if each.isascii() and each.isalnum()}
        if command == "mathcal":
            kept["texCalligraphic"] |= letters
        else:
            kept["normal"] |= set(map(bold, letters)) if command in ("mathbf", "boldsymbol") else letters
    kept["normal"] |= {ord(each) for name in FUNCTION.findall(pages) for each in name}
    return kept


def bold(letter):
    """The number of the bold letter or digit."""
    base, first = (0x1D7CE, "0") if letter < ord("A") else (0x1D400, "A") if letter < ord("a") else (0x1D41A, "a")
    return base + letter - ord(first)


def some(outlines, letters):
    """The outlines of these letters, {code: path} in a script."""
    return re.sub(r'(\d+):"-?\d[^"]{10,}",?', lambda each: each[0] if int(each[1]) in letters else "", outlines)


def without_unused(outlines, kept):
    """MathJax's outlines, {alphabet: {code: path}} in a script, without those of other letters than are kept.

    Before the outlines stand the sizes of the letters, {code: [height, depth, width, ...]} for each alphabet; those of
    an alphabet without a letter go too.
    """
    pieces = re.split(r"(T\.\w+=\(0,H\.AddPaths\))", outlines)
    for i in range(1, len(pieces), 2):
        name = pieces[i][2:].partition("=")[0]
        if letters := kept.get(name):
            pieces[i + 1] = some(pieces[i + 1], letters)
        else:
            pieces[i + 1] = re.sub(r"^\((V\.\w+),\{[^{}]*\},\{[^{}]*\}", r"(\1,{},{}", pieces[i + 1])
            pieces[0] = re.sub(rf"T\.{name}=\{{(\d+:\[[^\]]*\],?)+\}}", f"T.{name}={{}}", pieces[0])
    return "".join(pieces)


def copy_mathjax(app, failure):
    if failure is not None or app.builder.format != "html":
        return
    source = Path(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax"))
    for part in ("startup", *PARTS):
        name = part.replace("[tex]", "input/tex/extensions") + ".js"
        target = Path(app.outdir) / "_static" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
    target = Path(app.outdir) / "_static" / "mathjax" / LETTERS
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = letters_of("".join(page.read_text(encoding="utf-8") for page in Path(app.outdir).rglob("*.html")))
    target.write_text(without_unused((source / LETTERS).read_text(encoding="utf-8"), kept), encoding="utf-8")


def configure(app, config):
    config.mathjax_path, config.mathjax3_config = "mathjax/startup.js", CONFIG


def drop_scripts(app, pagename, templatename, context, doctree):
    def unused(script):
        name = str(script.filename or "")
        formulas = doctree is not None and any(
            doctree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block))
        )
        return "thebe" in name + script.attributes.get("body", "") or ("mathjax" in name and not formulas)

    context["script_files"] = [script for script in context["script_files"] if not unused(script)]


def setup(app):
    app.connect("config-inited", configure, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("html-page-context", drop_scripts, priority=900)
    return {"parallel_read_safe": True}
