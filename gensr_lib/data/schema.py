"""The two tables that every data set is turned into, and their validation.

`interactions`: one row per click, columns ``user_id, item_id, time, behavior, query, session_id``.
`items`: one row per item, columns ``item_id, title, categories, text``.

A loader returns these two tables and nothing else; all that follows (filters, split, negatives,
batches) is the same for every data set. Column names are fixed here, once. From `validate` on the
names in `interactions` are categorical: sorting, filters and the split work on integer codes.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ..errors import DataError
from .origin import Note, Origin, shown
from .times import Clock, whole_numbers

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

MAX_NAME = 1_000  # characters of an id: more is no id, and every copy of it takes its memory
# Characters of a text that are kept. Models read some ten to a hundred words of each, and a
# tokenizer takes minutes for a single word of a megabyte.
KEPT = {QUERY: 500, TITLE: 2_000, TEXT: 2_000, CATEGORIES: 10_000}
LEAST_MATCH = 0.5  # of the items of the events: fewer with a row in `items` are worth a warning

LOG = logging.getLogger(__name__)


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
        notes: a sentence for each thing that was left out, cut, or made up on the way; a `Note`
            also knows the first rows that it is about.
        clock: what a day is, if the times say so; None if they only order events.
        core: the filter that they went through already, as the arguments of `split.k_core`.
        given: the `split.GivenSplit` of data that come with one, else None.
        valid: set by `validate`, which does not look at such tables again.
    """

    interactions: pd.DataFrame
    items: pd.DataFrame
    counts: list[dict] = field(default_factory=list)
    truth: object = None
    notes: list[str] = field(default_factory=list)
    clock: Clock | None = None
    core: tuple[int, bool] | None = None
    given: object = None
    valid: bool = False

    def count(self, step: str) -> Tables:
        """Append a line of counts named ``step`` and return self."""
        self.counts.append(count_events(step, self.interactions))
        return self


def count_events(step: str, interactions: pd.DataFrame) -> dict:
    """Events by behavior, users and items of a table, as one row for the table of filters."""
    is_search = interactions[BEHAVIOR].eq(SRC).to_numpy()
    return count_line(step, is_search, *(interactions[name] for name in (USER, ITEM, QUERY)))


def count_line(step: str, is_search: np.ndarray, user, item, query) -> dict[str, object]:
    """A row for the table of filters.

    Args:
        is_search: (E,) which events are searches.
        user, item, query: (E,) of each event, by name or by number.
    """
    return {
        "step": step,
        "rec events": int((~is_search).sum()),
        "src events": int(is_search.sum()),
        "users": len(pd.unique(user)),
        "items": len(pd.unique(item)),
        "queries": len(pd.unique(query[is_search])),
    }


def validate(tables: Tables, source: str, origins: tuple[Origin, Origin] | None = None) -> Tables:
    """Check both tables, bring them to their types, sort the events and drop exact duplicates.

    Events come out ordered by (user, time, behavior), which is what the split relies on; the order
    of equal times is that of the input. Validating twice changes nothing. A duplicate is the
    same user, item, time, behavior and query. Items without a row in ``items`` get one with empty
    texts. Queries and the texts of items are cut after `KEPT` characters. `NAME_COLUMNS` come out
    as `name_codes` makes them. What was dropped, cut or filled is added to the notes.

    Args:
        source: what messages call the tables.
        origins: of the events and the items, where they come from files; their indexes then hold
            the rows of these.

    Raises:
        DataError: a missing column; an empty id, or one of more than `MAX_NAME` characters; a NUL
            or a line break in an id or a query; a time that is no whole number within ±2**62; an
            unknown behavior; a search without a query, or a query without a search; an item listed
            twice; items of which none is in an event; no event at all.
    """
    if tables.valid:
        return tables
    named = Origin(f"{source}: interactions"), Origin(f"{source}: items")
    log_origin, items_origin = origins or named
    notes = list(tables.notes)
    events = _checked_events(tables.interactions, log_origin, notes)
    items = _checked_items(tables.items, items_origin, notes)
    items = _with_unlisted(items, events[ITEM], (log_origin, items_origin), notes)
    unique = _without_repeated(events, log_origin, notes)
    read = [count_events("read", events), count_events("without duplicates", unique)]
    counts = list(tables.counts or read)
    return replace(tables, interactions=unique, items=items, counts=counts, notes=notes, valid=True)


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
    return _sorted(events).reset_index(drop=True)


def _sorted(events: pd.DataFrame) -> pd.DataFrame:
    """As `in_order`, under the index labels that the events have."""
    keys = (events[BEHAVIOR].cat.codes, events[TIME], events[USER].cat.codes)  # the last one first
    return events.iloc[np.lexsort(keys)]


def cut(text: str, most: int) -> str:
    """A text up to the last whole word within ``most`` characters; a longer word is cut itself.

    >>> cut("blue ink pen", 9), cut("blue ink", 3), cut("blue", 4)
    ('blue ink', 'blu', 'blue')
    """
    if len(text) <= most:
        return text
    return text[: most + 1].rpartition(" ")[0] or text[:most]


def cut_query(text: str) -> str:
    """A query as the tables keep it: what is typed later is cut as what was logged."""
    return cut(text, KEPT[QUERY])


def _checked_events(events: pd.DataFrame, origin: Origin, notes: list[str]) -> pd.DataFrame:
    _require_columns(events, INTERACTION_COLUMNS, origin)
    if events.empty:
        raise DataError(f"{origin.name}: the table has no rows.")
    user, item, query = (name_codes(events[column]) for column in (USER, ITEM, QUERY))
    for names in (user, item):
        origin.refuse(names.eq(""), names, "is empty; give every event a user and an item")
        _refuse_names(names, origin, MAX_NAME)
    _refuse_names(query, origin)
    behavior = events[BEHAVIOR]
    unknown = ~behavior.isin(BEHAVIORS)
    origin.refuse(unknown, behavior, "is neither 'rec' (a click or purchase) nor 'src' (a search)")
    searches = behavior.eq(SRC)
    missed = "is empty although the event is a search (src); write what was typed"
    origin.refuse(searches & query.eq(""), query, missed)
    extra = "stands beside the behavior 'rec'; write 'src', or leave the query empty"
    origin.refuse(~searches & query.ne(""), query, extra)
    session = pd.Series(-1, index=events.index)
    session[searches] = _numbered_sessions(whole_numbers(events.loc[searches, SESSION], origin))
    time = whole_numbers(events[TIME], origin)
    query = _cut_queries(query, origin, notes)
    columns = (user, item, time, behavior.astype(BEHAVIOR_CODES), query, session)
    return _sorted(pd.DataFrame(dict(zip(INTERACTION_COLUMNS, columns, strict=True))))


def _numbered_sessions(session: pd.Series) -> pd.Series:
    """A search without a session, -1, is one of its own."""
    without = session.eq(-1)
    return session.mask(without, session.max() + 1 + without.cumsum()) if without.any() else session


def _refuse_names(names: pd.Series, origin: Origin, most: int | None = None) -> None:
    """Raise for a name with a NUL or a line break, or longer than ``most``: each looked at once."""
    distinct = names.cat.categories
    if re.search("[\0\r\n]", "".join(distinct)):
        bad = names.cat.codes.isin(np.flatnonzero(distinct.str.contains("[\0\r\n]")))
        advice = "remove it, and look for a quotation mark that is not closed"
        origin.refuse(bad, names, f"holds a line break or a NUL; {advice}")
    if most and max(map(len, distinct)) > most:
        bad = names.cat.codes.isin(np.flatnonzero(distinct.str.len() > most))
        origin.refuse(bad, names, f"has more than {most} characters; shorten it")


def _cut_queries(query: pd.Series, origin: Origin, notes: list[str]) -> pd.Series:
    most = KEPT[QUERY]
    if max(map(len, query.cat.categories)) <= most:
        return query
    long = query.cat.categories.str.len() > most
    examples = origin.examples(query[query.cat.codes.isin(np.flatnonzero(long))])
    notes.append(Note(f"{long.sum()} queries were cut after {most} characters.", examples))
    return name_codes(query.astype(object).map(cut_query))


def _without_repeated(events: pd.DataFrame, origin: Origin, notes: list[str]) -> pd.DataFrame:
    """The events, numbered anew, without those that repeat an earlier row of the file."""
    key = [USER, ITEM, TIME, BEHAVIOR, QUERY]
    repeated = events.duplicated(key)
    if repeated.any():
        examples = origin.examples(events.loc[repeated, ITEM])
        same = "same user, item, time, behavior and query"
        said = f"{repeated.sum()} repeated events were dropped (the {same})."
        notes.append(Note(said, examples))
        events = events[~repeated]
    return events.reset_index(drop=True)


def _checked_items(items: pd.DataFrame, origin: Origin, notes: list[str]) -> pd.DataFrame:
    _require_columns(items, ITEM_COLUMNS, origin)
    items = pd.DataFrame({column: as_text(items[column]) for column in ITEM_COLUMNS})
    item = items[ITEM]
    origin.refuse(item.eq(""), item, "is empty; give every item an id")
    origin.refuse(item.str.len() > MAX_NAME, item, f"has more than {MAX_NAME} characters")
    origin.refuse(item.duplicated(), item, "is listed twice; keep one row per item")
    for column in (TITLE, CATEGORIES, TEXT):
        most = KEPT[column]
        long = items[column].str.len() > most
        if long.any():
            examples = origin.examples(items.loc[long, column])
            items.loc[long, column] = [cut(text, most) for text in items.loc[long, column]]
            said = f"{column} of {long.sum()} items was cut after {most} characters."
            notes.append(Note(said, examples))
    return items.reset_index(drop=True)


def _with_unlisted(items: pd.DataFrame, names: pd.Series, origins, notes) -> pd.DataFrame:
    """The items, and a row with empty texts for each id of the events that has none.

    Args:
        names: the ids of the events, as `name_codes` makes them.
    """
    used = names.cat.categories
    unlisted = used.difference(items[ITEM])  # sorted
    if not len(unlisted):
        return items
    note = f"{len(unlisted)} of the {len(used)} items that occur in events have no row in items"
    if len(unlisted) > (1 - LEAST_MATCH) * len(used):
        unused = items[ITEM][~items[ITEM].isin(used)]
        ours, theirs = (", ".join(map(shown, ids[:2])) for ids in (unlisted, unused))
        note += f" ({ours} in events; {theirs} in items){_difference(unlisted, unused)}"
        if len(unlisted) == len(used):
            raise DataError(f"{origins[0].name} and {origins[1].name}, column {ITEM}: {note}.")
        LOG.warning("%s: %s.", origins[1].name, note)
    found = names[names.cat.codes.isin(used.get_indexer(unlisted))]
    examples = origins[0].examples(found.sort_index().drop_duplicates())
    notes.append(Note(f"{note}; their texts are empty.", examples))
    blank = pd.DataFrame({ITEM: unlisted, TITLE: "", CATEGORIES: "", TEXT: ""})
    return pd.concat([items, blank.astype(object)], ignore_index=True)


# What ids may differ by, and a form of them without it.
DIFFERENCES = {
    "capital letters": str.casefold,
    "a trailing '.0'": lambda name: name.removesuffix(".0"),
    "leading zeros": lambda name: name.lstrip("0"),
}


def _difference(ours, theirs) -> str:
    """A hint if some ids of two tables would be the same but for a slip of spelling."""
    for what, plain in DIFFERENCES.items():
        if set(map(plain, ours)) & set(map(plain, theirs)):
            return f"; some differ by {what} only: write them alike"
    return "; do both files write ids alike?"


def as_text(column: pd.Series) -> pd.Series:
    """A column as stripped Python strings, empty where it is missing."""
    return column.astype("string").fillna("").str.strip().astype(object)


def _require_columns(table: pd.DataFrame, columns: tuple, origin: Origin) -> None:
    """Raise `DataError` naming the missing columns of ``table`` and what stands there instead."""
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise DataError(
            f"{origin.name}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{', '.join(map(str, table.columns))}. Rename the columns of the table to these names."
        )
