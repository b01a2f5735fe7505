"""Search queries for data that has purchases but no searches: the HEM recipe on category paths.

Ai et al. 2017 (Learning a Hierarchical Embedding Model for Personalized Product Search) turn each
category path of a purchased item into a query: the words of all levels, without stop words and
without repetitions. Their tokens keep letters only and go through the Krovetz stemmer; a repeated
word stays where it occurred last. The stemmer lives on in no maintained package, so `singular`
stands in for it: one plural rule and the exceptions listed in stems.txt.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from importlib import resources

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from ..schema import (
    BEHAVIOR,
    BEHAVIOR_CODES,
    CATEGORIES,
    CATEGORY_SEPARATOR,
    ITEM,
    PATH_SEPARATOR,
    QUERY,
    REC,
    SESSION,
    SRC,
    Tables,
    coded,
    in_order,
    name_codes,
    validate,
)


def _entries(file: str) -> list[str]:
    """What a list of words beside this file holds, without its comments."""
    text = (resources.files(__package__) / file).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return " ".join(lines).split()


NO_WORD = re.compile("[^a-z ]")
NO_WORD_OR_YEAR = re.compile("(?<![^ ])([0-9]{4})(?![^ ])|[^a-z ]")  # the year is its group
STOP_WORDS = frozenset(ENGLISH_STOP_WORDS) - set(_entries("shop_words.txt"))
# Each word of the list with the form it is brought to; "word" alone keeps its form.
_STEMS = [entry.partition(">") for entry in _entries("stems.txt")]
LOG = logging.getLogger(__name__)
STEMS = {word: form or word for word, _, form in _STEMS}


def singular(word: str) -> str:
    """Bring a lower-case word to the form in which the Krovetz stemmer leaves it.

    >>> [singular(w) for w in ("batteries", "watches", "brushes", "cases", "glass", "unlocked")]
    ['battery', 'watches', 'brush', 'case', 'glass', 'unlock']
    """
    return STEMS.get(word) or _without_plural(word)


def _without_plural(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word  # glass, bus, tennis; and short ones such as gps
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1]


def query_of(path: str, keep_years: bool = False) -> str:
    """The query that HEM makes of one category path (levels joined by `` > ``).

    A path of a single level names a whole department and gives no query: the result is empty, as
    it is where no word is left. Only the letters a-z count, so ``1st`` becomes ``st``, and a hyphen
    or a slash joins its two words, as in the original.

    Args:
        keep_years: a number of four digits that stands alone is a word as well; the original drops
            it.

    >>> query_of("Cell Phones & Accessories > Accessories > Chargers > Car Chargers")
    'cell phone accessory car charger'
    >>> query_of("Kindle Accessories > Power Adapters > Kindle (1st Generation) Adapters")
    'accessory power kindle st generation adapter'
    >>> query_of("Beauty")
    ''
    >>> query_of("1995 > Children's > Comedy"), query_of("1995 > Comedy", keep_years=True)
    ('children comedy', '1995 comedy')
    """
    if sum(bool(level.strip()) for level in path.split(CATEGORY_SEPARATOR)) < 2:
        return ""
    text = path.lower()
    words = NO_WORD_OR_YEAR.sub(r"\1", text) if keep_years else NO_WORD.sub("", text)
    stems = [singular(word) for word in words.split() if word not in STOP_WORDS]
    last_first = dict.fromkeys(reversed(stems))  # a dict keeps the order in which keys came first
    return " ".join(reversed(last_first))


def item_queries(categories: pd.Series, keep_years: bool = False) -> pd.DataFrame:
    """The queries of many items: one row per item and distinct query.

    Args:
        categories: one string per item, several paths joined by `` | ``; missing ones are empty.
        keep_years: as for `query_of`.

    Returns:
        Columns ``item`` (position in ``categories``, int, ascending) and ``query`` (never empty).
        An item without a path of two levels has no row. Each distinct path is worked out once.
    """
    texts = categories.reset_index(drop=True).fillna("").astype(object)
    paths = texts.str.split(PATH_SEPARATOR, regex=False).explode()
    codes, distinct = pd.factorize(paths)
    queries = np.array([query_of(path, keep_years) for path in distinct], dtype=object)
    table = pd.DataFrame({"item": paths.index.to_numpy(dtype=np.int64), QUERY: queries[codes]})
    return table[table[QUERY] != ""].drop_duplicates().reset_index(drop=True)


def synthesize_searches(tables: Tables, seed: int, keep_years: bool = False) -> Tables:
    """Add to each purchase a search that led to it, in the way of HEM's data.

    For each ``rec`` event whose item has at least one query: a ``src`` event with the same user,
    item and time, its query drawn uniformly among the item's distinct queries, in a session of its
    own. The two rows are twins: the split must never let one stand in the history of the other.

    Args:
        tables: as a loader returns them. Searches that are already there stay.
        seed: decides which of an item's queries each purchase gets.
        keep_years: as for `query_of`.

    Returns:
        New `Tables` ordered by (user, time, behavior), with one more line of counts, and a note.
        Where no purchase has an item with a category path of two levels, the tables with a note
        that says so, which is also logged as a warning.
    """
    tables = validate(tables, "made searches")
    events = tables.interactions
    purchases = events[events[BEHAVIOR].eq(REC)]
    table = item_queries(tables.items[CATEGORIES], keep_years)
    rows, queries = _draw(purchases[ITEM].cat, tables.items, table, np.random.default_rng(seed))
    if not len(rows):
        note = (
            f"No search was made: none of the {len(purchases)} purchases has an item with a "
            f"category path of two or more levels, such as 'Beauty > Makeup > Nails'."
        )
        LOG.warning(note)
        return replace(tables, notes=[*tables.notes, note])
    searches = purchases.iloc[rows].assign(
        **{
            BEHAVIOR: pd.Categorical(np.full(len(rows), SRC), dtype=BEHAVIOR_CODES),
            SESSION: int(events[SESSION].max()) + 1 + np.arange(len(rows)),
        }
    )
    both = pd.concat([events, searches], ignore_index=True)
    joined = union_categoricals([events[QUERY], queries], sort_categories=True)
    both[QUERY] = coded(joined.codes, joined.categories)
    # One that is made may equal one that was there: only then look for duplicates again.
    valid = len(purchases) == len(events)
    note = f"{len(rows)} searches were made from the categories of the items that were clicked."
    made = replace(
        tables,
        interactions=in_order(both),
        counts=list(tables.counts),
        notes=[*tables.notes, note],
        valid=valid,
    )
    return made.count("with made searches")


def _draw(
    bought, items: pd.DataFrame, table: pd.DataFrame, rng: np.random.Generator
) -> tuple[np.ndarray, pd.Series]:
    """Which purchases have an item with a query, and one of its queries for each: both (n,).

    Args:
        bought: the item of each purchase, as the ``cat`` of a categorical.
        table: the queries of the items, as `item_queries` makes it.
    """
    number = np.bincount(table["item"], minlength=len(items))  # queries per item
    first = np.cumsum(number) - number  # where they start in `table`
    position = pd.Index(items[ITEM]).get_indexer(bought.categories)[bought.codes]
    # One draw per purchase, used or not: so adding a category moves no other draw.
    share = rng.random(len(position))
    rows = np.flatnonzero((position >= 0) & (number.take(position, mode="clip") > 0))
    chosen = position[rows]
    picks = first[chosen] + (share[rows] * number[chosen]).astype(np.int64)
    return rows, name_codes(table[QUERY]).iloc[picks].cat.remove_unused_categories()
