"""Formats the code of the pages to the width of their column.

python docs/cells.py [PAGE...]           all pages, if none is named
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WIDTH = 88  # characters of code that a page shows beside its menu without scrolling
PROMPT = len(">>> ")
CELL = re.compile(r"(?<=^```\{code-cell\} ipython3\n)(.*?)(?=^```$)", re.S | re.M)
CONSOLE = re.compile(r"^```pycon\n.*?^```$", re.S | re.M)


def ruff(code, name, width=WIDTH):
    """This text as ruff formats it."""
    options = f"ruff format --quiet --preview --line-length={width} --stdin-filename={name} -".split()
    return subprocess.run(
        [sys.executable, "-m", *options], input=code, capture_output=True, text=True, check=True
    ).stdout


def cell(code):
    """A cell; of a shell's commands nothing changes. A last `;` hides what the last line would show."""
    if re.search(r"^%", code, re.M):
        return code
    return ruff(code, "cell.py").rstrip("\n") + (";" if code.rstrip().endswith(";") else "") + "\n"


def formatted(text):
    """The page with its cells and consoles formatted."""
    text = CELL.sub(lambda found: cell(found[0]), text)
    return CONSOLE.sub(lambda found: ruff(found[0] + "\n", "page.md", WIDTH - PROMPT).rstrip("\n"), text)


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:] or sorted(HERE.rglob("*.md"))):
        page.write_text(formatted(page.read_text()))
