"""The user's own tables: `interactions` and `items` as CSV or Parquet in one folder.

Read here, checked by `schema.validate`. Ids are strings from the first byte on ('0012' stays '0012',
'NA' stays 'NA'); a column whose name is nearly that of a known one is an error, never ignored.
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
    validate,
)

POSITION, BRAND = "position", "brand"
SUFFIXES = (".csv", ".csv.gz", ".parquet")
INTERACTIONS = (USER, ITEM, TIME, POSITION, BEHAVIOR, QUERY, SESSION)
ITEMS = (ITEM, TITLE, CATEGORIES, TEXT, BRAND)
# Names in common use that are too far from ours for a spelling check.
ALIASES = {"user": USER, "uid": USER, "item": ITEM, "iid": ITEM, "asin": ITEM, "timestamp": TIME, "date": TIME,
           "datetime": TIME, "category": CATEGORIES, "session": SESSION, "description": TEXT}  # fmt: skip
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # what a gz file cut short or overwritten raises


def read_tables(folder: Path) -> Tables:
    """Read the user's own data from ``folder``.

    Files: ``interactions`` and ``items``, each as ``.csv``, ``.csv.gz`` or ``.parquet`` (UTF-8, header).

    - interactions: ``user_id``, ``item_id`` and ``time`` (numbers, or dates, which become seconds since
      1970, UTC) or ``position`` (any number that orders a user's events; taken as the time, or, beside
      ``time``, to order equal times). Optional: ``behavior`` (``rec`` where the column is missing),
      ``query``, ``session_id`` (of any type, counted per user; a search without one is a session).
    - items: ``item_id``. Optional: ``title``, ``categories`` (``A > B``, paths joined by `` | ``),
      ``text``, ``brand``. No text: title, brand and leaf category; no title: the text.

    Returns:
        Validated `Tables`. Other columns are left out.

    Raises:
        DataError: see above; the message names the file and what to change.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. It must hold the tables `interactions` and `items`.")
    paths = {name: _find(folder, name) for name in ("interactions", "items")}
    events, source = _read(paths["interactions"]), paths["interactions"]
    _check_names(events, INTERACTIONS, (USER, ITEM), source)
    items = _read(paths["items"])
    _check_names(items, ITEMS, (ITEM,), paths["items"])
    return validate(Tables(_interactions(events, source), _items(items)), str(folder))


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a compressed file that ends too early or is no gzip file."""
    return DataError(f"{path}: the file is damaged or cut short ({error}). Download or write it again.")


def _find(folder: Path, name: str) -> Path:
    """The one file of that name, whatever its format."""
    tried = [folder / (name + suffix) for suffix in SUFFIXES]
    found = [path for path in tried if path.is_file()]
    if not found:
        raise DataError(f"{folder}: no table `{name}`; looked for {', '.join(path.name for path in tried)}.")
    if len(found) > 1:
        raise DataError(f"{folder}: {' and '.join(path.name for path in found)} are both there; keep one of them.")
    return found[0]


def _read(path: Path) -> pd.DataFrame:
    """A table of strings (CSV) or of the stored types (Parquet), with at least one row."""
    reader = pd.read_parquet if path.suffix == ".parquet" else _read_csv
    try:
        table = reader(path)
    except DAMAGED as error:
        raise damaged(path, error) from error
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path}: the file is empty; its first line must hold the column names.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error}). Save the table as UTF-8.") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as a table: {str(error).strip()}") from error
    if table.empty:
        raise DataError(f"{path}: the table has no rows.")
    return table.rename(columns=lambda name: str(name).strip())


def _read_csv(path: Path) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Rows longer than the header would else lose their last field with a mere warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    return table.fillna("")  # rows shorter than the header


def _check_names(table: pd.DataFrame, known: tuple, required: tuple, path: Path) -> None:
    """Raise if a required column is missing or an unknown column looks like a known one that is missing."""
    if table.columns.has_duplicates:
        raise DataError(f"{path}: column {table.columns[table.columns.duplicated()][0]} is there twice.")
    missing = [name for name in known if name not in table.columns]
    for column in table.columns.difference(known, sort=False):
        meant = _meant(column, missing)
        if meant and not (meant in (TIME, POSITION) and {TIME, POSITION} & set(table.columns)):
            raise DataError(f"{path}: unknown column '{column}'; did you mean '{meant}'? Rename it.")
    lacking = [name for name in required if name not in table.columns]
    if lacking:
        raise DataError(f"{path}: missing column {', '.join(lacking)}; found {', '.join(table.columns)}.")


def _meant(column: str, missing: list[str]) -> str | None:
    """The missing column that ``column`` is most likely a misspelling of."""
    plain = {re.sub("[^a-z]", "", name): name for name in missing}
    name = re.sub("[^a-z]", "", column.lower())
    if ALIASES.get(name) in missing:
        return ALIASES[name]
    close = get_close_matches(name, list(plain), n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def _interactions(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The columns of `schema.INTERACTION_COLUMNS`, those that are missing filled with their defaults."""
    if TIME not in table.columns and POSITION not in table.columns:
        raise DataError(f"{path}: missing column `time` (or `position`); found {', '.join(table.columns)}.")
    events = pd.DataFrame({USER: _ids(table[USER]), ITEM: _ids(table[ITEM])})
    events[TIME] = _time(table[TIME if TIME in table.columns else POSITION], path)
    events[BEHAVIOR] = _text(table, BEHAVIOR) if BEHAVIOR in table.columns else REC
    events[QUERY] = _text(table, QUERY)
    events[SESSION] = _sessions(events, _text(table, SESSION))
    if TIME in table.columns and POSITION in table.columns:
        return events.iloc[np.argsort(_time(table[POSITION], path).to_numpy(), kind="stable")]
    return events


def _ids(column: pd.Series) -> pd.Series:
    """Strings; whole numbers that Parquet stores as floats because some are missing lose their '.0'."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").fillna("")


def _text(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as stripped strings, empty where it is missing."""
    if name not in table.columns:
        return pd.Series("", index=table.index, dtype=object)
    return table[name].astype("string").fillna("").str.strip().astype(object)


def _time(column: pd.Series, path: Path) -> pd.Series:
    """Numbers as they are, dates as whole seconds since 1970 (UTC where no zone is given)."""
    if pd.api.types.is_numeric_dtype(column):
        return column  # `validate` looks for what is not finite
    values = column.astype("string").str.strip() if not pd.api.types.is_datetime64_any_dtype(column) else column
    numeric = pd.to_numeric(values.iloc[:1], errors="coerce").notna().all() if values is not column else False
    if numeric:  # the first row decides which of the two the column holds
        time = pd.to_numeric(values, errors="coerce")
    else:
        time = pd.to_datetime(values, errors="coerce", utc=True, format="mixed")
    bad = time.isna().to_numpy()
    if bad.any():
        row, kind = int(bad.argmax()), "number" if numeric else "date"
        where = f"{path}: row {row}, column {column.name}"
        raise DataError(f"{where}: '{column.iloc[row]}' is not a {kind} ({int(bad.sum())} such rows).")
    return time if numeric else time.dt.as_unit("s").astype("int64")


def _sessions(events: pd.DataFrame, given: pd.Series) -> np.ndarray:
    """One integer per session: the given ids counted per user, a new one for each search without."""
    search = events[BEHAVIOR].eq(SRC).to_numpy()
    numbers = events.groupby([events[USER], given], sort=False).ngroup().to_numpy(dtype=np.int64)
    single = len(events) + np.arange(len(events))  # above every number that ngroup gives
    return np.where(search, np.where(given.eq(""), single, numbers), -1)


def _items(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of `schema.ITEM_COLUMNS`, titles and texts filled from what is known."""
    title, text, brand, categories = (_text(table, name) for name in (TITLE, TEXT, BRAND, CATEGORIES))
    known = title + " " + brand + " " + leaf_category(categories)
    text = text.where(text.ne(""), known.str.split().str.join(" "))
    items = {ITEM: _ids(table[ITEM]), TITLE: title.where(title.ne(""), text), CATEGORIES: categories, TEXT: text}
    return pd.DataFrame(items)


def leaf_category(categories: pd.Series) -> pd.Series:
    """The last level of the first path of each item.

    >>> leaf_category(pd.Series(["Beauty > Nails | Gifts", ""])).tolist()
    ['Nails', '']
    """
    first = categories.str.split(PATH_SEPARATOR, n=1, regex=False).str[0]
    return first.str.rsplit(CATEGORY_SEPARATOR, n=1).str[-1]
