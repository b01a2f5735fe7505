"""The user's own tables: `interactions` and `items` as CSV or Parquet in one folder.

Read here, checked by `schema.validate`. Ids are strings from the first byte on ('0012' stays
'0012', 'NA' stays 'NA'); a column whose name is nearly that of a known one is an error.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ...errors import DataError
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
    name_codes,
    validate,
)
from .source import Kind

POSITION, BRAND = "position", "brand"
CHUNK = 100_000  # rows of a CSV file that are parsed at once
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
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # what a gz file cut short or overwritten raises


def read_tables(folder: Path) -> Tables:
    """Read the user's own data from ``folder``.

    Files: ``interactions`` and ``items``, ``.csv``, ``.csv.gz`` or ``.parquet`` (UTF-8, header).

    - interactions: ``user_id``, ``item_id`` and ``time`` (numbers, or dates, which become seconds
      since 1970, UTC) or ``position`` (any number that orders a user's events; taken as the time,
      or, beside ``time``, to order equal times). Optional: ``behavior`` (``rec`` where the column
      is missing), ``query``, ``session_id`` (of any type, counted per user; a search without one
      is a session).
    - items: ``item_id``. Optional: ``title``, ``categories`` (``A > B``, paths joined by `` | ``),
      ``text``, ``brand``. No text: title, brand and leaf category; no title: the text.

    Returns:
        Validated `Tables`. Other columns are left out.

    Raises:
        DataError: see above; the message names the file and what to change.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder for the tables `interactions` and `items`.")
    log, catalogue = (_find(folder, name) for name in ("interactions", "items"))
    events = _interactions(_read(log, INTERACTIONS, (USER, ITEM)), log)
    items = _items(_read(catalogue, ITEMS, (ITEM,)))
    return validate(Tables(events, items), str(folder))


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a compressed file that ends too early or is no gzip file."""
    found = f"the file is damaged or cut short ({error})"
    return DataError(f"{path}: {found}. Download or write it again.")


def _find(folder: Path, name: str) -> Path:
    """The one file of that name, whatever its format."""
    tried = [folder / (name + suffix) for suffix in SUFFIXES]
    found = [path for path in tried if path.is_file()]
    if not found:
        names = ", ".join(path.name for path in tried)
        raise DataError(f"{folder}: no table `{name}`; looked for {names}.")
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise DataError(f"{folder}: {names} are both there; keep one of them.")
    return found[0]


def _read(path: Path, known: tuple, required: tuple) -> pd.DataFrame:
    """A table of strings (CSV) or of the stored types (Parquet), with at least one row."""
    reader = pd.read_parquet if path.suffix == ".parquet" else _read_csv
    try:
        table = reader(path)
    except DAMAGED as error:
        raise damaged(path, error) from error
    except pd.errors.EmptyDataError as error:
        advice = "its first line must hold the column names"
        raise DataError(f"{path}: the file is empty; {advice}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error}). Save the table as UTF-8.") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as a table: {str(error).strip()}") from error
    if table.empty:
        raise DataError(f"{path}: the table has no rows.")
    table = table.rename(columns=lambda name: str(name).strip())
    _check_names(table, known, required, path)
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    options = {"dtype": str, "keep_default_na": False, "index_col": False, "encoding": "utf-8-sig"}
    with warnings.catch_warnings():
        # Rows longer than the header would else lose their last field with a mere warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # In parts: the parser's own strings take several times the memory of the finished table.
        with pd.read_csv(path, chunksize=CHUNK, **options) as parts:
            return pd.concat([part.fillna("") for part in parts])  # rows shorter than the header


def _check_names(table: pd.DataFrame, known: tuple, required: tuple, path: Path) -> None:
    """Raise if a required column is missing, or an unknown one looks like a known missing one."""
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise DataError(f"{path}: column {twice} is there twice.")
    missing = [name for name in known if name not in table.columns]
    for column in table.columns.difference(known, sort=False):
        meant = _meant(column, missing)
        if meant and not (meant in (TIME, POSITION) and {TIME, POSITION} & set(table.columns)):
            found = f"unknown column '{column}'; did you mean '{meant}'?"
            raise DataError(f"{path}: {found} Rename it.")
    lacking = [name for name in required if name not in table.columns]
    if lacking:
        found = ", ".join(table.columns)
        raise DataError(f"{path}: missing column {', '.join(lacking)}; found {found}.")


def _meant(column: str, missing: list[str]) -> str | None:
    """The missing column that ``column`` is most likely a misspelling of."""
    plain = {re.sub("[^a-z]", "", name): name for name in missing}
    name = re.sub("[^a-z]", "", column.lower())
    if ALIASES.get(name) in missing:
        return ALIASES[name]
    close = get_close_matches(name, list(plain), n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def _interactions(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The columns of `schema.INTERACTION_COLUMNS`, missing ones filled with their defaults.

    Takes its columns out of ``table``, so that the strings of each are gone once it has codes.
    """
    given = [name for name in (TIME, POSITION) if name in table.columns]
    if not given:
        found = ", ".join(table.columns)
        raise DataError(f"{path}: missing column `time` (or `position`); found {found}.")
    order = [_time(table.pop(name), path) for name in given]
    events = pd.DataFrame({name: name_codes(_ids(table.pop(name))) for name in (USER, ITEM)})
    events[TIME] = order[0]
    events[BEHAVIOR] = name_codes(table.pop(BEHAVIOR)) if BEHAVIOR in table.columns else REC
    events[QUERY] = table.pop(QUERY) if QUERY in table.columns else ""
    events[SESSION] = _sessions(events, table.pop(SESSION) if SESSION in table.columns else None)
    return events.iloc[np.argsort(order[-1].to_numpy(), kind="stable")] if order[1:] else events


def _ids(column: pd.Series) -> pd.Series:
    """Whole numbers that Parquet stores as floats because some are missing lose their '.0'."""
    is_whole = pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all()
    return column.astype("Int64") if is_whole else column


def _text(table: pd.DataFrame, name: str) -> pd.Series:
    """A column of items as stripped strings, empty where it is missing."""
    if name not in table.columns:
        return pd.Series("", index=table.index, dtype=object)
    return table[name].astype("string").fillna("").str.strip().astype(object)


def _time(column: pd.Series, path: Path) -> pd.Series:
    """Numbers as they are, dates as whole seconds since 1970 (UTC where no zone is given)."""
    if pd.api.types.is_numeric_dtype(column):
        return column  # `validate` looks for what is not finite
    values = column
    numeric = False
    if not pd.api.types.is_datetime64_any_dtype(column):
        values = column.astype("string").str.strip()
        # The first row decides which of the two the column holds.
        numeric = pd.to_numeric(values.iloc[:1], errors="coerce").notna().all()
    if numeric:
        time = pd.to_numeric(values, errors="coerce")
    else:
        time = pd.to_datetime(values, errors="coerce", utc=True, format="mixed")
    bad = time.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        kind = "number" if numeric else "date"
        found = f"'{column.iloc[row]}' is not a {kind} ({int(bad.sum())} such rows)"
        raise DataError(f"{path}: row {row}, column {column.name}: {found}.")
    return time if numeric else time.dt.as_unit("s").astype("int64")


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


def _items(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of `schema.ITEM_COLUMNS`, titles and texts filled from what is known."""
    columns = (TITLE, TEXT, BRAND, CATEGORIES)
    title, text, brand, categories = (_text(table, name) for name in columns)
    known = title + " " + brand + " " + leaf_category(categories)
    text = text.where(text.ne(""), known.str.split().str.join(" "))
    title = title.where(title.ne(""), text)
    columns = {ITEM: _ids(table[ITEM]), TITLE: title, CATEGORIES: categories, TEXT: text}
    return pd.DataFrame(columns)


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
