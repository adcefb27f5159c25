"""What makes the site work without a network, and MathJax light enough for a telephone.

MathJax is served from the site itself: its parts that the book needs are copied from the installed package
sphinx-mathjax-offline, the outlines of letters without those that no formula has. A letter without its outline would be
blank, and tests/site says so. The scripts of thebe, which would run cells on a remote server
and which Jupyter Book puts into every page (twice, which a browser reports as an error), are left out; and MathJax
where a page has no formula (Sphinx loads it on the front page for those of all others).
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
#: Alphabets that the book has, where "normal" holds bold and italic letters too; of script, Fraktur, sans serif and
#: typewriter no formula makes use, nor of bold and italic text.
ALPHABETS = {"normal", "largeop", "smallop", "texCalligraphic"}
ALPHABETS |= {"texSize3", "texSize4", "texVariant"}
SYMBOLS = "±×÷·¬¯°′″‖†…⋯⋮ℓℝℎ←→↔⇒⇔↦∀∂∃∅∇∈∉∏∑−∓∖∗∘√∝∞∣∥∧∨∩∪∫∼≃≈≠≡≤≥≪≫⊂⊆⊙⊤⊥⋅⌈⌉⌊⌋⟨⟩𝔼𝕀ΓΔΘΛΞΠΣΦΨΩ\u0338\u20d7\u2061\u00a0"
SYMBOLS += "𝜶𝜷𝜸𝜹𝜽𝝀𝝁𝝈𝟎𝟏"
RANGES = [(0x20, 0x7E), (0x1D400, 0x1D467), (0x1D6FC, 0x1D71B), (0xE150, 0xE156)]  # the last: pieces of tall brackets
KEPT = {ord(symbol) for symbol in SYMBOLS} | {code for low, high in RANGES for code in range(low, high + 1)}


def without_unused(letters):
    """MathJax's outlines, {alphabet: {code: path}} in a script, without other letters, and of other alphabets none.

    Before the outlines stand the sizes of the letters, {code: [height, depth, width, ...]} for each alphabet.
    """

    def kept(outline):
        return outline[0] if int(outline[1]) in KEPT else ""

    pieces = re.split(r"(T\.\w+=\(0,H\.AddPaths\))", letters)
    for i in range(1, len(pieces), 2):
        name = pieces[i][2:].partition("=")[0]
        if name in ALPHABETS:
            pieces[i + 1] = re.sub(r'(\d+):"-?\d[^"]{10,}",?', kept, pieces[i + 1])
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
    target.write_text(without_unused((source / LETTERS).read_text(encoding="utf-8")), encoding="utf-8")


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
