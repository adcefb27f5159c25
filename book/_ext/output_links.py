"""Links to notebooks in what cells print: MyST-NB leaves them as they are, and the site has pages in their place."""

from pathlib import PurePosixPath

from docutils import nodes


def lead_to_pages(app, doctree, docname):
    for link in doctree.findall(nodes.reference):
        path, mark, part = link.get("refuri", "").partition("#")
        name = str(PurePosixPath(docname).parent / path.removesuffix(".ipynb"))
        if path.endswith(".ipynb") and name in app.env.found_docs:
            link["refuri"] = app.builder.get_relative_uri(docname, name) + mark + part


def setup(app):
    app.connect("doctree-resolved", lead_to_pages)
    return {"parallel_read_safe": True}
