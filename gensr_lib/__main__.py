"""``python -m gensr_lib``: see `gensr_lib.cli`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
