"""Rows are named as the file has them, and only looked up when somebody asks."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

from gensr_lib.data.origin import Example, Note, Origin
from gensr_lib.errors import DataError

COLUMN = pd.Series(["c", "a", None, "b", "a"], index=[7, 2, 5, 3, 0], name="user_id")


def test_a_refusal_knows_its_rows_and_names_the_first_in_the_file():
    origin = Origin("log.csv", "line {}".format, {"user_id": "uid", "item_id": "item_id"})
    with pytest.raises(DataError, match=r"^log.csv: line 0, column uid \(user_id\): 'a' is odd \(4 such rows\)\.$"):
        origin.refuse(COLUMN.ne("c"), COLUMN, "is odd")
    with pytest.raises(DataError, match=r"line 5, column uid \(user_id\): '' is odd\.$") as caught:
        origin.refuse(COLUMN.isna(), COLUMN, "is odd")
    where = caught.value.where
    assert (where.origin, where.column, where.reason, [*where.rows]) == (origin, "user_id", "is odd", [5])
    assert where.examples() == [Example("log.csv", "line 5", "uid", "''")]
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is DataError and str(again) == str(caught.value)
    with pytest.raises(DataError, match=r"line 2, column item_id: 'a' is odd\.$"):
        origin.refuse([False, True, False, False, False], COLUMN.rename("item_id"), "is odd")
    origin.refuse(COLUMN.eq("z"), COLUMN, "is odd")


def test_examples_are_the_first_three_rows_of_the_file_and_found_when_asked_for():
    asked = []
    origin = Origin("log.csv", lambda row: asked.append(row) or f"line {row}")
    note = Note("4 rows were dropped.", origin.examples(COLUMN.dropna()))
    assert note == "4 rows were dropped." and f"{note}" == "4 rows were dropped." and not asked
    assert [(e.place, e.value) for e in note.examples()] == [("line 0", "'a'"), ("line 2", "'a'"), ("line 3", "'b'")]
    assert asked == [0, 2, 3] and Note("No search was made.").examples() == []
