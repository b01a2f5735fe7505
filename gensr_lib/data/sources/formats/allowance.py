"""How much of a raw file may be left out: one rule for all who read on after a faulty row."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from ....errors import DataError

MAX_BAD_SHARE = 0.01  # of the rows of a file: with more, something else than was expected was read
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Allowance:
    """How many rows of a file may be left out, and where that is told.

    Attributes:
        max_bad_share: share of its rows, 0 to 1.
        notes: of the tables.
    """

    max_bad_share: float
    notes: list[str]

    def settle(self, path: Path, bad: int, total: int, found: str, advice: str) -> None:
        """Tell what is left out of a file.

        Args:
            bad: how many of its ``total`` rows.
            found: what is wrong with them.
            advice: what to do if they are too many; a sentence's end.

        Raises:
            DataError: they are.
        """
        if bad > self.max_bad_share * total:
            most = f"at most {self.max_bad_share:.1%} may be left out"
            raise DataError(f"{path}: {found}; {most}; {advice}")
        self.leave_out(path, found)

    def leave_out(self, path: Path, found: str) -> None:
        """Note and log what is left out of a file, however much it is."""
        LOG.warning("%s: %s; they are left out.", path, found)
        self.notes.append(f"{path.name}: {found}; they are left out.")
