"""Names of the package in running text, such as `ntk_influence` or `RidgeFit.loo_predict`, lead to their entries."""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

ALONE = {"function", "class", "exception", "data"}  # are named alone; a method is named with its class
_REFERENCE = "book/api"
_NAME = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)(\(.*\))?", re.DOTALL)
_IMPORT = re.compile(r"^from ntkif[\w.]* import (\([^)]*\)|.*)", re.MULTILINE)


def entries(objects: dict) -> dict[str, set]:
    """By each name that an entry may be called by, with as many of its modules as one likes: what may be meant.

    Args:
        objects: of the domain of Python, by full name.
    """
    found = {}
    for name, entry in objects.items():
        parts = name.split(".")
        for start in range(len(parts) if entry.objtype in ALONE else len(parts) - 1):
            found.setdefault(".".join(parts[start:]), set()).add((entry.docname, entry.node_id))
    return found


def is_word(name: str) -> bool:
    """Whether it may be meant otherwise, as `train` and `share`."""
    return name.islower() and not re.search("[_.]", name)


class LinkNames(SphinxPostTransform):
    """Where all entries are known, and before other references are resolved."""

    default_priority = 5

    def run(self):
        known = entries(self.env.get_domain("py").objects)
        code = "\n".join(block.astext() for block in self.document.findall(nodes.literal_block))
        imported = set(re.findall(r"\w+", " ".join(_IMPORT.findall(code))))
        for literal in list(self.document.findall(nodes.literal)):
            match = _NAME.fullmatch(literal.astext())
            if match and self.is_sure(*match.groups(), imported) and not is_elsewhere(literal):
                self.link(literal, match[1], known.get(match[1], set()))

    def is_sure(self, name: str, call: str | None, imported: set[str]) -> bool:
        return not is_word(name) or bool(call) or name in imported or self.env.docname.startswith(_REFERENCE)

    def link(self, literal: nodes.literal, name: str, targets: set):
        if len(targets) == 1 and not is_own(literal, name, *targets):
            shown = make_refnode(self.app.builder, self.env.docname, *min(targets), literal.deepcopy())
            literal.replace_self(shown)


def is_elsewhere(literal: nodes.literal) -> bool:
    """Whether it is in a link already, or in a heading."""
    kinds = nodes.reference | addnodes.pending_xref | addnodes.desc_signature | nodes.title
    return any(isinstance(each, kinds) for each in _around(literal))


def is_own(literal: nodes.literal, name: str, target: tuple[str, str]) -> bool:
    """Whether it is in its own entry, or is a parameter of the entry that it is in."""
    signatures = [each[0] for each in _around(literal) if isinstance(each, addnodes.desc)]
    parameters = {
        part.astext().lstrip("*").partition(":")[0].partition("=")[0]
        for signature in signatures
        for part in signature.findall(addnodes.desc_parameter)
    }
    return name in parameters or any(target[1] in signature["ids"] for signature in signatures)


def _around(node: nodes.Node) -> Iterator[nodes.Node]:
    while node := node.parent:
        yield node


def setup(app):
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True}
