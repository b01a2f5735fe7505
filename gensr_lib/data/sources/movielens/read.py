"""MovieLens: films and the stars that people gave them, as clicks on films and searches for them.

Source: Harper & Konstan 2015 (The MovieLens datasets: history and context). Searches are made by
`made_searches` from genres and years.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pandas as pd

from ....errors import DataError
from ...schema import (
    BEHAVIOR,
    CATEGORIES,
    CATEGORY_SEPARATOR,
    ITEM,
    PATH_SEPARATOR,
    QUERY,
    REC,
    SESSION,
    TEXT,
    TIME,
    TITLE,
    USER,
    Tables,
    name_codes,
    validate,
)
from ...times import DAY, Clock, whole_numbers
from ..made_searches import synthesize_searches
from ..source import Kind, Offer, Remote
from .layouts import GENRES, LAYOUTS, NO_TITLE, Layout

HOME = "https://grouplens.org/datasets/movielens/"
FILES = "https://files.grouplens.org/datasets/movielens/"
NO_GENRE = ("", "unknown", "(no genres listed)")
YEAR = r"\((\d{4})\)(?: \(V\))?$"  # behind a title; V: a film that was made for video
# A name, up to the end or to a bracket, with its article behind a comma.
ARTICLES = "The|An|A|Les|La|Le|L'|Il|Lo|Los|Las|El|Der|Die|Das|Det|Den|O"
TURNED = re.compile(rf"([^()]+), ({ARTICLES})(?= ?[()]|$)")


def read_movielens(folder: Path) -> Tables:
    """Read a folder with the files of MovieLens 100K or 1M, or with RecBole's copy of them.

    - interactions: one ``rec`` event per rating, at its second. Every rating counts, whatever its
      stars, as is the custom where feedback is taken as implicit: people rate what they have seen.
    - items: ``title`` and ``text`` are the title as one says it, with the year; ``categories`` a
      path for each genre of the film and for each two of them, below its year.

    Returns:
        Validated `Tables` without searches.

    Raises:
        DataError: as `find_layout`; a file is empty, cut short or no text, or a line of it is not
            what it should be; the message names the line.
    """
    layout, ratings, films = find_layout(folder)
    events, events_origin = layout.read_ratings(ratings)
    items, items_origin = layout.read_films(films)
    for name in (USER, ITEM):
        events[name] = name_codes(events[name])
    events[TIME] = whole_numbers(events[TIME], events_origin)
    events = events.assign(**{BEHAVIOR: REC, QUERY: "", SESSION: -1})
    notes = ["Each rating is a click, whatever its stars."]
    origins = (events_origin, items_origin)
    tables = Tables(events, _items(items), notes=notes, clock=Clock(DAY))
    return validate(tables, str(folder), origins)


def find_layout(folder: Path) -> tuple[Layout, Path, Path]:
    """How the files in a folder are laid out, the file of ratings and that of films.

    Raises:
        DataError: the folder or a file is missing, or there are files of several layouts.
    """
    folder = Path(folder)
    if not folder.is_dir():
        advice = f"Download an archive from {HOME} and unpack it there"
        raise DataError(f"{folder}: no such folder. {advice}.")
    found = [(layout, *_files_of(layout, folder)) for layout in LAYOUTS]
    begun = [(layout, ratings, films) for layout, ratings, films in found if ratings or films]
    if not begun:
        pairs = ", ".join(f"{layout.ratings} and {layout.films}" for layout in LAYOUTS)
        raise DataError(f"{folder}: no files of MovieLens; looked for {pairs}.")
    layout, ratings, films = begun[0]
    if len(begun) > 1 or len(ratings) > 1 or len(films) > 1:
        names = ", ".join(path.name for _, *pair in begun for paths in pair for path in paths)
        raise DataError(f"{folder}: several files fit: {names}. Keep one pair here.")
    if not (ratings and films):
        lacking = layout.films if ratings else layout.ratings
        raise DataError(f"{folder}: no file {lacking}. Download it from {HOME}.")
    return layout, ratings[0], films[0]


def _files_of(layout: Layout, folder: Path) -> tuple[list[Path], list[Path]]:
    return sorted(folder.glob(layout.ratings)), sorted(folder.glob(layout.films))


def _items(films: pd.DataFrame) -> pd.DataFrame:
    """The columns of `schema.ITEM_COLUMNS`; the index holds the rows of the file."""
    title = films[TITLE].str.strip()
    year = title.str.extract(YEAR, expand=False).fillna("")
    title = title.mask(title.eq(NO_TITLE), "").str.replace(TURNED, _said, regex=True)
    facts = zip(year, films[GENRES], strict=True)
    paths = [_paths(year, genres.split("|")) for year, genres in facts]
    return films[[ITEM]].assign(**{TITLE: title, CATEGORIES: paths, TEXT: title})


def _said(found: re.Match) -> str:
    """A name with its article in front.

    >>> TURNED.sub(_said, "Matrix, The (1999)"), TURNED.sub(_said, "Hate (Haine, L')")
    ('The Matrix (1999)', "Hate (L'Haine)")
    """
    name, article = found.groups()
    return f"{article}{name}" if article.endswith("'") else f"{article} {name}"


def _paths(year: str, genres: list[str]) -> str:
    """The category paths of a film: a searcher may name one genre or two.

    >>> _paths("1995", ["Comedy", "Sci-Fi"])
    '1995 > Comedy | 1995 > Sci Fi | 1995 > Comedy > Sci Fi'
    """
    # With a space, as people type it: the recipe would join the two words.
    names = [genre.strip().replace("-", " ") for genre in genres if genre not in NO_GENRE]
    chosen = [*combinations(names, 1), *combinations(names, 2)]
    paths = [filter(None, (year, *path)) for path in chosen]
    return PATH_SEPARATOR.join(map(CATEGORY_SEPARATOR.join, paths))


def _read(path: Path, profile, seed: int) -> Tables:
    return synthesize_searches(read_movielens(path), seed, keep_years=True)


def _example(folder: Path) -> str:
    """Two people and two films in the official files' own format."""
    ratings = ["1\t1\t5\t881250949", "2\t1\t3\t881250950", "2\t2\t1\t881250951"]
    flags = ["|".join("01"[n in (3, 4, 5)] for n in range(19)), "1" + "|0" * 18]
    films = [f"1|Toy Story (1995)|01-Jan-1995|||{flags[0]}", f"2|unknown||||{flags[1]}"]
    for name, lines in (("u.data", ratings), ("u.item", films)):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    return str(folder)


TERMS = (
    "MovieLens is GroupLens's, for research: acknowledge it where you publish, do not pass it on, "
    "and ask before any commercial use; the terms are in "
)
# GroupLens publishes an MD5 beside each archive. The wheel is RecBole's, of which only its copy of
# the data is taken; the index publishes its SHA-256.
SMALL = Remote(
    f"{FILES}ml-100k.zip",
    "ml-100k.zip",
    "md5:0e33842e24a9c977be4e0107933c0723",
    ("ml-100k/README", "ml-100k/u.data", "ml-100k/u.item"),
)
LARGE = Remote(
    f"{FILES}ml-1m.zip",
    "ml-1m.zip",
    "md5:c4d9eecfca2ab87c1945afe126590906",
    ("ml-1m/README", "ml-1m/ratings.dat", "ml-1m/movies.dat"),
)
WHEEL = Remote(
    "https://files.pythonhosted.org/packages/ab/fe/"
    "7d606cb7cd2b166a36b100cb9435d21014ceee16c192d972deb0976967a8/recbole-1.2.1-py3-none-any.whl",
    "recbole-1.2.1-py3-none-any.whl",
    "sha256:9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    tuple(f"recbole/dataset_example/ml-100k/ml-100k.{end}" for end in ("inter", "item")),
)
LICENCE = "research, not to be passed on"
SOURCE = Kind(
    read=_read,
    example=_example,
    check=find_layout,
    holds=lambda folder: any(map(any, (_files_of(layout, folder) for layout in LAYOUTS))),
    about="stars for films, with searches made from genres and years",
    remote={
        "movielens-100k": Offer(
            ((SMALL,), (WHEEL,)),
            "100,000 ratings, 5 MB",
            LICENCE,
            f"{TERMS}{FILES}ml-100k-README.txt",
        ),
        "movielens-1m": Offer(
            ((LARGE,),), "1,000,209 ratings, 6 MB", LICENCE, f"{TERMS}{FILES}ml-1m-README.txt"
        ),
    },
)
