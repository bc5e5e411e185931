"""Formulas as SVG, drawn when the pages are built: no network, script or font of the reader's is needed.

The TeX of a formula is its label, which screen readers speak.
"""

import html
from functools import cache

import ziamath
from docutils.nodes import SkipNode

SIZE = 17.5  # px, beside text of 16

ziamath.config.precision = 2  # digits of a pixel
ziamath.config.svg2 = False  # outlines in place: names of glyphs would clash between the formulas of a page


@cache
def drawn(tex, inline):
    """The formula as an <svg> in the colour of the text, on its line."""
    formula = ziamath.Latex(tex, size=SIZE, color="currentColor", inline=inline)
    label = f'role="img" aria-label="{html.escape(tex)}"'
    placed = f'style="vertical-align: {formula.getyofst():.2f}px"' if inline else ""
    return formula.svg().replace("<svg ", f"<svg {label} {placed} ", 1)


def inline(translator, node):
    translator.body.append(drawn(node.astext(), True))
    raise SkipNode


def display(translator, node):
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(drawn(node.astext(), False) + "</div>\n")
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("svg", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
