"""One of the user's own two files: found in its folder, its columns read under our names."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from ....errors import DataError
from ...schema import BEHAVIOR, CATEGORIES, ITEM, SESSION, TEXT, TIME, TITLE, USER
from ..formats.csv_file import CsvFile
from ..formats.parquet_file import ParquetFile
from .column_map import ItemColumns, LogColumns, TableMap
from .columns import POSITION

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
INTERACTIONS = tuple(LogColumns.model_fields)
ITEMS = tuple(ItemColumns.model_fields)
REQUIRED = {INTERACTIONS: (USER, ITEM), ITEMS: (ITEM,)}
# Names in common use that are too far from ours for a spelling check.
ALIASES = {
    **dict.fromkeys(("user", "uid"), USER),
    **dict.fromkeys(("item", "iid", "asin"), ITEM),
    **dict.fromkeys(("timestamp", "date", "datetime"), TIME),
    "category": CATEGORIES,
    "session": SESSION,
    "description": TEXT,
}

LOG = logging.getLogger(__name__)


def find_file(folder: Path, table: str, given: str | None) -> Path:
    """The file of a table: the given one, or the one of its name, whatever its format.

    Raises:
        DataError: there is none, or there are two.
    """
    if given is not None:
        return _given_file(folder, table, given)
    tried = [folder / (table + suffix) for suffix in SUFFIXES]
    found = [path for path in tried if path.is_file()]
    if not found:
        names = ", ".join(path.name for path in tried)
        raise DataError(f"{folder}: no table `{table}`; looked for {names}.{_hint(folder, table)}")
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise DataError(f"{folder}: {names} are both there; keep one of them.")
    return found[0]


def _given_file(folder: Path, table: str, given: str) -> Path:
    path = folder / given
    if path.is_file():
        return path
    names = _files(folder)
    there = f"{meant(given, names)} There is {', '.join(names) or 'no file'}."
    raise DataError(f"{folder}: no file '{given}', which the mapping names for `{table}`.{there}")


def _hint(folder: Path, table: str) -> str:
    names = _files(folder)
    if near := [name for name in names if name.lower().startswith(table)]:
        return f" There is {', '.join(near)}: save it as one file of these names."
    if others := [name for name in names if not name.startswith(("interactions", "items"))]:
        advice = f"gensr data check {folder} --files {table}=… says which it is"
        return f" There is {', '.join(others)}: {advice}."
    return ""


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def meant(name: str, names: Sequence[str]) -> str:
    """A question for the closest of some names, or nothing.

    >>> meant("prodct", ["product", "price"]), meant("x", ["product"])
    (" Did you mean 'product'?", '')
    """
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""


class OwnFile:
    """A CSV, TSV or Parquet file with the columns of one table.

    Args:
        mapped: which of its columns have other names than ours.
        names: ours, `INTERACTIONS` or `ITEMS`.

    Attributes:
        found: the names of its columns as they stand in the file.
        columns: by our name, the column of the file that is read under it.
        unused: the other columns.
        origin: how messages call its rows.

    Raises:
        DataError: it is damaged or of another format (`csv_file`, `parquet_file`).
    """

    def __init__(self, path: Path, mapped: TableMap, names: tuple[str, ...]):
        self.path = path
        self.names = names
        self.renamed = mapped.renamed
        self.behaviors = mapped.behaviors
        theirs = {name: self.renamed.get(name, name) for name in names}
        if path.name.lower().endswith(".parquet"):
            self._file = ParquetFile(path)
        else:
            self._file = CsvFile(path, tuple(theirs.values()), text=theirs.get(TEXT, TEXT))
        self.found = self._file.names
        taken = self.renamed.values()
        self.columns = {
            ours: column
            for ours, column in theirs.items()
            if column in self.found and (ours in self.renamed or column not in taken)
        }
        read = self.columns.values()
        self.unused = [column for column in self.found if column and column not in read]
        self.origin = replace(self._file.origin, columns=self.columns)

    def checked(self) -> OwnFile:
        """The file itself; raises the first of its `faults`."""
        for fault in self.faults():
            raise fault
        return self

    def faults(self) -> Iterator[DataError]:
        """All that is wrong with the names of its columns."""
        for said in self._faults():
            yield DataError(f"{self.path}: {said}")

    def _faults(self) -> Iterator[str]:
        for ours, column in self.renamed.items():
            if column not in self.found:
                hint = f"{meant(column, self.found)} Found {', '.join(self.found)}."
                yield f"no column '{column}', which the mapping names for {ours}.{hint}"
        for column in self.columns.values():
            if self.found.count(column) > 1:
                yield f"the column {column} is there twice; keep one of them."
        if self.behaviors and BEHAVIOR not in self.columns:
            yield f"the mapping names values of {BEHAVIOR}, and that column is not there; map it."
        free = [name for name in self.names if name not in (*self.columns, *self.renamed)]
        has_time = not {TIME, POSITION}.isdisjoint(self.columns)
        for column in self.unused:
            name = None if column in self.names else _misspelt(column, free)
            if name and not (name in (TIME, POSITION) and has_time):
                advice = f"Rename it, or map it: --columns {name}={column}"
                yield f"unknown column '{column}'; did you mean '{name}'? {advice}."
        yield from self._lacking(free, has_time)

    def _lacking(self, free: list[str], has_time: bool) -> Iterator[str]:
        """What is said of columns that are needed and not there."""
        lacking = [name for name in REQUIRED[self.names] if name in free]
        if TIME in free and not has_time and POSITION in free:
            lacking.append(f"{TIME} (or {POSITION})")
        if lacking:
            found = ", ".join(self.found)
            advice = "line 1 must hold the names of the columns, or --columns says what they are"
            yield f"missing column {', '.join(lacking)}; found {found}; {advice}."

    def read(self, notes: list[str]) -> pd.DataFrame:
        """Its columns under our names, as strings (CSV) or in the stored types.

        Raises:
            DataError: there is no row; as `CsvFile.read` and `ParquetFile.read`.
        """
        table = self._file.read(list(self.columns.values())).set_axis(list(self.columns), axis=1)
        if table.empty:
            raise DataError(f"{self.path}: the table has no rows.")
        if self.unused:
            note = f"{self.path.name}: columns that were not used: {', '.join(self.unused)}"
            notes.append(f"{note}.")
            if self.names == ITEMS and not {TITLE, TEXT} & set(self.columns):
                advice = f"rename those to read to {', '.join(ITEMS)}"
                LOG.warning("%s: %s; %s.", self.path.parent, note, advice)
        return table


def _misspelt(column: str, missing: list[str]) -> str | None:
    """The missing column that ``column`` is most likely a misspelling of."""
    plain = {re.sub("[^a-z]", "", name): name for name in missing}
    name = re.sub("[^a-z]", "", column.lower())
    if ALIASES.get(name) in missing:
        return ALIASES[name]
    close = get_close_matches(name, list(plain), n=1, cutoff=0.8)
    return plain[close[0]] if close else None
