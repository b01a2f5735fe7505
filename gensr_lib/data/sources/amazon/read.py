"""The Amazon data of 2014, 2018 and 2023 in their raw files: reviews, and metadata of the items.

Sources: He & McAuley 2016 (Ups and downs) and McAuley et al. 2015 (Image-based recommendations on
styles and substitutes) for 2014; Ni, Li & McAuley 2019 (Justifying recommendations) for 2018; Hou
et al. 2024 (Bridging language and items) for 2023. A review counts as a purchase; `made_searches`
makes searches from it. `fields` says what each release calls its fields.
"""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import pandas as pd

from ....errors import DataError
from ...origin import Origin
from ...schema import ITEM, Tables, validate
from ...times import DAY, Clock
from ..formats.allowance import MAX_BAD_SHARE, Allowance
from ..formats.content import check_growth, line_blocks, lines
from ..source import Kind
from .fields import RELEASES, Release, item_row, items_of, likely
from .lines import UNREADABLE, Lines, literal
from .offers import offers
from .reviews import CSV, read_reviews

HOMES = ", ".join(f"{release.home} ({release.year})" for release in RELEASES)
JSON = (".json.gz", ".json", ".jsonl.gz", ".jsonl")
LOOKED_AT = 100  # lines that tell the release of a file


def read_amazon(reviews: Path, meta: Path, *, max_bad_share: float = MAX_BAD_SHARE) -> Tables:
    """Read one category: its reviews and the metadata of the items that are reviewed.

    The release is told from the fields of both files, whatever their names are.

    - interactions: one ``rec`` event per review, its time in seconds since 1970: whole days but in
      2023, whose milliseconds only order the reviews of a second. Reviews before 1970, or after
      the release's last year, are left out.
    - items: ``categories`` as paths, several of an item in 2014 and one later. ``title``, or brand
      and leaf category where there is none (most of Kindle in 2014) or code of the shop's page in
      its place (some of 2018), or nothing. ``text``: title, description and features, cut after a
      word within `fields.TEXT_CHARACTERS`, or, without them, what stands for the title.
      Markup is left out and character references such as ``&amp;`` are resolved.

    Lines that cannot be read are left out, with a note and a logged warning per file. A metadata
    line is parsed only if its item is a reviewed one; an item that is listed twice keeps its first
    line.

    Args:
        reviews: JSON lines, or the CSV table of users, items and times that the release of 2023
            offers of its 5-core; packed with gzip or not.
        meta: lines of JSON, or of Python dict literals in 2014; packed with gzip or not.
        max_bad_share: share of a file's lines, 0 to 1, that may be unreadable, and of the reviews
            whose time may be impossible.

    Returns:
        Validated `Tables` without searches; `made_searches.synthesize_searches` makes them.

    Raises:
        DataError: a file is missing, cut short, empty, grows without end when it is unpacked, or
            has more unreadable lines than allowed, which names the first of them and what is wrong
            with it; the files are of different releases; no reviewed item has metadata.
    """
    reviews, meta = _existing(reviews), _existing(meta)
    release = _release(reviews, meta)
    allowed = Allowance(max_bad_share, [])
    events, origin = read_reviews(reviews, release, allowed)
    items = _read_meta(meta, frozenset(events[ITEM].cat.categories), release, allowed)
    origins = (origin, Origin(str(meta)))
    tables = Tables(events, items, notes=allowed.notes, clock=Clock(DAY))
    return validate(tables, str(reviews), origins)


def find_files(folder: Path) -> tuple[Path, Path]:
    """The reviews and the metadata of one category in ``folder``, packed with gzip or not.

    - 2014: ``reviews_*.json.gz`` and ``meta_*.json.gz``.
    - 2018: ``*_5.json.gz`` or ``*.json.gz``, and ``meta_*.json.gz``.
    - 2023: ``*.jsonl.gz``, or the 5-core as ``*.csv.gz``, and ``meta_*.jsonl.gz``.

    Raises:
        DataError: the folder or a file is missing, or several files fit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        advice = f"Download the category's two files from {HOMES} and put them there"
        raise DataError(f"{folder}: no such folder. {advice}.")
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    meta = [path for path in files if path.name.startswith("meta_") and path.name.endswith(JSON)]
    reviews = [path for path in files if path.name.endswith(JSON + CSV) and path not in meta]
    names = "reviews_*.json.gz, *_5.json.gz, *.jsonl.gz or *.csv.gz"
    return (
        _the_one(folder, reviews, "file of reviews", names),
        _the_one(folder, meta, "file of metadata", "meta_*.json.gz or meta_*.jsonl.gz"),
    )


def _the_one(folder: Path, found: list[Path], what: str, names: str) -> Path:
    if not found:
        raise DataError(f"{folder}: no {what} ({names}). Download it from {HOMES}.")
    if len(found) > 1:
        several = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: more than one {what}: {several}. Keep one of them here.")
    return found[0]


def _existing(path: Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file. Download it from {HOMES} and put it there.")
    check_growth(path)
    return path


def _release(reviews: Path, meta: Path) -> Release:
    """The release that both files may be of; the latest one, if their fields fit several."""
    ours = _releases(reviews, "in_reviews")
    theirs = _releases(meta, "in_meta")
    if both := [release for release in ours if release in theirs]:
        return both[-1]
    years = [" or ".join(str(release.year) for release in part) for part in (ours, theirs)]
    found = f"{reviews.name} is of the release of {years[0]}, and {meta.name} is of {years[1]}"
    raise DataError(f"{reviews.parent}: {found}. Download both from one of {HOMES}.")


def _releases(path: Path, part: str) -> list[Release]:
    """The releases that a file may be of, told by its first lines."""
    if path.name.endswith(CSV):
        return [RELEASES[-1]]  # the others offer tables without a header
    records = []
    for line in islice(lines(path), LOOKED_AT):
        try:
            records.append(literal(line))
        except UNREADABLE:
            continue  # who reads the whole file counts it
    return likely(records, part)


def _read_meta(
    path: Path, wanted: frozenset[str], release: Release, allowed: Allowance
) -> pd.DataFrame:
    """The rows of `items` for the ids in ``wanted``."""

    def parse(line: bytes) -> tuple | None:
        found = release.id_pattern.search(line)
        is_other = found and found[1].decode() not in wanted
        return None if is_other else item_row(literal(line), release)

    seen = Lines(path)
    rows = []
    for block in line_blocks(path):
        rows += seen.parsed(block, parse)
    seen.report(allowed, release.home)
    return items_of([row for row in rows if row[0] in wanted], allowed.notes)


def _example(folder: Path) -> str:
    """Two reviews of one item in the raw files' own formats of 2014."""
    reviews = [{"reviewerID": u, "asin": "0001", "unixReviewTime": 86400} for u in ("U1", "U2")]
    item = {"asin": "0001", "title": "A pen", "categories": [["Office", "Pens"]]}
    texts = {"reviews_Toy_5": "\n".join(map(json.dumps, reviews)), "meta_Toy": repr(item)}
    for name, text in texts.items():
        (folder / f"{name}.json.gz").write_bytes(gzip.compress(f"{text}\n".encode()))
    return str(folder)


SOURCE = Kind(
    read=lambda path, profile, seed: read_amazon(*find_files(path)),
    example=_example,
    check=find_files,
    holds=lambda folder: any([*folder.glob("reviews_*"), *folder.glob("meta_*")]),
    about="reviews of an Amazon category, with searches made from its purchases",
    remote=offers(),
)
