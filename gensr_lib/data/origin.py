"""Where the rows of a table come from, so that messages and notes name what one can look up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError

SHOWN = 60  # characters of a value in a message
FIRST = 3  # rows that stand for all of a kind


class Example(NamedTuple):
    """A row as a report shows it: file, place in it, column, value."""

    file: str
    place: str
    column: str
    value: str


# The first rows of a kind. They are looked up when asked for: lines of a CSV file are slow to find.
Examples = Callable[[], list[Example]]


class FaultyRows(NamedTuple):
    """What a `DataError` knows of the rows that it is about.

    Attributes:
        examples: the first of them.
        origin: the table.
        column: by our name.
        reason: what is wrong with them, and what to do.
        rows: the index labels of all of them; None if the table cannot be read without them.
    """

    examples: Examples
    origin: Origin | None = None
    column: str = ""
    reason: str = ""
    rows: pd.Index | None = None


class Note(str):
    """A sentence on what was left out, cut or made up, and the first rows that it is about."""

    examples: Examples

    def __new__(cls, sentence: str, examples: Examples = list) -> Note:
        note = super().__new__(cls, sentence)
        note.examples = examples
        return note


@dataclass(frozen=True)
class Origin:
    """A table as messages call it.

    Attributes:
        name: its file, or what stands for one.
        place: what a message calls the row with an index label: ``line 7`` of a file.
        columns: by our name, what the file calls a column that has another name there.
    """

    name: str
    place: Callable[[int], str] = "row {}".format
    columns: Mapping[str, str] = field(default_factory=dict)

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
        column = self.columns.get(values.name, values.name)
        ours = f" ({values.name})" if column != values.name else ""
        place = f"{self.name}: {self.place(faulty.index[first])}, column {column}{ours}"
        others = f" ({len(faulty)} such rows)" if len(faulty) > 1 else ""
        message = f"{place}: {shown(faulty.iloc[first])} {reason}{others}."
        where = FaultyRows(self.examples(faulty), self, values.name, reason, faulty.index)
        raise DataError(message, where)

    def examples(self, values: pd.Series) -> Examples:
        """The `FIRST` rows of some, in the order of the file; ``values`` as for `refuse`."""
        first = values.iloc[np.argsort(values.index, kind="stable")[:FIRST]]
        column = str(self.columns.get(values.name, values.name))
        pairs = list(zip(first.index, map(shown, first), strict=True))
        return lambda: [Example(self.name, self.place(row), column, value) for row, value in pairs]


def shown(value: object) -> str:
    """A value as messages quote it: a long one cut, line breaks and the like made visible.

    >>> shown("a" * 70), shown(None), shown(chr(10))
    ("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'", "''", "'\\\\n'")
    """
    text = "" if pd.isna(value) else str(value)
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
