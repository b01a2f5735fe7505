"""A mapping of somebody's own tables, as options of the command line say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.schema import BEHAVIOR
from ..data.sources.own import SOURCE
from ..data.sources.own.column_map import ColumnMap, TableMap, read_map
from ..data.sources.own.file import INTERACTIONS, ITEMS, OwnFile, find_file
from ..data.sources.source import Source
from ..errors import ConfigError, DataError, known, unknown

NAMES = {"interactions": INTERACTIONS, "items": ITEMS}


def mapped(
    source: Source, columns: Sequence[str], values: Sequence[str], files: Sequence[str]
) -> ColumnMap:
    """What a folder's ``columns.yaml`` says, and in its place what the options say.

    Args:
        source: the user's own tables.
        columns: ``user_id=customer``. ``items.item_id=sku`` names the table too; ``item_id``
            alone, which both tables have, is meant where there is such a column.
        values: ``behavior:click=rec``.
        files: ``interactions=log.tsv``.

    Raises:
        ConfigError: other data than somebody's own tables; an option of another form, or one that
            names a table or column that we do not have, or the same one twice.
    """
    if source.kind is not SOURCE:
        said = f"{source.name}: the columns of these data are known"
        raise ConfigError(f"{said}; --columns, --values and --files are for your own tables")
    given: dict[str, Any] = {table: {"columns": {}} for table in NAMES}
    for table, file in _pairs("--files", files, "interactions=log.tsv").items():
        given[known("table", table, NAMES)]["file"] = file
    named = _pairs("--columns", columns, "user_id=customer")
    for name in sorted(named, key=lambda name: "." in name):  # one with its table wins
        for table in _tables(name, named[name], source.path, given):
            given[table]["columns"][name.rpartition(".")[2]] = named[name]
    given["interactions"]["values"] = {BEHAVIOR: _behaviors(values)}
    kept = read_map(source.path).plain()
    return ColumnMap.parse(_over(kept, given), where="--columns, --values and --files")


def _pairs(option: str, pairs: Sequence[str], example: str) -> dict[str, str]:
    """``name=value`` by name."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{option} {pair}: it must be of the form {example}")
        if name in found:
            both = f"{found[name]} and {value}"
            raise ConfigError(f"{option} {pair}: {name} would be both {both}; keep one of them")
        found[name] = value
    return found


def _behaviors(values: Sequence[str]) -> dict[str, str]:
    """What each value of the behavior is, from ``behavior:click=rec``."""
    found = {}
    for text in values:
        column, _, pair = text.partition(":")
        value, equals, name = pair.rpartition("=")
        if column != BEHAVIOR or not (value and equals and name):
            raise ConfigError(f"--values {text}: it must be of the form {BEHAVIOR}:click=rec")
        if value in found:
            raise ConfigError(f"--values {text}: '{value}' is named twice; keep one of them")
        found[value] = name
    return found


def _tables(name: str, column: str, folder: Path, given: dict[str, Any]) -> list[str]:
    """The tables whose column is meant."""
    table, _, plain = name.rpartition(".")
    owners = [t for t, names in NAMES.items() if plain in names and table in ("", t)]
    if not owners:
        raise unknown("column", name, {*INTERACTIONS, *ITEMS})
    if len(owners) == 1:
        return owners
    files = {t: given[t].get("file") or getattr(read_map(folder), t).file for t in owners}
    return [t for t in owners if column in _header(folder, t, files[t])] or owners


def _header(folder: Path, table: str, file: str | None) -> list[str]:
    """The columns of a file; none if it cannot be read, which the check will say."""
    try:
        empty = ColumnMap()
        mapping: TableMap = getattr(empty, table)
        return OwnFile(find_file(folder, table, file), mapping, NAMES[table]).found
    except DataError:
        return []


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Nested values, those above in place of those below."""
    both = dict(below)
    for key, value in above.items():
        both[key] = _over(below.get(key, {}), value) if isinstance(value, dict) else value
    return both
