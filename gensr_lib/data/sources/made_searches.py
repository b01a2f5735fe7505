"""Search queries for data that has purchases but no searches: the HEM recipe on category paths.

Ai et al. 2017 (Learning a Hierarchical Embedding Model for Personalized Product Search) turn each
category path of a purchased item into a query: the words of all levels, without stop words and
without repetitions. Their tokens keep letters only and go through the Krovetz stemmer; a repeated
word stays where it occurred last. The stemmer lives on in no maintained package, so `singular`
stands in for it: one plural rule and the exceptions listed below.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

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
    TIME,
    USER,
    Tables,
)


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# scikit-learn's list holds words that name things in a shop: "Kindle Fire", "GPS System Accessories", "Top Coats".
CONTENT_WORDS = _words(
    "amount back bill bottom call cry describe detail empty fill find fire front full give interest mill mine move",
    "name part serious show side sincere system thick thin top",
)
STOP_WORDS = frozenset(ENGLISH_STOP_WORDS) - CONTENT_WORDS

# Plurals (and words in -s that are none) which the Krovetz dictionary lists as words of their own.
KEPT = _words(
    # phones and electronics, the vocabulary of HEM's published queries
    "aids bags binoculars buttons cards cords electronics figures frames games glasses handlebars lights minutes",
    "optics outdoors parts sports supplies watches wheels",
    # books, music, films
    "arts blues books christmas classics comics economics gods memoirs movies orleans politics roots series singles",
    "teens texas",
    # home, beauty, clothing
    "balls baths boots boys bracelets clippers combinations dogs drawers exercises eyes irons jeans leggings oils",
    "overalls pants pools rompers salts scissors shorts sunglasses tights tops",
)
# Words that the plural rule leaves alone or cuts wrongly and Krovetz brings to another form.
REDUCED = {
    "answering": "answer", "boating": "boat", "cleaning": "clean", "cleansing": "cleanse", "cooling": "cool",
    "cycling": "cycle", "diapering": "diaper", "dieting": "diet", "docking": "dock", "drying": "dry",
    "dyeing": "dye", "editing": "edit", "feeding": "feed", "flattening": "flatten", "handling": "handle",
    "investing": "invest", "listening": "listen", "moisturizing": "moisturize", "networking": "network",
    "parenting": "parent", "programming": "program", "scrapbooking": "scrapbook", "strengthening": "strengthen",
    "styling": "style", "warming": "warm",
    "stuffed": "stuff", "tinted": "tint", "unlocked": "unlock", "wired": "wire", "wellness": "well",
    "bronzers": "bronze", "concealer": "conceal", "concealers": "conceal", "conditioner": "condition",
    "conditioners": "condition", "connectors": "connect", "diffusers": "diffuse", "enhancers": "enhance",
    "highlighters": "highlight", "moisturizers": "moisturize", "relaxers": "relax", "texturizers": "texture",
    "toners": "tone", "trackers": "track",
    "american": "america", "brazilian": "brazil", "british": "britain", "french": "france", "irish": "ireland",
    "italian": "italy", "jamaican": "jamaica", "scottish": "scotland", "swedish": "sweden",
    "lenses": "lens", "mousses": "mousse", "neckties": "necktie", "scarves": "scarf", "styluses": "stylus",
}  # fmt: skip


def singular(word: str) -> str:
    """Bring a lower-case word to the form in which the Krovetz stemmer leaves it (plurals above all).

    >>> [singular(w) for w in ("batteries", "watches", "brushes", "cases", "glass", "unlocked")]
    ['battery', 'watches', 'brush', 'case', 'glass', 'unlock']
    """
    if word in KEPT:
        return word
    return REDUCED.get(word) or _without_plural(word)


def _without_plural(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word  # glass, bus, tennis; and short ones such as gps
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes", "zes")) else word[:-1]


def query_of(path: str) -> str:
    """The query that HEM makes of one category path (levels joined by `` > ``).

    A path of a single level names a whole department and gives no query: the result is empty, as it
    is where no word is left. Only the letters a-z count, so ``1st`` becomes ``st``, and a hyphen or a
    slash joins its two words, as in the original.

    >>> query_of("Cell Phones & Accessories > Accessories > Chargers > Car Chargers")
    'cell phone accessory car charger'
    >>> query_of("Kindle Store > Kindle Accessories > Power Adapters > Kindle (1st Generation) Adapters")
    'store accessory power kindle st generation adapter'
    >>> query_of("Beauty")
    ''
    """
    if sum(bool(level.strip()) for level in path.split(CATEGORY_SEPARATOR)) < 2:
        return ""
    words = re.sub("[^a-z ]", "", path.lower()).split()
    stems = [singular(word) for word in words if word not in STOP_WORDS]
    last_first = dict.fromkeys(reversed(stems))  # a dict keeps the order in which keys came first
    return " ".join(reversed(last_first))


def item_queries(categories: pd.Series) -> pd.DataFrame:
    """The queries of many items: one row per item and distinct query.

    Args:
        categories: one string per item, several paths joined by `` | ``; missing values count as empty.

    Returns:
        Columns ``item`` (position in ``categories``, int, ascending) and ``query`` (never empty).
        An item without a path of two levels has no row. Each distinct path is worked out once.
    """
    texts = categories.reset_index(drop=True).fillna("").astype(object)
    paths = texts.str.split(PATH_SEPARATOR, regex=False).explode()
    codes, distinct = pd.factorize(paths)
    queries = np.array([query_of(path) for path in distinct], dtype=object)
    table = pd.DataFrame({"item": paths.index.to_numpy(dtype=np.int64), QUERY: queries[codes]})
    return table[table[QUERY] != ""].drop_duplicates().reset_index(drop=True)


def synthesize_searches(tables: Tables, seed: int) -> Tables:
    """Add to each purchase a search that led to it, in the way of HEM's data.

    For each ``rec`` event whose item has at least one query: a ``src`` event with the same user, item
    and time, its query drawn uniformly among the item's distinct queries, in a session of its own.
    The two rows are twins; the split must never let one of them stand in the history of the other.

    Args:
        tables: as a loader returns them. Searches that are already there stay.
        seed: decides which of an item's queries each purchase gets.

    Returns:
        New `Tables` ordered by (user, time, behavior), with one more line of counts.

    Warns:
        UserWarning: no purchase has an item with a category path of two levels, so nothing is added.
    """
    purchases = tables.interactions[tables.interactions[BEHAVIOR].eq(REC)]
    rows, queries = _draw(purchases[ITEM], tables.items, np.random.default_rng(seed))
    if not len(rows):
        warnings.warn(
            f"no search was made: none of the {len(purchases)} purchases has an item with a category path of two or "
            f"more levels, such as 'Beauty > Makeup > Nails'.",
            stacklevel=2,
        )
    sessions = int(tables.interactions[SESSION].max()) + 1 + np.arange(len(rows))
    searches = purchases.iloc[rows].assign(**{BEHAVIOR: SRC, QUERY: queries, SESSION: sessions})
    both = pd.concat([tables.interactions, searches], ignore_index=True)
    ordered = both.sort_values([USER, TIME, BEHAVIOR], kind="stable", ignore_index=True)
    return Tables(ordered, tables.items, list(tables.counts), tables.truth).count("with made searches")


def _draw(bought: pd.Series, items: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ``bought`` whose item has a query, and one query for each: both (n,)."""
    table = item_queries(items[CATEGORIES])
    number = np.bincount(table["item"], minlength=len(items))  # queries per item
    first = np.cumsum(number) - number  # where they start in `table`
    position = pd.Index(items[ITEM]).get_indexer(bought)
    share = rng.random(len(bought))  # one draw per purchase, whether used or not: adding a category moves no other draw
    rows = np.flatnonzero((position >= 0) & (number.take(position, mode="clip") > 0))
    chosen = position[rows]
    picks = first[chosen] + (share[rows] * number[chosen]).astype(np.int64)
    return rows, table[QUERY].to_numpy()[picks]
