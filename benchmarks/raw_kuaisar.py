"""KuaiSAR's raw tables at any scale, made up, with all that is ugly about them: for load tests.

    python benchmarks/raw_kuaisar.py FOLDER [SHARE]

Counts, fields and spellings are those of the full release's documentation; who clicks what is
drawn, so nothing can be learnt from these tables. Ids reach 10^11, lists are written as text, rows
of a user share a time, categories are in Chinese and English, a level may be called 空 or empty,
searches have no click or several, and show more than videos; some items have no features.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

ROWS = 1_000_000  # that are drawn at once
FIRST = 1_684_684_800_000  # 22 May 2023, midnight in Beijing, in milliseconds
DAY = 86_400_000
BEIJING = 8 * 3_600_000
TYPES = np.array(["VIDEO", "IMAGE_ATLAS", "USER", "LIVE", "COMMODITY", "MUSIC", "ADVERT"])
TYPE_SHARES = [0.86, 0.05, 0.04, 0.02, 0.01, 0.01, 0.01]
LEVELS = ("first", "second", "third", "fourth")
TOPICS = {"搞笑": "Funny", "音乐": "Music", "美食": "Food", "游戏": "Game", "宠物": "Pets"}


@dataclass(frozen=True)
class Sizes:
    """What the full release has, by its documentation; hot items and words are ours."""

    users: int = 25_877
    items: int = 6_890_707
    hot_items: int = 620_000  # on which two thirds of all rows fall
    rec_rows: int = 14_605_716
    src_rows: int = 5_059_169
    sessions: int = 700_000
    queries: int = 453_667
    words: int = 390_000
    days: int = 20

    def scaled(self, share: float) -> Sizes:
        """The same with a share of everything but the days."""
        fields = {name: max(int(size * share), 40) for name, size in vars(self).items()}
        return replace(Sizes(**fields), days=self.days)


def write_kuaisar(folder: Path, sizes: Sizes, seed: int = 0, packed: bool = False) -> Path:
    """Write the five tables into a folder, or into one zip archive as published.

    Returns:
        The folder or the archive. Equal arguments write equal tables.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, tuple[int, Callable]] = {
        "rec_inter": (sizes.rec_rows, _rec_rows),
        "src_inter": (sizes.sessions, _src_rows),
        "item_features": (sizes.items, _feature_rows),
        "user_features": (sizes.users, _user_rows),
        "social_network": (sizes.users, _follow_rows),
    }
    for number, (name, (rows, make)) in enumerate(tables.items()):
        _write(folder / f"{name}.csv", _parts(rows, make, sizes, (seed, number)))
    if not packed:
        return folder
    archive = folder / "KuaiSAR_v2.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name in tables:
            target.write(folder / f"{name}.csv", f"KuaiSAR_final/{name}.csv")
            (folder / f"{name}.csv").unlink()
    return archive


def _parts(rows: int, make: Callable, sizes: Sizes, seed: tuple) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, ROWS):
        number = np.arange(start, min(start + ROWS, rows))
        columns = make(number, sizes, np.random.default_rng([*seed, start]))
        yield pa.RecordBatch.from_pandas(pd.DataFrame(columns), preserve_index=False)


def _write(path: Path, parts: Iterator[pa.RecordBatch]) -> None:
    """One CSV file of all parts, of which one is in memory."""
    first = next(parts)

    def all_of_them() -> Iterator[pa.RecordBatch]:
        yield first
        yield from parts

    rows = pa.RecordBatchReader.from_batches(first.schema, all_of_them())
    with duckdb.connect() as base:
        base.execute("SET threads = 1")  # rows stay in their order
        base.register("rows", rows)
        base.execute(f"COPY (SELECT * FROM rows) TO '{path}' (HEADER, DELIMITER ',')")


def _item_id(item: np.ndarray) -> np.ndarray:
    """The raw id of an item by number: every hundredth is as large as the largest published."""
    return np.where(item % 100 == 7, 103_656_000_000 + item, item * 3 + 1)


def _draw_items(n: int, sizes: Sizes, rng: np.random.Generator) -> np.ndarray:
    """Numbers of items: most of them hot, a few of these very hot, and the rest anything."""
    hot = (sizes.hot_items * rng.random(n) ** 1.6).astype(np.int64)
    return np.where(rng.random(n) < 0.66, hot, rng.integers(0, sizes.items, n))


def _draw_users(n: int, sizes: Sizes, rng: np.random.Generator) -> np.ndarray:
    return 1 + (sizes.users * rng.random(n) ** 1.4).astype(np.int64)


def _text_of(time: np.ndarray) -> np.ndarray:
    return np.datetime_as_string((time + BEIJING).astype("datetime64[ms]"), unit="s")


def _clocked(time: np.ndarray) -> np.ndarray:
    return pd.Series(_text_of(time)).str.replace("T", " ").to_numpy()


def _lists(number: np.ndarray, sizes: Sizes, most: int) -> np.ndarray:
    """A list of word numbers for each number, as text; the same number has the same list."""
    lengths = 1 + number % most
    words = (number[:, None] * 7919 + np.arange(most) * 104_729) % sizes.words
    text = pd.Series(words[:, 0].astype(str))
    for place in range(1, most):
        more = ", " + pd.Series(words[:, place].astype(str))
        text = text + more.where(lengths > place, "")
    return ("[" + text + "]").to_numpy()


def _rec_rows(number: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> dict:
    n = len(number)
    user = _draw_users(n, sizes, rng)
    time = FIRST + rng.integers(0, sizes.days * DAY, n)
    # Five in a row were handed out together: same user, same time.
    group = np.arange(n) // 5 * 5
    user, time = user[group], time[group]
    length = rng.integers(3_000, 90_000, n).astype(float)
    search = (rng.random(n) < 0.01).astype(int)
    return {
        "user_id": user,
        "item_id": _item_id(_draw_items(n, sizes, rng)),
        "playing_time": np.round(length * rng.random(n)),
        "duration_ms": length,
        "time": _clocked(time),
        "timestamp": time.astype(float),
        "click": rng.integers(0, 2, n),
        "forward": (rng.random(n) < 0.003).astype(int),
        "like": (rng.random(n) < 0.02).astype(int),
        "follow": (rng.random(n) < 0.005).astype(int),
        "search": search,
        "search_item_related": search * rng.integers(0, 2, n),
    }


def _src_rows(number: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> dict:
    """All rows of some sessions: a query each, several results, none to three of them clicked."""
    shown = max(round(sizes.src_rows / sizes.sessions), 1)
    n = len(number) * shown
    user = _draw_users(len(number), sizes, rng)
    time = FIRST + rng.integers(0, sizes.days * DAY, len(number))
    query = (sizes.queries * rng.random(len(number)) ** 1.5).astype(np.int64)
    keyword = _lists(query, sizes, 4)
    keyword[query % 997 == 0] = "[]"
    clicks = np.where(rng.random(len(number)) < 0.6, rng.integers(1, 4, len(number)), 0)
    place = np.tile(np.arange(shown), len(number))
    source = np.array(["USER_INPUT", "SUGGEST", "HISTORY"])[rng.integers(0, 3, len(number))]
    kind = TYPES[rng.choice(len(TYPES), n, p=TYPE_SHARES)]
    return {
        "user_id": np.repeat(user, shown),
        "search_session_id": np.repeat(number + 1, shown),
        "search_session_time": np.repeat(_clocked(time), shown),
        "search_session_timestamp": np.repeat(time, shown),
        "keyword": np.repeat(keyword, shown),
        "search_source": np.repeat(source, shown),
        "item_id": _item_id(_draw_items(n, sizes, rng)),
        "click_cnt": (place < np.repeat(clicks, shown)).astype(int),
        "item_type": kind,
    }


def _feature_rows(number: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> dict:
    """The features of all items but every fiftieth, in no order."""
    number = rng.permutation(number[number % 50 != 3])
    n = len(number)
    uploaded = FIRST - rng.integers(0, 900, n) * DAY
    uploaded[number % 20 == 0] = 0  # 1970-01-01 is padding
    columns = {
        "item_id": _item_id(number),
        "caption": _lists(number % 200_000, sizes, 8),
        "author_id": np.where(number % 30 == 0, 0, number // 9),
        "item_type": np.where(number % 9 == 0, "PHOTO", "NORMAL"),
        "upload_time": np.datetime_as_string(uploaded.astype("datetime64[ms]"), unit="D"),
        "upload_type": np.where(number % 4 == 0, "LongImport", "ShortCamera"),
    }
    chinese, english = (np.array(list(names)) for names in (TOPICS, TOPICS.values()))
    depth = 1 + number % 3  # levels that are there; the fourth never is
    for place, level in enumerate(LEVELS):
        topic = (number // (1 + place)) % len(TOPICS)
        there = depth > place
        tail = "" if place == 0 else f" {place}"
        columns[f"{level}_level_category_id"] = np.where(there, 1 + topic + 10 * place, 0)
        columns[f"{level}_level_category_name"] = np.where(there, chinese[topic], "空")
        columns[f"{level}_level_category_name_en"] = np.where(there, np.char.add(english[topic], tail), "empty")
    return columns


def _user_rows(number: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> dict:
    ranges = {"search_active_level": 7, "rec_active_level": 4, "onehot_feat1": 3, "onehot_feat2": 8}
    drawn = {name: rng.integers(0, top, len(number)) for name, top in ranges.items()}
    return {"user_id": number + 1, **drawn}


def _follow_rows(number: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> dict:
    followed = 1 + rng.integers(0, sizes.users, len(number))
    return {"user_id": number + 1, "user_follow_id": followed}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the tables are written")
    parser.add_argument("share", type=float, nargs="?", default=1.0, help="of the full size")
    given = parser.parse_args()
    print(write_kuaisar(given.folder, Sizes().scaled(given.share)))
