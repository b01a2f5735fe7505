"""The same shop in Parquet: types that pandas, Spark and databases write."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa

from .cases import ROWS, either, events, folder, in_order, items, order, read, refused, refused_items, with_texts

SOUND = items()
TWICE = " ".join(f"a{day} a{day}" for day in range(1, 9))
STRUCT = pa.struct([("a", pa.int64())])


def plain(**changes) -> dict:
    """Both tables with other columns of events."""
    return folder(events(**changes), SOUND)


def stored(kind: pa.DataType, **changes) -> dict:
    """Both tables with one column of events of a type."""
    [(name, values)] = changes.items()
    table = pa.Table.from_pandas(events(**{name: None}), preserve_index=False)
    return folder(table.append_column(name, pa.array([values(*row) for row in ROWS], kind)), SOUND)


def one(**changes) -> dict:
    """Both tables with ann's fourth day, row 4, changed in one column."""
    [(name, value)] = changes.items()
    table = events().astype({name: type(value)})
    table.loc[3, name] = value
    return folder(table, SOUND)


def moment(user: str, day: int) -> datetime.datetime:
    return datetime.datetime(2024, 3, day, 10, 30)


def numbered(kind: type):
    """Items with numbers for names: ann's are 971 to 978."""
    return lambda user, day: kind(10 * ord(user[0]) + day)


def is_single(dataset) -> bool:
    """All is read, and each search is a session of its own."""
    return in_order(dataset) and len(set(dataset.session[dataset.is_search])) == 12


PARQUET = [
    read("parquet: plain", plain(), with_texts),
    read("parquet: dates", stored(pa.timestamp("ns"), time=moment), in_order),
    read("parquet: dates with a zone", stored(pa.timestamp("us", "Asia/Tokyo"), time=moment), in_order),
    read("parquet: days", stored(pa.date32(), time=lambda u, d: moment(u, d).date()), in_order),
    read(
        "parquet: whole ids, floating in one file",
        folder(events(item_id=numbered(float)), items(item_id=numbered(int))),
        lambda d: order(d).startswith("971 972") and d.item_title[1] == "Shoe 1 of ann",
    ),
    refused("parquet: times with fractions", plain(time=lambda u, d: d / 2), "row 1", "time", "0.5"),
    refused("parquet: a missing time", one(time=float("nan")), "row 4", "time"),
    refused("parquet: a missing user", one(user_id=""), "row 4", "user_id", "empty"),
    refused_items("parquet: titles are lists", folder(events(), items(title=lambda u, d: ["a", "b"])), "title", "list"),
    either(
        "parquet: categories are lists",
        folder(events(), items(categories=lambda u, d: ["A", "B"])),
        lambda d: with_texts(d) and d.items["categories"][0] == "A > B",
        *("items", "categories", "list", "A > B"),
    ),
    refused("parquet: names that differ by a space", folder(events().assign(**{"time ": 1}), SOUND), "time", "twice"),
    refused("parquet: CSV under its name", {"interactions.parquet": "user_id\n", "items.parquet": SOUND}, "Parquet"),
    refused(
        "parquet: cut short", {"interactions.parquet": b"PAR1" + b"\0" * 500, "items.parquet": SOUND}, "cannot be read"
    ),
    refused("parquet: no row", folder(events().head(0), SOUND), "no rows"),
    read("parquet: users are the index", folder(events().set_index("user_id"), SOUND), with_texts),
    refused("parquet: a NUL at the end of an id", one(user_id="ann\0"), "row 4", "user_id", "NUL"),
    refused("parquet: a line break in an id", one(item_id="a\n4"), "row 4", "item_id", "line break"),
]

NEW_PARQUET = [
    read("parquet: categorical columns", folder(events().astype("category"), SOUND.astype("category")), with_texts),
    read("parquet: large strings", stored(pa.large_string(), user_id=lambda u, d: u), with_texts),
    either(
        "parquet: bytes",
        stored(pa.binary(), user_id=lambda u, d: u.encode()),
        lambda d: d.user_ids.tolist() == ["ann", "ben", "eve"],
        *("interactions", "user_id", "binary"),
    ),
    refused("parquet: bytes that are no text", stored(pa.binary(), query=lambda u, d: b"\xff\xfe"), "query", "UTF8"),
    read("parquet: decimals", stored(pa.decimal128(20, 2), time=lambda u, d: Decimal(d)), in_order),
    refused(
        "parquet: decimals with fractions",
        stored(pa.decimal128(20, 2), time=lambda u, d: Decimal(d) / 2),
        *("row 1", "time", "0.50"),
    ),
    read(
        "parquet: large whole numbers beside missing ones",
        stored(pa.int64(), session_id=lambda u, d: None if d % 2 else 2**60 + d),
        is_single,
    ),
    refused(
        "parquet: floating ids that lost digits",
        plain(item_id=lambda u, d: float(2**60 + d * 10**6)),
        *("row 1", "item_id", "digits"),
    ),
    refused("parquet: unsigned times", stored(pa.uint64(), time=lambda u, d: 2**63 + d), "row 1", "time", "2**62"),
    refused("parquet: infinite times", one(time=float("inf")), "row 4", "time", "inf"),
    refused("parquet: clocks", stored(pa.time32("s"), time=lambda u, d: datetime.time(10, d)), "time", "time32"),
    refused("parquet: durations", stored(pa.duration("s"), time=lambda u, d: d), "time", "duration"),
    refused("parquet: boolean times", stored(pa.bool_(), time=lambda u, d: d > 4), "row 1", "time", "False"),
    read("parquet: dates of text", plain(time=lambda u, d: moment(u, d).isoformat()), with_texts),
    read(
        "parquet: dates with microseconds",
        stored(pa.timestamp("us"), time=lambda u, d: datetime.datetime(2024, 3, 1, 0, 0, 0, d)),
        in_order,
    ),
    refused(
        "parquet: a missing date",
        stored(pa.timestamp("ns"), time=lambda u, d: None if d == 4 else moment(u, d)),
        *("row 4", "time", "empty"),
    ),
    read("parquet: an unused struct", stored(STRUCT, extra=lambda u, d: {"a": d}), with_texts, "extra"),
    refused("parquet: a struct for a user", stored(STRUCT, user_id=lambda u, d: {"a": d}), "user_id", "struct"),
    read(
        "parquet: no query is known",
        folder(events(behavior=None, query=None).assign(query=pd.Series([None] * 24, dtype=object)), SOUND),
        lambda d: order(d) == TWICE,
    ),
    read(
        "parquet: missing titles and categories",
        folder(events(), items(title=lambda u, d: None, categories=lambda u, d: None)),
        lambda d: in_order(d) and d.item_text[1] == "",
    ),
    refused(
        "parquet: parts under another name",
        {"interactions.parquet.0": b"", "items.parquet": SOUND},
        "interactions.parquet.0",
    ),
    read(
        "parquet: a file for one table only",
        {"interactions.parquet": events(), "items.csv": "item_id,title\na1,Shoe 1 of ann\n"},
        in_order,
        "23 of the 24",
    ),
]
