"""A data set looked at for all its faults at once, where reading it would stop at the first.

Of the user's own tables the rows at fault are taken out and the rest is read again, until it can
be: so each column is looked at whatever is wrong with another one. Other kinds of data are read
once.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ....config import Profile
from ....errors import DataError
from ...origin import Example, FaultyRows, Origin, shown
from ...schema import BEHAVIOR, BEHAVIORS, ITEM, REC, SRC, TIME, USER, Tables, name_codes, validate
from ..source import Source
from .column_map import DROP, ColumnMap, TableMap, read_map
from .columns import ids_of, interactions_of, items_of
from .file import INTERACTIONS, ITEMS, OwnFile, find_file
from .read import SOURCE, existing

MOST = 50  # faults that are looked for one after the other
FILLED = "filled"  # the share of a column's rows that hold something
VALUES = 8  # of the behaviors that are listed
STAND_IN = Origin("a table in place of one that cannot be read")


class Finding(NamedTuple):
    """A sentence of a report, the first rows that it is about, and what to do."""

    said: str
    examples: list[Example] = []
    advice: str = ""


@dataclass
class Examined:
    """What was found in the files of a data set.

    Attributes:
        files: the name of each, and how large it is.
        columns: of the user's own files, what each column is read as and how far it is filled.
        faults: why the data cannot be used as they are.
        tables: of the rows without a fault; None where other things are wrong than rows.
        log: (rows, 2) user and item of the rows of the file of events, without those at fault and
            those that the mapping drops.
        origin: where these rows are.
    """

    files: list[dict] = field(default_factory=list)
    columns: list[dict] = field(default_factory=list)
    faults: list[Finding] = field(default_factory=list)
    tables: Tables | None = None
    log: pd.DataFrame | None = None
    origin: Origin | None = None


def examine(
    source: Source, profile: Profile, seed: int, columns: ColumnMap | None = None
) -> Examined:
    """Read a data set and collect what is wrong with it.

    Args:
        source: as `load.find` returns it.
        profile, seed: of a simulation.
        columns: of the user's own tables, in place of what their ``columns.yaml`` says.

    Raises:
        ConfigError: ``columns.yaml`` is faulty.
    """
    if source.kind is SOURCE:
        return _Own(existing(source.path), columns).examined()
    found = Examined(files=list(_listed(source)))
    try:
        found.tables = source.read(profile, seed)
    except DataError as error:
        found.faults.append(_finding(error))
        return found
    found.log = found.tables.interactions[[USER, ITEM]]
    found.origin = Origin(f"{source.name}: interactions")
    return found


def _listed(source: Source) -> Iterator[dict]:
    for name, path in source.files().items():
        yield {"file": name, "MB": round(path.stat().st_size / 1e6, 1)}


def _finding(error: DataError, advice: str = "") -> Finding:
    return Finding(str(error), error.where.examples() if error.where else [], advice)


@dataclass
class _Part:
    """A table as it was read, whole at first and then without the rows at fault."""

    rows: pd.DataFrame
    origin: Origin
    behaviors: dict[str, str]


class _Own:
    """The user's own tables."""

    def __init__(self, folder: Path, columns: ColumnMap | None):
        self.folder = folder
        self.mapping = columns or read_map(folder)
        self.found = Examined()
        self.notes: list[str] = []
        self.only_rows = True  # whether rows are all that must go
        self.seen: set[tuple] = set()

    def examined(self) -> Examined:
        """All that is found."""
        self.log = self._read("interactions", self.mapping.interactions, INTERACTIONS)
        self.items = self._read("items", self.mapping.items, ITEMS)
        self.only_rows = bool(self.log and self.items)
        tables = self._without_faulty_rows() if self.log or self.items else None
        if tables and self.only_rows:
            self._take(tables)
        return self.found

    def _read(self, name: str, mapped: TableMap, names: tuple[str, ...]) -> _Part | None:
        """One file; None if it cannot be read, and the reasons are then among the faults."""
        try:
            file = OwnFile(find_file(self.folder, name, mapped.file), mapped, names)
            faults = list(file.faults())
            self.found.faults += map(_finding, faults)
            rows = None if faults else file.read(self.notes)
        except DataError as error:
            self.found.faults.append(_finding(error))
            return None
        self.found.files.append({"file": file.path.name, "rows": None if faults else len(rows)})
        self.found.columns += _columns(file, rows)
        return None if faults else _Part(rows, file.origin, file.behaviors)

    def _without_faulty_rows(self) -> Tables | None:
        """Both tables; None if one of them is wrong in other ways than some rows."""
        for _ in range(MOST):
            self._stand_in()
            try:
                return self._tables()
            except DataError as error:
                if error.where is None:
                    self.found.faults.append(_finding(error))
                    return None
                self._take_out(error, error.where)
        more = f"more than {MOST} faults were found, and the rest was not looked at"
        self.found.faults.append(Finding(f"{self.folder}: {more}."))
        return None

    def _stand_in(self) -> None:
        """Put a sound table in the place of one without rows, so that the other is looked at."""
        if not self.log:
            ids = self.items.rows[ITEM].unique()
            events = pd.DataFrame({USER: "somebody", ITEM: ids}).assign(**{TIME: 0})
            self.log = _Part(events, STAND_IN, {})
        if not self.items:
            self.items = _Part(pd.DataFrame({ITEM: self.log.rows[ITEM].unique()}), STAND_IN, {})

    def _tables(self) -> Tables:
        """As `read.read_tables` makes them."""
        log, items = self.log, self.items
        notes = list(self.notes)
        rows = log.rows.copy(deep=False)  # which loses its columns
        events = interactions_of(rows, log.origin, notes, log.behaviors)
        catalogue = items_of(items.rows, items.origin)
        tables = Tables(events, catalogue, notes=notes)
        return validate(tables, str(self.folder), (log.origin, items.origin))

    def _take_out(self, error: DataError, where: FaultyRows) -> None:
        """Note a fault, and take its rows out."""
        is_log = where.origin == self.log.origin
        part = self.log if is_log else self.items
        key = (where.origin.name, where.column, where.reason)
        if key in self.seen:  # all rows are so, one after the other: the column means nothing
            self.only_rows = False
            part.rows = part.rows.assign(**{where.column: np.arange(len(part.rows))})
            return
        self.seen.add(key)
        if part.origin != STAND_IN:
            advice = _which_behaviors(part) if where.column == BEHAVIOR else ""
            self.found.faults.append(_finding(error, advice))
        part.rows = part.rows.drop(index=where.rows)
        if part.rows.empty:
            self.only_rows = False
            self.log, self.items = (None, self.items) if is_log else (self.log, None)

    def _take(self, tables: Tables) -> None:
        self.found.tables = tables
        self.found.origin = self.log.origin
        rows = self.log.rows
        if dropped := [name for name, ours in self.log.behaviors.items() if ours == DROP]:
            rows = rows[~name_codes(rows[BEHAVIOR]).isin(dropped)]
        ids = {name: ids_of(rows[name], self.log.origin) for name in (USER, ITEM)}
        self.found.log = pd.DataFrame({name: name_codes(column) for name, column in ids.items()})


def _which_behaviors(part: _Part) -> str:
    """The behaviors that a column holds, and options that would name them ours."""
    counts = name_codes(part.rows[BEHAVIOR]).value_counts(sort=False).sort_index()
    counts = counts.sort_values(ascending=False, kind="stable").head(VALUES)
    listed = ", ".join(f"{shown(name)} {count:,} times" for name, count in counts.items())
    known = {*BEHAVIORS, *part.behaviors, ""}
    ours = {name: SRC if "search" in name.lower() else REC for name in counts.index}
    options = [shlex.quote(f"{BEHAVIOR}:{n}={ours[n]}") for n in ours if n not in known]
    advice = f" If these are right: --values {' '.join(options)}" if options else ""
    return f"The column holds {listed}.{advice}"


def _columns(file: OwnFile, rows: pd.DataFrame | None) -> Iterator[dict]:
    """What each column of a file is read as, the share of its rows that hold something, and the
    first thing that they hold."""
    ours = {column: name for name, column in file.columns.items()}
    for column in dict.fromkeys(file.found):
        line = {"file": file.path.name, "column": column, "read as": ours.get(column, "not used")}
        if rows is not None and column in ours:
            values = rows[ours[column]]
            filled = values.notna() & values.ne("")
            first = shown(values[filled].iloc[0]) if filled.any() else ""
            line |= {FILLED: float(filled.mean()), "such as": first}
        yield line
