"""The command line: fit, predict, score, sample, info.

Exit codes: 0; 2 for bad input, with one line and no traceback; 3 where the best fit did not converge (its model is
still written); 4, or what JAX's runtime ends with, where another of many processes has died; 130 after Ctrl-C: `fit`
then gives the best so far and writes it, a second Ctrl-C ends it at once (as the first one does in many processes).
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
    """Run one command; its exit code."""
    args = None
    with terminal.warnings_as_lines():
        try:
            args = options.parser(fit, predict, score, sample, info).parse_args(argv)
            terminal.keep_compiled_programs()
            code = args.command(args)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader of our output, `head` for one, has seen enough
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
