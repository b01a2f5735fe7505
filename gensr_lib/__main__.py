"""``python -m gensr_lib``: see `gensr_lib.book.cli`."""

import sys

from .book.cli import main

if __name__ == "__main__":
    sys.exit(main())
