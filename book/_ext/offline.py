"""What makes the site work without a network.

MathJax is served from the site itself: one file, the complete TeX-to-SVG component, is copied from the installed
package sphinx-mathjax-offline. The scripts of thebe, which would run cells on a remote server and which Jupyter Book
puts into every page (twice, which a browser reports as an error), are left out.
"""

import shutil
from importlib.metadata import distribution
from pathlib import Path


def copy_mathjax(app, failure):
    name = app.config.mathjax_path
    if failure is None and app.builder.format == "html":
        static = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")
        shutil.copyfile(Path(static) / name, Path(app.outdir) / "_static" / name)


def drop_thebe(app, pagename, templatename, context, doctree):
    def of_thebe(script):
        return "thebe" in str(script.filename or "") + script.attributes.get("body", "")

    context["script_files"] = [script for script in context["script_files"] if not of_thebe(script)]


def setup(app):
    app.connect("build-finished", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True}
