"""The two tables that every data set is turned into, and their validation.

`interactions`: one row per click, columns ``user_id, item_id, time, behavior, query, session_id``.
`items`: one row per item, columns ``item_id, title, categories, text``.

A loader returns these two tables and nothing else; all that follows (filters, split, negatives,
batches) is the same for every data set. Column names are fixed here, once.
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

REC, SRC = "rec", "src"
BEHAVIORS = (REC, SRC)
TASK_LABELS = {REC: "recommendation", SRC: "search"}
CATEGORY_SEPARATOR = " > "  # between the levels of one path
PATH_SEPARATOR = " | "  # between several paths of one item


@dataclass
class Tables:
    """What a loader returns.

    Attributes:
        interactions: one row per click. ``user_id`` and ``item_id`` are strings, ``time`` is an
            int64 that orders the clicks of a user (seconds since 1970, or a position), ``behavior``
            is ``rec`` or ``src``, ``query`` is the text typed (empty for ``rec``), ``session_id``
            joins the clicks that one query led to (-1 for ``rec``).
        items: one row per item. ``categories`` holds paths such as ``A > B > C``, several joined
            by `` | ``; every text column is a string, empty where nothing is known.
        counts: events, users and items after each step of loading, for the book's tables.
        truth: what only a simulation knows (`pocket.Truth`), else None.
    """

    interactions: pd.DataFrame
    items: pd.DataFrame
    counts: list[dict] = field(default_factory=list)
    truth: object = None

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
            f"{source}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; "
            f"found {', '.join(map(str, table.columns))}. Rename the columns of the file to the names above."
        )


def validate(tables: Tables, source: str) -> Tables:
    """Check both tables, bring them to their types, sort the events and drop exact duplicates.

    Events come out ordered by (user, time, behavior), which is what the split relies on; the order
    of equal times is that of the input. Validating twice changes nothing. A duplicate is the
    same user, item, time, behavior and query. Items without a row in ``items`` get one with empty texts.

    Raises:
        DataError: a missing column, an empty id, a time that is no finite integer, an unknown
            behavior, a search without a query, an item listed twice, no event at all.
    """
    events = _checked_events(tables.interactions, source)
    items = _checked_items(tables.items, source)
    unlisted = pd.Index(events[ITEM].unique()).difference(items[ITEM])  # sorted; by hashes, so quick
    if len(unlisted):
        blank = pd.DataFrame({ITEM: unlisted, TITLE: "", CATEGORIES: "", TEXT: ""})
        items = pd.concat([items, blank], ignore_index=True)
    unique = events.drop_duplicates([USER, ITEM, TIME, BEHAVIOR, QUERY]).reset_index(drop=True)
    counts = tables.counts or [count_events("read", events), count_events("without duplicates", unique)]
    return Tables(unique, items, list(counts), tables.truth)


def _checked_events(events: pd.DataFrame, source: str) -> pd.DataFrame:
    require_columns(events, INTERACTION_COLUMNS, f"{source}: interactions")
    if events.empty:
        raise DataError(f"{source}: the table of interactions has no rows.")
    events = events.loc[:, list(INTERACTION_COLUMNS)].copy()
    for column in (USER, ITEM):
        events[column] = _as_text(events[column])
        _reject(events[column].eq(""), source, column, "is empty; give every event a user and an item")
    _reject(~events[BEHAVIOR].isin(BEHAVIORS), source, BEHAVIOR, "is neither 'rec' nor 'src'", events[BEHAVIOR])
    events[TIME] = _as_time(events[TIME], source)
    events[QUERY] = _as_text(events[QUERY])
    searches = events[BEHAVIOR].eq(SRC)
    _reject(searches & events[QUERY].eq(""), source, QUERY, "is empty although the event is a search (src)")
    events.loc[~searches, QUERY] = ""
    session = pd.to_numeric(events[SESSION], errors="coerce")
    _reject(searches & session.isna(), source, SESSION, "is not a number although the event is a search (src)")
    events[SESSION] = session.where(searches, -1).astype("int64")
    order = [USER, TIME, BEHAVIOR]
    return events.sort_values(order, kind="stable").reset_index(drop=True)


def _checked_items(items: pd.DataFrame, source: str) -> pd.DataFrame:
    require_columns(items, ITEM_COLUMNS, f"{source}: items")
    items = items.loc[:, list(ITEM_COLUMNS)].copy()
    for column in ITEM_COLUMNS:
        items[column] = _as_text(items[column])
    _reject(items[ITEM].eq(""), f"{source}: items", ITEM, "is empty")
    repeated = items[ITEM].duplicated()
    _reject(repeated, f"{source}: items", ITEM, "is listed twice; keep one row per item", items[ITEM])
    return items.reset_index(drop=True)


def _as_text(column: pd.Series) -> pd.Series:
    return column.astype("string").fillna("").str.strip().astype(object)


def _as_time(column: pd.Series, source: str) -> pd.Series:
    time = pd.to_numeric(column, errors="coerce")
    _reject(~np.isfinite(time.astype("float64")), source, TIME, "is not a finite number", column)
    return time.astype("int64")


def _reject(bad: pd.Series, source: str, column: str, reason: str, values: pd.Series | None = None) -> None:
    """Raise if any row is bad, naming the first one by its position and value."""
    bad = np.asarray(bad, dtype=bool)
    if bad.any():
        row = int(bad.argmax())
        value = f" ('{values.iloc[row]}')" if values is not None else ""
        raise DataError(f"{source}: row {row}, column {column}{value} {reason} ({int(bad.sum())} such rows).")
