"""What the columns of the user's own tables become: the columns of `schema`, each with its default.

Ids are strings from the first byte on ('0012' stays '0012', 'NA' stays 'NA').
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ....errors import DataError
from ...origin import Note, Origin
from ...schema import (
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
    as_text,
    name_codes,
)
from ...times import EXACT, moments, positions
from .column_map import DROP

POSITION, BRAND = "position", "brand"


def interactions_of(
    table: pd.DataFrame, origin: Origin, notes: list[str], values: Mapping[str, str]
) -> pd.DataFrame:
    """The columns of `schema.INTERACTION_COLUMNS`, missing ones filled with their defaults.

    Takes its columns out of ``table``, so that the strings of each are gone once it has codes.

    Args:
        values: what behaviors of the file stand for: ``rec``, ``src`` or ``drop``.
    """
    if values:
        table = _with_our_behaviors(table, origin, notes, values)
    place = positions(table[POSITION], origin) if POSITION in table.columns else None
    if place is not None and not pd.to_numeric(table.pop(POSITION)).eq(place).all():
        notes.append("position is numbered anew in its own order, as it has fractions.")
    time = moments(table.pop(TIME), origin) if TIME in table.columns else place
    events = pd.DataFrame(
        {name: name_codes(ids_of(table.pop(name), origin)) for name in (USER, ITEM)}
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
    given = ids_of(table.pop(SESSION), origin) if SESSION in table.columns else None
    events[SESSION] = _sessions(events, given, origin, notes)
    return events if place is None else events.iloc[np.argsort(place.to_numpy(), kind="stable")]


def _with_our_behaviors(
    table: pd.DataFrame, origin: Origin, notes: list[str], values: Mapping[str, str]
) -> pd.DataFrame:
    """The events with our names of their behaviors, without those that are to be dropped."""
    found = name_codes(table[BEHAVIOR])
    known = found.cat.categories
    if absent := [name for name in values if name not in known]:
        notes.append(f"No event has the behavior {', '.join(absent)}, which the mapping names.")
    ours = np.array([values.get(name, name) for name in known], dtype=object)
    table = table.assign(**{BEHAVIOR: ours[found.cat.codes]})
    dropped = [name for name in known if values.get(name) == DROP]
    unwanted = found.isin(dropped)
    if unwanted.all():
        said = "the mapping drops the behavior of every event"
        raise DataError(f"{origin.name}: {said}; keep one of {', '.join(known)}.")
    if unwanted.any():
        said = f"{unwanted.sum()} events were dropped, as the mapping drops the behavior"
        examples = origin.examples(found[unwanted])
        notes.append(Note(f"{said} {', '.join(dropped)}.", examples))
    return table[~unwanted]


def ids_of(column: pd.Series, origin: Origin) -> pd.Series:
    """Whole numbers that Parquet stores as floats lose their '.0'."""
    if not pd.api.types.is_float_dtype(column):
        return column
    said = "is a floating number that has lost digits; store ids as text or whole numbers"
    origin.refuse(column.abs() >= EXACT, column, said)
    is_whole = (column.dropna() % 1 == 0).all()
    return column.astype("Int64") if is_whole else column


def _sessions(
    events: pd.DataFrame, given: pd.Series | None, origin: Origin, notes: list[str]
) -> np.ndarray:
    """One integer per session: the given ids counted per user, a new one per search without.

    A session has one query. Where clicks of one id have several, as under an id that only says that
    there is none, each query is a session of its own.
    """
    is_search = events[BEHAVIOR].eq(SRC).to_numpy()
    number = len(events) + np.arange(len(events))  # above every number of a given one
    if given is not None:
        given = name_codes(given)
        columns = {"user": events[USER], "id": given, "query": events[QUERY]}
        asked = pd.DataFrame(columns)[is_search & given.ne("").to_numpy()]
        ids = asked.groupby(["user", "id"], observed=True, sort=False).ngroup()
        queries = asked.groupby(["user", "id", "query"], observed=True, sort=False).ngroup()
        number[np.flatnonzero(is_search & given.ne("").to_numpy())] = queries
        if split := queries.nunique() - ids.nunique():
            first = queries.groupby(ids).transform("first")
            said = f"{split} sessions were begun because the query changed under one session id."
            notes.append(Note(said, origin.examples(asked["query"][queries.ne(first)])))
    return np.where(is_search, number, -1)


def items_of(table: pd.DataFrame, origin: Origin) -> pd.DataFrame:
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
    item = as_text(ids_of(table[ITEM], origin))
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
