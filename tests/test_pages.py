"""What the pages promise a reader: consoles that print what they show, a page a function, code that fits its column.

Needs no Sphinx: the pages are read as text. `tests/test_docs.py` runs the families that they write.
"""

import doctest
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import jaxgmm
import jaxgmm.family
import jaxgmm.plot
from jaxgmm.families import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
API = DOCS / "api"
PAGES = sorted(DOCS.rglob("*.md"))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WIDTH = 88  # `docs/cells.py` formats cells to it, `docs/_static/custom.css` makes room for it
CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.S | re.M)
CONSOLE = re.compile(r"^```pycon\n(.*?)^```$", re.S | re.M)
NEEDS = {"anndata.md": "anndata", "anndata.fit.md": "anndata"}
SLOW = {"rows", "fit_gradient", "fit_stepwise", "plot.selection", "plot.stability", "sklearn.MixtureSearch", "to_ott"}
NOT_SHOWN = {"exponential_family"}  # its example is a page of its own: extending

plt.switch_backend("Agg")


def called(path):
    return str(path.relative_to(DOCS))


def consoles(path):
    """The code at all prompts of a page and what it prints."""
    return "\n".join(CONSOLE.findall(path.read_text()))


@pytest.fixture
def registered():
    """The names of families, as they are now."""
    before = dict(registry._REGISTRY)
    yield
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)


def with_consoles():
    for path in filter(consoles, PAGES):
        yield pytest.param(path, id=called(path), marks=[pytest.mark.long] * (path.parent == API and path.stem in SLOW))


@pytest.mark.parametrize("path", list(with_consoles()))
@pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning")  # OTT imports it
def test_consoles_print_what_they_show(path, registered):
    if path.name in NEEDS:
        pytest.importorskip(NEEDS[path.name])
    test = doctest.DocTestParser().get_doctest(consoles(path), {"__name__": "__main__"}, called(path), str(path), 0)
    said = []
    results = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    plt.close("all")
    assert results.attempted > 0 and results.failed == 0, "".join(said)


def public():
    """Every public name, as its page is called."""
    yield from jaxgmm.__all__
    own = set(jaxgmm.family.__all__) - set(jaxgmm.__all__)
    yield from (f"family.{name}" for name in own)
    yield from (f"plot.{name}" for name in jaxgmm.plot.__all__)
    yield from (f"sklearn.{name}" for name in importlib.import_module("jaxgmm.sklearn").__all__)
    yield from (f"datasets.{name}" for name in ("galaxies", "hasselblad", "iris", "old_faithful"))
    yield from ("anndata.fit", "distributed.initialize")


@pytest.mark.parametrize("name", sorted(public()))
def test_every_public_name_has_a_page_with_an_example(name):
    path = API / f"{name}.md"
    text = path.read_text()
    assert text.startswith(f"# {name}\n")
    assert re.search(rf"^\.\. auto(function|class|exception):: jaxgmm\.{re.escape(name)}$", text, re.M)
    assert (
        ("{doc}`/extending`" in text) if name in NOT_SHOWN else (name.split(".")[-1].lower() in consoles(path).lower())
    )


def test_every_page_of_a_function_is_of_a_public_name():
    assert {path.stem for path in API.glob("*.md")} == set(public())


@pytest.mark.parametrize("name", sorted(public()))
def test_the_first_sentence_of_a_public_name_stands_alone(name):
    module, _, last = f"jaxgmm.{name}".rpartition(".")
    first = inspect.getdoc(getattr(importlib.import_module(module), last)).split("\n\n")[0]
    assert first and ".." not in first, "the reference takes dots for the end of the sentence"


@pytest.mark.parametrize("name", sorted(public()))
def test_a_source_is_a_paragraph(name):
    module, _, last = f"jaxgmm.{name}".rpartition(".")
    text = inspect.getdoc(getattr(importlib.import_module(module), last))
    assert not re.search(r"^Source: .*\n +\S", text, re.M), "an indented line makes it the term of a definition"


def test_the_words_of_a_status_have_no_colon():
    _, words = zip(*re.findall(r"^    ([A-Z_]+) = \d  #: (.*)$", inspect.getsource(jaxgmm.Status), re.M), strict=True)
    assert len(words) == len(jaxgmm.Status) and not [each for each in words if ": " in each], "it would be a type"


def test_modules_can_be_linked_to():
    text = (DOCS / "api.md").read_text()
    blocks = re.findall(r"^```\{eval-rst\}\n(.*?)^```$", text, re.S | re.M)
    modules = [block for block in blocks if ".. py:module::" in block]
    before = re.findall(r"(.*)\n\n```\{eval-rst\}\n\.\. py:module:: jaxgmm\.", text)
    assert len(modules) == 7 and all(line.startswith("## ") for line in before), "else Sphinx loses the place"


def test_the_reference_lists_every_public_name():
    text = (DOCS / "api.md").read_text()
    listed, module = set(), ""
    for line in text.splitlines():
        if found := re.match(r"\.\. py:(?:current)?module:: jaxgmm\.?(\S*)", line):
            module = found[1] + "." * bool(found[1])
        elif found := re.fullmatch(r"   (\w+)", line):
            listed.add(module + found[1])
    assert listed == set(public())


@pytest.mark.parametrize("path", PAGES, ids=called)
def test_code_fits_its_column(path):
    code = [line for cell in CELL.findall(path.read_text()) for line in cell.splitlines()]
    code += [line for line in consoles(path).splitlines() if line.startswith((">>>", "..."))]
    assert not [line for line in code if len(line) > WIDTH], "python docs/cells.py formats pages"


def test_code_of_other_files_fits_the_column_that_shows_it():
    indented = re.findall(r"^    (.*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    python = "".join(re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M))
    _, picture = (DOCS / "old_faithful.py").read_text().split('"""\n', 1)
    for lines in (indented, python.splitlines(), picture.splitlines()):
        assert lines and not [line for line in lines if len(line) > WIDTH]


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda path: path.name)
def test_no_table_has_an_empty_head(path):
    assert not re.search(r"^\|( *\|)+ *\n\|-", path.read_text(), re.M)


def test_code_in_narrow_columns_is_cut_at_its_joints(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    with_cuts = importlib.import_module("breaks").with_cuts
    cuts = {
        "jaxgmm.fit_many": "jaxgmm.|fit_|many",
        "GaussianMixture": "Gaussian|Mixture",
        "CovarianceType=&#39;full&#39;": "Covariance|Type=|&#39;full&#39;",
        "n_init=1": "n_init=1",
        "__iter__": "__iter__",
        "--drop-missing": "--drop-missing",
    }
    for code, cut in cuts.items():
        assert with_cuts(f'<code class="a_long_name">{code}</code>').replace("<wbr>", "|") == (
            f'<code class="a_long_name">{cut}</code>'
        )


@pytest.mark.parametrize("tex", [r"\overline{x^2}", r"\frac{a}{b}", r"\sqrt{x}", r"\hat\theta_k", r"\sum_k \pi_k"])
def test_formulas_have_the_colour_of_the_text(tex, monkeypatch):
    pytest.importorskip("ziamath")
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    drawn = importlib.import_module("formulas").drawn(tex, True)
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawn)) == {"currentColor"}


def test_the_width_is_that_of_the_formatter():
    assert f"WIDTH = {WIDTH} " in (DOCS / "cells.py").read_text()


@pytest.mark.parametrize("cell", CELL.findall((DOCS / "gallery.md").read_text()), ids=lambda cell: cell[-40:].strip())
def test_the_code_of_a_picture_can_be_pasted_anywhere(cell):
    assert "../" not in cell and "open(" not in cell
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F821", "--stdin-filename=cell.py", "-"]
    done = subprocess.run(command, input=cell, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_picture_of_the_gallery_has_a_thumbnail():
    text = (DOCS / "gallery.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.M)
    anchors = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles]
    shown = re.findall(r"^\[!\[\]\(thumbnails/(.*)\.png\)[^\]]*\]\(#(.*)\)$", text, re.M)
    assert shown == [(anchor, anchor) for anchor in anchors]
    sizes = {path.stem: path.stat().st_size for path in (DOCS / "thumbnails").glob("*.png")}
    assert set(anchors) <= set(sizes) and max(sizes.values()) < 20_000


@pytest.mark.parametrize("name", ["docs/index.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_it_reads_as_plain_markdown_and_its_links_lead_somewhere(name):
    path, text = ROOT / name, (ROOT / name).read_text()
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.S | re.M)
    assert not re.search(r"\{\w+(:\w+)*\}", prose) and not re.search(r"^(```|:::)\{", text, re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        assert target.startswith(("https://", "#")) or (path.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("path", sorted((DOCS / "inventories").glob("*.txt")), ids=lambda path: path.stem)
def test_what_is_linked_elsewhere_is_there(path):
    head, entries = path.read_text().splitlines()[:3], path.read_text().splitlines()[3:]
    assert head[0] == "# Sphinx inventory version 1" and entries
    for entry in entries:
        name, kind, page = entry.split()
        module, *rest = name.split(".")
        found, package = importlib.import_module(module), module
        for part in rest:
            package = f"{package}.{part}"
            if not hasattr(found, part) and importlib.util.find_spec(package):
                importlib.import_module(package)
            found = getattr(found, part)
        assert callable(found) and (kind in ("class", "exception")) == inspect.isclass(found), name
        assert page.endswith(".html")


def test_an_index_shows_readme_with_absolute_addresses():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    text = (ROOT / "README.md").read_text()
    before = re.findall(r"\]\(([^)\s]+)\)", text)
    for each in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    after = re.findall(r"\]\(([^)\s]+)\)", text)
    home = project["project"]["urls"]["Repository"]
    raw = home.replace("github.com", "raw.githubusercontent.com") + "/main/"
    for old, new in zip(before, after, strict=True):
        relative = not old.startswith(("https:", "#"))
        assert new == ((raw if old.endswith(".png") else f"{home}/blob/main/") + old if relative else old)
    assert all(address.startswith("https://") for address in project["project"]["urls"].values())
    assert home in (DOCS / "index.md").read_text()
