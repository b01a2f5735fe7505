"""CSV tables that are larger than memory: DuckDB reads, joins and counts them on disk.

Nothing out of a file becomes part of a statement: columns are called by their place in the file,
and all else is handed over as a value. DuckDB skips rows that it cannot read, so every skipped row
is looked for afterwards: a few are noted, many are an error, and an open quotation mark, which may
have swallowed any number of rows, always.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from ....errors import ConfigError, DataError
from ....files import writing
from ...origin import shown
from .allowance import Allowance
from .content import DAMAGED, is_gzip, open_content
from .temporary import temporary_folder

MEMORY = "3GB"  # beyond it, DuckDB goes to its file
MOST_REJECTS = 100_000  # that are kept: more is too many of any file


class LargeTables:
    """Tables of CSV files in a database on disk, which is gone after the ``with`` block.

    Every method that takes a statement raises `ConfigError` where the disk is full or read-only, or
    the memory is too small for it.

    Args:
        allowed: how many rows of a file may be unreadable, and where that is told.
    """

    def __init__(self, allowed: Allowance):
        self._allowed = allowed

    def __enter__(self) -> LargeTables:
        with ExitStack() as opened:
            self._folder = opened.enter_context(temporary_folder("reading"))
            with self._at_work():
                self._base = duckdb.connect(str(self._folder / "tables.duckdb"))
                opened.callback(self._base.close)
                self._base.execute(f"SET memory_limit = '{MEMORY}'")
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def run(self, sql: str, **named: object) -> None:
        """Carry out a statement; ``$name`` in it stands for a value."""
        with self._at_work():
            self._base.execute(sql, named or None)

    def numbers(self, sql: str) -> dict[str, np.ndarray]:
        """The columns of a query as arrays."""
        with self._at_work():
            return self._base.execute(sql).fetchnumpy()

    def frame(self, sql: str) -> pd.DataFrame:
        """The rows of a query."""
        with self._at_work():
            return self._base.execute(sql).df()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Say in our words what DuckDB says of the disk and of the memory."""
        try:
            with writing(self._folder):
                yield
        except duckdb.OutOfMemoryException as error:
            said = f"the tables need more memory than {__name__}.MEMORY, {MEMORY}"
            raise ConfigError(f"{said} ({_first_line(error)}); raise it.") from error

    def put(self, name: str, **columns: np.ndarray) -> None:
        """Make a table of arrays of one length."""
        frame = pd.DataFrame(columns)
        self._base.register("given", frame)
        self.run(f"CREATE TABLE {name} AS SELECT * FROM given")
        self._base.unregister("given")

    def load(self, name: str, path: Path, columns: dict[str, str], optional=()) -> None:
        """Make a table of some columns of a CSV file with a header, packed with gzip or not.

        Args:
            columns: their SQL types by name.
            optional: those that may be missing; they are then NULL.

        Raises:
            DataError: the file is empty or damaged, a column is missing or there twice, a
                quotation mark is not closed, or too many rows cannot be read; the message names
                the first of them.
        """
        header = _header(path)
        lacking = [c for c in columns if c not in header and c not in optional]
        if lacking:
            found = f"missing column {', '.join(lacking)}; found {', '.join(header)}"
            raise DataError(f"{path}: {found}. Is this the file of another release?")
        if twice := [c for c in columns if header.count(c) > 1]:
            raise DataError(f"{path}: the column {twice[0]} is there twice; keep one of them.")
        chosen = ", ".join(
            f"{_called(header.index(column))} AS {column}"
            if column in header
            else f"NULL::{kind} AS {column}"
            for column, kind in columns.items()
        )
        kinds = [columns.get(column, "VARCHAR") for column in header]
        struct = ", ".join(f"'{_called(place)}': '{kind}'" for place, kind in enumerate(kinds))
        packed = "gzip" if is_gzip(path) else "none"
        options = f"columns = {{{struct}}}, compression = '{packed}'"
        self.run("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
        try:
            self.run(
                f"CREATE TABLE {name} AS SELECT {chosen} FROM read_csv($path, header = true, "
                f"auto_detect = false, delim = ',', quote = '\"', escape = '\"', {options}, "
                f"store_rejects = true, rejects_limit = {MOST_REJECTS})",
                path=str(path),
            )
        except duckdb.Error as error:
            raise _damaged(path, _first_line(error)) from error
        self._settle_rejects(name, path, header)

    def _settle_rejects(self, name: str, path: Path, header: list[str]) -> None:
        """Tell which rows could not be read, or raise."""
        wrong = self.frame(
            "SELECT line, error_type::VARCHAR AS kind, column_idx, csv_line FROM reject_errors "
            "ORDER BY error_type::VARCHAR = 'UNQUOTED VALUE' DESC, line"
        )
        if wrong.empty:
            return
        line, kind, place, text = wrong.iloc[0]
        if kind == "UNQUOTED VALUE":
            said = f"line {line} has a quotation mark that is not closed: {shown(text)}"
            raise DataError(f"{path}: {said}; what follows may be lost. Mend the line.")
        bad = wrong["line"].nunique()
        total = bad + int(self.numbers(f"SELECT count(*) AS n FROM {name}")["n"][0])
        what = f"column {header[place - 1]}" if kind == "CAST" else kind.lower()
        found = f"{bad} of {total} rows cannot be read, the first is line {line}"
        found = f"{found} ({what}): {shown(text)}"
        self._allowed.settle(path, bad, total, found, "download or unpack it again.")


def _called(place: int) -> str:
    """What a column is called in statements, by its place in the file."""
    return f"column{place}"


def _header(path: Path) -> list[str]:
    """The names of the columns."""
    try:
        with open_content(path) as file:
            line = file.readline(1 << 16).decode("utf-8-sig", errors="replace")
    except (OSError, *DAMAGED) as error:
        raise _damaged(path, str(error)) from error
    if not line.strip():
        raise DataError(f"{path}: the file is empty; line 1 must hold the column names.")
    return [name.strip() for name in next(csv.reader([line]))]


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0]


def _damaged(path: Path, why: str) -> DataError:
    found = f"the file is damaged or cut short ({why})"
    return DataError(f"{path}: {found}. Download or unpack it again.")
