"""Sphinx: every code cell of every page runs when the pages are built, and a warning is an error.

pip install -e '.[docs]'
sphinx-build -W --keep-going -b html docs docs/_build/html
"""

import os
import sys
from pathlib import Path

from myst_nb.core import render

import jaxgmm

HERE = Path(__file__).parent

project = "jaxgmm"
author = "the jaxgmm developers"
project_copyright = author
version = release = jaxgmm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "jupyter_execute"]
suppress_warnings = ["config.cache"]

html_theme = "sphinx_book_theme"
html_title = "jaxgmm"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True}

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False  # else parameters described together would each repeat the description
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"

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


def whole_streams(outputs, merge=render.coalesce_streams):
    """What a cell printed, as it was printed: myst-nb 1.4 takes the pieces in which a stream arrives for lines."""
    joined = []
    for output in outputs or []:
        last = joined[-1] if joined else {}
        if output["output_type"] == last.get("output_type") == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            joined.append(output)
    return merge(joined)


render.coalesce_streams = whole_streams
