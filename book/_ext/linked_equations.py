"""In the entries of the reference, "Eq. 8" leads to where the book derives or states that equation of the paper."""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

_NUMBER = re.compile(r"Eq\. (\d+)")


class LinkEquations(SphinxPostTransform):
    """Before other references are resolved; a number that the book has no equation of, as of an appendix, stays."""

    default_priority = 5

    def run(self):
        entries = list(self.document.findall(addnodes.desc_content))
        paragraphs = dict.fromkeys(each for entry in entries for each in entry.findall(nodes.paragraph))
        for text in [each for paragraph in paragraphs for each in paragraph.findall(nodes.Text)]:
            if _NUMBER.search(text) and isinstance(text.parent, nodes.paragraph):
                text.parent.replace(text, list(self.pieces(text)))

    def pieces(self, text: nodes.Text):
        """The text, its numbers as links."""
        labels = self.env.get_domain("std").anonlabels
        before = 0
        for match in _NUMBER.finditer(text):
            if target := labels.get(f"eq-{match[1]}"):
                yield nodes.Text(text[before : match.start()])
                yield make_refnode(self.app.builder, self.env.docname, *target, nodes.Text(match[0]))
                before = match.end()
        yield nodes.Text(text[before:])


def setup(app):
    app.add_post_transform(LinkEquations)
    return {"parallel_read_safe": True}
