"""Who may import whom: the drawing of the house, held to."""

import ast
import tomllib
from pathlib import Path

import pytest

import jaxgmm

ROOT = Path(jaxgmm.__file__).parent

# From the ground up. A module imports from floors below its own, never from its own floor or above.
FLOORS = [
    {"namespace", "plain", "forks"},
    {"factors"},
    {"numerics", "precision", "compiling", "files", "terminal", "options", "headers", "distributed", "digests"},
    {"records", "registry", "writing", "processes", "special"},
    {"tables"},
    {"family", "parts"},
    {"families", "unconstrained", "frame", "checks", "em", "sources", "padding"},
    {"building", "codes", "drivers"},
    {"initializers", "storage", "accelerate", "pruning", "measuring", "identity"},
    {"outcome", "watching", "checkpoints", "inference"},
    {"restarts", "starting", "criteria", "report", "repeats"},
    {"streaming", "planning"},
    {"loading"},
    {"fitting"},
    {"selection", "gradient", "many", "stepwise", "plot"},
    {"sklearn", "pictures"},
    {"cli", "anndata"},
]
MATHS = {"namespace", "numerics", "special", "records", "registry", "family", "families", "unconstrained"}
LOOPS = {"em", "drivers", "initializers", "accelerate", "pruning", "outcome", "watching", "starting", "restarts"}
LOOPS |= {"measuring", "streaming"}
FAMILY_FILE = {"family", "namespace", "numerics", "special", "records", "families"}  # all that one family needs
PICTURES = {"plain", "records", "inference"}  # a picture shows what is public: any mixture, and what it says of rows


def rooms():
    return [path for path in sorted(ROOT.rglob("*.py")) if path.name not in ("__init__.py", "__main__.py")]


def room_of(path):
    """The folder of a module, or its own name."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path):
    """Rooms that a module imports from, inside functions too; the command line alone uses the package by its name."""
    depth = len(path.relative_to(ROOT).parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            inside = [room_of(path)] if node.level < depth else []
            dotted = node.module.split(".") if node.module else []
            parts = [*inside, *dotted]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert path.stem == "cli" or not any(name.split(".")[0] == "jaxgmm" for name in names)
    return found


def floor_of(room):
    return next(i for i, floor in enumerate(FLOORS) if room in floor)


def test_every_module_has_its_floor():
    assert {room_of(path) for path in rooms()} == set().union(*FLOORS)


@pytest.mark.parametrize("path", rooms(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    room = room_of(path)
    others = imports(path) - {room}
    assert not {other for other in others if floor_of(other) >= floor_of(room)}
    if room in MATHS:
        assert not others & (LOOPS | {"fitting"}), "the maths imports no loop"
    if room in LOOPS:
        assert not others & {"families"}, "the loops know no family"
    if room == "families":
        assert others <= FAMILY_FILE
    if room == "plot":
        assert others <= PICTURES


def test_modules_are_not_called_like_public_names():
    stems = {path.stem for path in rooms()} - {"categorical"}  # it lives in families/, out of the way
    assert not stems & set(jaxgmm.__all__)
    assert not [name for name in jaxgmm.__all__ if not hasattr(jaxgmm, name)]


def test_modules_can_be_read_in_one_sitting():
    assert not {path.name for path in rooms() if len(path.read_text().splitlines()) > 300}


def test_the_package_says_the_version_of_its_metadata():
    metadata = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())
    assert metadata["project"]["version"] == jaxgmm.__version__
