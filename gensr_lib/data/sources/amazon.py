"""The Amazon data of 2014 in its raw files: reviews as JSON lines, items as Python dict literals.

Sources: He & McAuley 2016 (Ups and downs), McAuley et al. 2015 (Image-based recommendations on
styles and substitutes). A review counts as a purchase; `made_searches` makes searches from it.
"""

from __future__ import annotations

import ast
import gzip
import json
import logging
import re
import warnings
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from ...errors import DataError
from ..origin import Origin, shown
from ..schema import (
    BEHAVIOR,
    CATEGORY_SEPARATOR,
    ITEM,
    ITEM_COLUMNS,
    PATH_SEPARATOR,
    QUERY,
    REC,
    SESSION,
    TIME,
    USER,
    Tables,
    cut,
    name_codes,
    validate,
)
from ..times import LIMIT
from .amazon_files import offers
from .content import check_growth, is_gzip, lines
from .source import Kind

HOME = "https://jmcauley.ucsd.edu/data/amazon/"
TEXT_CHARACTERS = 500  # of title and description: far more than the models read of an item
FIELDS = {"reviewerID": USER, "asin": ITEM, "unixReviewTime": TIME}
SCHEMA = pa.schema(
    [("reviewerID", pa.string()), ("asin", pa.string()), ("unixReviewTime", pa.int64())]
)
BLOCK = 1 << 24  # bytes that Arrow parses at once; a review is far shorter


class Unreadable(ValueError):
    """A line that can be parsed but does not hold what it should."""


UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)
KINDS = {"reviewerID": str, "asin": str, "unixReviewTime": int}
LOG = logging.getLogger(__name__)
ASIN = re.compile(rb"""["']asin["']\s*:\s*["']([^"']+)["']""")
# Lists of ids, most of a line and of no use here: without them a line is parsed twice as fast.
RELATED = re.compile(rb"""["']related["']\s*:\s*\{[^{}]*\}\s*,?\s*""")


def read_amazon(reviews: Path, meta: Path, *, max_bad_share: float = 0.01) -> Tables:
    """Read one category: its reviews and the metadata of the items that are reviewed.

    - interactions: one ``rec`` event per review, at ``unixReviewTime`` (seconds since 1970, whole
      days).
    - items: ``categories`` as paths (lists of lists of levels; in the release of 2018 ``category``,
      one list of levels); ``title``, or brand and leaf category where there is none
      (most of Kindle), or nothing; ``text``: title and description, cut after a word within
      `TEXT_CHARACTERS`, or, without both, what stands for the title. Character references such
      as ``&amp;`` are resolved.

    Lines that cannot be read are left out, with a note and a logged warning per file. A metadata
    line is parsed only if its ``asin`` is a reviewed one; an item that is listed twice keeps its
    first line.

    Args:
        reviews: ``reviews_*.json`` or ``.json.gz``, JSON lines.
        meta: ``meta_*.json`` or ``.json.gz``, lines of Python dict literals (or of JSON).
        max_bad_share: share of a file's lines, 0 to 1, that may be unreadable.

    Returns:
        Validated `Tables` without searches; `made_searches.synthesize_searches` makes them.

    Raises:
        DataError: a file is missing, cut short, empty, grows without end when it is unpacked, or
            has more unreadable lines than allowed, which names the first of them and what is wrong
            with it; no reviewed item has metadata.
    """
    notes: list[str] = []
    events = _read_reviews(_existing(reviews), max_bad_share, notes)
    wanted = frozenset(events[ITEM].cat.categories)
    items = _read_meta(_existing(meta), wanted, max_bad_share, notes)
    origins = (Origin(str(reviews)), Origin(str(meta)))
    return validate(Tables(events, items, notes=notes), str(reviews), origins)


def find_amazon_files(folder: Path) -> tuple[Path, Path]:
    """``reviews_*`` and ``meta_*`` in ``folder``, each ``.json.gz`` or ``.json``.

    Raises:
        DataError: the folder or a file is missing, or several files fit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        advice = f"Download the category's two files from {HOME} and put them there"
        raise DataError(f"{folder}: no such folder. {advice}.")
    return _the_one(folder, "reviews_"), _the_one(folder, "meta_")


def _the_one(folder: Path, start: str) -> Path:
    found = sorted([*folder.glob(f"{start}*.json.gz"), *folder.glob(f"{start}*.json")])
    if not found:
        names = f"{start}*.json.gz or {start}*.json"
        raise DataError(f"{folder}: no file {names}. Download it from {HOME}.")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: several files fit: {names}. Keep one of them here.")
    return found[0]


def _existing(path: Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Download it from {HOME} and put it there.")
    check_growth(path)
    return path


def _read_reviews(path: Path, max_bad_share: float, notes: list[str]) -> pd.DataFrame:
    """The events of all reviews, by Arrow if every line is sound and line by line if not."""
    table = _arrow_table(path)
    if table is None:
        rows = _parsed_lines(path, _review, max_bad_share, notes)
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
    events = table.select(list(FIELDS)).rename_columns(list(FIELDS.values())).to_pandas()
    # Codes at once: strings of every review would take several times the memory.
    events[USER] = name_codes(events[USER])
    events[ITEM] = name_codes(events[ITEM])
    return events.assign(**{BEHAVIOR: REC, QUERY: "", SESSION: -1})


def _arrow_table(path: Path) -> pa.Table | None:
    """The three fields of all lines; None if any line is faulty, since Arrow cannot skip one."""
    parse = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    read = pyarrow.json.ReadOptions(block_size=BLOCK)
    packed = "gzip" if is_gzip(path) else None
    try:
        with pa.input_stream(str(path), compression=packed) as stream:
            table = pyarrow.json.read_json(stream, read_options=read, parse_options=parse)
    except (pa.ArrowException, OSError):
        return None
    complete = set(FIELDS) <= set(table.column_names) and len(table)
    return table if complete and _all_sound(table) else None


def _all_sound(table: pa.Table) -> bool:
    """Whether every id has a character and every time is within the limit."""
    user, item, time = (table[name] for name in FIELDS)
    shortest = pc.min(pc.binary_length(pa.chunked_array([*user.chunks, *item.chunks])))
    latest = pc.max(pc.abs(time))
    is_known = not any(column.null_count for column in (user, item, time))
    return is_known and shortest.as_py() > 0 and latest.as_py() <= LIMIT


def _review(line: bytes) -> dict:
    record = json.loads(line)
    found = {name: _field(record, name, kind) for name, kind in KINDS.items()}
    if abs(found["unixReviewTime"]) > LIMIT:
        raise Unreadable(f"its field unixReviewTime, {found['unixReviewTime']}, is beyond ±2**62")
    return found


def _field(record: object, name: str, kind: type) -> Any:
    """A field that must be there, of a type and, if it is an id, with a character."""
    if not isinstance(record, dict):
        raise Unreadable(f"it is of type {type(record).__name__}, not a dict")
    if name not in record:
        raise Unreadable(f"it has no field {name}, but {', '.join(map(str, list(record)[:9]))}")
    value = record[name]
    if type(value) is not kind:
        found = f"its field {name}, {shown(str(value))}, is of type {type(value).__name__}"
        raise Unreadable(f"{found}, not {kind.__name__}")
    if value == "":
        raise Unreadable(f"its field {name} is empty")
    return value


def _read_meta(
    path: Path, wanted: frozenset[str], max_bad_share: float, notes: list[str]
) -> pd.DataFrame:
    """The rows of `items` for the asins in ``wanted``."""

    def parse(line: bytes) -> tuple | None:
        asin = ASIN.search(line)
        return None if asin and asin[1].decode() not in wanted else _item(_literal(line))

    rows = _parsed_lines(path, parse, max_bad_share, notes)
    items = pd.DataFrame(rows, columns=list(ITEM_COLUMNS), dtype=object)
    return items[items[ITEM].isin(wanted)].drop_duplicates(ITEM, ignore_index=True)


def _literal(line: bytes) -> dict:
    """The dict of one line, never by running it: `eval` on a downloaded file would."""
    text = RELATED.sub(b"", line).decode()
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _item(record: dict) -> tuple[str, str, str, str]:
    """One row of `items`: id, title, categories, text."""
    asin = _field(record, "asin", str)
    paths = [[_level(level) for level in path] for path in _paths(record)]
    fields = ("title", "brand", "description")
    title, brand, description = (_clean(record.get(name)) for name in fields)
    leaf = paths[0][-1] if paths and paths[0] else ""
    title_or_kind = title or f"{brand} {leaf}".strip()
    text = cut(f"{title} {description}".strip() or title_or_kind, TEXT_CHARACTERS)
    categories = PATH_SEPARATOR.join(map(CATEGORY_SEPARATOR.join, paths))
    return asin, title_or_kind, categories, text


def _paths(record: dict) -> list[list]:
    """The category paths of an item, each a list of levels."""
    paths = record.get("categories") or []
    if "categories" not in record and record.get("category"):  # as in the release of 2018
        paths = [record["category"]]
    if isinstance(paths, list) and all(isinstance(path, list) for path in paths):
        return paths
    raise Unreadable(f"its categories, {shown(str(paths))}, are no list of lists of levels")


def _clean(value: object) -> str:
    parts = value if isinstance(value, list) else [value]  # descriptions of 2018 are lists
    return " ".join(unescape(" ".join(map(str, filter(None, parts)))).split())


def _level(name: object) -> str:
    """A level's name without the two separators of `categories`."""
    return _clean(name).replace(CATEGORY_SEPARATOR, " ").replace(PATH_SEPARATOR, " ")


def _parsed_lines(
    path: Path, parse: Callable[[bytes], Any], max_bad_share: float, notes: list[str]
) -> list:
    """What ``parse`` makes of each line that is not blank, without its Nones.

    The lines it fails on are counted; a few are left out with a warning.
    """
    rows = []
    bad = []
    total = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a stray backslash in a description
        for number, line in enumerate(lines(path), start=1):
            if not line.strip():
                continue
            total += 1
            try:
                rows.append(parse(line))
            except UNREADABLE as error:
                bad.append((number, error))
    if not total:
        raise DataError(f"{path}: the file is empty. Download it again from {HOME}.")
    if bad:
        _report(path, bad, total, max_bad_share, notes)
    return [row for row in rows if row is not None]


def _report(path: Path, bad: list, total: int, max_bad_share: float, notes: list[str]) -> None:
    """Raise on too many bad lines, note a few."""
    line, error = bad[0]
    why = "it is neither JSON nor a Python literal"
    advice = f"is this a raw file of {HOME}, downloaded whole?"
    if isinstance(error, Unreadable):
        why = str(error)
    found = f"{len(bad)} of {total} lines cannot be read, the first is line {line}: {why}"
    if len(bad) > max_bad_share * total:
        raise DataError(f"{path}: {found}; at most {max_bad_share:.1%} may be; {advice}")
    LOG.warning("%s: %s; they are left out.", path, found)
    notes.append(f"{path.name}: {found}; they are left out.")


def _example(folder: Path) -> str:
    """Two reviews of one item in the raw files' own formats."""
    reviews = [{"reviewerID": u, "asin": "0001", "unixReviewTime": 86400} for u in ("U1", "U2")]
    item = {"asin": "0001", "title": "A pen", "categories": [["Office", "Pens"]]}
    texts = {"reviews_Toy_5": "\n".join(map(json.dumps, reviews)), "meta_Toy": repr(item)}
    for name, text in texts.items():
        (folder / f"{name}.json.gz").write_bytes(gzip.compress(f"{text}\n".encode()))
    return str(folder)


SOURCE = Kind(
    read=lambda path, profile, seed: read_amazon(*find_amazon_files(path)),
    example=_example,
    check=find_amazon_files,
    holds=lambda folder: any([*folder.glob("reviews_*"), *folder.glob("meta_*")]),
    about="reviews of an Amazon category, with searches made from its purchases",
    remote=offers(2014),
)
