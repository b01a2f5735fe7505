"""All faults of somebody's tables in one go, each once, with rows that one can look up."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gensr_lib.config import read_profile
from gensr_lib.data.sources.load import find
from gensr_lib.data.sources.own import Examined, examine, examined, read_tables
from gensr_lib.data.sources.own.column_map import ColumnMap
from gensr_lib.errors import DataError

SMOKE = read_profile("smoke")
EVENTS = ["user_id,item_id,time,behavior,query", *(f"u{d},i{d},2024-03-0{d},rec," for d in range(1, 10))]
ITEMS = ["item_id,title", *(f"i{d},Shoe {d}" for d in range(1, 10))]


@pytest.fixture
def shop(tmp_path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def looked_at(folder: Path, events: list[str], items: list[str] = ITEMS, columns=None) -> Examined:
    """What is found in two CSV files."""
    (folder / "interactions.csv").write_text("\n".join(events) + "\n")
    (folder / "items.csv").write_text("\n".join(items) + "\n")
    return examine(find(folder), SMOKE, 0, columns)


def with_lines(lines: list[str], changes: dict[int, str]) -> list[str]:
    """The lines with some others in their place, counted from 1."""
    return [changes.get(number, line) for number, line in enumerate(lines, start=1)]


def test_sound_tables_are_those_that_are_read(shop):
    found = looked_at(shop, EVENTS)
    expected = read_tables(shop)
    pd.testing.assert_frame_equal(found.tables.interactions, expected.interactions)
    pd.testing.assert_frame_equal(found.tables.items, expected.items)
    assert found.faults == [] and found.tables.notes == expected.notes
    assert found.files == [{"file": "interactions.csv", "rows": 9}, {"file": "items.csv", "rows": 9}]
    assert found.log["user_id"].tolist() == [f"u{d}" for d in range(1, 10)]


def test_every_fault_is_found_and_the_other_rows_are_left(shop):
    events = with_lines(EVENTS, {
        3: ",i2,2024-03-02,rec,", 5: "u4,i4,soon,rec,", 6: "u5,i5,today,rec,", 8: "u7,i7,2024-03-07,buy,",
        9: "u8,i8,2024-03-08,src,",
    })  # fmt: skip
    items = with_lines(ITEMS, {4: ",Hat", 7: "i2,Shoe again"})
    found = looked_at(shop, events, items)
    said = [
        "interactions.csv: line 5, column time: 'soon' is no date of the calendar",
        "interactions.csv: line 3, column user_id: '' is empty",
        "interactions.csv: line 8, column behavior: 'buy' is neither",
        "interactions.csv: line 9, column query: '' is empty although",
        "items.csv: line 4, column item_id: '' is empty",
        "items.csv: line 7, column item_id: 'i2' is listed twice",
    ]
    assert len(found.faults) == len(said)
    assert all(words in fault.said for words, fault in zip(said, found.faults, strict=True))
    assert [example.place for example in found.faults[0].examples] == ["line 5", "line 6"]
    assert found.tables.interactions["user_id"].tolist() == ["u1", "u3", "u6", "u9"]
    assert found.log.index.tolist() == [0, 2, 5, 8], "rows of the file, from 0"
    with pytest.raises(DataError, match="line 5"):
        read_tables(shop)


@pytest.mark.parametrize("time", ["0{}/03/2024", "10:0{}"])
def test_a_column_that_means_nothing_is_one_fault_and_the_others_are_looked_at(shop, time):
    events = [EVENTS[0], *(f"u{d},i{d},{time.format(d)},rec," for d in range(1, 10))]
    found = looked_at(shop, with_lines(events, {7: ",i6,01/03/2024,rec,"}), with_lines(ITEMS, {4: ",Hat"}))
    assert [fault.said.partition(", column ")[2].partition(":")[0] for fault in found.faults] == [
        "time", "user_id", "item_id",
    ]  # fmt: skip
    assert found.tables is None and found.log is None


def test_behaviors_that_are_not_ours_come_with_the_options_that_would_name_them(shop):
    kinds = ["site search", "click", "click"] * 3
    events = [EVENTS[0], *(f"u{d},i{d},{d},{kind}," for d, kind in enumerate(kinds, start=1))]
    found = looked_at(shop, events, with_lines(ITEMS, {4: ",Hat"}))
    behavior, item = found.faults
    assert "(9 such rows)" in behavior.said and "items.csv: line 4" in item.said
    assert "'click' 6 times, 'site search' 3 times" in behavior.advice
    assert "--values behavior:click=rec 'behavior:site search=src'" in behavior.advice
    mapping = ColumnMap.parse({"interactions": {"values": {"behavior": {"click": "rec"}}}})
    behavior, _ = looked_at(shop, events, with_lines(ITEMS, {4: ",Hat"}), mapping).faults
    assert behavior.advice.endswith("--values 'behavior:site search=src'")


def test_a_file_that_cannot_be_read_does_not_hide_the_other(shop):
    items = with_lines(ITEMS, {4: ",Hat", 7: "i2,Shoe again"})
    found = looked_at(shop, with_lines(EVENTS, {4: "u3", 6: "u5,i5", 9: "u8"}), items)
    assert [fault.said.split(": ")[1][:6] for fault in found.faults] == ["line 4", "line 4", "line 7"]
    assert [example.place for example in found.faults[0].examples] == ["line 4", "line 6", "line 9"]
    assert found.tables is None
    found = looked_at(shop, with_lines(EVENTS, {3: ",i2,2024-03-02,rec,"}), ["sku,name", "i1,Shoe"])
    assert ["items.csv: missing column item_id" in found.faults[0].said, "line 3" in found.faults[1].said] == [True] * 2
    (shop / "items.csv").unlink()
    missing, fault = examine(find(shop), SMOKE, 0).faults
    assert "no table `items`" in missing.said and "line 3" in fault.said


def test_all_names_of_columns_that_are_wrong_are_named(shop):
    events = ["userid,item_id,item_id,behaviour", "u,i1,i1,rec"]
    said = [fault.said for fault in looked_at(shop, events).faults]
    assert [words in line for words, line in zip(
        ["item_id is there twice", "'userid'", "'behaviour'", "missing column user_id, time"], said, strict=True,
    )] == [True] * 4  # fmt: skip


def test_nothing_that_can_be_read(shop):
    (shop / "interactions.csv").write_text("")
    said = [fault.said for fault in examine(find(shop), SMOKE, 0).faults]
    assert len(said) == 2 and "empty" in said[0] and "no table `items`" in said[1]


def test_no_item_in_both_tables_is_a_fault_that_ends_the_search(shop):
    found = looked_at(shop, EVENTS, [ITEMS[0], *(f"sku{d},Shoe" for d in range(9))])
    assert len(found.faults) == 1 and "9 of the 9 items" in found.faults[0].said and found.tables is None


def test_a_search_that_ends_says_so(shop, monkeypatch):
    monkeypatch.setattr(examined, "MOST", 1)
    found = looked_at(shop, with_lines(EVENTS, {3: ",i2,2024-03-02,rec,", 8: "u7,i7,2024-03-07,buy,"}))
    assert len(found.faults) == 2 and "more than 1 faults" in found.faults[1].said


def test_columns_are_told_with_what_they_hold(shop):
    events = ["customer,item_id,time,price", "u1,i1,1,9", ",i2,2,9", "u3,i3,3,"]
    mapping = ColumnMap.parse({"interactions": {"columns": {"user_id": "customer"}}})
    found = looked_at(shop, events, columns=mapping)
    lines = {line["column"]: line for line in found.columns if line["file"] == "interactions.csv"}
    assert lines["customer"] == {
        "file": "interactions.csv", "column": "customer", "read as": "user_id", "filled": 2 / 3, "such as": "'u1'",
    }  # fmt: skip
    assert lines["price"] == {"file": "interactions.csv", "column": "price", "read as": "not used"}
    assert "line 3, column customer (user_id)" in found.faults[0].said


def test_other_sources_are_read_once_and_their_first_fault_is_named(shop):
    assert examine(find("pocket"), SMOKE, 0).tables.counts[0]["step"] == "simulated"
    (shop / "reviews_Toy.json").write_text("")
    (shop / "meta_Toy.json").write_text("{}")
    found = examine(find(shop), SMOKE, 0)
    assert found.files == [{"file": "meta_Toy.json", "MB": 0.0}, {"file": "reviews_Toy.json", "MB": 0.0}]
    assert len(found.faults) == 1 and "reviews_Toy.json: the file is empty" in found.faults[0].said
