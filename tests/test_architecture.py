"""Who may import whom: the map in `docs/architecture.md`, held to."""

import ast
import graphlib
import re
import tomllib
import traceback
from pathlib import Path

import pytest

import jaxgmm

ROOT = Path(jaxgmm.__file__).parent
MAP = ROOT.parent / "docs" / "architecture.md"

# A room is a folder, or a file that lies beside them. It imports from the rooms named here, all of them further up.
HOUSE = {
    "numerics": "",
    "distributed": "",
    "datasets": "",
    "tables": "",
    "pytrees": "",
    "records": "numerics tables pytrees",
    "calls": "numerics records",
    "families": "numerics records",
    "family": "families",
    "unconstrained": "numerics records calls families",
    "checks": "numerics records families",
    "mixtures": "numerics records families checks",
    "data": "numerics distributed records families checks",
    "em": "numerics records families unconstrained data",
    "implicit": "numerics records families unconstrained data em",
    "init": "numerics distributed records families checks data em",
    "scoring": "numerics records checks mixtures data em",
    "inference": "numerics records calls checks mixtures data em scoring",
    "algebra": "numerics records families checks mixtures data scoring inference",
    "search": "numerics distributed records families checks mixtures data em init scoring",
    "criteria": "numerics records calls checks mixtures data em scoring inference",
    "storage": "numerics records calls families mixtures data",
    "planning": "numerics families checks data search",
    "fitting": "numerics distributed records calls families checks data em implicit init search",
    "selection": "numerics distributed records calls families checks data em init inference search criteria fitting",
    "many": "numerics records calls families checks data em implicit init search",
    "stepwise": "numerics records calls families checks mixtures data em init search fitting",
    "gradient": "numerics records calls families unconstrained checks em init scoring search fitting",
    "plot": "records checks inference",
    "sklearn": (
        "numerics pytrees records families checks mixtures data em init scoring inference search criteria fitting "
        "selection "
        "stepwise"
    ),
    "cli": "numerics distributed tables records families checks data inference search storage selection plot",
    "anndata": "families inference selection",
}
GAUSSIAN_FILES = {"gaussian", "covariances", "variances"}
FAMILY_FILES = {"base", "constraints", "forms", "margins", "registry", *GAUSSIAN_FILES}  # in families/, but no family
OF_ONE_FAMILY = {"data/codes.py", "search/loading.py", "sklearn/others.py"}  # codes are read off the rows


def modules():
    return [path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT or path.name[:2] != "__"]


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name):
    return name.split(".")[0]


def imports(path):
    """The modules that a module imports from, inside functions too; the command line alone says the package's name."""
    names = {name_of(other) for other in modules()}
    above = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = [*above[: len(above) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                whole = ".".join([*parts, alias.name])
                found.add(whole if whole in names else ".".join(parts))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            given = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not any(name.startswith("jaxgmm.") for name in given) or path.name == "__main__.py"
            assert room_of(name_of(path)) == "cli" or "jaxgmm" not in given
    return found - {name_of(path)}


def test_the_house_has_these_rooms():
    assert {room_of(name_of(path)) for path in modules()} == set(HOUSE)


def test_rooms_import_from_those_further_up():
    seen = set()
    for room, others in HOUSE.items():
        assert set(others.split()) <= seen, room
        seen.add(room)


@pytest.mark.parametrize("room", HOUSE)
def test_a_room_imports_from_what_the_table_says(room):
    inside = [path for path in modules() if room_of(name_of(path)) == room]
    others = set().union(*({room_of(name) for name in imports(path)} for path in inside)) - {room}
    assert others == set(HOUSE[room].split())


def test_no_module_imports_itself_by_way_of_others():
    graphlib.TopologicalSorter({name_of(path): imports(path) for path in modules()}).prepare()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_folder_of_families_knows_a_family(path):
    if room_of(name_of(path)) == "families" or str(path.relative_to(ROOT)) in OF_ONE_FAMILY:
        return
    of_families = {name.partition(".")[2] for name in imports(path) if name.startswith("families.")}
    assert of_families <= FAMILY_FILES - GAUSSIAN_FILES


def test_the_map_shows_every_room_and_module():
    drawn = set(re.findall(r"[a-z_]+", MAP.read_text()))
    assert {part for path in modules() for part in name_of(path).split(".")} <= drawn


def test_no_merge_was_left_half_way():
    pages = [page for where in ("*.md", "docs/**/*.md", "benchmarks/*.md") for page in ROOT.parent.glob(where)]
    assert MAP in pages
    assert not [page.name for page in pages if re.search(r"^(<{7}|>{7}) ", page.read_text(), re.M)]


def test_modules_are_not_called_like_public_names():
    stems = {path.stem for path in modules()} - {"categorical"}  # it lives in families/, out of the way
    assert not stems & set(jaxgmm.__all__)
    assert not [name for name in jaxgmm.__all__ if not hasattr(jaxgmm, name)]


def test_modules_can_be_read_in_one_sitting():
    assert not {path.name for path in modules() if len(path.read_text().splitlines()) > 300}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_takes_more_than_five_positional_arguments(path):
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    named = {f.name: [arg.arg for arg in (*f.args.posonlyargs, *f.args.args) if arg.arg != "self"] for f in functions}
    assert not {name for name, given in named.items() if len(given) > 5}


def test_the_package_says_the_version_of_its_metadata():
    metadata = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())
    assert metadata["project"]["version"] == jaxgmm.__version__


def test_the_way_from_fit_to_the_first_product_is_short(monkeypatch):
    """Ten functions in seven files, and the form's own; decorators and comprehensions apart."""
    import numpy as np

    from jaxgmm.families import forms

    ways, log_prob = [], forms.ExponentialForm.log_prob

    def noting(self, *args):
        ways.append(traceback.extract_stack()[:-1])
        return log_prob(self, *args)

    monkeypatch.setattr(forms.ExponentialForm, "log_prob", noting)
    resp = np.repeat(np.eye(2), 50, axis=0)
    jaxgmm.fit(0, np.random.default_rng(0).normal(size=(100, 2)), 2, init=resp, tol=0, max_iter=2)
    house = Path(jaxgmm.__file__).parent
    frames = [(Path(frame.filename), frame.name) for frame in ways[0]]
    names = [(path.name, name) for path, name in frames if house in path.parents]
    way = [pair for pair in names if pair[1] != "wrapper" and not pair[1].startswith("<")]
    assert way[0] == ("fitting.py", "fit") and len(way) <= 10 and len({file for file, _ in way}) <= 7, way
