"""Where the rows of a table come from, so that a message names what the reader can look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError

SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Origin:
    """A table as messages call it.

    Attributes:
        name: its file, or what stands for one.
        place: what a message calls the row with an index label: ``line 7`` of a file.
    """

    name: str
    place: Callable[[int], str] = "row {}".format

    def refuse(self, bad, values: pd.Series, reason: str) -> None:
        """Raise `DataError` if a row of a column is bad; it names the first one.

        Args:
            bad: (n,) which rows are, bool.
            values: (n,) the column as it was read. Its index holds the rows of the file, in any
                order.
            reason: what is wrong with the value and what to do.
        """
        bad = np.asarray(bad, dtype=bool)
        if not bad.any():
            return
        faulty = values[bad]
        first = int(np.argmin(faulty.index))
        where = f"{self.name}: {self.place(faulty.index[first])}, column {values.name}"
        others = f" ({len(faulty)} such rows)" if len(faulty) > 1 else ""
        raise DataError(f"{where}: {shown(faulty.iloc[first])} {reason}{others}.")


def shown(value: object) -> str:
    """A value as messages quote it: a long one cut, line breaks and the like made visible.

    >>> shown("a" * 70), shown(None), shown(chr(10))
    ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'", "''", "'\\\\n'")
    """
    text = "" if pd.isna(value) else str(value)
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
