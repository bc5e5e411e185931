"""Where code in the text of a page may be cut at the end of a line: at its own joints, where columns are narrow.

`jaxgmm.fit_many` is offered a cut after the dot and after the underscore. `custom.css` says where cuts are taken.
"""

import re

from docutils import nodes
from sphinx.writers.html5 import HTML5Translator

JOINT = re.compile(  # three letters stand on both sides: neither n_init nor k=3 is cut
    r"(?:(?<=[\w)\]]{3})|(?<=[)\]]))[._=,/]+(?=[\w\[(]{3}|\"|'|&(?:quot|#39|#x27);)"
    r"|(?<=[a-z]{2})(?=[A-Z][a-z]{2})"
    r"|(?<=\w{2})[(\[]+(?=[\w.]{4}|\"|'|&(?:quot|#39|#x27);)"
)
TAG = re.compile(r"(<[^>]*>)")


def with_cuts(markup):
    """The markup with <wbr> at the joints of its words."""
    pieces = TAG.split(markup)
    return "".join(p if i % 2 else JOINT.sub(r"\g<0><wbr>", p) for i, p in enumerate(pieces))


def visit(translator, node):
    node["begins"] = len(translator.body)
    HTML5Translator.visit_literal(translator, node)


def depart(translator, node):
    HTML5Translator.depart_literal(translator, node)
    begins = node["begins"]
    translator.body[begins:] = [with_cuts("".join(translator.body[begins:]))]


def setup(app):
    app.add_node(nodes.literal, override=True, html=(visit, depart))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
