"""Formulas as SVG, drawn when the pages are built: no network, script or font of the reader's is needed.

The TeX of a formula is its label, which screen readers speak.
"""

import html
import re
from functools import cache

import ziamath
from docutils.nodes import SkipNode, Text, math

SIZE = 17.5  # px, beside text of 16

ziamath.config.precision = 2  # digits of a pixel
ziamath.config.svg2 = False  # outlines in place: names of glyphs would clash between the formulas of a page


@cache
def drawn(tex, inline):
    """The formula as an <svg> in the colour of the text, on its line."""
    formula = ziamath.Latex(tex, size=SIZE, color="currentColor", inline=inline)
    label = f'role="img" aria-label="{html.escape(tex)}"'
    placed = f'style="vertical-align: {formula.getyofst():.2f}px"' if inline else ""
    svg = formula.svg().replace('fill="black"', 'fill="currentColor"')  # of bars over letters
    return svg.replace("<svg ", f"<svg {label} {placed} ", 1)


def touching(app, doctree, docname):
    """What touches a formula goes with it: no line ends between a bracket and a formula, or a formula and a comma."""
    if app.builder.format != "html":
        return
    for node in list(doctree.findall(math)):
        place, around = node.parent.index(node), node.parent
        for name, at, pattern in (("before", place - 1, r"[(\[]+$"), ("after", place + 1, r"^[.,;:!?)\]]+")):
            text = around[at] if 0 <= at < len(around) else None
            found = re.search(pattern, text) if isinstance(text, Text) else None
            node[name] = found[0] if found else ""
            if found:
                around.replace(text, Text(re.sub(pattern, "", text)))


def inline(translator, node):
    before, after = node.get("before", ""), node.get("after", "")
    formula = before + drawn(node.astext(), True) + after
    translator.body.append(f'<span class="formula">{formula}</span>' if before or after else formula)
    raise SkipNode


def display(translator, node):
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(drawn(node.astext(), False) + "</div>\n")
    raise SkipNode


def setup(app):
    app.connect("doctree-resolved", touching)
    app.add_html_math_renderer("svg", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
