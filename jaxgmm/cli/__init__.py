"""The command line: `main`, and the exit code of bad input."""

from .main import BAD_INPUT, main

__all__ = ["BAD_INPUT", "main"]
