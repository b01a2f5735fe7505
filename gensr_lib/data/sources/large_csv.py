"""CSV tables that are larger than memory: DuckDB reads, joins and counts them on disk.

It skips rows that it cannot read, so every skipped row is looked for afterwards: a few are noted,
many are an error, and an open quotation mark, which may have swallowed any number of rows, always.
"""

from __future__ import annotations

import csv
import logging
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from ...errors import DataError
from ...files import project_root, writing
from ..origin import shown
from .content import DAMAGED, is_gzip, open_content

MEMORY = "3GB"  # beyond it, DuckDB goes to its file
MOST_REJECTS = 100_000  # that are kept: more is too many of any file
LOG = logging.getLogger(__name__)


class LargeTables:
    """Tables of CSV files in a database on disk, which is gone after the ``with`` block.

    Args:
        max_bad_share: share of a file's rows, 0 to 1, that may be unreadable.

    Attributes:
        notes: a sentence for each file of which rows were left out.
    """

    def __init__(self, max_bad_share: float = 0.01):
        self.notes: list[str] = []
        self._max_bad_share = max_bad_share

    def __enter__(self) -> LargeTables:
        place = project_root() / "data" / "processed"
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(dir=place, prefix=".reading-")
        self._base = duckdb.connect(f"{self._folder.name}/tables.duckdb")
        self._base.execute(f"SET memory_limit = '{MEMORY}'")
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        self._folder.cleanup()

    def run(self, sql: str, **named: object) -> None:
        """Carry out a statement; ``$name`` in it stands for a value."""
        with writing(Path(self._folder.name)):
            self._base.execute(sql, named or None)

    def numbers(self, sql: str) -> dict[str, np.ndarray]:
        """The columns of a query as arrays."""
        return self._base.execute(sql).fetchnumpy()

    def frame(self, sql: str) -> pd.DataFrame:
        """The rows of a query."""
        return self._base.execute(sql).df()

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
        chosen = ", ".join(c if c in header else f"NULL::{t} AS {c}" for c, t in columns.items())
        types = {column: columns.get(column, "VARCHAR") for column in header}
        struct = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
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
            raise _damaged(path, str(error).strip().splitlines()[0]) from error
        self._check_rejects(name, path)

    def _check_rejects(self, name: str, path: Path) -> None:
        """Note the rows that could not be read, or raise."""
        wrong = self.frame(
            "SELECT line, error_type::VARCHAR AS kind, column_name, csv_line FROM reject_errors "
            "ORDER BY error_type::VARCHAR = 'UNQUOTED VALUE' DESC, line"
        )
        if wrong.empty:
            return
        line, kind, column, text = wrong.iloc[0]
        if kind == "UNQUOTED VALUE":
            said = f"line {line} has a quotation mark that is not closed: {shown(text)}"
            raise DataError(f"{path}: {said}; what follows may be lost. Mend the line.")
        bad = wrong["line"].nunique()
        total = bad + int(self.numbers(f"SELECT count(*) AS n FROM {name}")["n"][0])
        what = f"column {column}" if kind == "CAST" else kind.lower()
        found = f"{bad} of {total} rows cannot be read, the first is line {line}"
        found = f"{found} ({what}): {shown(text)}"
        if bad > self._max_bad_share * total:
            most = f"at most {self._max_bad_share:.1%} may be"
            raise DataError(f"{path}: {found}; {most}. Download or unpack it again.")
        LOG.warning("%s: %s; they are left out.", path, found)
        self.notes.append(f"{path.name}: {found}; they are left out.")


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


def _damaged(path: Path, why: str) -> DataError:
    found = f"the file is damaged or cut short ({why})"
    return DataError(f"{path}: {found}. Download or unpack it again.")
