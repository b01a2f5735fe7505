"""The Amazon data of 2014 in its raw files: reviews as JSON lines, items as Python dict literals.

Sources: He & McAuley 2016 (Ups and downs), McAuley et al. 2015 (Image-based recommendations on styles
and substitutes). A review counts as a purchase; searches are made from it by `queries`.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import warnings
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.json

from ...errors import DataError
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
    validate,
)
from .own_tables import DAMAGED, damaged

HOME = "https://jmcauley.ucsd.edu/data/amazon/"
TEXT_CHARACTERS = 500  # of title and description: far more than the models read of an item
FIELDS = {"reviewerID": USER, "asin": ITEM, "unixReviewTime": TIME}
SCHEMA = pa.schema([("reviewerID", pa.string()), ("asin", pa.string()), ("unixReviewTime", pa.int64())])
BLOCK = 1 << 24  # bytes that Arrow parses at once; a review is far shorter
ASIN = re.compile(rb"""["']asin["']\s*:\s*["']([^"']+)["']""")
# Lists of ids, most of a line and of no use here: without them a line is parsed about twice as fast.
RELATED = re.compile(rb"""["']related["']\s*:\s*\{[^{}]*\}\s*,?\s*""")


def read_amazon(reviews: Path, meta: Path, *, max_bad_share: float = 0.01) -> Tables:
    """Read one category: its reviews and the metadata of the items that are reviewed.

    - interactions: one ``rec`` event per review, at ``unixReviewTime`` (seconds since 1970, whole days).
    - items: ``categories`` as paths; ``title``, or brand and leaf category where there is none (most of
      Kindle), or nothing; ``text``: title and description, cut after a word within `TEXT_CHARACTERS`, or,
      without both, what stands for the title. Character references such as ``&amp;`` are resolved.

    Lines that cannot be parsed are left out with one warning per file. A metadata line is parsed only if
    its ``asin`` is a reviewed one; an item that is listed twice keeps its first line.

    Args:
        reviews: ``reviews_*.json`` or ``.json.gz``, JSON lines.
        meta: ``meta_*.json`` or ``.json.gz``, lines of Python dict literals (or of JSON).
        max_bad_share: share of a file's lines, 0 to 1, that may be unreadable.

    Returns:
        Validated `Tables` without searches; `queries.synthesize_searches` makes them.

    Raises:
        DataError: a file is missing, cut short, empty, or has more unreadable lines than allowed.
    """
    events = _read_reviews(_existing(reviews), max_bad_share)
    items = _read_meta(_existing(meta), frozenset(events[ITEM].unique()), max_bad_share)
    return validate(Tables(events, items), str(reviews))


def find_amazon_files(folder: Path) -> tuple[Path, Path]:
    """The reviews and the metadata in ``folder``: ``reviews_*`` and ``meta_*``, ``.json.gz`` or ``.json``.

    Raises:
        DataError: the folder or a file is missing, or several files fit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Download the category's two files from {HOME} and put them there.")
    return _the_one(folder, "reviews_"), _the_one(folder, "meta_")


def _the_one(folder: Path, start: str) -> Path:
    found = sorted(path for suffix in (".json.gz", ".json") for path in folder.glob(f"{start}*{suffix}"))
    if not found:
        raise DataError(f"{folder}: no file {start}*.json.gz or {start}*.json. Download it from {HOME}.")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: several files fit: {names}. Keep one of them here.")
    return found[0]


def _existing(path: Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Download it from {HOME} and put it there.")
    return path


def _read_reviews(path: Path, max_bad_share: float) -> pd.DataFrame:
    """The events of all reviews, by Arrow if every line is sound and line by line if not."""
    table = _arrow_table(path)
    if table is None:
        rows = _parsed_lines(path, _review, max_bad_share)
        columns = zip(*rows, strict=True) if rows else [(), (), ()]
        table = pa.table([pa.array(c, t) for c, t in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)
    events = table.select(list(FIELDS)).rename_columns(list(FIELDS.values())).to_pandas()
    return events.assign(**{BEHAVIOR: REC, QUERY: "", SESSION: -1})


def _arrow_table(path: Path) -> pa.Table | None:
    """The three fields of all lines, or None if any line or the file is faulty: Arrow cannot skip one."""
    options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
    try:
        with pa.input_stream(str(path), compression="gzip" if _is_gzip(path) else None) as stream:
            read = pyarrow.json.ReadOptions(block_size=BLOCK)
            table = pyarrow.json.read_json(stream, read_options=read, parse_options=options)
    except (pa.ArrowException, OSError):
        return None
    complete = set(FIELDS) <= set(table.column_names) and not any(c.null_count for c in table.columns)
    return table if complete and len(table) else None


def _review(line: bytes) -> tuple[str, str, int]:
    record = json.loads(line)
    user, item, time = (record[name] for name in FIELDS)
    if not (isinstance(user, str) and isinstance(item, str) and type(time) is int):
        raise ValueError("an id that is no string or a time that is no integer")
    return user, item, time


def _read_meta(path: Path, wanted: frozenset[str], max_bad_share: float) -> pd.DataFrame:
    """The rows of `items` for the asins in ``wanted``."""

    def parse(line: bytes) -> tuple | None:
        asin = ASIN.search(line)
        return None if asin and asin[1].decode() not in wanted else _item(_literal(line))

    items = pd.DataFrame(_parsed_lines(path, parse, max_bad_share), columns=list(ITEM_COLUMNS), dtype=object)
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
    paths = [[_level(level) for level in path] for path in record.get("categories") or []]
    title, brand, description = (_clean(record.get(name)) for name in ("title", "brand", "description"))
    leaf = paths[0][-1] if paths and paths[0] else ""
    title_or_kind = title or f"{brand} {leaf}".strip()
    text = _shorten(f"{title} {description}".strip() or title_or_kind)
    return record["asin"], title_or_kind, PATH_SEPARATOR.join(map(CATEGORY_SEPARATOR.join, paths)), text


def _clean(value: object) -> str:
    return " ".join(unescape(str(value)).split()) if value else ""


def _level(name: object) -> str:
    """A level's name without the two separators of `categories`."""
    return _clean(name).replace(CATEGORY_SEPARATOR, " ").replace(PATH_SEPARATOR, " ")


def _shorten(text: str) -> str:
    """Cut after the last whole word within the limit."""
    return text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS + 1].rpartition(" ")[0]


def _parsed_lines(path: Path, parse: Callable[[bytes], tuple | None], max_bad_share: float) -> list[tuple]:
    """What ``parse`` makes of each line that is not blank, without its Nones; counts the lines it fails on."""
    rows, bad, total = [], [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # literal_eval on a description with a stray backslash
        for number, line in enumerate(_lines(path), start=1):
            if not line.strip():
                continue
            total += 1
            try:
                row = parse(line)
            except (ValueError, SyntaxError, TypeError, KeyError, AttributeError, RecursionError, MemoryError):
                bad.append(number)
            else:
                rows.extend([row] if row is not None else [])
    _report(path, bad, total, max_bad_share)
    return rows


def _report(path: Path, bad: list[int], total: int, max_bad_share: float) -> None:
    """Raise on an empty file or too many bad lines, warn of a few."""
    if not total:
        raise DataError(f"{path}: the file is empty. Download it again from {HOME}.")
    if not bad:
        return
    found = f"{path}: {len(bad)} of {total} lines cannot be read, the first is line {bad[0]}"
    if len(bad) > max_bad_share * total:
        raise DataError(f"{found}; at most {max_bad_share:.1%} may be. Download the file again from {HOME}.")
    warnings.warn(f"{found}; they are left out.", UserWarning, stacklevel=5)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, compressed or not, whatever its name says."""
    try:
        with gzip.open(path, "rb") if _is_gzip(path) else path.open("rb") as file:
            yield from file
    except DAMAGED as error:
        raise damaged(path, error) from error
