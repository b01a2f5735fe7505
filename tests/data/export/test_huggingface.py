"""The Parquet folder against the data set, row by row, and histories found again by loops from what was written."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from gensr_lib.data import merged_history
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.export import columns as export_columns
from gensr_lib.data.export import huggingface
from gensr_lib.data.export.huggingface import export_huggingface
from gensr_lib.data.schema import Tables
from gensr_lib.data.sources.made_searches import synthesize_searches
from gensr_lib.data.split import SPLITS
from tests.data.export.worlds import awkward, long_sessions
from tests.worlds import TINY, log, pocket, tables

PARTS = {"train": "train", "valid": "validation", "test": "test"}
HISTORY = ["history_items", "history_behaviors", "history_queries", "history_times"]
WORLDS = {
    "pocket": pocket,
    "sessions": long_sessions,
    "twins": lambda: long_sessions(twins="visible"),
    "validation": lambda: long_sessions(test_history="train+validation"),
    "awkward": awkward,
}


def read(folder: Path, name: str) -> list[dict]:
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


@pytest.fixture(params=WORLDS)
def made(request, tmp_path) -> tuple[Dataset, Path]:
    dataset = WORLDS[request.param]()
    return dataset, export_huggingface(dataset, tmp_path / "out")


def past(events: list[dict], is_over, dataset: Dataset) -> list[tuple]:
    """The newest clicks and sessions among a user's events, oldest first, by a loop.

    Args:
        events: ``item_id, behavior, query, time, session_id`` in the order of the log.
        is_over: whether the session of an event, and so the event, may be seen.
    """
    config = dataset.config
    clicks, sessions = [], {}
    for event in filter(is_over, events):
        if event["behavior"] == "rec":
            clicks.append([event])
        else:
            sessions.setdefault(event["session_id"], []).append(event)
    by_end = sorted(sessions.values(), key=lambda session: events.index(session[-1]))
    steps = clicks[-config.history_rec :] + by_end[-config.history_src :]
    found = []
    for step in sorted(steps, key=lambda step: step[-1]["time"]):
        last = step[-1]
        for event in step[: config.session_clicks]:
            found.append((event["item_id"], event["behavior"], last["query"], last["time"]))
    return found


def histories(dataset: Dataset, part: str, task: str) -> list[list[tuple]]:
    """Histories as models of the book see them: items and behaviors of a batch."""
    rows = dataset.rows[part][task]
    batch = dataset.batch(part, task, np.arange(len(rows)), candidates=dataset.item[rows.event][:, None])
    items, is_search = merged_history(batch, 1000)
    pairs = zip(dataset.item_ids[items], np.where(is_search, "src", "rec"), items.numpy(), strict=True)
    return [[(n, b) for n, b, i in zip(*row, strict=True) if i] for row in pairs]


# ---- rows ----------------------------------------------------------------------------------------


def test_rows_are_those_of_the_split(made):
    dataset, folder = made
    for task in ("rec", "src"):
        for part in SPLITS:
            found = pd.DataFrame(read(folder, f"{task}/{PARTS[part]}"))
            rows = dataset.rows[part][task]
            target = dataset.events.iloc[rows.event]
            for ours, theirs in (("user_id",) * 2, ("time",) * 2, ("query",) * 2, ("positive", "item_id")):
                assert found[ours].tolist() == target[theirs].tolist()
            if part == "train":
                assert found[["negatives", *HISTORY]].isna().all(axis=None)
            else:
                assert found["negatives"].tolist() == dataset.item_ids[rows.negatives].tolist()


def test_histories_in_full_are_what_a_model_sees(made):
    """Against the batch, and queries and times against a loop over the log."""
    dataset, folder = made
    log = dataset.events.to_dict("records")
    for task in ("rec", "src"):
        for part in ("valid", "test"):
            rows = dataset.rows[part][task]
            written = read(folder, f"{task}/{PARTS[part]}")
            found = [list(zip(*(row[name] for name in HISTORY), strict=True)) for row in written]
            assert [[click[:2] for click in row] for row in found] == histories(dataset, part, task)
            for row, event, limit in zip(found, rows.event, rows.limit, strict=True):
                own = [i for i in range(len(log)) if log[i]["user_id"] == log[event]["user_id"]]
                last = {log[i]["session_id"]: i for i in own if log[i]["behavior"] == "src"}
                rows_of = {id(log[i]): last.get(log[i]["session_id"], i) for i in own}
                assert row == past([log[i] for i in own], lambda e: rows_of[id(e)] < limit, dataset)  # noqa: B023


def test_training_histories_can_be_found_again_from_the_log(made):
    """By the rule of the card, from nothing but what was written."""
    dataset, folder = made
    events = read(folder, "log")
    for task in ("rec", "src"):
        expected = histories(dataset, "train", task)
        for row, seen in zip(read(folder, f"{task}/train"), expected, strict=True):
            before = events[row["log_start"] : row["log_end"]]
            assert all(event["user_id"] == row["user_id"] for event in before)
            found = past(before, lambda event: event["visible_from"] <= row["log_end"], dataset)  # noqa: B023
            assert [click[:2] for click in found] == seen


def test_the_log_is_the_training_part_and_nothing_later(made):
    dataset, folder = made
    found = pd.DataFrame(read(folder, "log"))
    expected = dataset.events[dataset.rows_before_cut()].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_dtype=False)
    assert (found["visible_from"] > np.arange(len(found))).all()
    for task in ("rec", "src"):
        for part in PARTS.values():
            for row in read(folder, f"{task}/{part}"):
                whole = np.flatnonzero(found["user_id"] == row["user_id"])
                assert row["log_start"] == whole[0] and row["log_end"] <= whole[-1] + 1
                assert dataset.config.twins == "visible" or part == "train" or row["log_end"] == whole[-1] + 1


def test_a_session_that_goes_on_is_seen_when_it_is_over():
    found = huggingface._Export(long_sessions())._visible_from()
    events = long_sessions().events.assign(visible=found).set_index("item_id")["visible"]
    assert events["r0"] == 1 and events["s1-5"] == events["s1-8"] == 3
    assert events["s2-12"] == 9, "three clicks, others between them"
    assert events["s4-35"] == 41 > 40, "its last click is held out, and 40 events are training"


def test_items_keep_their_texts(made):
    dataset, folder = made
    assert read(folder, "items") == dataset.items.to_dict("records")


def test_groups_of_rows_change_no_row(tmp_path, monkeypatch):
    whole = export_huggingface(long_sessions(), tmp_path / "whole")
    monkeypatch.setattr(huggingface, "LISTS", 3)
    monkeypatch.setattr(huggingface, "ROWS", 7)
    cut = export_huggingface(long_sessions(), tmp_path / "cut")
    for path in whole.rglob("*.parquet"):
        name = path.relative_to(whole)
        assert pq.read_table(path).equals(pq.read_table(cut / name))
    assert pq.ParquetFile(cut / "log.parquet").num_row_groups == 6
    assert pq.ParquetFile(cut / "rec" / "train.parquet").metadata.row_group(0).num_rows == 3


def test_groups_cover_all_rows_and_are_at_least_one():
    assert list(export_columns.groups(7, 3, "")) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(export_columns.groups(0, 3, "")) == [slice(0, 0)]


# ---- data that lack something ---------------------------------------------------------------------


@pytest.mark.parametrize("behavior", ["rec", "src"])
def test_a_data_set_of_one_behavior_has_no_configuration_of_the_other(tmp_path, behavior):
    events = [("u", f"i{t}", t, behavior) for t in range(6)] + [("~", f"~{n}", 0, behavior) for n in range(9)]
    dataset = Dataset.from_tables(tables(*events, extra_items=0), TINY)
    folder = export_huggingface(dataset, tmp_path / "out")
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {behavior}
    assert [config["config_name"] for config in header(folder)["configs"]] == [behavior, "items", "log"]
    assert read(folder, f"{behavior}/test")[0]["history_behaviors"] == [behavior] * 4


def test_a_part_without_rows_is_left_out(tmp_path):
    """A search that is tested and has none before it to validate on: `datasets` cannot read a split without rows."""
    events = [("u", f"i{t}", t, "rec") for t in range(9)] + [("u", "last", 9, "src", "tea")]
    dataset = Dataset.from_tables(tables(*events, ("v", "old", 0, "src", "pot")), TINY)
    assert len(dataset.rows["valid"]["src"]) == 0 and len(dataset.rows["test"]["src"]) == 1
    folder = export_huggingface(dataset, tmp_path / "out")
    assert [path.name for path in sorted((folder / "src").iterdir())] == ["test.parquet", "train.parquet"]
    assert "src/validation" not in (folder / "README.md").read_text()


# ---- the card --------------------------------------------------------------------------------------


def header(folder: Path) -> dict:
    """The YAML between the first two lines of dashes."""
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_the_header_names_every_file_with_its_rows_and_columns(made):
    dataset, folder = made
    found = header(folder)
    infos = {info["config_name"]: info for info in found["dataset_info"]}
    paths = set()
    for config in found["configs"]:
        info = infos[config["config_name"]]
        for file, split in zip(config["data_files"], info["splits"], strict=True):
            table = pq.read_table(folder / file["path"])
            assert (split["name"], split["num_examples"]) == (file["split"], len(table))
            lists = {f"list<element: {kind}>": kind for kind in ("string", "int64")}
            for field, feature in zip(table.schema, info["features"], strict=True):
                is_list = str(field.type) in lists
                expected = {"sequence": lists[str(field.type)]} if is_list else {"dtype": str(field.type)}
                assert feature == {"name": field.name, **expected}
            paths.add(file["path"])
        sizes = [(folder / file["path"]).stat().st_size for file in config["data_files"]]
        assert info["download_size"] == sum(sizes)
    assert paths == {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}
    assert found["pretty_name"] == dataset.name


def test_the_card_has_hash_counts_and_licence(tmp_path):
    folder = export_huggingface(pocket(), tmp_path / "out")
    text = (folder / "README.md").read_text()
    assert pocket().hash in text and header(folder)["license"] == "apache-2.0" and "simulated" in text
    for step, row in pocket().count_table().iterrows():
        assert f"| {step} | {' | '.join(map(str, row))} |" in text
    assert "SIGIR 2017" not in text and "{" not in text.partition("# tables")[2]


@pytest.mark.parametrize(("name", "said"), [("amazon-toys", "Do not pass this folder on"), ("shop", "No licence is")])
def test_a_licence_that_nobody_names_is_unknown(tmp_path, name, said):
    events = log(*(("u", f"i{t}", t, "rec") for t in range(6)), *(("~", f"~{n}", 0, "rec") for n in range(9)))
    items = pd.DataFrame({"item_id": events["item_id"], "title": "x", "text": "", "categories": "Home > Things"})
    made = synthesize_searches(Tables(events, items), 0)
    folder = export_huggingface(Dataset.from_tables(made, TINY, name=name), tmp_path / "out")
    text = (folder / "README.md").read_text()
    assert header(folder)["license"] == "unknown" and said in text and "simulated" not in text
    assert "SIGIR 2017" in text and re.search(r"- \d+ searches were made from the categories", text)


def test_datasets_itself_reads_every_configuration(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    _, folder = made
    for config in header(folder)["configs"]:
        loaded = datasets.load_dataset(str(folder), config["config_name"], cache_dir=str(tmp_path / "cache"))
        for file in config["data_files"]:
            assert list(loaded[file["split"]]) == pq.read_table(folder / file["path"]).to_pylist()


@pytest.mark.parametrize(
    ("name", "options", "licence", "said"),
    [
        ("kuaisar", {"split": "last days", "test_history": "earlier"}, "cc-by-nc-sa-4.0", "the last two days are held"),
        ("movielens-100k", {}, "other", "leave one out, cut in time"),
        ("kuaisar-small", {"test_history": "earlier"}, "cc-by-nc-sa-4.0", "ends before the time of the row"),
    ],
)
def test_the_card_names_the_licence_and_the_protocol_of_real_data(tmp_path, name, options, licence, said):
    data = pocket()
    data = replace(data, name=name, truth=None, config=data.config.replace(**options))
    folder = export_huggingface(data, tmp_path / "out")
    text = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    assert header(folder)["license"] == licence and said in text
