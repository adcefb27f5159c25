"""What a search engine and a link that is passed on show of a page: its title, its first words, and a picture."""

import html
import textwrap

from docutils import nodes

LENGTH = 200  # letters that a search engine shows


def beginning(doctree):
    """The first paragraph of a page that is a sentence, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if "run-time" not in paragraph["classes"] and len(text) > 40:
            return textwrap.shorten(text, LENGTH, placeholder=" ...")
    return ""


def tag(name, content):
    key = "property" if name.startswith("og:") else "name"
    return f'<meta {key}="{name}" content="{html.escape(content)}" />\n'


def describe(app, pagename, templatename, context, doctree):
    if doctree is None:
        return
    title, about = nodes.Text(next(doctree.findall(nodes.title)).astext()), beginning(doctree)
    found = {"description": about, "og:title": title, "og:description": about, "og:type": "article"}
    found["og:site_name"] = app.config.html_title
    if base := app.config.html_baseurl:  # an address of a picture must be whole
        found |= {"og:url": f"{base.rstrip('/')}/{pagename}.html"}
        found |= {"og:image": f"{base.rstrip('/')}/_static/front/preview.png", "twitter:card": "summary_large_image"}
    context["metatags"] += "".join(tag(name, str(content)) for name, content in found.items() if content)
    if pagename == app.config.root_doc:  # whose title is that of the site
        context["docstitle"] = ""


def setup(app):
    app.connect("html-page-context", describe, priority=900)
    return {"parallel_read_safe": True}
