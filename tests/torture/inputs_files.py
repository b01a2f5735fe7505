"""Files that are no plain CSV: separators, encodings, archives, sizes, rows of another length."""

from __future__ import annotations

import gzip

from .cases import (
    CATALOGUE,
    LOG,
    Case,
    big_gzip,
    csv,
    either,
    events,
    folder,
    items,
    line,
    read,
    refused,
    refused_items,
    spoilt,
    with_texts,
)

PACKED = big_gzip(LOG, "", 0)


def gz(content: bytes | str) -> dict:
    """Events under the name of a packed file."""
    return {"interactions.csv.gz": content, "items.csv": CATALOGUE}


def unsound(name: str, content: bytes, *names: str) -> Case:
    """A file of events that is no CSV."""
    return refused(f"files: {name}", folder(content), *names)


FILES = [
    either("files: semicolons", folder(csv(events(), ";")), with_texts, ";"),
    either("files: tabs", folder(csv(events(), "\t")), with_texts, "tab"),
    refused("files: Excel's sep=,", folder("sep=,\n" + LOG), "line 1", "sep=,"),
    read("files: Windows line ends", folder(csv(events(), end="\r\n"), csv(items(), end="\r\n")), with_texts),
    read("files: old Mac line ends", folder(csv(events(), end="\r")), with_texts),
    read("files: a byte order mark", folder("\ufeff" + LOG), with_texts),
    read("files: blank lines", folder(LOG.replace("ann,a4", "\n\nann,a4")), with_texts),
    refused("files: a fault below blank lines", line(5, "\n\nann,a4,4,buy,"), "line 7", "behavior", "buy"),
    refused_items(
        "files: a fault below a text of two lines",
        folder(LOG, spoilt(csv(items(text="x")), {2: 'a1,Shoe,A,"One\ntwo"', 5: ",Shoe,A,x"})),
        *("line 6", "item_id"),
    ),
    read("files: no line end at the end", folder(LOG.rstrip()), with_texts),
    refused("files: a row too short", line(5, "ann,a4"), "line 5", "2 fields", "5"),
    refused("files: a row too long", line(5, "ann,a4,4,src,red,shoe"), "line 5", "6 fields", "5"),
    refused("files: the first row too long", line(2, "ann,a1,1,rec,,x"), "line 2", "6 fields", "5"),
    refused("files: all rows too long", folder(LOG.replace("\n", ",\n").replace("y,", "y", 1)), "line 2", "6 fields"),
    unsound("Latin-1", LOG.replace("red shoe 4", "café").encode("latin-1"), "line 5", "UTF-8"),
    unsound("UTF-16", LOG.encode("utf-16"), "UTF-16", "UTF-8"),
    unsound("a zip under the name of a CSV", b"PK\x03\x04" + b"\0\1" * 99, "zip"),
    unsound("a Parquet file under the name of a CSV", b"PAR1" + b"\0\1" * 99, "Parquet"),
    unsound("a picture", b"\x89PNG\r\n\x1a\n" + b"\0\1" * 99, "UTF-8"),
    unsound("one field of a gigabyte", big_gzip(LOG, "x" * 10**6, 1000), "line 26", "MAX_LINE"),
    unsound("52 million rows in 400 kB of gzip", big_gzip(LOG, "ann,a1,1,rec,\n" * 10**5, 520), "MAX_GROWTH"),
    either("files: gzip under the name of a CSV", folder(PACKED), with_texts, "gzip"),
    either("files: CSV under the name of gzip", gz(LOG), with_texts, "interactions.csv.gz"),
    read("files: gzip", gz(PACKED), with_texts),
    refused("files: gzip cut short", gz(PACKED[:-12]), "interactions.csv.gz", "cut short"),
    refused("files: gzip that was overwritten", gz(PACKED[:60] + b"\xff" * 60), "csv.gz", "damaged"),
    refused_items("files: no items", {"interactions.csv": LOG}, "items.csv"),
    refused(
        "files: an Excel workbook beside", {"interactions.xlsx": b"PK", "items.csv": CATALOGUE}, "interactions.xlsx"
    ),
    refused("files: two of one table", {**folder(), **gz(LOG)}, "interactions.csv", "interactions.csv.gz"),
]

NEW_FILES = [
    refused("files: lines of separators at the end", folder(LOG + ",,,,\n,,,,\n"), "line 26", "empty"),
    either("files: a line of blanks", folder(LOG + "   \n"), with_texts, "line 26", "1 field"),
    refused("files: a comment at the end", folder(LOG + "# 24 rows\n"), "line 26", "1 field"),
    either("files: bars", folder(csv(events(), "|")), with_texts, "|"),
    refused("files: JSON under the name of a CSV", folder('[{"user_id": "ann"}]\n'), "user_id", "ann"),
    refused("files: gzip in gzip", folder(gzip.compress(PACKED)), "gzip twice"),
    refused("files: INTERACTIONS.CSV", {"INTERACTIONS.CSV": LOG, "items.csv": CATALOGUE}, "INTERACTIONS.CSV"),
    read("files: blank lines above the header", folder("\n\n" + LOG), with_texts),
    refused(
        "files: a fault in Windows lines",
        folder(spoilt(LOG, {5: "ann,a4,4,buy,"}).replace("\n", "\r\n")),
        "line 5",
        "buy",
    ),
    refused(
        "files: a fault in packed lines", gz(gzip.compress(spoilt(LOG, {5: "ann,a4,4,buy,"}).encode())), "line 5", "buy"
    ),
]
