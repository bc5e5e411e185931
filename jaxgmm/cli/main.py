"""The command line: fit, predict, score, sample, info.

Exit codes:
    0    success
    2    bad input: one line on standard error, no traceback
    3    the best fit did not converge; its model is written
    4    another of many processes has died; or the exit code of JAX's runtime, if that ends the process first
    130  Ctrl-C: `fit` prints and writes the best so far; a second Ctrl-C, or the first in many processes, ends at once
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from . import options, processes, terminal
from .answers import info, predict, sample, score
from .sweep import INTERRUPTED, fit

BAD_INPUT = 2
LOST = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = None
    with terminal.warnings_as_lines():
        try:
            args = options.parser(fit, predict, score, sample, info).parse_args(argv)
            terminal.keep_compiled_programs()
            code = args.command(args)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            terminal.say("error", f"{error.filename}: {error.strerror}" if error.filename else error)
            return BAD_INPUT
        except ValueError as error:
            if processes.lost(args, error):
                return processes.leave(LOST, error)
            terminal.say("error", error)
            return BAD_INPUT
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # XLA's word for it
                if processes.lost(args, error):
                    return processes.leave(LOST, error)
                raise
            terminal.say("error", "out of memory; ask for fewer --restarts or --components, or pass fewer rows")
            return BAD_INPUT if processes.alone(args) else processes.leave(BAD_INPUT)
        except KeyboardInterrupt:
            terminal.say("error", "interrupted")
            return INTERRUPTED if processes.alone(args) else processes.leave(INTERRUPTED)
