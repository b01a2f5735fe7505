"""The data set's arrays against the tables of names that they are made of."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.negatives import checksum
from gensr_lib.data.schema import INTERACTION_COLUMNS, Tables
from gensr_lib.data.split import SPLITS
from tests.worlds import TINY, catalogue, log, pocket, tables


def test_events_are_the_log_in_names_sorted_and_as_plain_strings():
    zoe = [("Zoë", "b", 2, "src", "tea", 7), ("Zoë", "a", 2, "rec"), ("Zoë", "ä", 3, "rec")]
    ann = [("ann", "ä", 5, "rec"), ("ann", "a", 1, "src", "pot", 3), ("ann", "b", 9, "rec")]
    given = log(*(event for pair in zip(zoe, ann, strict=True) for event in pair))
    dataset = Dataset.from_tables(Tables(given, catalogue(["ä", "b", "a", "c"])), TINY.replace(eval_negatives=1))
    expected = given.sort_values(["user_id", "time", "behavior"], ignore_index=True)
    assert tuple(dataset.events) == INTERACTION_COLUMNS
    assert dataset.events.to_numpy().tolist() == expected.to_numpy().tolist()
    assert all(type(name) is str for name in dataset.events["user_id"])
    assert dataset.user_ids.tolist() == ["Zoë", "ann"], "in the order of their characters"
    assert dataset.item_ids.tolist() == ["", "ä", "b", "a"], "in the order of the table of items"
    assert dataset.query_texts.tolist() == ["", "tea", "pot"], "in order of appearance"


def test_the_first_query_is_the_empty_one_also_where_all_events_are_searches():
    events = [("u", f"i{t}", t, "src", f"query {t % 2}") for t in range(6)]
    events += [("~", f"~{n}", 0, "src", "query 0") for n in range(9)]
    given = tables(*events, extra_items=0)
    dataset = Dataset.from_tables(given, TINY)
    assert dataset.query_texts.tolist() == ["", "query 0", "query 1"]
    assert dataset.query.tolist() == [1, 2] * 3 + [1] * 9
    assert (dataset.query_word_ids[0] == 0).all()


def test_the_hash_is_that_of_the_names():
    """The recipe on strings: what is stored beside trained runs must not depend on codes."""
    dataset = pocket()
    sha = hashlib.sha256(dataset.config.model_dump_json().encode())
    for table in (dataset.events.drop(columns="session_id"), dataset.items):
        sha.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    arrays = {}
    for split in SPLITS:
        for task, rows in dataset.rows[split].items():
            arrays[f"{split}_{task}"] = rows.event
            if rows.negatives is not None:
                arrays[f"{split}_{task}_neg"] = rows.negatives
    sha.update(checksum(arrays).encode())
    assert dataset.hash == sha.hexdigest()[:16]
    other = Dataset.from_tables(tables(("u", "a", 1, "rec")), DataConfig(min_interactions=1))
    assert other.hash != dataset.hash


def test_texts_and_titles_say_nothing_twice():
    items = catalogue("abcde").assign(
        title=["Pen", "Pen", "", "", "Pen."],
        text=["Pen, blue", "for ink", "own words", "", ""],
        categories="Home > Things",
    )
    events = [("u", item, time, "rec") for time, item in enumerate("abc")]
    events = log(*events, *(("~", item, 0, "rec") for item in "de"))
    dataset = Dataset.from_tables(Tables(events, items), DataConfig(min_interactions=1, eval_negatives=1))
    texts = ["", "Pen, blue", "Pen. for ink", "own words", "Home > Things", "Pen"]
    assert dataset.item_text == texts
    assert dataset.item_title == ["", "Pen", "Pen", "own words", "Home > Things", "Pen."]


def test_words_are_numbered_by_the_alphabet_and_long_queries_are_cut():
    events = [("u", f"i{t}", t, "src", "Blue_hat 7" if t < 5 else "rare hat") for t in range(7)]
    dataset = Dataset.from_tables(tables(*events), TINY.replace(query_words=2))
    known = ["7", "blue", "hat"]
    assert [word for word in dataset.words if word in {*known, "rare"}] == known, "training only"
    ids = dataset.words.get_indexer(["blue", "hat"])
    assert np.array_equal(dataset.word_ids("blue HAT hat")[0], ids)
    assert dataset.word_ids("rare hat")[0].tolist() == [1, ids[1]]
