"""Raw files of Amazon's three releases, of any size: made up, in each release's own schema.

`write_amazon` is what the load tests read. Reviews have the length of real ones, a few items get most
of them, and everybody and everything has five, as far as the reviews go round. Metadata have what makes
them slow to read: long lists of related items, many items that nobody reviewed, and in 2014 Python
literals. Lines are joined by Arrow from pools of ready pieces, a part of the file at a time.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROWS = 20_000  # lines that are made at once
POOL = 8_000  # distinct texts; gzip looks back 32 kB, so that repeats cost what new text costs
CORE = 5  # reviews that each user and each item has at least
DAY = 86_400
SPAN = {2014: (832_204_800, 1_406_073_600), 2018: (832_204_800, 1_538_352_000), 2023: (832_204_800, 1_694_563_200)}

# $name stands for a column.
REVIEW = {
    2014: '{"reviewerID": "$user", "asin": "$item", "reviewerName": $name, "helpful": [0, $votes], "reviewText": '
    '$text, "overall": $stars, "summary": $title, "unixReviewTime": $time, "reviewTime": "$day"}',
    2018: '{"overall": $stars, $vote"verified": true, "reviewTime": "$day", "reviewerID": "$user", "asin": "$item", '
    '"style": {"Format:": " Kindle Edition"}, "reviewerName": $name, "reviewText": $text, "summary": $title, '
    '"unixReviewTime": $time}',
    2023: '{"rating": $stars, "title": $title, "text": $text, "images": [], "asin": "$item", "parent_asin": "$item", '
    '"user_id": "$user", "timestamp": $time, "helpful_vote": $votes, "verified_purchase": true}',
}
PICTURE = "https://images-na.ssl-images-amazon.com/images/I/51$item"
META = {
    2014: "{'asin': '$item', 'description': $text, $title'price': 4.99, 'imUrl': '" + PICTURE + "', 'related': "
    "{'also_bought': $related, 'buy_after_viewing': $few}, 'salesRank': {'Books': $rank}, 'categories': $paths}",
    2018: '{"category": $path, "tech1": "", "description": [$text], "fit": "", $title"also_buy": $related, "image": '
    '["' + PICTURE + '"], "tech2": "", "brand": $brand, "feature": [], "rank": "$rank Paid in Kindle Store (", '
    '"also_view": $few, "details": {"ASIN:": "$item"}, "main_cat": "Buy a Kindle", "similar_item": "", "date": "", '
    '"price": "$$4.99", "asin": "$item"}',
    2023: '{"main_category": "Buy a Kindle", $title"average_rating": 4.2, "rating_number": $rank, "features": [$text], '
    '"description": [], "price": 4.99, "images": [{"large": "' + PICTURE + '", "variant": "MAIN"}], "videos": [], '
    '"store": $brand, "categories": $path, "details": {"Publisher": $brand}, "parent_asin": "$item", '
    '"bought_together": null}',
}
TITLED = {2014: 0.1, 2018: 0.97, 2023: 0.99}  # share of the items with a title: most of Kindle in 2014 has none
NAMES = {2014: ("reviews_{}_5.json.gz", "meta_{}.json.gz"), 2018: ("{}_5.json.gz", "meta_{}.json.gz"),
         2023: ("{}.jsonl.gz", "meta_{}.jsonl.gz")}  # fmt: skip

GENRES = ["Romance", "Mystery, Thriller & Suspense", "Science Fiction", "Children's eBooks", "Cookbooks, Food & Wine",
          "History", "Humor & Entertainment", "Teen & Young Adult", "Travel", "Sports", "Self-Help"]  # fmt: skip
KINDS = ["Contemporary", "Historical", "Anthologies", "Short Stories", "Series", "Classics", "Westerns", "Adventure",
         "Family Life", "Guides", "Essays", "Collections & Readers"]  # fmt: skip
SYLLABLES = ["ba", "co", "de", "fi", "gu", "la", "me", "no", "pe", "ri", "so", "ta", "ur", "vi", "we", "zo", "ing"]
PAGE_CODE = "var aPageStart = (new Date()).getTime(); var ue_t0=ue_t0||+new Date();"  # in place of a title


def write_amazon(
    folder: Path, n_reviews: int, n_users: int, n_items: int, release: int = 2014, seed: int = 0, listed: int = 7
) -> tuple[Path, Path]:
    """Write the reviews and the metadata of one category; the paths of both.

    Args:
        folder: where to; it is made.
        n_reviews, n_users, n_items: lines of the file of reviews, and who and what is in them.
        release: 2014, 2018 or 2023.
        listed: lines of metadata for each item that is reviewed; 7 in Kindle.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reviews, meta = (folder / name.format("Kindle_Store") for name in NAMES[release])
    rng = np.random.default_rng([seed, release])
    pool = _pool(rng, release)
    with gzip.open(reviews, "wb", compresslevel=1) as file:
        for first in range(0, n_reviews, ROWS):
            number = np.arange(first, min(first + ROWS, n_reviews))
            who = _everybody(number, n_users, rng, 1.5)
            what = _everybody(n_reviews - 1 - number, n_items, rng, 3)
            file.write(_lines(REVIEW[release], _review_columns(who, what, pool, release, rng)))
    with gzip.open(meta, "wb", compresslevel=1) as file:
        for first in range(0, n_items * listed, ROWS):
            number = np.arange(first, min(first + ROWS, n_items * listed))
            what = np.where(number % listed, n_items + number, number // listed)
            file.write(_lines(META[release], _meta_columns(what, pool, rng)))
    return reviews, meta


def _everybody(number: np.ndarray, n: int, rng: np.random.Generator, skew: float) -> np.ndarray:
    """Who or what (of ``n``) each row has: each in turn for `CORE` rounds, then the first ones most."""
    drawn = (n * rng.random(len(number)) ** skew).astype(np.int64)
    return np.where(number < CORE * n, number % n, drawn)


def _review_columns(who, what, pool: dict, release: int, rng: np.random.Generator) -> dict:
    first, last = SPAN[release]
    time = (first + (last - first) * rng.random(len(who)) ** 0.4).astype(np.int64) // DAY * DAY
    day = pc.strftime(pa.array(time, pa.timestamp("s")), "%m %d, %Y")
    if release == 2023:
        time = time * 1000 + rng.integers(1000 * DAY, size=len(time))
    stars, votes = rng.integers(1, 6, len(who)), rng.integers(9, size=len(who))
    return {
        "user": _ids("A", who, 13),
        "item": _ids("B", what, 9),
        "stars": pc.binary_join_element_wise(_text(stars), "0", "."),
        "votes": _text(votes),
        "vote": _drawn(pool["vote"], len(who), rng),
        "time": _text(time),
        "day": day,
        **{name: _drawn(pool[name], len(who), rng) for name in ("text", "name")},
        "title": _drawn(pool["summary"], len(who), rng),
    }


def _meta_columns(what, pool: dict, rng: np.random.Generator) -> dict:
    names = ("title", "related", "few", "path", "paths", "brand")
    return {
        "item": _ids("B", what, 9),
        "rank": _text(rng.integers(1, 10**6, len(what))),
        "text": _drawn(pool["description"], len(what), rng),
        **{name: _drawn(pool[name], len(what), rng) for name in names},
    }


def _pool(rng: np.random.Generator, release: int) -> dict[str, pa.Array]:
    """Ready pieces of lines by name, each written as the file wants it."""
    quoted = repr if release == 2014 else json.dumps
    words = _words(rng)

    def texts(median: int, spread: float) -> list[str]:
        lengths = np.maximum(1, median * np.exp(spread * rng.standard_normal(POOL))).astype(int)
        drawn = words[(len(words) * rng.random(lengths.sum()) ** 3).astype(int)]
        return [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]

    titles = [quoted(text.title()) for text in texts(5, 0.5)]
    if release == 2018:
        titles[:4] = [quoted(PAGE_CODE)] * 4
    has_title = rng.random(POOL) < TITLED[release]
    key = quoted("title")
    made = {
        "text": map(json.dumps, texts(85, 0.9)),  # 600 characters on average
        "summary": map(json.dumps, texts(4, 0.5)),
        "description": map(quoted, texts(60, 1)),
        "title": [f"{key}: {title}, " if has else "" for title, has in zip(titles, has_title, strict=True)],
        "name": [json.dumps(text.title()) for text in texts(2, 0.2)],
        "brand": [json.dumps(text.title()) for text in texts(2, 0.2)],
        "vote": ['"vote": "3", ', "", "", ""],
        "path": [quoted(_path(rng, release)) for _ in range(POOL)],
        "paths": [quoted([_path(rng, release) for _ in range(rng.integers(1, 5))]) for _ in range(POOL)],
        "related": [quoted(_ids("B", rng.integers(10**8, size=60), 9).to_pylist()) for _ in range(POOL)],
        "few": [quoted(_ids("B", rng.integers(10**8, size=4), 9).to_pylist()) for _ in range(POOL)],
    }
    return {name: pa.array(list(values), pa.string()) for name, values in made.items()}


def _words(rng: np.random.Generator) -> np.ndarray:
    """Some thousand words, the frequent ones first, with what real text has beside words."""
    syllables = np.array(SYLLABLES, dtype=object)
    made = [syllables[rng.integers(len(syllables), size=n)].sum() for n in rng.integers(1, 4, 4000)]
    odd = ["it's", '"so"', "&#34;best&#34;", "caf\u00e9", "&amp;", "<br />", "don&#39;t", "C:\\n", "10.5"]
    return np.array([*made[:300], *odd, *made[300:]], dtype=object)


def _path(rng: np.random.Generator, release: int) -> list[str]:
    """A path of one to four levels."""
    levels = ["Kindle Store", "Kindle eBooks", str(rng.choice(GENRES)), str(rng.choice(KINDS))]
    and_sign = "&amp;" if release == 2018 else "&"
    return [level.replace("&", and_sign) for level in levels[: rng.choice([1, 2, 3, 4], p=[0.02, 0.08, 0.3, 0.6])]]


def _ids(letter: str, number: np.ndarray, digits: int) -> pa.Array:
    """An id for each number, scattered: neighbours have nothing in common."""
    scattered = np.asarray(number) * 387_420_489 % 10**digits  # a power of 3: no two meet
    return pc.binary_join_element_wise(letter, pc.utf8_lpad(_text(scattered), digits, "0"), "")


def _text(number: np.ndarray) -> pa.Array:
    return pc.cast(pa.array(number), pa.string())


def _drawn(values: pa.Array, n: int, rng: np.random.Generator) -> pa.Array:
    return values.take(pa.array(rng.integers(len(values), size=n)))


def _lines(template: str, columns: dict[str, pa.Array]) -> memoryview:
    """The bytes of one line for each row: the template with a value of each column in its place."""
    parts = re.split(r"\$(\w+)", template.replace("$$", "\0") + "\n")
    pieces = [columns[part] if n % 2 else part.replace("\0", "$") for n, part in enumerate(parts)]
    lines = pc.binary_join_element_wise(*pieces, "")
    return memoryview(lines.buffers()[2])[: pc.sum(pc.binary_length(lines)).as_py()]
