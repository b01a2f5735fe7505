"""The user's own tables: `interactions` and `items` as CSV or Parquet in one folder.

Read here, checked by `schema.validate`. Ids are strings from the first byte on ('0012' stays
'0012', 'NA' stays 'NA'); a column whose name is nearly that of a known one is an error.
"""

from __future__ import annotations

import logging
import re
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import DataError
from ..origin import Origin
from ..schema import (
    BEHAVIOR,
    CATEGORIES,
    CATEGORY_SEPARATOR,
    ITEM,
    PATH_SEPARATOR,
    QUERY,
    REC,
    SESSION,
    SRC,
    TEXT,
    TIME,
    TITLE,
    USER,
    Tables,
    as_text,
    name_codes,
    validate,
)
from ..times import EXACT, moments, positions
from .csv_file import CsvFile
from .parquet_file import ParquetFile
from .source import Kind

POSITION, BRAND = "position", "brand"
SUFFIXES = (".csv", ".csv.gz", ".parquet")
INTERACTIONS = (USER, ITEM, TIME, POSITION, BEHAVIOR, QUERY, SESSION)
ITEMS = (ITEM, TITLE, CATEGORIES, TEXT, BRAND)
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


def read_tables(folder: Path) -> Tables:
    """Read the user's own data from ``folder``.

    Files: ``interactions`` and ``items``, ``.csv``, ``.csv.gz`` or ``.parquet``. CSV is UTF-8 with
    a header, its columns separated by commas, semicolons, tabs or bars; every row has all columns.

    - interactions: ``user_id``, ``item_id`` and ``time`` (whole numbers, or dates of one format:
      `times.moments`) or ``position`` (any number that orders a user's events; taken as the time,
      or, beside ``time``, to order equal times: `times.positions`). Optional: ``behavior``
      (``rec`` where the column is missing), ``query``, ``session_id`` (of any type, counted per
      user; a search without one is a session).
    - items: ``item_id``. Optional: ``title``, ``categories`` (``A > B``, paths joined by ``|``),
      ``text``, ``brand``. No text: title, brand and leaf category; no title: the text.

    Returns:
        Validated `Tables`. Other columns are left out, and named in the notes.

    Raises:
        DataError: a file that is missing, damaged, of another format or far too large
            (`content`); columns that are missing, there twice or misspelt; a row with too few or
            too many fields, or a quoted field that may have swallowed some (`csv_file`); a query
            without the column ``behavior``; what `times` and `schema.validate` refuse. The message
            names the file, the line as an editor shows it (1 is the header), the column, the value
            and what to change.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder for the tables `interactions` and `items`.")
    log_path, items_path = (_find(folder, name) for name in ("interactions", "items"))
    notes: list[str] = []
    log, log_origin = _read(log_path, INTERACTIONS, (USER, ITEM), notes)
    events = _interactions(log, log_origin, notes)
    catalogue, items_origin = _read(items_path, ITEMS, (ITEM,), notes)
    items = _items(catalogue, items_origin)
    origins = (log_origin, items_origin)
    return validate(Tables(events, items, notes=notes), str(folder), origins)


def _find(folder: Path, name: str) -> Path:
    """The one file of that name, whatever its format."""
    tried = [folder / (name + suffix) for suffix in SUFFIXES]
    found = [path for path in tried if path.is_file()]
    if not found:
        names = ", ".join(path.name for path in tried)
        near = sorted(p.name for p in folder.iterdir() if p.name.lower().startswith(name))
        hint = f" There is {', '.join(near)}: save it as one file of these names." if near else ""
        raise DataError(f"{folder}: no table `{name}`; looked for {names}.{hint}")
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise DataError(f"{folder}: {names} are both there; keep one of them.")
    return found[0]


def _read(path: Path, known: tuple, required: tuple, notes: list) -> tuple[pd.DataFrame, Origin]:
    """The known columns, as strings (CSV) or in the stored types, with at least one row."""
    file = ParquetFile(path) if path.suffix == ".parquet" else CsvFile(path, known)
    _check_names(file.names, known, required, path)
    table = file.read([name for name in known if name in file.names])
    if table.empty:
        raise DataError(f"{path}: the table has no rows.")
    if left_out := [name for name in file.names if name and name not in known]:
        note = f"{path.name}: columns that were not used: {', '.join(left_out)}"
        notes.append(f"{note}.")
        if known == ITEMS and not {TITLE, TEXT} & set(file.names):
            LOG.warning("%s: %s; rename those to read to %s.", path.parent, note, ", ".join(ITEMS))
    return table, file.origin


def _check_names(names: list[str], known: tuple, required: tuple, path: Path) -> None:
    """Raise if a required column is missing, or an unknown one looks like a known missing one."""
    if twice := [name for name in known if names.count(name) > 1]:
        raise DataError(f"{path}: the column {twice[0]} is there twice; keep one of them.")
    missing = [name for name in known if name not in names]
    for column in names:
        meant = None if column in known else _meant(column, missing)
        if meant and not (meant in (TIME, POSITION) and {TIME, POSITION} & set(names)):
            found = f"unknown column '{column}'; did you mean '{meant}'?"
            raise DataError(f"{path}: {found} Rename it.")
    lacking = [name for name in required if name not in names]
    if TIME in known and not {TIME, POSITION} & set(names):
        lacking.append(f"{TIME} (or {POSITION})")
    if lacking:
        found = ", ".join(names)
        advice = "line 1 must hold the names of the columns"
        raise DataError(f"{path}: missing column {', '.join(lacking)}; found {found}; {advice}.")


def _meant(column: str, missing: list[str]) -> str | None:
    """The missing column that ``column`` is most likely a misspelling of."""
    plain = {re.sub("[^a-z]", "", name): name for name in missing}
    name = re.sub("[^a-z]", "", column.lower())
    if ALIASES.get(name) in missing:
        return ALIASES[name]
    close = get_close_matches(name, list(plain), n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def _interactions(table: pd.DataFrame, origin: Origin, notes: list[str]) -> pd.DataFrame:
    """The columns of `schema.INTERACTION_COLUMNS`, missing ones filled with their defaults.

    Takes its columns out of ``table``, so that the strings of each are gone once it has codes.
    """
    place = positions(table[POSITION], origin) if POSITION in table.columns else None
    if place is not None and not pd.to_numeric(table.pop(POSITION)).eq(place).all():
        notes.append("position is numbered anew in its own order, as it has fractions.")
    time = moments(table.pop(TIME), origin) if TIME in table.columns else place
    events = pd.DataFrame(
        {name: name_codes(_ids(table.pop(name), origin)) for name in (USER, ITEM)}
    )
    events[TIME] = time
    events[QUERY] = name_codes(table.pop(QUERY)) if QUERY in table.columns else ""
    if BEHAVIOR in table.columns:
        events[BEHAVIOR] = name_codes(table.pop(BEHAVIOR))
    else:
        advice = "add the column with 'src' for a search and 'rec' for a click"
        said = f"is a query, but there is no column {BEHAVIOR}; {advice}"
        origin.refuse(events[QUERY].ne(""), events[QUERY], said)
        events[BEHAVIOR] = REC
    events[SESSION] = _sessions(events, table.pop(SESSION) if SESSION in table.columns else None)
    return events if place is None else events.iloc[np.argsort(place.to_numpy(), kind="stable")]


def _ids(column: pd.Series, origin: Origin) -> pd.Series:
    """Whole numbers that Parquet stores as floats lose their '.0'."""
    if not pd.api.types.is_float_dtype(column):
        return column
    said = "is a floating number that has lost digits; store ids as text or whole numbers"
    origin.refuse(column.abs() >= EXACT, column, said)
    is_whole = (column.dropna() % 1 == 0).all()
    return column.astype("Int64") if is_whole else column


def _sessions(events: pd.DataFrame, given: pd.Series | None) -> np.ndarray:
    """One integer per session: the given ids counted per user, a new one per search without."""
    single = len(events) + np.arange(len(events))  # above every number of a given one
    number = single
    if given is not None:
        given = given if pd.api.types.is_integer_dtype(given) else name_codes(given)
        code, distinct = pd.factorize(given)
        owner = events[USER].cat.codes.to_numpy(dtype=np.int64)
        number, _ = pd.factorize(owner * len(distinct) + code)
        number = np.where(given.eq(""), single, number)
    return np.where(events[BEHAVIOR].eq(SRC), number, -1)


def _items(table: pd.DataFrame, origin: Origin) -> pd.DataFrame:
    """The columns of `schema.ITEM_COLUMNS`, titles and texts filled from what is known."""
    columns = (TITLE, TEXT, BRAND, CATEGORIES)
    blank = pd.Series("", index=table.index, dtype=object)
    found = {
        name: as_text(table[name]) if name in table else blank.rename(name) for name in columns
    }
    title, text, brand, categories = found.values()
    categories = _spaced(categories)
    known = title + " " + brand + " " + leaf_category(categories)
    text = text.where(text.ne(""), known.str.split().str.join(" "))
    title = title.where(title.ne(""), text)
    item = as_text(_ids(table[ITEM], origin))
    return pd.DataFrame({ITEM: item, TITLE: title, CATEGORIES: categories, TEXT: text})


def _spaced(categories: pd.Series) -> pd.Series:
    """Paths with a space around each separator, as `schema` has them.

    >>> _spaced(pd.Series(["Beauty>Nails", "A > B|C"])).tolist()
    ['Beauty > Nails', 'A > B | C']
    """
    return categories.str.replace(r"\s*([>|])\s*", r" \1 ", regex=True).str.strip()


def leaf_category(categories: pd.Series) -> pd.Series:
    """The last level of the first path of each item.

    >>> leaf_category(pd.Series(["Beauty > Nails | Gifts", ""])).tolist()
    ['Nails', '']
    """
    number, distinct = pd.factorize(categories)
    first = pd.Series(distinct).str.split(PATH_SEPARATOR, n=1, regex=False).str[0]
    leaf = first.str.rsplit(CATEGORY_SEPARATOR, n=1).str[-1]
    return pd.Series(leaf.to_numpy()[number], index=categories.index)


def _example(folder: Path) -> str:
    """Two customers and four things, one of them searched for."""
    events = ["user_id,item_id,time,behavior,query", "ann,pen,1,rec,", "ann,ink,2,src,blue ink"]
    events += ["bob,pen,1,rec,", "bob,mug,2,rec,"]
    items = ["item_id,title", "pen,A pen", "ink,Ink", "mug,A mug", "hat,A hat"]
    for name, lines in (("interactions", events), ("items", items)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


SOURCE = Kind(
    read=lambda path, profile, seed: read_tables(path), example=_example, check=lambda path: None
)
