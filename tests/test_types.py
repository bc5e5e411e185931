"""Type checkers see what functions return, and accept the documentation's code: mypy, of the extra ``test``."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import jaxgmm

api = pytest.importorskip("mypy.api")
HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
CONFIG = """
[mypy]
strict = True
follow_imports = silent
scripts_are_modules = True
disable_error_code = import-untyped
[mypy-pages.*]
disallow_untyped_defs = False
disallow_incomplete_defs = False
disallow_untyped_calls = False
allow_redefinition = True
"""


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """What mypy has against files, by their names: one run, because most of it is reading JAX."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "user.py").write_text((HERE / "programs" / "typed.py").read_text())
    (folder / "mistaken.py").write_text(textwrap.dedent(MISTAKEN))
    (folder / "pages").mkdir()
    for page in DOCS.glob("*.md"):
        (folder / "pages" / f"{page.stem}.py").write_text(code_of(page))
    (folder / "pages" / "__init__.py").write_text("")
    (folder / "mypy.ini").write_text(CONFIG)
    cache = Path(os.environ.get("MYPY_CACHE_DIR", Path.home() / ".cache" / "jaxgmm-tests" / "mypy"))
    files = sorted(map(str, folder.rglob("*.py")))
    options = ["--config-file", str(folder / "mypy.ini"), "--python-executable", sys.executable]
    said, broken, _ = api.run([*options, "--cache-dir", str(cache), *files])
    assert not broken, broken
    out = {}
    for line in said.splitlines():
        found = re.match(r"(?:.*/)?(\w+)\.py:(\d+): error: (.*)", line)
        if found:
            out.setdefault(found[1], []).append((int(found[2]), found[3]))
    return out


def code_of(page: Path) -> str:
    """The Python of a page; a cell's options and what only notebooks understand are left out."""
    cells = re.findall(r"```\{code-cell\} ipython3\n(.*?)```", page.read_text(), re.DOTALL)
    code = "\n".join(cell for cell in cells if not cell.lstrip().startswith("%%"))
    return re.sub(r"(?m)^(:[a-z]+:.*|%.*)$|;$", "", code)


MISTAKEN = """
    import jaxgmm
    jaxgmm.fit(0, [[0.0]], n_componentz=2)
    jaxgmm.fit(0, [[0.0]], 2).mixtures
    jaxgmm.predict("mixture", [[0.0]])
    jaxgmm.no_such_name
    jaxgmm.select(0, [[0.0]], [1], criterion=3)
"""


def test_the_types_of_users_code_are_what_they_are(errors):
    assert errors.get("user", []) == []


def test_mistakes_are_seen(errors):
    assert [line for line, _ in errors["mistaken"]] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("page", sorted(page.stem for page in DOCS.glob("*.md")))
def test_the_code_of_the_pages_is_accepted(page, errors):
    # Not ours: attributes that JAX declares at run time, scripts of examples/, a name that a page defines anew, and a
    # dict of mixed options, of which mypy only knows that it holds objects.
    others = "jax_enable_x64", "import-not-found", "no-redef", 'object"', "object]"
    found = errors.get(page, [])
    assert [error for error in found if not any(word in error[1] for word in others)] == []


def test_the_package_says_that_it_is_typed():
    assert (Path(jaxgmm.__file__).parent / "py.typed").exists()


def test_users_code_runs_too(tmp_path):
    program = (HERE / "programs" / "typed.py").read_text()
    script = "import matplotlib; matplotlib.use('Agg')\n" + program
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=300, cwd=tmp_path)
