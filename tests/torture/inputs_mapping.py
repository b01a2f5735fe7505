"""The same shop under other names of files and columns, and the ``columns.yaml`` that says so."""

from __future__ import annotations

import yaml

from .cases import (
    CATALOGUE,
    LOG,
    Case,
    Values,
    csv,
    events,
    folder,
    in_order,
    items,
    order,
    read,
    refused,
    spoilt,
    with_texts,
)

COLUMNS = {"user_id": "uid", "item_id": "product", "time": "ts", "behavior": "event", "query": "term"}
KINDS = {"click": "rec", "find": "src"}
SHELF = {"item_id": "sku", "title": "name"}


def shop(log: dict | None = None, catalogue: dict | None = None, **changes: Values) -> dict:
    """Both files under other names, and their mapping with some blocks in place of the right ones."""
    kinds = {"behavior": lambda u, d: "click" if d % 2 else "find"}
    table = events(**{**kinds, **changes}).rename(columns=COLUMNS)
    shelf = items().rename(columns=SHELF)
    events_block = {"file": "log.csv", "columns": COLUMNS, "values": {"behavior": KINDS}}
    blocks = {
        "interactions": {**events_block, **(log or {})},
        "items": {"file": "shelf.tsv", "columns": SHELF, **(catalogue or {})},
    }
    return {"log.csv": csv(table), "shelf.tsv": csv(shelf, "\t"), "columns.yaml": yaml.safe_dump(blocks)}


def clear(name: str, files: dict, *names: str) -> Case:
    """An input that is an error which names some things."""
    return Case(name, files, names=names)


def mapping(text: str | bytes) -> dict:
    """The shop under our names, and a mapping."""
    return {**folder(), "columns.yaml": text}


def faulty(name: str, text: str | bytes, *names: str) -> Case:
    """A mapping that is an error."""
    return Case(f"mapping: {name}", mapping(text), names=("columns.yaml", *names))


def other(**changes: str) -> dict:
    """A block of columns with some changed."""
    return {"columns": {**COLUMNS, **changes}}


NO_BEHAVIOR = shop(log={"columns": {ours: COLUMNS[ours] for ours in COLUMNS if ours != "behavior"}})
CODES = {"values": {"behavior": {"1": "rec", "2": "src"}}}
SHADOWED = folder(csv(events(ts="{d}", time="noon"))) | {"columns.yaml": "interactions: {columns: {time: ts}}"}

BLURBS = folder(LOG, spoilt(csv(items(blurb="x")), {2: 'a1,Shoe,A > B,"One.\nTwo, too."'}))

NEW_MAPPING = [
    read(
        "mapping: a text of two lines under another name",
        BLURBS | {"columns.yaml": "items: {columns: {text: blurb}}"},
        lambda d: "One.\nTwo, too" in d.item_text[1],
    ),
    read("mapping: other names of all", shop(), with_texts),
    read("mapping: behaviors are codes", shop(log=CODES, behavior=lambda u, d: 2 - d % 2), with_texts),
    read("mapping: nothing in it", mapping(""), with_texts),
    read("mapping: one column stands for another", SHADOWED, with_texts, "not used: time"),
    read(
        "mapping: events to be dropped",
        shop(log={"values": {"behavior": {**KINDS, "find": "drop"}}}, query=""),
        lambda d: order(d).startswith("a1 a1 a3 a3"),
        "12 events were dropped",
        "find",
    ),
    read(
        "mapping: a behavior that nobody shows",
        shop(log={"values": {"behavior": {**KINDS, "buy": "rec"}}}),
        with_texts,
        "No event has the behavior buy",
    ),
    clear(
        "mapping: a behavior that it forgets",
        shop(behavior=lambda u, d: "buy" if (u, d) == ("ann", 3) else ("find", "click")[d % 2]),
        *("log.csv", "line 4", "column event", "'buy'"),
    ),
    clear(
        "mapping: all events to be dropped",
        shop(log={"values": {"behavior": dict.fromkeys(KINDS, "drop")}}),
        *("log.csv", "every event", "click"),
    ),
    clear("mapping: a column that is not there", shop(log=other(time="tz")), "log.csv", "'tz'", "'ts'", "uid"),
    clear(
        "mapping: the same of items", shop(catalogue={"columns": {"item_id": "skuu"}}), "shelf.tsv", "'skuu'", "'sku'"
    ),
    clear(
        "mapping: a fault in a column of another name", shop(user_id=""), "log.csv", "line 2", "column uid", "user_id"
    ),
    clear(
        "mapping: one of our names for another of them",
        mapping("interactions: {columns: {user_id: item_id}}"),
        *("interactions.csv", "missing column item_id"),
    ),
    clear("mapping: values and no such column", NO_BEHAVIOR, "log.csv", "values of behavior"),
    clear("mapping: a file that is not there", shop(log={"file": "lag.csv"}), "'lag.csv'", "'log.csv'"),
    clear("mapping: a file elsewhere", shop(log={"file": "../log.csv"}), "columns.yaml", "file", "folder"),
    clear("mapping: a folder in place of a file", shop(log={"file": "."}), "'.'", "log.csv"),
    clear("mapping: one column for two names", shop(log=other(query="uid")), "'uid'", "user_id and query"),
    clear("mapping: a value that is none", shop(log={"values": {"behavior": {"click": "buy"}}}), "click", "'buy'"),
    faulty("two columns for one name", "interactions: {columns: {time: a, time: b}}", "time", "twice"),
    faulty("an unknown key", "interactions: {columns: {userid: uid}}", "userid", "user_id"),
    faulty("an unknown table", "interaction: {columns: {user_id: uid}}", "interaction", "interactions"),
    faulty("values of queries", "interactions: {values: {query: {a: rec}}}", "query", "behavior"),
    faulty("a name that is empty", "interactions: {columns: {user_id: ''}}", "user_id"),
    faulty("an empty block", "interactions:", "interactions"),
    faulty("a list", "- user_id: uid", "blocks"),
    faulty("no YAML", "interactions: {", "no YAML"),
    faulty("a picture", b"\x89PNG\r\n\x1a\n" + b"\0\1" * 99, "no YAML"),
    faulty("a program", "interactions: !!python/object/apply:os.getcwd []", "interactions"),
]

TABBED = csv(events(), "\t")
STRANGE = "customer\tproduct, sku, or what it is called\n1\tmug\n"
WIDE = csv(events(**{"a, b, c, d, e, f": "x"}), "\t")


def tabs(fourth: str, sixth: str) -> dict:
    """Events with tabs, two queries of ann changed."""
    text = TABBED.replace("red shoe 4", fourth, 1).replace("red shoe 6", sixth, 1)
    return {"interactions.tsv": text, "items.csv": CATALOGUE}


NEW_TSV = [
    read("tsv: both", {"interactions.tsv": TABBED, "items.tsv": csv(items(), "\t")}, with_texts),
    read(
        "tsv: commas, semicolons and bars in titles",
        {"interactions.tsv": TABBED, "items.tsv": csv(items(title="Shoe, {d}; size | {u}"), "\t")},
        lambda d: d.item_title[1] == "Shoe, 1; size | ann",
    ),
    read("tsv: a header with more commas than tabs", {"interactions.tsv": WIDE, "items.csv": CATALOGUE}, with_texts),
    read("tsv: ids alone", {"interactions.csv": LOG, "items.tsv": csv(items(title=None, categories=None))}, in_order),
    refused("tsv: no column of ours", {"interactions.tsv": STRANGE, "items.csv": CATALOGUE}, "customer, product"),
    refused("tsv: commas", {"interactions.tsv": LOG, "items.csv": CATALOGUE}, "interactions.tsv", "line 1", "tabs"),
    refused(
        "tsv: a row too short",
        {"interactions.tsv": TABBED.replace("ann\ta4\t4", "ann,a4,4"), "items.csv": CATALOGUE},
        *("line 5", "3 fields", "5"),
    ),
    refused("tsv: a quote swallows lines", tabs('"red', 'shoe"'), "line 5", "query"),
    refused("tsv: a CSV file beside", {**folder(), "interactions.tsv": TABBED}, "interactions.csv and", ".tsv"),
    refused("tsv: under the name of text", {"interactions.txt": TABBED, "items.csv": CATALOGUE}, "interactions.txt"),
]  # fmt: skip
