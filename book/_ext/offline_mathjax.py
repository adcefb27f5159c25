"""Serve MathJax from the site itself, so that formulas need no network.

One file, the complete TeX-to-SVG component, is copied from the installed package sphinx-mathjax-offline.
"""

import shutil
from importlib.metadata import distribution
from pathlib import Path


def copy_mathjax(app, failure):
    name = app.config.mathjax_path
    if failure is None and app.builder.format == "html":
        static = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")
        shutil.copyfile(Path(static) / name, Path(app.outdir) / "_static" / name)


def setup(app):
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True}
