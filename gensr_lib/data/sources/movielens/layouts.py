"""The files of MovieLens in each layout in which they are handed on, as two plain tables.

The official archives (their README files say what the columns are) and the copy inside RecBole, a
Python package, which has the year in a column of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from ....errors import DataError
from ...origin import Origin, shown
from ...schema import ITEM, TIME, TITLE, USER
from ..formats.content import MAX_LINE, check_text, open_content

GENRES = "genres"  # of a film, joined by bars
# What the 19 columns of u.item at the end stand for, in their order.
FLAGS = [
    "unknown",
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
]
RATINGS = (USER, ITEM, "rating", TIME)
RECBOLE_RATINGS = {"user_id": USER, "item_id": ITEM, "timestamp": TIME}
RECBOLE_FILMS = {"item_id": ITEM, "movie_title": TITLE, "release_year": "year"}
RECBOLE_GENRES = ("class", "genre")  # as the column is called in 100k, and in 1m
NO_TITLE = "unknown"

Read = Callable[[Path], tuple[pd.DataFrame, Origin]]


@dataclass(frozen=True)
class Layout:
    """A pair of files and their readers.

    Attributes:
        ratings, films: patterns of the two names.
        read_ratings: gives ``user_id, item_id, time`` as strings, and where the rows are from.
        read_films: gives ``item_id, title, genres`` as strings. A title is written as in the
            official files, with the year behind it; genres are joined by bars.
    """

    ratings: str
    films: str
    read_ratings: Read
    read_films: Read


def _ratings_of(separator: str) -> Read:
    def read(path: Path) -> tuple[pd.DataFrame, Origin]:
        return _rows(path, _lines(path), separator, RATINGS)

    return read


def _flagged_films(path: Path) -> tuple[pd.DataFrame, Origin]:
    """``u.item``: id, title, two dates and an address, then a flag for each genre."""
    columns = (ITEM, TITLE, "date", "video date", "address", *FLAGS)
    table, origin = _rows(path, _lines(path), "|", columns)
    for name in FLAGS:
        origin.refuse(~table[name].isin(["0", "1"]), table[name], "is neither 0 nor 1")
    names = np.array([f"{name}|" for name in FLAGS], dtype=object)
    table[GENRES] = table[FLAGS].eq("1").dot(names).str.rstrip("|")
    return table[[ITEM, TITLE, GENRES]], origin


def _listed_films(path: Path) -> tuple[pd.DataFrame, Origin]:
    """``movies.dat``: id, title and the names of the genres."""
    return _rows(path, _lines(path), "::", (ITEM, TITLE, GENRES))


def _recbole_ratings(path: Path) -> tuple[pd.DataFrame, Origin]:
    table, origin = _named_rows(path)
    return _chosen(table, RECBOLE_RATINGS, path), origin


def _recbole_films(path: Path) -> tuple[pd.DataFrame, Origin]:
    """Title and year are put together again; where a film has none, both say ``unkonwn``."""
    table, origin = _named_rows(path)
    genres = next((name for name in RECBOLE_GENRES if name in table), RECBOLE_GENRES[0])
    films = _chosen(table, {**RECBOLE_FILMS, genres: GENRES}, path)
    year = films["year"]
    title = films[TITLE].where(year.eq(""), films[TITLE] + " (" + year + ")")
    films[TITLE] = title.mask(year.eq("unkonwn"), NO_TITLE)
    films[GENRES] = films[GENRES].str.replace(" ", "|")
    return films[[ITEM, TITLE, GENRES]], origin


LAYOUTS = (
    Layout("u.data", "u.item", _ratings_of("\t"), _flagged_films),
    Layout("ratings.dat", "movies.dat", _ratings_of("::"), _listed_films),
    Layout("ml-*.inter", "ml-*.item", _recbole_ratings, _recbole_films),
)


def _named_rows(path: Path) -> tuple[pd.DataFrame, Origin]:
    """Rows below a header such as ``item_id:token``, whose types are dropped."""
    text = _lines(path, encodings=("utf-8",))
    header, _, body = text.partition("\n")
    names = [name.strip().partition(":")[0] for name in header.split("\t")]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path}: the column {twice[0]} is there twice; keep one of them.")
    if not body.strip():
        raise DataError(f"{path}: the table has no rows.")
    return _rows(path, body, "\t", names, first=2)


def _chosen(table: pd.DataFrame, columns: dict[str, str], path: Path) -> pd.DataFrame:
    lacking = [name for name in columns if name not in table]
    if lacking:
        found = f"missing column {', '.join(lacking)}; found {', '.join(table)}"
        raise DataError(f"{path}: {found}; line 1 must hold the names of the columns.")
    return table[list(columns)].rename(columns=columns)


def _lines(path: Path, encodings: tuple[str, ...] = ("utf-8", "latin-1")) -> str:
    """The text of a file, which must end with the end of a line.

    The official files are in Latin-1; one that was saved in UTF-8 since then is read as that, since
    no text in Latin-1 with letters beyond ASCII is likely to be sound UTF-8.
    """
    check_text(path)
    with open_content(path) as file:
        content = file.read()
    if not content.strip():
        raise DataError(f"{path}: the file is empty. Download it again.")
    if not content.endswith(b"\n"):
        last = content.count(b"\n") + 1
        raise DataError(
            f"{path}: line {last} has no end: the file is cut short. Download it again."
        )
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as error:
            fault = error
    line = content.count(b"\n", 0, fault.start) + 1
    said = f"line {line} is not UTF-8 text (byte 0x{content[fault.start]:02x})"
    raise DataError(f"{path}: {said}. Download it again.")


def _rows(
    path: Path, text: str, separator: str, columns: Sequence[str], first: int = 1
) -> tuple[pd.DataFrame, Origin]:
    """Lines split at a separator, quotation marks or not, as columns of strings.

    Args:
        columns: their names; a line with more or fewer fields is an error.
        first: the number of the first line.
    """
    if len(separator) > 1:  # Arrow wants one character
        text, separator = text.replace(separator, "\t"), "\t"
    faulty = []

    def note(row: pa.csv.InvalidRow) -> str:
        faulty.append(row)
        return "skip"

    parse = pa.csv.ParseOptions(
        delimiter=separator,
        quote_char=False,
        ignore_empty_lines=False,  # lines would be miscounted
        invalid_row_handler=note,
    )
    table = pa.csv.read_csv(
        pa.py_buffer(text.rstrip("\r\n").encode()),
        # Arrow counts lines in one thread only.
        pa.csv.ReadOptions(column_names=columns, use_threads=False, block_size=2 * MAX_LINE),
        parse,
        pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
    )
    if faulty:
        where = f"line {faulty[0].number + first - 1}: {shown(faulty[0].text)}"
        counts = f"{faulty[0].actual_columns} fields, not {len(columns)}"
        raise DataError(f"{path}: {where} has {counts}. Download the file again.")
    return table.to_pandas(), Origin(str(path), lambda row: f"line {row + first}")
