"""The HEM query recipe: against its published queries, and by hand."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gensr_lib.data.schema import QUERY, Tables, validate
from gensr_lib.data.sources.made_searches import (
    item_queries,
    query_of,
    singular,
    synthesize_searches,
)

# Category paths as Amazon's tree of 2014 may have had them, written by us: they test words, stems,
# stop words and order, not the tree.
PATHS = Path(__file__).with_name("category_paths.txt").read_text().splitlines()


def test_published_queries_are_reproduced(shared):
    with gzip.open(shared / "hem-cell-phones" / "query_text.txt.gz", "rt") as file:
        official = {line.strip() for line in file}
    assert len(official) == 165
    # The two that are left lack words of their paths: the original drops what no review says.
    assert len(official & {query_of(path) for path in PATHS}) == 163


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("A1 > MP3 Players", "mp player"),
        ("Phones > No-Contract Phones", "nocontract phone"),
        ("Music > R&B", "music rb"),
        ("Toys > Electronics for the Kids", "toy electronics kid"),
        ("Store > Fire Systems", "store fire system"),
        ("Cases > Red Cases > Blue Cases", "red blue case"),
        ("Watches > Sports Parts", "watches sports parts"),
        ("Café > Crêpes", "caf crpe"),
        ("Books", ""),
        ("Books > ", ""),
        ("", ""),
        ("书 > 图", ""),
    ],
)
def test_query_of(path, query):
    assert query_of(path) == query


@pytest.mark.parametrize(
    ("path", "query", "without"),
    [
        ("1995 > Comedy", "1995 comedy", "comedy"),
        ("Films of 1995 > 1995 > MP3 1st", "film 1995 mp st", "film mp st"),
        ("(1995) > 19955 > 95 > 1,995 > 1995s > Comedy", "s comedy", "s comedy"),
        ("١٩٩٥ > Comedy", "comedy", "comedy"),
        ("1995", "", ""),
    ],
)
def test_years_are_kept_where_that_is_asked_for(path, query, without):
    assert query_of(path, keep_years=True) == query and query_of(path) == without
    found = [item_queries(pd.Series([path]), *keep)[QUERY].tolist() for keep in ((True,), ())]
    assert found == [[text] if text else [] for text in (query, without)]
    made = synthesize_searches(purchases([path, "A > Bow"]), seed=0, keep_years=True).interactions[QUERY]
    assert set(made) == {"", "bow"} | {query}


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("accessories", "accessory"),
        ("pies", "pie"),
        ("brushes", "brush"),
        ("boxes", "box"),
        ("cases", "case"),
        ("glasses", "glasses"),
        ("dresses", "dress"),
        ("glass", "glass"),
        ("stylus", "stylus"),
        ("gps", "gps"),
        ("womens", "women"),
        ("unlocked", "unlock"),
    ],
)
def test_singular(word, stem):
    assert singular(word) == stem


def test_item_queries_of_several_paths():
    paths = ["A Pens > Inks | Toys > Pens", "Toys", None, "Toys > Pens | Toys > Pen"]
    table = item_queries(pd.Series(paths, index=[9, 9, 1, 0]))
    # Item 3: both paths give one query, which counts once.
    assert table.to_numpy().tolist() == [[0, "pen ink"], [0, "toy pen"], [3, "toy pen"]]


def purchases(categories: list[str], users: int = 1) -> Tables:
    """Every user buys every item once, at time = position of the item."""
    names = [f"i{n}" for n in range(len(categories))]
    events = pd.DataFrame([(f"u{u:04d}", i, t) for u in range(users) for t, i in enumerate(names)])
    events = events.set_axis(["user_id", "item_id", "time"], axis=1)
    events = events.assign(behavior="rec", query="", session_id=-1)
    items = pd.DataFrame({"item_id": names, "title": "", "categories": categories, "text": ""})
    return validate(Tables(events, items), "test")


def test_searches_are_twins_of_purchases():
    tables = purchases(["Toys > Pens", "", "Toys", "Toys > Balls"], users=3)
    made = synthesize_searches(tables, seed=0)
    searches = made.interactions[made.interactions["behavior"].eq("src")]
    made_of = [("i0", 0, "toy pen"), ("i3", 3, "toy balls")]
    rows = searches[["user_id", "item_id", "time", "query"]].to_numpy().tolist()
    assert rows == [[f"u{u:04d}", *search] for u in range(3) for search in made_of]
    assert searches["session_id"].is_unique
    assert searches["session_id"].ge(0).all()
    assert list(made.counts[-1].values())[1:] == [12, 6, 3, 4, 2]  # rec, src, users, items, queries
    assert made.notes == ["6 searches were made from the categories of the items that were clicked."]
    assert len(tables.interactions) == 12 and not tables.notes  # the input is left as it was
    again = validate(Tables(made.interactions, made.items), "test").interactions
    pd.testing.assert_frame_equal(again, made.interactions)  # already in the order of the schema


def test_draw_is_uniform_and_seeded():
    tables = purchases(["A > Bow | A > Cup | A > Dot"], users=3000)
    made = [synthesize_searches(tables, seed) for seed in (1, 1, 2)]
    first, same, other = (each.interactions["query"] for each in made)
    assert first.equals(same)
    assert not first.equals(other)
    shares = first[first.ne("")].value_counts(normalize=True)
    # 3000 draws: a share of 1/3 has a standard deviation of 0.0086.
    np.testing.assert_allclose(shares[["bow", "cup", "dot"]], 1 / 3, atol=5 * 0.0086)


def test_sessions_go_on_after_given_ones():
    tables = purchases(["A > Bow"])
    search = pd.DataFrame([("u", "i0", 5, "src", "q", 41)], columns=tables.interactions.columns)
    events = pd.concat([tables.interactions, search], ignore_index=True)
    made = synthesize_searches(Tables(events, tables.items), seed=0).interactions
    assert sorted(made["session_id"]) == [-1, 41, 42]


def test_item_without_a_row_gets_no_search():
    tables = purchases(["A > Bow", "A > Bow"])
    tables = Tables(tables.interactions, tables.items.iloc[:1])
    assert synthesize_searches(tables, seed=0).counts[-1]["src events"] == 1


def test_no_usable_category_is_noted_and_logged(caplog):
    tables = purchases(["", "Toys"])
    made = synthesize_searches(tables, seed=0)
    assert made.notes[-1].startswith("No search was made: none of the 2 purchases")
    assert made.notes[-1] in caplog.text
    assert made.counts == tables.counts and made.interactions is tables.interactions
