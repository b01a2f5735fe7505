"""The lines of a raw Amazon file: sound ones are read, a few faulty ones counted and left out."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ....errors import DataError
from ...origin import shown
from ..formats.allowance import Allowance

UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)
# Lists of ids, most of a line of 2014 and of no use here: without them it is parsed twice as fast.
RELATED = re.compile(rb"""["']related["']\s*:\s*\{[^{}]*\}\s*,?\s*""")


class Unreadable(ValueError):
    """A line that can be parsed but does not hold what it should."""


class Lines:
    """What was seen of one file so far, and which of its lines could not be read.

    Attributes:
        path: the file.
        total: lines that are not blank.
        bad: how many of them could not be read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.total = 0
        self.bad = 0
        self._line = 0  # the last one that was seen, blank ones included
        self._first: tuple[int, Exception] | None = None

    def passed(self, n: int) -> None:
        """Count ``n`` lines, none of them blank, that were read by other means."""
        self.total = self.total + n
        self._line = self._line + n

    def parsed(self, block: bytes, parse: Callable[[bytes], Any]) -> list:
        """What ``parse`` makes of each line that is not blank, without its Nones.

        Args:
            block: whole lines.
            parse: raises one of `UNREADABLE` on a line that is to be left out.
        """
        rows = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # a stray backslash in a description
            for line in block.removesuffix(b"\n").split(b"\n"):
                self._line += 1
                if not line.strip():
                    continue
                self.total += 1
                try:
                    rows.append(parse(line))
                except UNREADABLE as error:
                    self.bad += 1
                    self._first = self._first or (self._line, error)
        return [row for row in rows if row is not None]

    def report(self, allowed: Allowance, home: str) -> None:
        """Settle the bad lines of a file that was read to its end.

        Args:
            home: where the file is offered.

        Raises:
            DataError: the file has no line, or too many bad ones; the first of them is named.
        """
        if not self.total:
            raise DataError(f"{self.path}: the file is empty. Download it again from {home}.")
        if not self._first:
            return
        line, error = self._first
        why = "it is neither JSON nor a Python literal"
        if isinstance(error, Unreadable):
            why = str(error)
        counts = f"{self.bad} of {self.total} lines cannot be read"
        found = f"{counts}, the first is line {line}: {why}"
        advice = f"is this a raw file of {home}, downloaded whole?"
        allowed.settle(self.path, self.bad, self.total, found, advice)


def literal(line: bytes) -> Any:
    """What one line says, never by running it: `eval` on a downloaded file would."""
    try:
        return json.loads(line.decode())
    except ValueError:
        return ast.literal_eval(RELATED.sub(b"", line).decode())


def needed(record: object, name: str, kind: type) -> Any:
    """A field that must be there, of a type and, if it is an id, with a character."""
    if not isinstance(record, dict):
        raise Unreadable(f"it is of type {type(record).__name__}, not a dict")
    if name not in record:
        raise Unreadable(f"it has no field {name}, but {', '.join(map(str, list(record)[:9]))}")
    value = record[name]
    if type(value) is not kind:
        found = f"its field {name}, {shown(str(value))}, is of type {type(value).__name__}"
        raise Unreadable(f"{found}, not {kind.__name__}")
    if value == "":
        raise Unreadable(f"its field {name} is empty")
    return value
