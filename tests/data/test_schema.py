"""Validation of the two tables: each fault is named with its row and column."""

from __future__ import annotations

import numpy as np
import pytest

from gensr_lib.data.schema import Tables, validate
from gensr_lib.errors import DataError
from tests.worlds import catalogue, log, tables

GOOD = [("u", "a", 2, "rec"), ("u", "b", 1, "src", "tea pot", 7)]


def broken(column: str, row: int, value) -> Tables:
    made = tables(*GOOD, extra_items=0)
    made.interactions[column] = made.interactions[column].astype(object)
    made.interactions.loc[row, column] = value
    return made


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("user_id", 1, "", r"row 1, column user_id: '' is empty"),
        ("item_id", 0, None, r"row 0, column item_id: '' is empty"),
        ("user_id", 1, "u" * 1001, r"row 1, column user_id: 'uuu.* more than 1000 characters"),
        ("item_id", 1, "a\nb", r"row 1, column item_id: 'a\\nb' holds a line break"),
        ("user_id", 1, "u\0", r"row 1, column user_id: 'u\\x00' holds a line break or a NUL"),
        ("time", 1, "soon", r"row 1, column time: 'soon' is not a number"),
        ("time", 0, np.inf, r"row 0, column time: 'inf' is not a number"),
        ("time", 1, 0.5, r"row 1, column time: '0.5' is not a whole number"),
        ("time", 1, 2**62 + 1, r"row 1, column time: '4611686018427387905' lies beyond"),
        ("behavior", 1, "buy", r"row 1, column behavior: 'buy' is neither 'rec'.* nor 'src'"),
        ("query", 1, "  ", r"row 1, column query: '' is empty although"),
        ("query", 0, "red", r"row 0, column query: 'red' stands beside the behavior 'rec'"),
        ("session_id", 1, None, r"row 1, column session_id: '' is not a number"),
        ("session_id", 1, 0.5, r"row 1, column session_id: '0.5' is not a whole number"),
    ],
)
def test_faults_are_named(column, row, value, message):
    with pytest.raises(DataError, match=message):
        validate(broken(column, row, value), "mine.csv")


def test_missing_columns_and_empty_tables():
    made = tables(*GOOD, extra_items=0)
    with pytest.raises(DataError, match=r"mine: interactions: missing column time"):
        validate(Tables(made.interactions.drop(columns="time"), made.items), "mine")
    with pytest.raises(DataError, match="no rows"):
        validate(Tables(made.interactions.iloc[:0], made.items), "mine")
    with pytest.raises(DataError, match=r"row 1, column item_id: 'a' is listed twice"):
        validate(Tables(made.interactions, catalogue(["a", "a"])), "mine")


def test_duplicates_are_dropped_and_counted_but_twins_are_kept():
    events = [*GOOD, GOOD[0], ("u", "a", 2, "src", "tea", 8)]
    out = validate(Tables(log(*events), catalogue("ab")), "mine")
    assert len(out.interactions) == 3
    assert [c["rec events"] for c in out.counts] == [2, 1]


def test_events_are_sorted_and_items_without_a_row_get_one():
    events = log(("b", "x", 5, "rec"), ("a", "y", 9, "rec"), ("b", "z", 1, "rec"))
    out = validate(Tables(events, catalogue("x")), "mine")
    assert out.interactions["item_id"].tolist() == ["y", "z", "x"]
    assert set(out.items["item_id"]) == {"x", "y", "z"}
    assert out.items.set_index("item_id").loc["y", "title"] == ""


def test_ids_stay_text():
    events = log(("007", "0012", 1, "rec"))
    out = validate(Tables(events, catalogue(["0012"])), "mine")
    assert out.interactions.loc[0, ["user_id", "item_id"]].tolist() == ["007", "0012"]


def test_what_was_dropped_filled_or_cut_is_noted():
    long = ("u", "d", 3, "src", "red " * 300, 1)
    out = validate(Tables(log(*GOOD, GOOD[0], long), catalogue(["a", "b"])), "mine")
    notes = " ".join(out.notes)
    for said in ("1 repeated events", "1 of the 3 items", "1 queries were cut after 500"):
        assert said in notes
    assert max(map(len, out.interactions["query"].cat.categories)) <= 500
    assert validate(out, "mine").notes == out.notes
    assert validate(tables(*GOOD), "mine").notes == []


def test_items_that_match_no_event():
    with pytest.raises(DataError, match=r"2 of the 2 items.*'a', 'b' in events; '0A', 'b.0' in items"):
        validate(Tables(log(*GOOD), catalogue(["0A", "b.0"])), "mine")


def test_fewer_than_half_of_the_items_have_a_row(caplog):
    events = log(*GOOD, ("u", "c", 3, "rec"))
    validate(Tables(events, catalogue(["a", "b"])), "mine")
    assert not caplog.records
    out = validate(Tables(events, catalogue(["a", "B", "C"])), "mine")
    assert "2 of the 3 items" in out.notes[0] and "capital letters" in caplog.text
