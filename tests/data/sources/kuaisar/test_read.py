"""KuaiSAR's tables: what is read is what pandas reads of them, whatever is ugly; damage is named."""

from __future__ import annotations

import ast
import gzip
import importlib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gensr_lib.config import DataConfig, read_profile
from gensr_lib.data.schema import REC, SRC
from gensr_lib.data.sources.formats import content, temporary
from gensr_lib.data.sources.kuaisar import SOURCE, read, read_kuaisar
from gensr_lib.data.sources.kuaisar.sql import BEIJING, FIELDS, FIRST, LEVELS
from gensr_lib.data.sources.load import find, load_dataset
from gensr_lib.data.split import SPLITS, TEST, TRAIN, VALID
from gensr_lib.errors import ConfigError, DataError

ALL = DataConfig(min_interactions=1)
DAY = BEIJING.day


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def raw(tmp_path_factory, root) -> Path:
    """A thousandth of the full release, made up, with its ugliness; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        made = importlib.import_module("raw_kuaisar")
        folder = tmp_path_factory.mktemp("kuaisar")
        return made.write_kuaisar(folder, made.Sizes().scaled(0.001), seed=1)


def by_pandas(folder: Path) -> pd.DataFrame:
    """The clicks by another reader, row by row where it is easier to see that it is right."""
    rec = pd.read_csv(folder / "rec_inter.csv")
    rec = rec[rec["click"] == 1].assign(query="", behavior=REC, kind="")
    src = pd.read_csv(folder / "src_inter.csv")
    src = src[src["click_cnt"] > 0].rename(columns={"search_session_timestamp": "timestamp"})
    words = src["keyword"].map(ast.literal_eval)
    src = src.assign(query=[" ".join(f"w{w}" for w in list_) for list_ in words], behavior=SRC)
    is_video = src["item_type"].isin(["VIDEO", "IMAGE_ATLAS"])
    src["kind"] = np.where(is_video, "", src["item_type"].str.lower() + "-")
    both = pd.concat([rec, src[src["query"] != ""]])
    both["item_id"] = both["kind"] + both["item_id"].astype(str)
    both["user_id"] = both["user_id"].astype(str)
    both["time"] = both["timestamp"].astype("int64")
    columns = ["user_id", "item_id", "time", "behavior", "query"]
    return both[columns].drop_duplicates().sort_values(columns, ignore_index=True)


def rows_of(tables) -> pd.DataFrame:
    events = tables.interactions.drop(columns="session_id").astype({"behavior": str, "query": str})
    events = events.astype({"user_id": str, "item_id": str})
    return events.sort_values(list(events), ignore_index=True)


def test_the_clicks_are_those_that_pandas_finds(raw):
    tables = read_kuaisar(raw, ALL)
    pd.testing.assert_frame_equal(rows_of(tables), by_pandas(raw), check_dtype=False)
    assert (tables.interactions["item_id"].astype(str).str.len() >= 12).any()  # an id of 10^11
    sessions = tables.interactions[tables.interactions["behavior"] == SRC].groupby("session_id")
    assert sessions.size().max() > 1 and sessions["query"].nunique().max() == 1


def test_the_filters_are_those_that_pandas_applies(raw):
    """Users of both behaviors and the 5-core by groups, until nothing changes."""
    rows = by_pandas(raw)
    while True:
        first = ~rows.duplicated(["user_id", "item_id", "time"])
        left = rows
        for column in ("user_id", "item_id"):
            size = rows[first].groupby(column).size()
            left = left[left[column].map(size) >= 5]
        kinds = rows.groupby("user_id")["behavior"].nunique()
        left = left[left["user_id"].map(kinds) == 2]
        if len(left) == len(rows):
            break
        rows = left
    tables = read_kuaisar(raw, DataConfig(min_interactions=5, both_behaviors=True))
    pd.testing.assert_frame_equal(rows_of(tables), rows.reset_index(drop=True), check_dtype=False)
    assert set(tables.items["item_id"]) == set(rows["item_id"])
    counts = pd.DataFrame(tables.counts).set_index("step")
    assert counts.iloc[-1]["items"] == rows["item_id"].nunique()
    assert counts.loc["raw files", "rec events"] == len(pd.read_csv(raw / "rec_inter.csv"))
    assert counts.loc["raw files", "queries"] == pd.read_csv(raw / "src_inter.csv")["keyword"].nunique()
    assert list(counts.index[1:3]) == ["clicks", "users with both behaviors"]


def test_texts_are_english_categories_and_the_words_of_the_caption(raw):
    items = read_kuaisar(raw, ALL).items.set_index("item_id")
    features = pd.read_csv(raw / "item_features.csv", dtype={"item_id": str}).set_index("item_id")
    shared = items.index.intersection(features.index)
    assert 0 < len(shared) < len(items)
    for item in shared[:50]:
        row = features.loc[item]
        levels = [row[name] for name in LEVELS if row[name] != "empty"]
        words = " ".join(f"w{word}" for word in ast.literal_eval(row["caption"]))
        assert items.loc[item, "categories"] == " > ".join(levels)
        assert items.loc[item, "title"] == ", ".join(levels)
        assert items.loc[item, "text"] == f"{', '.join(levels)}. {words}"
    lives = items[items.index.str.startswith("live-")]
    assert len(lives) and (lives["title"] == "Live").all()
    without = items.index.difference(features.index)
    videos = without[~without.str.contains("-")]
    assert len(videos) and (items.loc[videos, "text"] == "").all()


def test_the_protocol_is_the_papers_and_nothing_later_is_in_a_history(raw):
    dataset = load_dataset(raw, "smoke")
    assert (dataset.config.split, dataset.config.both_behaviors) == ("last days", True)
    day = BEIJING.days(dataset.time)
    for split, allowed in ((TRAIN, day < day.max() - 1), (VALID, day == day.max() - 1), (TEST, day == day.max())):
        for task in (REC, SRC):
            event = dataset.rows[split][task].event
            assert len(event) and allowed[event].all()
    for split in SPLITS:
        rows = dataset.rows[split][REC]
        before = rows.limit - 1
        own = dataset.user[before] == dataset.user[rows.event]
        assert (dataset.time[before] < dataset.time[rows.event])[own].all()
        reached = rows.limit == rows.event
        same = dataset.time[rows.limit] == dataset.time[rows.event]
        assert (reached | same).all()  # and nothing earlier is left out
    texts = {text for text in dataset.query_texts if text}
    assert all(word[0] == "w" and word[1:].isdigit() for text in texts for word in text.split())
    given = load_dataset(raw, "smoke", data_config=DataConfig(split="leave-one-out", both_behaviors=False))
    assert given.config.split == "leave-one-out" and given.config.test_history == "earlier"


def test_a_day_is_one_of_beijing(raw):
    """The raw clicks' own days by pandas, against those that the split cuts at."""
    time = read_kuaisar(raw, ALL).interactions["time"].to_numpy()
    there = pd.to_datetime(time, unit="ms", utc=True).tz_convert("Asia/Shanghai").tz_localize(None)
    assert np.array_equal(BEIJING.days(time), there.to_numpy().astype("datetime64[D]").astype(int))


def test_an_archive_is_read_as_the_folder_and_leaves_nothing_behind(raw, home):
    packed = home / "data" / "raw" / "kuaisar"
    packed.mkdir(parents=True)
    with zipfile.ZipFile(packed / "KuaiSAR_v2.zip", "w") as target:
        target.writestr("__MACOSX/KuaiSAR_final/._rec_inter.csv", "")
        for path in raw.glob("*.csv"):
            target.write(path, f"KuaiSAR_final/{path.name}")
    profile = read_profile("smoke")
    unpacked, folder = find("kuaisar").read(profile, 0), find(raw).read(profile, 0)
    pd.testing.assert_frame_equal(unpacked.interactions, folder.interactions)
    pd.testing.assert_frame_equal(unpacked.items, folder.items)
    assert not list((home / "data" / "processed").iterdir())


def test_tables_packed_with_gzip_are_read(raw, tmp_path):
    for path in raw.glob("*.csv"):
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(read_kuaisar(tmp_path, ALL).items, read_kuaisar(raw, ALL).items)
    broken = tmp_path / "src_inter.csv.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"src_inter\.csv\.gz.*damaged or cut short"):
        read_kuaisar(tmp_path, ALL)


# --- one spoilt thing at a time, in the small example ---------------------------------------------


@pytest.fixture
def small(tmp_path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    SOURCE.example(folder)
    return folder


def change(folder: Path, table: str, old: str, new: str) -> None:
    path = folder / f"{table}.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def append(folder: Path, table: str, *lines: str) -> None:
    with (folder / f"{table}.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def lenient(monkeypatch):
    """A few bad rows of the small example are more than a hundredth."""
    monkeypatch.setattr(read, "MAX_BAD_SHARE", 0.1)


def test_a_column_that_a_release_lacks(small):
    change(small, "rec_inter", "timestamp", "time_ms")
    with pytest.raises(DataError, match=r"rec_inter\.csv: missing column timestamp; found .*time_ms"):
        read_kuaisar(small, ALL)
    change(small, "rec_inter", "time_ms", "timestamp")
    change(small, "src_inter", "item_type", "something")  # not needed: all are videos then
    assert len(read_kuaisar(small, ALL).interactions) == 72


def test_a_column_that_is_there_twice(small):
    change(small, "rec_inter", "click", "click,click")
    with pytest.raises(DataError, match="column click is there twice"):
        read_kuaisar(small, ALL)


def test_an_open_quotation_mark_is_always_an_error(small, lenient):
    append(small, "src_inter", f'1,1,{FIRST + DAY}.0,"[1, 20],3,1,VIDEO', *["2,2,,,,,"] * 3)
    with pytest.raises(DataError, match=r"src_inter\.csv: line 38 .*quotation mark"):
        read_kuaisar(small, ALL)


def test_a_row_that_cannot_be_read_is_left_out_and_named(small, lenient, caplog):
    append(small, "rec_inter", "1,not a number,1,1")
    tables = read_kuaisar(small, ALL)
    said = "rec_inter.csv: 1 of 37 rows cannot be read, the first is line 38 (column item_id)"
    assert any(note.startswith(said) for note in tables.notes) and "line 38" in caplog.text
    assert len(tables.interactions) == 72


def test_too_many_rows_that_cannot_be_read(small):
    append(small, "rec_inter", "1,2", "1,2,3,4,5,6")
    with pytest.raises(DataError, match=r"2 of 38 rows cannot be read, the first is line 38 .*at most 1\.0%"):
        read_kuaisar(small, ALL)


@pytest.mark.parametrize("time", ["-5.0", f"{FIRST + 400 * DAY}.0", "", "1e30", "nan"])
def test_a_click_at_a_time_that_cannot_be(small, lenient, time):
    append(small, "rec_inter", f"1,2,{time},1")
    tables = read_kuaisar(small, ALL)
    assert any("outside" in note and note.startswith("small: 1 of 73 clicks") for note in tables.notes)
    assert len(tables.interactions) == 72 and tables.interactions["time"].gt(0).all()


@pytest.mark.parametrize("ids", [",2", "1,"])
def test_a_click_without_its_user_or_item(small, lenient, ids):
    append(small, "rec_inter", f"{ids},{FIRST + 2 * DAY}.0,1")
    tables = read_kuaisar(small, ALL)
    assert any(note.startswith("small: 1 of 73 clicks have no user or no item") for note in tables.notes)
    assert len(tables.interactions) == 72


def test_a_recommendation_and_a_search_of_one_moment_count_once(small):
    """Else this user, and this item, would be in the 2-core by themselves."""
    time = FIRST + 2 * DAY
    append(small, "rec_inter", f"50,60,{time}.0,1")
    append(small, "src_inter", f'50,99,{time}.0,"[1]",60,1,VIDEO')
    tables = read_kuaisar(small, DataConfig(min_interactions=2))
    assert len(tables.interactions) == 72 and "60" not in set(tables.items["item_id"])


def test_a_level_that_is_not_there_may_be_written_in_capitals(small):
    change(small, "item_features", "Funny,empty", "Funny,UNKNOWN")
    items = read_kuaisar(small, ALL).items.set_index("item_id")
    assert items.loc["1", "categories"] == "Funny"


def test_faulty_clicks_beyond_a_few_are_an_error_with_an_example(small):
    append(small, "rec_inter", "1,2,-5.0,1")
    with pytest.raises(DataError, match=r"1 of 73 clicks have a time outside .*user 1, item 2, time -5; at most 1\.0%"):
        read_kuaisar(small, ALL)


@pytest.mark.parametrize("keyword", ['"[a, b]"', '"(1, 2)"', "empty"])
def test_a_keyword_that_is_no_list(small, lenient, keyword):
    append(small, "src_inter", f"1,99,{FIRST + 2 * DAY}.0,{keyword},3,1,VIDEO")
    notes = read_kuaisar(small, ALL).notes
    assert any("a keyword that is no list of numbers" in note for note in notes)


def test_an_empty_keyword_is_left_out_without_limit(small):
    append(small, "src_inter", *[f"1,{n},{FIRST + 2 * DAY}.0,[],3,1,VIDEO" for n in range(90, 99)])
    tables = read_kuaisar(small, ALL)
    assert len(tables.interactions) == 72 and any("an empty keyword" in note for note in tables.notes)


def test_sessions_without_a_click_are_counted_and_left_out(small):
    append(small, "src_inter", f'1,77,{FIRST + 2 * DAY}.0,"[5, 6]",3,0,VIDEO')
    tables = read_kuaisar(small, ALL)
    assert len(tables.interactions) == 72
    assert "1 of 37 search sessions have no click and are left out: nothing in them is a positive." in tables.notes


def test_a_user_with_ten_thousand_clicks_in_one_second(small):
    append(small, "rec_inter", *[f"9,{item},{FIRST + DAY}.0,1" for item in range(10_000)])
    append(small, "rec_inter", *[f"9,{item},{FIRST + DAY}.0,1" for item in range(100)])
    tables = read_kuaisar(small, ALL)
    assert (tables.interactions["user_id"] == "9").sum() == 10_000
    assert "100 repeated clicks were dropped (the same user, item, time, query)." in tables.notes


def test_an_item_that_has_features_twice_is_one_item(small):
    append(small, "item_features", '1,"[9]",Other,,,')
    items = read_kuaisar(small, ALL).items.set_index("item_id")
    assert items.index.is_unique and items.loc["1", "text"] in ("Funny. w1 w3", "Other. w9")


def test_nothing_is_left_after_the_filters(small):
    with pytest.raises(DataError, match="no event is left after the 50-core filter"):
        read_kuaisar(small, DataConfig(min_interactions=50))


def test_tables_that_are_there_twice_or_missing(small):
    (small / "old").mkdir()
    (small / "old" / "rec_inter.csv").write_text("x\n")
    with pytest.raises(DataError, match=r"old/rec_inter\.csv.*keep one"):
        read_kuaisar(small, ALL)
    (small / "old" / "rec_inter.csv").unlink()
    (small / "item_features.csv").unlink()
    with pytest.raises(DataError, match=r"no table item_features\.csv"):
        read_kuaisar(small, ALL)
    with pytest.raises(DataError, match=r"no such folder\. Download KuaiSAR_v2\.zip"):
        find("kuaisar")


def archive(folder: Path, **members: str) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(folder / "KuaiSAR.zip", "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in members.items():
            target.writestr(f"{name}.csv", text)
    return folder


def test_spoilt_archives(tmp_path):
    with pytest.raises(DataError, match=r"it holds 0 tables src_inter\.csv"):
        read_kuaisar(archive(tmp_path / "lacking", rec_inter="a\n"), ALL)
    folder = archive(tmp_path / "cut", **dict.fromkeys(FIELDS, "a\n"))
    packed = folder / "KuaiSAR.zip"
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"KuaiSAR\.zip: the file is damaged"):
        read_kuaisar(folder, ALL)
    packed.with_name("second.zip").write_bytes(b"")
    with pytest.raises(DataError, match="several archives"):
        read_kuaisar(folder, ALL)


def test_an_archive_whose_content_was_changed(raw, tmp_path):
    folder = archive(tmp_path / "changed", **{p.stem: p.read_text(encoding="utf-8") for p in raw.glob("*.csv")})
    packed = folder / "KuaiSAR.zip"
    content = bytearray(packed.read_bytes())
    content[5000:5003] = b"xyz"
    packed.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_kuaisar(folder, ALL)


def test_an_archive_that_grows_without_end_or_leads_out_of_its_folder(tmp_path, monkeypatch):
    whole = {"rec_inter": "a\n", "src_inter": "a\n", "item_features": "a\n" * 400_000}
    monkeypatch.setattr(content, "FREE", 10)
    with pytest.raises(DataError, match=r"KuaiSAR\.zip: [\d,]+ bytes of it unpack to 800,004"):
        read_kuaisar(archive(tmp_path / "bomb", **whole), ALL)
    with pytest.raises(DataError, match=r"its path \.\./\.\./escaped\.csv leads out"):
        read_kuaisar(archive(tmp_path / "evil", **dict.fromkeys([*FIELDS, "../../escaped"], "a\n")), ALL)
    assert not list(tmp_path.rglob("escaped.csv"))


def test_a_disk_that_is_full_is_said_and_leaves_nothing(small, home, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(temporary.tempfile, "TemporaryDirectory", full)
    with pytest.raises(ConfigError, match="is the disk full"):
        read_kuaisar(small, ALL)


def test_an_archive_may_be_given_instead_of_its_folder(small, tmp_path):
    folder = archive(tmp_path / "packed", **{p.stem: p.read_text(encoding="utf-8") for p in small.glob("*.csv")})
    source = find(folder / "KuaiSAR.zip")
    assert (source.name, list(source.files()), source.is_named) == ("KuaiSAR", ["KuaiSAR.zip"], False)
    assert source.fingerprint() == find(folder).fingerprint() and find(source.address).kind is SOURCE
    profile = read_profile("smoke")
    by_file, by_folder = (find(place).read(profile, 0) for place in (folder / "KuaiSAR.zip", folder))
    pd.testing.assert_frame_equal(by_file.interactions, by_folder.interactions)


@pytest.mark.parametrize("clicks", ["nan", "inf", "0", "-1", ""])
def test_what_is_no_number_above_0_is_no_click(small, clicks):
    append(small, "rec_inter", f"1,9,{FIRST + DAY}.0,{clicks}")
    append(small, "src_inter", f'1,50,{FIRST + DAY}.0,"[5]",9,{clicks},VIDEO')
    tables = read_kuaisar(small, ALL)
    assert len(tables.interactions) == 72 and any(note.startswith("1 of 37 search sessions") for note in tables.notes)
