"""What the three releases of the Amazon data call their fields, and what is made of them.

Sources: the releases' own pages (`Release.home`) and, for 2023, the scripts of
https://github.com/hyp1231/AmazonReviews2023.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from itertools import takewhile
from typing import Any

import pandas as pd

from ...origin import shown
from ...schema import (
    CATEGORIES,
    CATEGORY_SEPARATOR,
    ITEM,
    ITEM_COLUMNS,
    PATH_SEPARATOR,
    TEXT,
    TITLE,
    cut,
)
from ...times import LIMIT, MILLISECONDS
from .lines import Unreadable, needed

TEXT_CHARACTERS = 500  # of title and description: far more than the models read of an item
# How the titles of some items of 2018 can be told that hold code of the shop's page in their place:
# the release's own notebook looks for this word.
PAGE_CODE = "getTime"
# Scripts and styles with what they hold, comments, and tags. One that is not closed goes on to the
# end, so that no text is searched twice.
MARKUP = re.compile(
    r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|</?[a-z][^<>]*>", re.I | re.S
)
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: a damaged byte, or a wrong escape


@dataclass(frozen=True)
class Release:
    """One release: its fields, its unit of time, and what tells it from the others.

    Attributes:
        year: its name.
        home: where it is offered.
        user, item, time: fields of a review; metadata call the item alike.
        id_pattern: finds the item in a line of metadata that is not parsed.
        per_second: units of its times in a second.
        first: the earliest possible time, in its unit.
        texts: fields of metadata: title, brand, description, features.
        in_reviews, in_meta: its fields that others lack, and those above.
    """

    year: int
    home: str
    user: str
    item: str
    time: str
    id_pattern: re.Pattern[bytes]
    per_second: int
    first: int
    texts: tuple[str, str, str, str]
    in_reviews: frozenset[str]
    in_meta: frozenset[str]

    @property
    def end(self) -> int:
        """The end of its last year in its unit of time: no review can be later."""
        return int(datetime(self.year + 1, 1, 1, tzinfo=UTC).timestamp()) * self.per_second


OLD = ("reviewerID", "asin", "unixReviewTime")
NEW = ("user_id", "parent_asin", "timestamp")
RELEASES = (
    Release(
        2014,
        "https://jmcauley.ucsd.edu/data/amazon/",
        *OLD,
        re.compile(rb"""["']asin["']\s*:\s*["']([^"']+)["']"""),  # of a Python literal
        per_second=1,
        first=0,
        texts=("title", "brand", "description", "feature"),
        in_reviews=frozenset([*OLD, "helpful"]),
        in_meta=frozenset(["asin", "categories", "related", "imUrl", "salesRank"]),
    ),
    Release(
        2018,
        "https://nijianmo.github.io/amazon/",
        *OLD,
        # JSON alone, where a quotation mark within a text is escaped: so no text is taken for it.
        re.compile(rb'"asin"\s*:\s*"([^"]+)"'),
        per_second=1,
        first=0,
        texts=("title", "brand", "description", "feature"),
        in_reviews=frozenset([*OLD, "verified", "vote", "style", "image"]),
        in_meta=frozenset(
            ["asin", "category", "also_buy", "also_view", "feature", "main_cat", "rank", "tech1"]
        ),
    ),
    Release(
        2023,
        "https://amazon-reviews-2023.github.io/",
        *NEW,
        re.compile(rb'"parent_asin"\s*:\s*"([^"]+)"'),
        per_second=1000,
        first=MILLISECONDS,  # what is smaller was written in seconds
        texts=("title", "store", "description", "features"),
        in_reviews=frozenset([*NEW, "verified_purchase", "helpful_vote"]),
        in_meta=frozenset(["parent_asin", "main_category", "features", "store", "bought_together"]),
    ),
)


def likely(records: Iterable[object], part: str) -> list[Release]:
    """The releases that share most fields with some records: one, or those that cannot be told.

    Args:
        part: ``in_reviews`` or ``in_meta``, which the records are.
    """
    found = Counter(name for record in records if isinstance(record, dict) for name in record)
    shared = [sum(found[name] for name in getattr(release, part)) for release in RELEASES]
    return [release for release, n in zip(RELEASES, shared, strict=True) if n == max(shared)]


def review_row(line: bytes, release: Release) -> dict[str, Any]:
    """User, item and time of one line of reviews; `Unreadable` if one cannot be."""
    record = json.loads(line.decode(errors="surrogateescape"))  # its text may be damaged
    user, item = (needed(record, name, str) for name in (release.user, release.item))
    if SURROGATE.search(user + item):
        raise Unreadable(f"its ids, {shown(user)} and {shown(item)}, are not UTF-8")
    time = needed(record, release.time, int)
    if abs(time) > LIMIT:
        raise Unreadable(f"its field {release.time}, {time}, is beyond ±2**62")
    return {release.user: user, release.item: item, release.time: time}


def item_row(record: Any, release: Release) -> tuple[str, str, str, str, str]:
    """What a line of metadata says: id, title, what kind of item it is, categories, description."""
    name = needed(record, release.item, str)
    paths = [[level for level in map(_level, path) if level] for path in _paths(record, release)]
    paths = [path for path in paths if path]
    leaf = paths[0][-1] if paths else ""
    title, brand, *said = (_clean(record.get(field)) for field in release.texts)
    categories = PATH_SEPARATOR.join(map(CATEGORY_SEPARATOR.join, paths))
    description = cut(" ".join(filter(None, said)), TEXT_CHARACTERS)
    return name, title, f"{brand} {leaf}".strip(), categories, description


def items_of(rows: list[tuple[str, str, str, str, str]], notes: list[str]) -> pd.DataFrame:
    """The table of items from what `item_row` found; the first row of an item is kept."""
    columns = [ITEM, TITLE, "kind", CATEGORIES, "description"]
    items = pd.DataFrame(rows, columns=columns, dtype=object).drop_duplicates(ITEM)
    is_code = items[TITLE].str.contains(PAGE_CODE, regex=False)
    if is_code.any():
        found = f"{is_code.sum()} items have code of the shop's page in place of a title"
        notes.append(f"{found}; brand and leaf category stand for it.")
    items[TITLE] = items[TITLE].mask(is_code, "")
    title_or_kind = items[TITLE].where(items[TITLE] != "", items["kind"])
    text = (items[TITLE] + " " + items["description"]).str.strip()
    text = text.where(text != "", title_or_kind)
    items[TEXT] = [cut(said, TEXT_CHARACTERS) for said in text]
    return items.assign(**{TITLE: title_or_kind})[list(ITEM_COLUMNS)].reset_index(drop=True)


def _paths(record: dict, release: Release) -> list[list]:
    """The category paths of an item, each a list of levels: several in 2014, later one."""
    paths = record.get("categories") or []
    if release.year == 2023:
        paths = [paths]
    elif record.get("category"):
        paths = [_levels(record["category"], record.get("feature"))]
    if isinstance(paths, list) and all(isinstance(path, list) for path in paths):
        return paths
    kind = "list of levels" if release.year > 2014 else "list of lists of levels"
    raise Unreadable(f"its categories, {shown(str(paths))}, are no {kind}")


def _levels(category: Any, features: Any) -> Any:
    """The levels of a path of 2018, where many go on with the item's features or with HTML."""
    if not isinstance(category, list):
        return category
    others = features if isinstance(features, list) else []
    return list(
        takewhile(lambda level: level not in others and not MARKUP.search(str(level)), category)
    )


def _clean(value: object) -> str:
    """A text, or a list of them as one: without markup, references resolved, on one line."""
    parts = value if isinstance(value, list) else [value]
    text = " ".join(str(part) for part in parts if part and not isinstance(part, (dict, list)))
    text = SURROGATE.sub("", unescape(text))
    if "<" in text:
        text = MARKUP.sub(" ", text)
    return " ".join(text.split())


def _level(name: object) -> str:
    """A level's name without the two separators of `categories`."""
    return _clean(name).replace(CATEGORY_SEPARATOR, " ").replace(PATH_SEPARATOR, " ")
