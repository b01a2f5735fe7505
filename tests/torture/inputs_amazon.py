"""The raw files of Amazon's release of 2014, spoilt."""

from __future__ import annotations

import gzip
import json

from .cases import DAYS, ROWS, Case, big_gzip, order, read

REVIEWS = "reviews_Toy_5.json"
META = "meta_Toy.json"


def review(user: str, day: int, **changes) -> str:
    known = {"reviewerID": user, "asin": f"{user[0]}{day}", "unixReviewTime": 86400 * day}
    record = {**known, "overall": 5.0, **changes}
    return json.dumps({name: value for name, value in record.items() if value is not ...})


def item(user: str, day: int, **changes) -> str:
    known = {"asin": f"{user[0]}{day}", "title": f"Shoe {day}", "categories": [["Clothing", "Shoes"]]}
    return repr({name: value for name, value in {**known, **changes}.items() if value is not ...})


def raw(reviews: dict | None = None, meta: dict | None = None, only: int | None = None) -> dict:
    """Both files with changed fields, in all lines or in one (from 1); ... leaves a field out."""

    def changed(changes: dict | None, number: int) -> dict:
        return (changes or {}) if only in (None, number) else {}

    logs = [review(*row, **changed(reviews, n)) for n, row in enumerate(ROWS, 1)]
    catalogue = [item(*row, **changed(meta, n)) for n, row in enumerate(ROWS, 1)]
    return {REVIEWS: "\n".join(logs) + "\n", META: "\n".join(catalogue) + "\n"}


def right(dataset) -> bool:
    """All events in order, and a search made from each purchase."""
    twice = " ".join(f"a{day} a{day}" for day in DAYS)
    return order(dataset) == twice and dataset.query_texts[1] == "clothing shoe" and len(dataset.user) == 48


SOUND = raw()


def broken(name: str, files: dict, *names: str) -> Case:
    """An input that is an error which names some things."""
    return Case(name, files, names=names)


def packed(file: str, content: bytes) -> dict:
    """One of the two files packed, with this content."""
    return {**SOUND, file: ..., f"{file}.gz": content}


CLICKS = " ".join(f"a{day}" for day in DAYS)
SHAPE_2018 = {"categories": ..., "category": ["Clothing", "Shoes"], "description": ["It", "fits."]}
GZ = {f"{name}.gz": gzip.compress(text.encode()) for name, text in SOUND.items()}

AMAZON = [
    read("amazon: plain", SOUND, right),
    read("amazon: gzip", GZ, right),
    broken("amazon: no metadata", {REVIEWS: SOUND[REVIEWS]}, "meta_"),
    broken("amazon: empty reviews", {**SOUND, REVIEWS: ""}, REVIEWS, "empty"),
    read("amazon: blank lines", {**SOUND, REVIEWS: SOUND[REVIEWS].replace("\n", "\n\n")}, right),
    broken(
        "amazon: times as text", raw({"unixReviewTime": "86400"}), REVIEWS, "line 1", "unixReviewTime", "str", "86400"
    ),
    broken("amazon: times with fractions", raw({"unixReviewTime": 1.5}), REVIEWS, "line 1", "unixReviewTime", "float"),
    broken(
        "amazon: a time of 10**25",
        raw({"unixReviewTime": 10**25}, only=3),
        REVIEWS,
        "line 3",
        "unixReviewTime",
        "2**62",
    ),
    broken("amazon: times of 10**25", raw({"unixReviewTime": 10**25}), REVIEWS, "line 1", "unixReviewTime", "2**62"),
    broken("amazon: no reviewer", raw({"reviewerID": ...}), REVIEWS, "line 1", "reviewerID", "asin"),
    broken("amazon: asins as numbers", raw({"asin": 7}), REVIEWS, "line 1", "asin", "int"),
    broken("amazon: reviewers are null", raw({"reviewerID": None}), REVIEWS, "line 1", "reviewerID", "NoneType"),
    broken("amazon: categories as text", raw(meta={"categories": "Kindle"}), META, "line 1", "categories", "Kindle"),
    broken("amazon: categories as one list", raw(meta={"categories": ["A", "B"]}), META, "line 1", "categories"),
    read(
        "amazon: the release of 2018", raw(meta=SHAPE_2018), lambda d: right(d) and d.item_text[1] == "Shoe 1 It fits."
    ),
    read(
        "amazon: no categories", raw(meta={"categories": ...}), lambda d: order(d) == CLICKS, "No search", logged=True
    ),
    broken("amazon: CSV under the name", {**SOUND, REVIEWS: "user_id,item_id\n"}, REVIEWS, "line 1", "JSON"),
    broken("amazon: metadata of other items", {**SOUND, META: item("zoe", 1)}, REVIEWS, META, "'a1'"),
    broken("amazon: metadata that is code", {**SOUND, META: f"open('made', 'w')\n{SOUND[META]}"}, META, "line 1"),
    broken("amazon: gzip cut short", packed(REVIEWS, GZ[f"{REVIEWS}.gz"][:-9]), REVIEWS, "cut short"),
    broken("amazon: two files that fit", {**SOUND, "reviews_Toy.json": ""}, REVIEWS, "reviews_Toy.json"),
]

NEW_AMAZON = [
    broken("amazon: an empty reviewer", raw({"reviewerID": ""}, only=3), REVIEWS, "line 3", "reviewerID", "empty"),
    broken("amazon: lines that are lists", {**SOUND, REVIEWS: "[1, 2]\n" * 9}, REVIEWS, "line 1", "list"),
    broken("amazon: a line of a gigabyte", packed(META, big_gzip(SOUND[META], "x" * 10**6, 1000)), META, "MAX_"),
    broken("amazon: 500 MB of line ends", packed(META, big_gzip("", "\n" * 10**6, 500)), META, "MAX_GROWTH"),
    read(
        "amazon: a title of a megabyte",
        raw(meta={"title": "x" * 10**6}, only=1),
        lambda d: right(d) and max(map(len, d.item_text)) <= 5000,
        "cut",
    ),
    read("amazon: titles that are null", raw(meta={"title": None}), right),
]
