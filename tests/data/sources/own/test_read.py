"""The user's own tables: every format, every default, every mistake we can think of."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from gensr_lib.data.sources.made_searches import synthesize_searches
from gensr_lib.data.sources.own import read_tables
from gensr_lib.data.sources.own.column_map import ColumnMap
from gensr_lib.errors import DataError

EVENTS = "user_id,item_id,time\nu,0012,5\nu,7,3\n"
ITEMS = "item_id,title\n0012,Pen\n7,Ink\n"


def read(folder: Path, events: str = EVENTS, items: str | None = None):
    """The tables of two CSV files; the items of the events if no others are given."""
    listed = {line.split(",")[1] for line in events.splitlines()[1:] if "," in line}
    items = items or "\n".join(["item_id", *sorted(listed | {"0012", "7"})])
    (folder / "interactions.csv").write_text(events, encoding="utf-8")
    (folder / "items.csv").write_text(items, encoding="utf-8")
    return read_tables(folder)


def test_ids_keep_their_zeros_and_time_orders(tmp_path):
    tables = read(tmp_path, items=ITEMS)
    rows = tables.interactions[["user_id", "item_id", "time", "behavior"]].to_numpy().tolist()
    assert rows == [["u", "7", 3, "rec"], ["u", "0012", 5, "rec"]]
    assert tables.items["item_id"].tolist() == ["0012", "7"]


def test_ids_that_look_like_missing_values(tmp_path):
    tables = read(tmp_path, "user_id,item_id,time\nNA,null,1\n", "item_id\nnull\n")
    assert tables.interactions[["user_id", "item_id"]].to_numpy().tolist() == [["NA", "null"]]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet"])
def test_formats_agree(tmp_path, suffix):
    expected = read(tmp_path, items=ITEMS)
    for name, text in (("interactions", EVENTS), ("items", ITEMS)):
        (tmp_path / f"{name}.csv").unlink()
        path = tmp_path / (name + suffix)
        if suffix == ".parquet":
            rows = [line.split(",") for line in text.split()]
            table = pd.DataFrame(rows[1:], columns=rows[0])
            table.astype({"time": int} if "time" in table else {}).to_parquet(path)
        else:
            write = gzip.compress if suffix.endswith("gz") else bytes
            text = text.replace(",", "\t") if "tsv" in suffix else text
            path.write_bytes(write(text.encode()))
    tables = read_tables(tmp_path)
    pd.testing.assert_frame_equal(tables.interactions, expected.interactions)
    pd.testing.assert_frame_equal(tables.items, expected.items)


def test_parquet_with_numeric_ids_and_dates(tmp_path):
    days = pd.to_datetime(["1970-01-02", "1970-01-03"])
    events = pd.DataFrame({"user_id": [1, 2], "item_id": [7.0, 8.0], "time": days})
    events.to_parquet(tmp_path / "interactions.parquet")
    pd.DataFrame({"item_id": [7, 8]}).to_parquet(tmp_path / "items.parquet")
    tables = read_tables(tmp_path)
    rows = tables.interactions[["user_id", "item_id", "time"]].to_numpy().tolist()
    assert rows == [["1", "7", 86400], ["2", "8", 172800]]
    assert len(tables.items) == 2


def test_position_stands_for_time_or_orders_equal_times(tmp_path):
    tables = read(tmp_path, "user_id,item_id,position\nu,a,1\nu,b,0\n")
    assert tables.interactions[["item_id", "time"]].to_numpy().tolist() == [["b", 0], ["a", 1]]
    tables = read(tmp_path, "user_id,item_id,time,position\nu,a,7,10\nu,b,7,9\nu,c,6,99\n")
    assert tables.interactions["item_id"].tolist() == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400),
        ("1970-01-01 00:01:00", 60),
        ("1970-01-01T02:00:00+01:00", 3600),
        ("1388534400", 1388534400),
    ],
)
def test_times(tmp_path, text, seconds):
    events = read(tmp_path, f"user_id,item_id,time\nu,a,{text}\n").interactions
    assert events["time"].tolist() == [seconds]


def test_dates_of_several_zones_share_one_clock(tmp_path):
    times = {"a": "1970-01-01T02:00:00+01:00", "b": "1970-01-01 00:30Z"}
    times["c"] = "1970-01-01T00:00:00-01:00"
    rows = [f"u,{item},{time}" for item, time in times.items()]
    table = read(tmp_path, "\n".join(["user_id,item_id,time", *rows])).interactions
    assert table[["item_id", "time"]].to_numpy().tolist() == [["b", 1800], ["a", 3600], ["c", 3600]]


def test_searches_and_sessions(tmp_path):
    rows = ["u,a,1,src,pen,x", "u,b,2,src,pen,x", "v,a,1,src,pen,x", "u,c,3,src,ink,"]
    rows += ["u,d,4,src,ink,", "u,a,5,rec,,y"]
    header = "user_id,item_id,time,behavior,query,session_id"
    table = read(tmp_path, "\n".join([header, *rows])).interactions
    names = [f"{user}{time}" for user, time in zip(table["user_id"], table["time"], strict=True)]
    session = dict(zip(names, table["session_id"], strict=True))
    assert session["u1"] == session["u2"] != session["v1"]  # an id is the user's own
    assert session["u5"] == -1
    assert len({session[key] for key in ("u1", "v1", "u3", "u4")}) == 4  # no id: its own session
    assert min(session[key] for key in ("u1", "v1", "u3", "u4")) >= 0


@pytest.mark.parametrize("session", ["-1", "0", "nan", "None"])
def test_another_query_begins_another_session_and_is_told(tmp_path, session):
    """An id that only says that there is none would make one session of all searches of a user."""
    rows = [
        f"u,{item},{time},src,{query},{session}"
        for time, (item, query) in enumerate(zip("abc", ["pen", "pen", "ink"], strict=True))
    ]
    header = "user_id,item_id,time,behavior,query,session_id"
    tables = read(tmp_path, "\n".join([header, *rows]))
    first, second, third = tables.interactions["session_id"]
    assert first == second != third and min(first, third) >= 0
    (note,) = (note for note in tables.notes if "session" in note)
    assert note.startswith("1 sessions were begun") and "ink" in str(note.examples())


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_session_ids_may_be_numbers(tmp_path, dtype):
    columns = {"user_id": "uuu", "item_id": "abc", "time": [1, 2, 3], "behavior": ["src"] * 3, "query": ["pen"] * 3}
    events = pd.DataFrame({name: list(values) for name, values in columns.items()})
    events.assign(session_id=pd.Series([7, 7, 8], dtype=dtype)).to_parquet(tmp_path / "interactions.parquet")
    (tmp_path / "items.csv").write_text("item_id\na\nb\nc\n")
    first, second, third = read_tables(tmp_path).interactions["session_id"]
    assert first == second != third


def test_session_ids_that_have_lost_digits_are_refused(tmp_path):
    events = pd.DataFrame({"user_id": ["u"], "item_id": ["a"], "time": [1], "behavior": ["src"], "query": ["pen"]})
    events.assign(session_id=[2.0**54]).to_parquet(tmp_path / "interactions.parquet")
    (tmp_path / "items.csv").write_text("item_id\na\n")
    with pytest.raises(DataError, match=r"session_id.*lost digits"):
        read_tables(tmp_path)


def test_searches_without_session_column(tmp_path):
    tables = read(tmp_path, "user_id,item_id,time,behavior,query\nu,a,1,src,pen\nu,b,2,src,pen\n")
    assert tables.interactions["session_id"].nunique() == 2


def test_duplicates_and_unlisted_items(tmp_path):
    tables = read(tmp_path, EVENTS + "u,7,3\nu,new,9\n", ITEMS)
    assert [line["rec events"] for line in tables.counts] == [4, 3]
    assert tables.items["item_id"].tolist() == ["0012", "7", "new"]
    assert [note.split()[0] for note in tables.notes] == ["1", "1"]


def test_titles_and_texts_fall_back(tmp_path):
    given = ["a,T,,B,X > Y | Z", "b,,some text,B,", "c,,,B,X>Y", "d,,,,", "7,T,txt,,"]
    items = "\n".join(["item_id,title,text,brand,categories", *given])
    found = read(tmp_path, items=items).items.head(5).set_index("item_id")
    assert found["title"].tolist() == ["T", "some text", "B Y", "", "T"]
    assert found["text"].tolist() == ["T B Y", "some text", "B Y", "", "txt"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("userid,item_id,time", "'userid'.*'user_id'"),
        ("user_id,Item_ID,time", "'Item_ID'.*'item_id'"),
        ("user_id,asin,time", "'asin'.*'item_id'"),
        ("user_id,item_id,timestamp", "'timestamp'.*'time'"),
        ("user_id,item_id,time,behaviour", "'behaviour'.*'behavior'"),
        ("user_id,thing,time", "missing column item_id"),
        ("user_id,item_id,rating", "missing column time "),
        ("user_id,item_id,time,time ", "column time is there twice"),
    ],
)
def test_wrong_columns(tmp_path, header, message):
    row = ",".join("1" for _ in header.split(","))
    with pytest.raises(DataError, match=f"interactions.csv: .*{message}"):
        read(tmp_path, f"{header}\n{row}\n")


def test_other_columns_are_left_out(tmp_path):
    tables = read(tmp_path, "user_id,item_id,time,rating,timestamp\nu,a,1,5,9\n")
    assert tables.interactions["time"].tolist() == [1]


def test_two_files_of_one_table(tmp_path):
    read(tmp_path)
    (tmp_path / "items.parquet").touch()
    with pytest.raises(DataError, match=r"items\.csv and items\.parquet"):
        read_tables(tmp_path)


@pytest.mark.parametrize("name", ["interactions.csv.gz", "interactions.parquet"])
def test_damaged_files(tmp_path, name):
    users = [f"u{n * 7919}" for n in range(3000)]
    table = pd.DataFrame({"user_id": users, "item_id": "a", "time": range(3000)})
    path = tmp_path / name
    table.to_parquet(path) if name.endswith("parquet") else table.to_csv(path, index=False)
    path.write_bytes(path.read_bytes()[:-500])
    (tmp_path / "items.csv").write_text(ITEMS)
    with pytest.raises(DataError, match=rf"{name}: .*(cut short|cannot be read)"):
        read_tables(tmp_path)


def first_rows(tables, words: str) -> list[tuple[str, str, str]]:
    """Place, column and value of the rows of the one note that has some words."""
    (note,) = [note for note in tables.notes if words in note]
    return [example[1:] for example in note.examples()]


def test_notes_know_the_first_lines_that_they_are_about(tmp_path):
    tea, wool = "tea " * 200, "w" * 3000
    rows = ["u,a,5,rec,", f"v,b,3,src,{tea}", "u,a,5,rec,", "v,c,1,rec,", "u,c,2,rec,", "v,d,9,rec,", "u,a,5,rec,"]
    events = "\n".join(["user_id,item_id,time,behavior,query", *rows])
    tables = read(tmp_path, events, f"item_id,text\nx,{wool}\na,A\nb,{wool}\n")
    assert first_rows(tables, "queries were cut") == [("line 3", "query", f"'{tea[:60]}…'")]
    assert first_rows(tables, "text of 2 items") == [(f"line {n}", "text", f"'{wool[:60]}…'") for n in (2, 4)]
    assert first_rows(tables, "no row in items") == [("line 5", "item_id", "'c'"), ("line 7", "item_id", "'d'")]
    assert first_rows(tables, "2 repeated") == [("line 4", "item_id", "'a'"), ("line 8", "item_id", "'a'")]


def test_events_of_a_dropped_behavior_are_not_looked_at_and_their_lines_are_noted(tmp_path):
    rows = ["u,7,1,show", ",,soon,show", "u,0012,2,click", "u,7,3,find"]
    (tmp_path / "columns.yaml").write_text(
        "interactions: {columns: {behavior: event}, values: {behavior: {show: drop, click: rec, find: drop}}}"
    )
    tables = read(tmp_path, "\n".join(["user_id,item_id,time,event", *rows]), ITEMS)
    assert tables.interactions[["item_id", "time", "behavior"]].to_numpy().tolist() == [["0012", 2, "rec"]]
    assert tables.notes[0].startswith("3 events were dropped, as the mapping drops the behavior find, show")
    assert [(e.place, e.column, e.value) for e in tables.notes[0].examples()] == [
        ("line 2", "event", "'show'"), ("line 3", "event", "'show'"), ("line 5", "event", "'find'"),
    ]  # fmt: skip


def test_columns_that_change_places_keep_their_rows(tmp_path):
    (tmp_path / "columns.yaml").write_text("interactions: {columns: {user_id: item_id, item_id: user_id}}")
    table = read(tmp_path, "user_id,item_id,time\n7,ann,1\n0012,ben,2\n", ITEMS).interactions
    assert table[["user_id", "item_id"]].to_numpy().tolist() == [["ann", "7"], ["ben", "0012"]]


def test_a_given_mapping_is_taken_in_place_of_the_saved_one(tmp_path):
    (tmp_path / "columns.yaml").write_text("interactions: {columns: {user_id: nobody}}")
    with pytest.raises(DataError, match="no column 'nobody'"):
        read(tmp_path)
    assert len(read_tables(tmp_path, ColumnMap()).interactions) == 2


def test_real_beauty(shared):
    tables = read_tables(shared / "amazon-beauty")
    assert tables.notes == []
    assert tables.counts[-1]["users"] == 22_363
    assert tables.counts[-1]["rec events"] == 198_502
    assert tables.counts[-1]["items"] == len(tables.items) == 12_101
    assert tables.items["text"].ne("").all()
    made = synthesize_searches(tables, seed=0)
    assert made.counts[-1]["src events"] == 198_502
    assert made.counts[-1]["queries"] == 220
