"""The data set's arrays against the tables of names that they are made of."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.negatives import checksum
from gensr_lib.data.schema import INTERACTION_COLUMNS, Tables
from gensr_lib.data.split import SPLITS
from gensr_lib.data.words import ITEM_WORDS, text_ids
from gensr_lib.errors import ConfigError
from gensr_lib.models import build_model
from tests.worlds import TINY, catalogue, log, pocket, tables, twin_events


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
    options = dataset.config.model_dump_json(exclude={"both_behaviors", "split"})  # these came later
    sha = hashlib.sha256(options.encode())
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


def test_the_words_of_texts_are_numbers_of_the_vocabulary():
    items = catalogue("abc").assign(title=["Red Tea-pot", "", "word " * 300], text=["", "", "end"], categories="")
    dataset = Dataset.from_tables(Tables(log(*(("u", i, 0, "rec") for i in "abc")), items), TINY)
    ids = text_ids(dataset.item_text, dataset.words)
    assert ids.shape == (4, ITEM_WORDS) and not ids[0].any() and not ids[2].any()
    assert [dataset.words[i] for i in ids[1] if i] == ["red", "tea", "pot"] and not ids[1, 3:].any()
    assert set(ids[3]) == {dataset.words.get_loc("word")}, "the rest is cut"
    ids = text_ids(pocket().item_text, pocket().words)
    for item in range(1, pocket().n_items + 1):
        words = re.findall("[a-z0-9]+", pocket().item_text[item].lower())
        assert [pocket().words[i] for i in ids[item] if i] == words


PATHS = {
    "a": ("Pen", "Pen, blue", "Home > Things", "Home, Things. Pen, blue"),
    "b": ("Pen", "for ink", "Home > Ink | Home > Gifts | Toys", "Home, Ink, Gifts, Toys. Pen. for ink"),
    "c": ("", "own words", "Ink co.", "Ink co. own words"),
    "d": ("Pen", "", "", "Pen"),
    "e": ("", "", "Home > Things", "Home > Things"),
    "f": ("", "", "", ""),
}


def with_paths(**options) -> Dataset:
    """Searches for six items, whose titles, texts and categories are those of `PATHS`."""
    items = pd.DataFrame(PATHS.values(), columns=["title", "text", "categories", "read"]).assign(item_id=[*PATHS])
    events = [("u", item, time, "src", "cap") for time, item in enumerate("abcd")]
    events += [("v", item, 0, "src", "cap") for item in "ef"]
    return Dataset.from_tables(Tables(log(*events), items), TINY.replace(eval_negatives=1, **options))


def test_categories_stand_in_front_of_texts_where_both_are():
    plain, dataset = with_paths(), with_paths(categories_in_text=True)
    assert dataset.item_text == ["", *(read for *_, read in PATHS.values())]
    assert plain.item_text == ["", "Pen, blue", "Pen. for ink", "own words", "Pen", "Home > Things", ""]
    assert dataset.item_title == plain.item_title == ["", "Pen", "Pen", "own words", "Pen", "Home > Things", "f"]
    assert dataset.hash != plain.hash


def test_systems_that_read_texts_read_the_categories_too():
    plain, dataset = with_paths(), with_paths(categories_in_text=True)
    for word, was_known in (("gifts", False), ("things", True), ("ink", True), ("cap", True)):
        assert word in dataset.words and (word in plain.words) == was_known
    options = {"popularity": 0}
    batch = dataset.batch("train", "src", np.arange(1), candidates=np.arange(1, 7)[None])
    batch = replace(batch, query_text=("toys",))
    found = [build_model("bm25", each, options).score(batch)[0].numpy() for each in (plain, dataset)]
    assert not found[0].any() and np.flatnonzero(found[1]).tolist() == [1], "the item of the third path"


def test_seen_pairs_equal_a_loop_over_rows():
    rng = np.random.default_rng(0)
    events = [(f"u{u}", f"i{rng.integers(12)}", t, "src", f"q{rng.integers(12)}") for u in range(40) for t in range(6)]
    dataset = Dataset.from_tables(tables(*events, ("u0", "i0", 9, "rec")), TINY)

    def pairs(split: str) -> list[tuple[str, str]]:
        rows = dataset.rows[split]["src"].event
        return [(dataset.query_texts[dataset.query[e]], dataset.item_ids[dataset.item[e]]) for e in rows]

    trained = set(pairs("train"))
    for split in SPLITS:
        assert dataset.seen_pairs(split).tolist() == [pair in trained for pair in pairs(split)]
    assert dataset.seen_pairs("train").all() and 0 < dataset.seen_pairs("test").mean() < 1


def test_a_pair_is_seen_only_whole_in_training_and_with_the_query_as_typed():
    last = [("q", "b"), ("p", "a"), ("Q", "a"), ("q", "a")]  # each is the test search of a user
    before = [("q", "a"), ("p", "b"), ("r", "c"), ("x", "d")]
    events = [(f"u{n}", item, t, "src", query) for n in range(4) for t, (query, item) in enumerate([*before, last[n]])]
    dataset = Dataset.from_tables(tables(*events), TINY)
    assert dataset.seen_pairs("test").tolist() == [False, False, False, True]
    assert not dataset.seen_pairs("valid").any(), "of the other users too it is held out"
    with pytest.raises(ConfigError, match="split"):
        dataset.seen_pairs("tests")


def test_without_searches_no_pair_is_asked_for():
    events = [("u", f"i{t}", t, "rec") for t in range(6)]
    assert Dataset.from_tables(tables(*events), TINY).seen_pairs("test").shape == (0,)


def test_words_are_numbered_by_the_alphabet_and_long_queries_are_cut():
    events = [("u", f"i{t}", t, "src", "Blue_hat 7" if t < 5 else "rare hat") for t in range(7)]
    dataset = Dataset.from_tables(tables(*events), TINY.replace(query_words=2))
    known = ["7", "blue", "hat"]
    assert [word for word in dataset.words if word in {*known, "rare"}] == known, "training only"
    ids = dataset.words.get_indexer(["blue", "hat"])
    assert np.array_equal(dataset.word_ids("blue HAT hat")[0], ids)
    assert dataset.word_ids("rare hat")[0].tolist() == [1, ids[1]]


def test_a_search_without_a_session_is_one_of_its_own_and_sessions_are_in_the_hash():
    given = tables(*twin_events("u"), *twin_events("v"))
    searches = given.interactions["behavior"].eq("src")
    assert searches.sum() > 1
    hashes = []
    for session in (-1, np.arange(len(given.interactions)), one := 5):
        changed = given.interactions.assign(session_id=np.where(searches, session, -1))
        found = Dataset.from_tables(Tables(changed, given.items), TINY)
        own = found.session[found.is_search]
        assert len(np.unique(own)) == (1 if session is one else len(own)) and (own >= 0).all()
        assert (found.session[~found.is_search] == -1).all()
        hashes.append(found.hash)
    assert hashes[0] == hashes[1] != hashes[2]
