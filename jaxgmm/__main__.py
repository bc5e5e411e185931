"""`python -m jaxgmm` is the command line."""

import sys

from jaxgmm.cli import main

if __name__ == "__main__":
    sys.exit(main())
