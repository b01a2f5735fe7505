"""Try what breaks things, at length, and count what comes of it.

python -m tests.torture [PART ...]
"""

from __future__ import annotations

import sys

from . import inputs, kills

# Name on the command line: what it runs; each prints its own table.
PARTS = {
    "inputs": inputs.report,
    "kills": kills.report,
}


def main(parts: list[str]) -> None:
    """Run some parts, or all of them."""
    for name in parts or PARTS:
        print(f"--- {name}")
        PARTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
