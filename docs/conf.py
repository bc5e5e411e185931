"""Sphinx: every code cell of every page runs when the pages are built, and a warning is an error.

pip install -e '.[docs]'
sphinx-build -W --keep-going -b html docs docs/_build/html
sphinx-build -W --keep-going -D nb_execution_mode=off -b html docs docs/_build/html         in a minute, no cell runs
"""

import os
import sys
import tempfile
import tomllib
from pathlib import Path

from myst_nb.core import render
from myst_nb.core.execute.base import NotebookClientBase
from sphinx.util import logging

import jaxgmm

HERE = Path(__file__).parent
REPOSITORY = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
sys.path.insert(0, str(HERE / "extensions"))

project = "jaxgmm"
author = "the jaxgmm developers"
project_copyright = author
version = release = jaxgmm.__version__

extensions = [
    "myst_nb",
    "breaks",
    "formulas",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "jupyter_execute", "inventories"]
suppress_warnings = ["config.cache"]

html_theme = "sphinx_book_theme"
html_title = "jaxgmm"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # one field for the search: the one above the menu
    "repository_url": REPOSITORY,
    "use_repository_button": True,
}
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_math_renderer = "svg"
smartquotes_action = "D"  # dashes; what stands in quotes is mostly code

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False  # else parameters described together would each repeat the description
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # docstrings give shapes, and `ArrayLike` is a line of its own in a signature
autosummary_generate = False  # the pages of functions are written by hand: docs/api/
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

# Names of other libraries that the pages link to, kept here as lists of names: a build needs no network.
intersphinx_mapping = {
    name: (address, f"inventories/{name}.txt")
    for name, address in {
        "jax": "https://docs.jax.dev/en/latest/",
        "numpy": "https://numpy.org/doc/stable/",
        "optax": "https://optax.readthedocs.io/en/latest/",
        "scikit-learn": "https://scikit-learn.org/stable/",
    }.items()
}

# -- cells ----------------------------------------------------------------------------------------------------------

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True
nb_merge_streams = True
nb_output_stderr = "warn"  # a warning of a cell is a warning of the build

# What the kernels of the cells inherit: the command line of this environment, and programs compiled once for all pages.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ["PYTHONWARNINGS"] = "default"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(HERE / "_build" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")


PLACES = {tempfile.gettempdir(), str(Path.home()), str(HERE.parent)} - {"/"}  # of nobody but this machine


def whole_streams(outputs, merge=render.coalesce_streams):
    """What a cell printed, as it was printed: myst-nb 1.4 takes the pieces in which a stream arrives for lines."""
    joined = []
    for output in outputs or []:
        if named := [place for place in PLACES if f"{place}/" in str(output)]:
            logging.getLogger(__name__).warning("a cell prints a folder of this machine: %s in %s", named, output)
        last = joined[-1] if joined else {}
        if output["output_type"] == last.get("output_type") == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            joined.append(output)
    return merge(joined)


render.coalesce_streams = whole_streams
NotebookClientBase.nb_source_code_lexer = lambda self: "ipython3"  # else cells that did not run have no colours


def with_menu(app, docname, source):
    """The front page with the menu of all pages below it: as it lies here it is plain Markdown."""
    if docname == "index":
        source[0] += (HERE / "menu.txt").read_text()


def setup(app):
    app.connect("source-read", with_menu)
