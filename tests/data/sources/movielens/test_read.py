"""MovieLens in its three layouts, by hand: what is read, and what every fault is called."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gensr_lib.config import DataConfig, read_profile
from gensr_lib.data.sources.load import find, load_dataset
from gensr_lib.data.sources.movielens import find_layout, read_movielens
from gensr_lib.errors import DataError

# user, film, stars, second; one row twice, and one film rated twice by one person.
RATINGS = [(7, 1, 5, 881250949), (7, 2, 1, 881250950), (7, 2, 1, 881250950), (7, 2, 4, 891250950), (12, 3, 3, 5)]
FILMS = [
    (1, "Toy Story (1995)", "Animation|Children's|Comedy"),
    (2, "Matrix, The (1999)", "Action|Sci-Fi"),
    (3, "Misérables, Les (1995)", "Drama"),
]
# As the file u.genre of 100K lists them.
GENRES = [
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
]


def flagged(film: int, title: str, genres: str) -> str:
    """A line of u.item."""
    flags = "|".join(str(int(name in genres.split("|"))) for name in GENRES)
    return f"{film}|{title}|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)|{flags}"


def split_off(film: int, title: str, genres: str) -> str:
    """A line of RecBole's table of films."""
    name, _, year = title.rpartition(" (")
    return "\t".join([str(film), name, year.rstrip(")"), genres.replace("|", " ")])


def lines(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def official(ratings=RATINGS, films=FILMS) -> dict[str, bytes]:
    """The files of 100K."""
    rated = lines(*("\t".join(map(str, row)) for row in ratings))
    return {"u.data": rated.encode(), "u.item": lines(*(flagged(*film) for film in films)).encode("latin-1")}


def large(ratings=RATINGS, films=FILMS) -> dict[str, bytes]:
    """The files of 1M."""
    rated = lines(*("::".join(map(str, row)) for row in ratings))
    return {
        "ratings.dat": rated.encode(),
        "movies.dat": lines(*("::".join(map(str, f)) for f in films)).encode("latin-1"),
    }


def recbole(ratings=RATINGS, films=FILMS, genres: str = "class") -> dict[str, bytes]:
    """RecBole's copy of 100K; in its copy of 1M the genres are called so."""
    rated = lines(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float", *("\t".join(map(str, r)) for r in ratings)
    )
    head = f"item_id:token\tmovie_title:token_seq\trelease_year:token\t{genres}:token_seq"
    return {"ml-100k.inter": rated.encode(), "ml-100k.item": lines(head, *(split_off(*f) for f in films)).encode()}


LAYOUTS = [official, large, recbole]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


# ---- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ratings_are_clicks_and_films_are_items(tmp_path, layout):
    tables = read_movielens(write(tmp_path, layout()))
    rows = tables.interactions[["user_id", "item_id", "time"]].to_numpy().tolist()
    assert rows == [["12", "3", 5], ["7", "1", 881250949], ["7", "2", 881250950], ["7", "2", 891250950]]
    assert set(tables.interactions["behavior"]) == {"rec"} and tables.counts[0]["rec events"] == 5
    toy = "1995 > Animation | 1995 > Children's | 1995 > Comedy | "
    toy += "1995 > Animation > Children's | 1995 > Animation > Comedy | 1995 > Children's > Comedy"
    assert tables.items.to_numpy().tolist() == [
        ["1", "Toy Story (1995)", toy, "Toy Story (1995)"],
        ["2", "The Matrix (1999)", "1999 > Action | 1999 > Sci Fi | 1999 > Action > Sci Fi", "The Matrix (1999)"],
        ["3", "Les Misérables (1995)", "1995 > Drama", "Les Misérables (1995)"],
    ]
    assert tables.notes[0] == "Each rating is a click, whatever its stars."
    assert tables.notes[1].startswith("1 repeated events were dropped")


def test_recbole_calls_genres_otherwise_in_1m(tmp_path):
    tables = [read_movielens(write(tmp_path, recbole(genres=name))).items for name in ("class", "genre")]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("Star Wars: Episode IV - A New Hope (1977)", "Star Wars: Episode IV - A New Hope (1977)"),
        ("Tin Drum, The (Blechtrommel, Die) (1979)", "The Tin Drum (Die Blechtrommel) (1979)"),
        ("Enfer, L' (1994)", "L'Enfer (1994)"),
        ("I, Worst of All (Yo, la peor de todas) (1990)", "I, Worst of All (Yo, la peor de todas) (1990)"),
        ("Paris, Texas (1984)", "Paris, Texas (1984)"),
        ("Walk in the Clouds, A (1995)", "A Walk in the Clouds (1995)"),
        ('"Dear" Diary (1996)', '"Dear" Diary (1996)'),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey (1968)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layout", LAYOUTS)
def test_titles_are_as_one_says_them(tmp_path, layout, title, said):
    items = read_movielens(write(tmp_path, layout(films=[(1, title, "Drama"), *FILMS[1:]]))).items
    assert items["title"][0] == said and items["text"][0] == said
    assert items["categories"][0] == f"{said[-5:-1]} > Drama"


def test_the_year_of_a_video_stands_before_its_mark(tmp_path):
    items = read_movielens(write(tmp_path, official(films=[(1, "Land (1995) (V)", "Drama"), *FILMS[1:]]))).items
    assert items["categories"][0] == "1995 > Drama"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_film_without_a_year(tmp_path, layout):
    """Its genres are left; a single one is no path that gives a query."""
    films = [(1, "Toy Story", "Comedy|Drama"), *FILMS[1:]]
    files = layout(films=films)
    if layout is recbole:
        files["ml-100k.item"] = files["ml-100k.item"].replace(b"1\t\tToy Story\t", b"1\tToy Story\t\t")
    items = read_movielens(write(tmp_path, files)).items
    assert items["title"][0] == "Toy Story" and items["categories"][0] == "Comedy | Drama | Comedy > Drama"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_film_of_which_nothing_is_known(tmp_path, layout):
    """Official title and genre are `unknown`; RecBole spells the title and the year otherwise."""
    files = layout(films=[(1, "unknown", "unknown"), *FILMS[1:]])
    if layout is recbole:
        files["ml-100k.item"] = files["ml-100k.item"].replace(b"1\t\tunknown\t", b"1\tunkonwn\tunkonwn\t")
    assert read_movielens(write(tmp_path, files)).items.iloc[0].tolist() == ["1", "", "", ""]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_last_film_without_a_genre(tmp_path, layout):
    items = read_movielens(write(tmp_path, layout(films=[*FILMS[:2], (3, "Alone (1995)", "")]))).items
    assert items.iloc[2].tolist() == ["3", "Alone (1995)", "", "Alone (1995)"]


@pytest.mark.parametrize("layout", [large, recbole])
def test_a_genre_that_is_new_is_taken_as_it_is(tmp_path, layout):
    films = [(1, "Toy Story (1995)", "IMAX|Comedy"), *FILMS[1:]]
    items = read_movielens(write(tmp_path, layout(films=films))).items
    assert items["categories"][0] == "1995 > IMAX | 1995 > Comedy | 1995 > IMAX > Comedy"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ratings_of_a_film_that_is_not_listed_are_kept(tmp_path, layout):
    tables = read_movielens(write(tmp_path, layout(films=FILMS[:2])))
    assert tables.items["item_id"].tolist() == ["1", "2", "3"] and tables.items["title"][2] == ""
    assert "1 of the 3 items that occur in events have no row in items" in tables.notes[1] + tables.notes[2]


def test_films_that_were_saved_in_utf_8_are_read_as_that(tmp_path):
    files = official()
    files["u.item"] = files["u.item"].decode("latin-1").encode()
    assert read_movielens(write(tmp_path, files)).items["title"][2] == "Les Misérables (1995)"


def test_windows_line_ends_and_blank_lines_at_the_end(tmp_path):
    plain, windows = [tmp_path / name for name in ("plain", "windows")]
    for folder in (plain, windows):
        folder.mkdir()
    for layout in (official, large, recbole):
        files = {name: content.replace(b"\n", b"\r\n") + b"\r\n\r\n" for name, content in layout().items()}
        found = [read_movielens(write(*pair)) for pair in ((plain, layout()), (windows, files))]
        pd.testing.assert_frame_equal(found[0].interactions, found[1].interactions)
        pd.testing.assert_frame_equal(found[0].items, found[1].items)
        for path in (*plain.iterdir(), *windows.iterdir()):
            path.unlink()


# ---- searches ------------------------------------------------------------------------------------


def test_each_rating_gets_a_search_by_year_and_one_genre_or_two(tmp_path):
    ratings = [(user, film, 3, 100 * user + film) for user in range(300) for film in (1, 2, 3)]
    write(tmp_path, official(ratings=ratings))
    events = find(tmp_path).read(read_profile("smoke"), seed=0).interactions
    searches = events[events["behavior"].eq("src")].astype({"item_id": str})
    assert len(searches) == 900
    found = searches.groupby("item_id")["query"].agg(lambda texts: sorted(set(texts)))
    toy = ["1995 animation", "1995 animation children", "1995 animation comedy"]
    toy += ["1995 children", "1995 children comedy", "1995 comedy"]
    assert found["1"] == toy and found["2"] == ["1999 action", "1999 action sci fi", "1999 sci fi"]
    assert found["3"] == ["1995 drama"]
    shares = searches.loc[searches["item_id"].eq("1"), "query"].astype(str).value_counts(normalize=True)
    assert shares.between(1 / 6 - 5 * 0.0215, 1 / 6 + 5 * 0.0215).all()  # sd of a share of 1/6 in 300 draws
    again, other = (find(tmp_path).read(read_profile("smoke"), seed).interactions["query"] for seed in (0, 1))
    assert again.equals(events["query"]) and not other.equals(events["query"])


def test_a_name_loads_with_the_searches(tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    folder = tmp_path / "data" / "raw" / "movielens-1m"
    folder.mkdir(parents=True)
    films = [(film, f"Film {film} ({1990 + film})", "Film-Noir") for film in range(8)]
    ratings = [(user, (user + k) % 8, 3, 10 * user + k) for user in range(8) for k in range(6)]
    write(folder, large(ratings, films))
    dataset = load_dataset("movielens-1m", "smoke", data_config=DataConfig(min_interactions=1, eval_negatives=1))
    assert len(dataset.user) == 2 * 48 and set(dataset.query_texts) == {
        "",
        *(f"{1990 + n} film noir" for n in range(8)),
    }
    assert dataset.notes[1] == "48 searches were made from the categories of the items that were clicked."


# ---- which files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_is_known_by_its_files(tmp_path, layout):
    write(tmp_path, layout())
    assert find(tmp_path).kind is find("movielens-100k", must_exist=False).kind
    assert [path.name for path in find_layout(tmp_path)[1:]] == list(layout())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_file_is_named(tmp_path, layout, which):
    write(tmp_path, layout())
    name = list(layout())[which]
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=rf"no file (ml-\*)?{name.removeprefix('ml-100k')}\. Download"):
        find_layout(tmp_path)


def test_an_empty_folder_names_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"u\.data and u\.item, ratings\.dat and movies\.dat, ml-\*\.inter and"):
        find_layout(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        find_layout(tmp_path / "nowhere")


def test_files_of_two_layouts_are_refused(tmp_path):
    write(tmp_path, {**official(), **recbole()})
    with pytest.raises(DataError, match=r"several files fit: u\.data, u\.item, ml-100k\.inter, ml-100k\.item"):
        find_layout(tmp_path)
    write(tmp_path, {"ml-1m.inter": b""})
    (tmp_path / "u.data").unlink()
    (tmp_path / "u.item").unlink()
    with pytest.raises(DataError, match=r"ml-100k\.inter, ml-1m\.inter"):
        find_layout(tmp_path)


# ---- spoilt files --------------------------------------------------------------------------------


def spoilt(files: dict[str, bytes], name: str, old: bytes, new: bytes) -> dict[str, bytes]:
    assert old in files[name]
    return {**files, name: files[name].replace(old, new, 1)}


FAULTS = {
    "a rating without a time": (official, "u.data", b"\t881250949", b"", "line 1", "3 fields, not 4"),
    "a rating without a time, 1M": (large, "ratings.dat", b"::881250949", b"", "line 1", "3 fields, not 4"),
    "a rating without a time, RecBole": (recbole, "ml-100k.inter", b"\t881250949", b"", "line 2", "3 fields"),
    "a rating with one more": (official, "u.data", b"\t881250950", b"\t881250950\t1", "line 2", "5 fields"),
    "a blank line": (official, "u.data", b"\n7\t2", b"\n\n7\t2", "line 2", "is not a number"),
    "a time in words": (official, "u.data", b"881250949", b"long ago", "line 1", "column time", "long ago"),
    "a time with a fraction": (large, "ratings.dat", b"881250949", b"1.5", "line 1", "1.5"),
    "no user": (recbole, "ml-100k.inter", b"\n7\t", b"\n\t", "line 2", "user_id"),
    "spaces for tabs": (official, "u.data", b"7\t1\t5\t881250949", b"7 1 5 881250949", "line 1", "1 field"),
    "cut short in a number": (official, "u.data", b"12\t3\t3\t5\n", b"12\t3\t3\t5", "line 5 has no end", "cut short"),
    "films cut short": (large, "movies.dat", b"Drama\n", b"Dra", "line 3 has no end"),
    "films with a genre less": (official, "u.item", b"|0\n", b"\n", "line 1", "23 fields, not 24"),
    "a flag that is none": (official, "u.item", b"|0\n", b"|x\n", "line 1", "column Western", "'x'"),
    "a film twice": (large, "movies.dat", b"2::", b"1::", "line 2", "listed twice"),
    "no column of times": (recbole, "ml-100k.inter", b"timestamp:", b"when:", "missing column timestamp", "when"),
    "no column of years": (recbole, "ml-100k.item", b"release_year:token", b"y:token", "missing column release_year"),
    "no column of genres": (recbole, "ml-100k.item", b"class:", b"kind:", "missing column class"),
    "a column twice": (recbole, "ml-100k.item", b"release_year:token", b"item_id:token", "item_id is there twice"),
    "a header alone": (recbole, "ml-100k.inter", recbole()["ml-100k.inter"].partition(b"\n")[2], b"", "no rows"),
    "Latin-1 where UTF-8 is due": (recbole, "ml-100k.item", "é".encode(), b"\xe9", "line 4", "UTF-8", "0xe9"),
    "a NUL": (official, "u.item", b"Toy", b"T\0y", "line 1", "NUL"),
    "UTF-16": (official, "u.data", official()["u.data"], official()["u.data"].decode().encode("utf-16"), "UTF-16"),
    "an archive": (official, "u.item", official()["u.item"], b"PK\x03\x04\n", "zip"),
    "empty": (large, "ratings.dat", large()["ratings.dat"], b"\n", "empty"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_that_names_the_file_and_the_line(tmp_path, fault):
    layout, name, old, new, *words = FAULTS[fault]
    write(tmp_path, spoilt(layout(), name, old, new))
    with pytest.raises(DataError) as caught:
        read_movielens(tmp_path)
    said = str(caught.value)
    assert str(tmp_path / name) in said and all(word in said for word in words), said


def test_films_of_other_ids_are_an_error_that_names_both_files(tmp_path):
    write(tmp_path, large(films=[(9, "A (1995)", "Drama")]))
    with pytest.raises(DataError, match=r"ratings\.dat.*movies\.dat.*'1'"):
        read_movielens(tmp_path)
