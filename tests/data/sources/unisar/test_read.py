"""UniSAR's layout: a data set of ours, written in it, comes back with its rows, histories and negatives."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.schema import BEHAVIORS, REC, SRC
from gensr_lib.data.sources import unisar
from gensr_lib.data.sources.load import load_dataset
from gensr_lib.data.sources.unisar import read_unisar
from gensr_lib.data.split import SPLITS, TEST, TRAIN, VALID
from gensr_lib.errors import DataError
from tests.worlds import TINY, pocket, tables

CALLED = {TRAIN: "train", VALID: "val", TEST: "test"}
GIVEN = DataConfig(min_interactions=1, eval_negatives=99, split="given", history_rec=12, history_src=12)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    return tmp_path


def write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=4))


def table(rows: list[dict]) -> pd.DataFrame:
    """As the published files hold tables: columns of objects, names of columns too."""
    columns = {
        name: pd.Series([row[name] for row in rows], dtype=object if name in ("keyword", "neg_items") else None)
        for name in rows[0]
    }
    frame = pd.DataFrame(columns)
    frame.columns = pd.Index(list(columns), dtype=object)
    return frame


def write_layout(dataset: Dataset, folder: Path) -> None:
    """Row by row: logs by user, sessions by number, and the records of every split.

    Users go by their position. A query is the numbers of its words in the vocabulary.
    """
    past = dataset.histories
    words = [[int(w) for w in ids if w] for ids in dataset.query_word_ids]
    logs: dict = {}
    sessions = {"keyword": [[0]], "pos_items": [[0] * past.ses_clicks.values.shape[1]]}
    for user in range(dataset.n_users):
        r0, r1 = past.rec_items.offsets[user : user + 2]
        s0, s1 = past.ses_clicks.offsets[user : user + 2]
        logs[user] = {
            "rec_his": past.rec_items.values[r0:r1].tolist(),
            "rec_his_ts": past.rec_time.values[r0:r1].tolist(),
            "src_session_his": [1 + int(s) for s in range(s0, s1)],
            "src_session_his_ts": past.ses_time.values[s0:s1].tolist(),
        }
    sessions["keyword"] += [words[q] for q in past.ses_query.values]
    sessions["pos_items"] += past.ses_clicks.values.tolist()
    sessions = {"keyword": np.array(sessions["keyword"], dtype=object), "pos_items": np.array(sessions["pos_items"])}
    captions = [[0]] + [[5, n] for n in range(1, dataset.n_items + 1)]
    items = {"caption": captions, "first_level_category_id": np.arange(dataset.n_items + 1) % 7}
    for name, content in (("user_vocab", logs), ("src_session_vocab_np", sessions), ("item_vocab_np", items)):
        write(folder / "vocab" / f"{name}.pkl", content)
    for split in SPLITS:
        for task in BEHAVIORS:
            rows = dataset.rows[split][task]
            found = []
            for place, (event, limit) in enumerate(zip(rows.event, rows.limit, strict=True)):
                user = int(dataset.user[event])
                record = {
                    "user_id": user,
                    "item_id": int(dataset.item[event]),
                    "rec_his": int(np.searchsorted(past.rec_row, limit) - past.rec_items.offsets[user]),
                    "src_session_his": int(np.searchsorted(past.ses_row, limit) - past.ses_clicks.offsets[user]),
                    "neg_items": [1, 2] if rows.negatives is None else rows.negatives[place].tolist(),
                }
                if task == SRC:
                    record["keyword"] = str(words[dataset.query[event]])
                found.append(record)
            write(folder / "dataset" / f"{task}_{CALLED[split]}.pkl", table(found))


@pytest.fixture(scope="session")
def original() -> Dataset:
    """A small log whose searches have one click each, so that a session is one moment."""
    world = pocket()
    alone = np.where(world.is_search, np.arange(len(world.user)), -1)
    events = world.events.assign(session_id=alone)
    given = replace(tables(("u", "i", 0, REC)), interactions=events, items=world.items)
    config = DataConfig(min_interactions=2, test_history="earlier", history_rec=12, history_src=12)
    return Dataset.from_tables(given, config)


@pytest.fixture(scope="session")
def layout(original, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unisar")
    write_layout(original, folder)
    return folder


def content(dataset: Dataset, split: str, task: str) -> dict:
    """Each row by its user and item: its histories, and its candidates in their order."""
    rows = dataset.rows[split][task]
    candidates = None if rows.negatives is not None else dataset.item[rows.event][:, None]
    batch = dataset.batch(split, task, np.arange(len(rows)), candidates)
    found = {}
    for place in range(len(rows)):
        user = dataset.user_ids[batch.user[place]]
        clicks = [c for c in batch.ses_clicks[place].flatten().tolist() if c]
        seen = [c for c in batch.rec_items[place].tolist() if c]
        times = batch.ses_time[place][batch.ses_clicks[place, :, 0] != 0].tolist()
        key = (str(user), dataset.time[rows.event[place]], int(batch.cand[place, 0]))
        found[key] = (seen, clicks, times, batch.cand[place].tolist())
    return found


def test_rows_histories_and_negatives_are_the_stored_ones(original, layout):
    found = load_dataset(layout, "smoke", data_config=GIVEN)
    names = dict(zip(original.user_ids, map(str, range(original.n_users)), strict=True))
    for split in SPLITS:
        for task in BEHAVIORS:
            expected = {(names[u], *key): row for (u, *key), row in content(original, split, task).items()}
            assert content(found, split, task) == expected and len(expected), (split, task)
    assert not [note for note in found.notes if "shorter" in note or "in no list" in note]
    cut = found.split.cut_valid[found.user]
    row = np.arange(len(found.user))
    for task in BEHAVIORS:
        assert (row < cut)[found.rows[TRAIN][task].event].all()
        for split in (VALID, TEST):
            assert (row >= cut)[found.rows[split][task].event].all()


def test_words_are_numbers_and_items_have_captions_and_categories(original, layout):
    found = load_dataset(layout, "smoke", data_config=GIVEN)
    event = found.rows[TEST][SRC].event[0]
    assert all(word.startswith("w") and word[1:].isdigit() for word in found.query_texts[found.query[event]].split())
    assert found.items["text"].tolist()[:2] == ["w5 w1", "w5 w2"]
    assert found.items["categories"].tolist()[:2] == ["category 1", "category 2"]
    assert found.n_items == original.n_items


def test_rows_may_be_fewer_and_keep_their_negatives(layout):
    whole = load_dataset(layout, "smoke", data_config=GIVEN)
    part = load_dataset(layout, "smoke", data_config=GIVEN.replace(max_test_rows=7))
    for task in BEHAVIORS:
        few, all_ = part.rows[TEST][task], whole.rows[TEST][task]
        place = np.searchsorted(all_.event, few.event)
        assert len(few) == 7 and (all_.event[place] == few.event).all()
        np.testing.assert_array_equal(few.negatives, all_.negatives[place])
        np.testing.assert_array_equal(few.limit, all_.limit[place])


def test_the_protocol_may_be_another_one(layout):
    own = load_dataset(layout, "smoke", data_config=GIVEN.replace(split="leave-one-out", eval_negatives=9))
    assert own.rows[TEST][REC].negatives.shape[1] == 9
    assert load_dataset(layout, "smoke").config.split == "given"
    with pytest.raises(DataError, match="no split comes with the data"):
        Dataset.from_tables(tables(("u", "a", 1, REC)), TINY.replace(split="given"))


# --- one spoilt thing at a time, in the small example ---------------------------------------------


@pytest.fixture
def small(tmp_path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    unisar.SOURCE.example(folder)
    return folder


def change(folder: Path, name: str, edit) -> None:
    path = folder / f"{name}.pkl"
    content = pickle.loads(path.read_bytes())
    edit(content)
    path.write_bytes(pickle.dumps(content, protocol=4))


def test_a_target_that_is_in_no_list_ends_the_log(small):
    def without_last(logs):
        for log in logs.values():
            log["rec_his"].pop()
            log["rec_his_ts"].pop()

    change(small, "vocab/user_vocab", without_last)
    found = read_unisar(small)
    assert "2 targets are in no list of their users and end the users' logs." in found.notes
    dataset = Dataset.from_tables(found, GIVEN)
    rows = dataset.rows[TEST][REC]
    assert dataset.item[rows.event].tolist() == [5, 6]
    histories = dataset.batch(TEST, REC, np.arange(2)).rec_items
    assert histories[:, :4].tolist() == [[1, 2, 3, 4], [2, 3, 4, 5]] and histories[:, 4:].sum() == 0


def test_a_positive_among_its_own_negatives_is_told(small):
    change(small, "dataset/rec_test", lambda t: t["neg_items"].iloc[0].__setitem__(0, int(t["item_id"].iloc[0])))
    assert "1 records have their own item among their negatives: a tie with itself." in read_unisar(small).notes


def test_other_ends_of_histories_are_other_data(small):
    before = Dataset.from_tables(read_unisar(small), GIVEN).hash
    change(small, "dataset/rec_test", lambda t: t.__setitem__("rec_his", 2))
    assert Dataset.from_tables(read_unisar(small), GIVEN).hash != before


def test_a_history_that_no_row_of_the_log_ends_is_cut_at_the_earlier_one(small):
    """A record that counts four clicks and no search, though a search came before the fourth."""
    change(small, "dataset/rec_test", lambda t: t.__setitem__("src_session_his", 0))
    found = read_unisar(small)
    assert "2 of 16 histories are shorter than their records say." in found.notes
    dataset = Dataset.from_tables(found, GIVEN)
    batch = dataset.batch(TEST, REC, np.arange(2))
    assert (batch.ses_clicks == 0).all() and (batch.rec_items != 0).sum(dim=1).tolist() == [3, 3]


def emptied(logs: dict, user: int) -> None:
    logs[user] = {name: [] for name in logs[user]}


def each_of_the_records(folder: Path, edit) -> None:
    for split in SPLITS:
        for task in BEHAVIORS:
            change(folder, f"dataset/{task}_{CALLED[split]}", edit)


def test_a_user_who_has_records_and_an_empty_log(small):
    """The targets are all that is known: they are the log, in the order of the parts, and end no history."""
    whole = Dataset.from_tables(read_unisar(small), GIVEN)
    change(small, "vocab/user_vocab", lambda logs: emptied(logs, 1))

    def counts_nothing(table: pd.DataFrame) -> None:
        for name in ("rec_his", "src_session_his"):
            table[name] = table[name].where(table["user_id"] == 0, 0)

    each_of_the_records(small, counts_nothing)
    found = read_unisar(small)
    assert "8 targets are in no list of their users and end the users' logs." in found.notes
    dataset = Dataset.from_tables(found, GIVEN)
    assert dataset.user_ids.tolist() == ["0", "1"] and (dataset.user == 1).sum() == 8
    cut_valid = dataset.split.cut_valid[dataset.user]
    for split in SPLITS:
        for task in BEHAVIORS:
            event, other = dataset.rows[split][task].event, whole.rows[split][task].event
            own = np.flatnonzero(dataset.user[event] == 1)
            assert dataset.item[event[own]].tolist() == whole.item[other[whole.user[other] == 1]].tolist()
            batch = dataset.batch(split, task, own, dataset.item[event[own]][:, None])
            assert (batch.rec_items == 0).all() and (batch.ses_clicks == 0).all()
            assert ((event >= cut_valid[event]) == (split != TRAIN)).all()


def test_nobody_has_a_log(small):
    """The records alone make the data set, each search in a session of its own."""
    change(small, "vocab/user_vocab", lambda logs: [emptied(logs, user) for user in (0, 1)])
    each_of_the_records(small, lambda t: [t.__setitem__(n, 0) for n in ("rec_his", "src_session_his")])
    events = read_unisar(small).interactions
    searches = events.loc[events["behavior"] == SRC, "session_id"]
    assert len(events) == 16 and searches.is_unique and (searches >= 0).all()


def test_a_user_without_a_log_and_without_a_record_is_nobody(small):
    before = load_dataset(small, "smoke", data_config=GIVEN)
    change(small, "vocab/user_vocab", lambda logs: logs.update({-5: {name: [] for name in logs[0]}}))
    found = load_dataset(small, "smoke", data_config=GIVEN)
    assert found.user_ids.tolist() == ["0", "1"] and found.hash == before.hash
    np.testing.assert_array_equal(found.rows[TEST][REC].limit, before.rows[TEST][REC].limit)
    each_of_the_records(small, lambda t: t.drop(index=t.index, inplace=True))
    change(small, "vocab/user_vocab", lambda logs: [emptied(logs, user) for user in (0, 1)])
    with pytest.raises(DataError, match="no user has a click, and there is no record"):
        read_unisar(small)


def test_logs_may_be_a_list_and_items_may_be_unknown(small):
    before = read_unisar(small)
    logs = pickle.loads((small / "vocab" / "user_vocab.pkl").read_bytes())
    write(small / "vocab" / "user_vocab.pkl", [logs[0], logs[1]])
    write(small / "vocab" / "item_vocab_np.pkl", np.arange(9))
    pd.testing.assert_frame_equal(read_unisar(small).interactions, before.interactions)


def test_a_second_category_alone_is_called_so(small):
    change(small, "vocab/item_vocab_np", lambda v: v.update(second_level_category_id=np.arange(9)))
    assert read_unisar(small).items["categories"].tolist()[:2] == ["subcategory 1", "subcategory 2"]
    change(small, "vocab/item_vocab_np", lambda v: v.update(first_level_category_id=np.arange(9) % 2))
    assert read_unisar(small).items["categories"][1] == "category 0 > subcategory 2"


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        ("vocab/user_vocab", {}, "there is no user in it"),
        ("vocab/user_vocab", 7, "no table of logs"),
        ("vocab/user_vocab", {"ann": {}}, "no table of logs"),
        ("vocab/user_vocab", [[]], "user 0 has no list rec_his"),
        ("vocab/src_session_vocab_np", {"pos_items": [1, 2], "keyword": [[1], [2]]}, r"has the shape \(2,\)"),
        ("vocab/src_session_vocab_np", {"pos_items": [[1]], "keyword": []}, "and there are 0 keywords"),
        ("vocab/src_session_vocab_np", {"pos_items": [[1]] * 7, "keyword": [None] * 7}, "keywords or captions"),
        ("vocab/item_vocab_np", {"caption": [["x"]] * 9}, "keywords or captions are no lists of numbers"),
    ],
)
def test_what_is_something_else_is_named(small, name, other, said):
    write(small / f"{name}.pkl", other)
    with pytest.raises(DataError, match=said) as caught:
        read_unisar(small)
    assert f"{name}.pkl" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("dataset/rec_val", lambda t: t.pop("rec_his"), r"rec_val\.pkl: no table with the columns rec_his"),
        ("dataset/src_val", lambda t: t.pop("keyword"), r"no table with the columns keyword"),
        ("dataset/rec_test", lambda t: t.__setitem__("user_id", 99), r"user 99 has no log"),
        ("dataset/rec_test", lambda t: t.iat.__setitem__((0, 4), [1, 2, 3]), r"of several lengths"),
        ("dataset/rec_train", lambda t: t.__setitem__("item_id", t["neg_items"]), r"no numbers"),
        ("dataset/rec_test", lambda t: t["neg_items"].iloc[0].__setitem__(0, 0), r"0 to 8 occur"),
        ("vocab/user_vocab", lambda v: v[0].pop("rec_his_ts"), r"user 0 has no list rec_his_ts"),
        ("vocab/user_vocab", lambda v: v[1]["rec_his_ts"].reverse(), r"user 1: rec_his_ts is not in order"),
        (
            "vocab/user_vocab",
            lambda v: v[1]["rec_his_ts"].pop(),
            r"user 1: rec_his and rec_his_ts are of other lengths",
        ),
        ("vocab/user_vocab", lambda v: v[0]["src_session_his"].__setitem__(0, 70), r"7 sessions, and a log names 70"),
        ("vocab/user_vocab", lambda v: v[0]["src_session_his"].__setitem__(0, -1), r"7 sessions, and a log names -1"),
        ("vocab/user_vocab", lambda v: v[1].update(rec_his=[[1], [2]]), r"user 1 has no list rec_his .* but a table"),
        ("dataset/src_test", lambda t: t.__setitem__("keyword", None), r"src_test\.pkl: keywords or captions"),
        ("vocab/src_session_vocab_np", lambda v: v.pop("keyword"), r"no tables pos_items and keyword"),
        ("vocab/item_vocab_np", lambda v: v.update(caption=[[0]] * 4), r"numbered 1 to 3, and 1 to 8 occur"),
    ],
)
def test_what_is_wrong_is_named(small, name, edit, said):
    change(small, name, edit)
    with pytest.raises(DataError, match=said):
        read_unisar(small)


def test_a_pickle_that_runs_something_is_refused(small, tmp_path, monkeypatch):
    import os

    class Runs:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "escaped"),)

    write(small / "vocab" / "user_vocab.pkl", {0: Runs()})
    with pytest.raises(DataError, match=r"user_vocab\.pkl: the pickle names posix\.mkdir"):
        read_unisar(small)
    assert not (tmp_path / "escaped").exists()
