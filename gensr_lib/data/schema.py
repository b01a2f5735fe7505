"""The two tables that every data set is turned into, and their validation.

`interactions`: one row per click, columns ``user_id, item_id, time, behavior, query, session_id``.
`items`: one row per item, columns ``item_id, title, categories, text``.

A loader returns these two tables and nothing else; all that follows (filters, split, negatives,
batches) is the same for every data set. Column names are fixed here, once. From `validate` on the
names in `interactions` are categorical: sorting, filters and the split work on integer codes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..errors import DataError

USER, ITEM, TIME = "user_id", "item_id", "time"
BEHAVIOR, QUERY, SESSION = "behavior", "query", "session_id"
TITLE, CATEGORIES, TEXT = "title", "categories", "text"
INTERACTION_COLUMNS = (USER, ITEM, TIME, BEHAVIOR, QUERY, SESSION)
ITEM_COLUMNS = (ITEM, TITLE, CATEGORIES, TEXT)
NAME_COLUMNS = (USER, ITEM, BEHAVIOR, QUERY)  # the categorical ones of `interactions`

REC, SRC = "rec", "src"
BEHAVIORS = (REC, SRC)
BEHAVIOR_CODES = pd.CategoricalDtype(BEHAVIORS)
TASK_LABELS = {REC: "recommendation", SRC: "search"}
CATEGORY_SEPARATOR = " > "  # between the levels of one path
PATH_SEPARATOR = " | "  # between several paths of one item


@dataclass(frozen=True)
class Tables:
    """What a loader returns.

    Attributes:
        interactions: one row per click. ``user_id`` and ``item_id`` are names, ``time`` is an
            int64 that orders the clicks of a user (seconds since 1970, or a position),
            ``behavior`` is ``rec`` or ``src``, ``query`` is the text typed (empty for ``rec``),
            ``session_id`` joins the clicks that one query led to (-1 for ``rec``).
        items: one row per item. ``categories`` holds paths such as ``A > B > C``, several joined
            by `` | ``; every text column is a string, empty where nothing is known.
        counts: events, users and items after each step of loading, for the book's tables.
        truth: what only a simulation knows (`pocket.Truth`), else None.
        valid: set by `validate`, which does not look at such tables again.
    """

    interactions: pd.DataFrame
    items: pd.DataFrame
    counts: list[dict] = field(default_factory=list)
    truth: object = None
    valid: bool = False

    def count(self, step: str) -> Tables:
        """Append a line of counts named ``step`` and return self."""
        self.counts.append(count_events(step, self.interactions))
        return self


def count_events(step: str, interactions: pd.DataFrame) -> dict:
    """Events by behavior, users and items of a table, as one row for the table of filters."""
    is_search = interactions[BEHAVIOR].eq(SRC)
    return {
        "step": step,
        "rec events": int((~is_search).sum()),
        "src events": int(is_search.sum()),
        "users": interactions[USER].nunique(),
        "items": interactions[ITEM].nunique(),
        "queries": interactions.loc[is_search, QUERY].nunique(),
    }


def require_columns(table: pd.DataFrame, columns, source: str) -> None:
    """Raise `DataError` naming the missing columns of ``table`` and what stands there instead."""
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise DataError(
            f"{source}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{', '.join(map(str, table.columns))}. Rename the columns of the file to these names."
        )


def validate(tables: Tables, source: str) -> Tables:
    """Check both tables, bring them to their types, sort the events and drop exact duplicates.

    Events come out ordered by (user, time, behavior), which is what the split relies on; the order
    of equal times is that of the input. Validating twice changes nothing. A duplicate is the
    same user, item, time, behavior and query. Items without a row in ``items`` get one with empty
    texts. `NAME_COLUMNS` come out as `name_codes` makes them.

    Raises:
        DataError: a missing column, an empty id, a time that is no finite integer, an unknown
            behavior, a search without a query, an item listed twice, no event at all.
    """
    if tables.valid:
        return tables
    events = _checked_events(tables.interactions, source)
    items = _checked_items(tables.items, source)
    unlisted = events[ITEM].cat.categories.difference(items[ITEM])  # sorted
    if len(unlisted):
        blank = pd.DataFrame({ITEM: unlisted, TITLE: "", CATEGORIES: "", TEXT: ""})
        items = pd.concat([items, blank.astype(object)], ignore_index=True)
    repeated = events.duplicated([USER, ITEM, TIME, BEHAVIOR, QUERY])
    unique = events[~repeated].reset_index(drop=True) if repeated.any() else events
    read = [count_events("read", events), count_events("without duplicates", unique)]
    return Tables(unique, items, list(tables.counts or read), tables.truth, valid=True)


def name_codes(column: pd.Series) -> pd.Series:
    """A column of names as a categorical: stripped strings, a missing one as the empty string.

    The categories are those that occur, in the order of their characters, so that the order of
    codes is the order of names. Each distinct name is looked at once.

    >>> name_codes(pd.Series(["b ", None, "a", "b"])).cat.codes.tolist()
    [2, 0, 1, 2]
    """
    codes, found = pd.factorize(column)
    names = pd.Series(found).astype("string").str.strip().fillna("")
    if (codes < 0).any():
        names = pd.concat([names, pd.Series([""], dtype="string")])  # the last: at position -1
    place, distinct = pd.factorize(names, sort=True)
    return pd.Series(coded(place[codes], distinct), index=column.index, name=column.name)


def coded(codes: np.ndarray, names) -> pd.Categorical:
    """A categorical of distinct names, as Python strings whatever pandas makes of strings."""
    return pd.Categorical.from_codes(codes, pd.Index(names, dtype=object))


def in_order(events: pd.DataFrame) -> pd.DataFrame:
    """Events with categorical names by (user, time, behavior); ties keep their order."""
    keys = (events[BEHAVIOR].cat.codes, events[TIME], events[USER].cat.codes)  # the last one first
    return events.iloc[np.lexsort(keys)].reset_index(drop=True)


def _checked_events(events: pd.DataFrame, source: str) -> pd.DataFrame:
    require_columns(events, INTERACTION_COLUMNS, f"{source}: interactions")
    if events.empty:
        raise DataError(f"{source}: the table of interactions has no rows.")
    user, item, query = (name_codes(events[column]) for column in (USER, ITEM, QUERY))
    for names in (user, item):
        _reject(names.eq(""), source, names.name, "is empty; give every event a user and an item")
    behavior = events[BEHAVIOR]
    session = pd.to_numeric(events[SESSION], errors="coerce")
    _reject(~behavior.isin(BEHAVIORS), source, BEHAVIOR, "is neither 'rec' nor 'src'", behavior)
    time = _as_time(events[TIME], source)
    searches = behavior.eq(SRC)
    said = "although the event is a search (src)"
    _reject(searches & query.eq(""), source, QUERY, f"is empty {said}")
    _reject(searches & session.isna(), source, SESSION, f"is not a number {said}")
    if (~searches & query.ne("")).any():  # what a recommendation has typed counts for nothing
        query = name_codes(query.astype(object).where(searches, ""))
    behavior = behavior.astype(BEHAVIOR_CODES)
    session = session.where(searches, -1).astype("int64")
    columns = (user, item, time, behavior, query, session)
    return in_order(pd.DataFrame(dict(zip(INTERACTION_COLUMNS, columns, strict=True))))


def _checked_items(items: pd.DataFrame, source: str) -> pd.DataFrame:
    require_columns(items, ITEM_COLUMNS, f"{source}: items")
    texts = {column: _as_text(items[column]) for column in ITEM_COLUMNS}
    items = pd.DataFrame(texts).reset_index(drop=True)
    _reject(items[ITEM].eq(""), f"{source}: items", ITEM, "is empty")
    repeated = items[ITEM].duplicated()
    reason = "is listed twice; keep one row per item"
    _reject(repeated, f"{source}: items", ITEM, reason, items[ITEM])
    return items


def _as_text(column: pd.Series) -> pd.Series:
    return column.astype("string").fillna("").str.strip().astype(object)


def _as_time(column: pd.Series, source: str) -> pd.Series:
    time = pd.to_numeric(column, errors="coerce")
    _reject(~np.isfinite(time.astype("float64")), source, TIME, "is not a finite number", column)
    return time.astype("int64")


def _reject(bad, source: str, column: str, reason: str, values: pd.Series | None = None) -> None:
    """Raise if any row is bad, naming the first one by its position and value."""
    bad = np.asarray(bad, dtype=bool)
    if bad.any():
        row = int(bad.argmax())
        count = int(bad.sum())
        value = f" ('{values.iloc[row]}')" if values is not None else ""
        where = f"{source}: row {row}, column {column}{value}"
        raise DataError(f"{where} {reason} ({count} such rows).")
