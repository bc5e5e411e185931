"""Writes what the consoles of pages print: below every `>>>` of a ```pycon block what it gives today.

python docs/consoles.py PAGE...

Blocks of a page share their names. `tests/test_pages.py` runs them as doctests.
"""

import contextlib
import doctest
import io
import re
import sys
from pathlib import Path

CONSOLE = re.compile(r"(?<=^```pycon\n).*?(?=^```$)", re.S | re.M)


def printed(source, names):
    """What a statement prints at the prompt."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(source, "<console>", "single"), names)
    return "".join(line if line.strip() else "<BLANKLINE>\n" for line in stream.getvalue().splitlines(keepends=True))


def run_again(block, names):
    """The block with what its statements print."""
    lines = []
    for example in doctest.DocTestParser().get_examples(block):
        first, *more = example.source.splitlines()
        ends = ["..."] if more and more[-1].startswith(" ") else []  # what an interpreter waits for after a block
        lines += [f">>> {first}\n", *(f"... {line}".rstrip() + "\n" for line in more), *(end + "\n" for end in ends)]
        skipped = doctest.SKIP in example.options
        lines.append(example.want if skipped else printed(example.source, names))
    return "".join(lines)


def renewed(text):
    """The page with what all its consoles print."""
    names = {"__name__": "__main__"}
    return CONSOLE.sub(lambda found: run_again(found[0], names), text)


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        page.write_text(renewed(page.read_text()))
