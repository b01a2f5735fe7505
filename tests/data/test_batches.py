"""Batches: shapes, padding, order, and that a gather gives what a loop over the log gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gensr_lib.data.batches import appended, left_padded, merged_history, merged_steps, trimmed
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.words import UNKNOWN_WORD
from gensr_lib.errors import ConfigError
from tests.models.joint.unisar_cases import interleaved, without
from tests.worlds import TINY, pocket, tables


def brute_force_history(dataset: Dataset, event: int, limit: int, n: int) -> list[tuple[int, bool]]:
    """The last n items of a user before a row, in time order, by a loop."""
    own = [r for r in range(limit) if dataset.user[r] == dataset.user[event]]
    return [(int(dataset.item[r]), bool(dataset.is_search[r])) for r in own][-n:]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("task", ["rec", "src"])
def test_merged_history_equals_a_loop(split, task):
    dataset = pocket()
    rows = dataset.rows[split][task]
    index = np.arange(0, len(rows), max(1, len(rows) // 40))
    batch = dataset.batch(split, task, index, np.ones((len(index), 1), dtype=int))
    items, is_search = merged_history(batch, 8)
    for row, position in enumerate(index):
        expected = brute_force_history(dataset, rows.event[position], rows.limit[position], 8)
        got = [(int(i), bool(s)) for i, s in zip(items[row], is_search[row], strict=True) if i]
        assert got == expected
        assert (items[row, len(expected) :] == 0).all(), "padding is on the right"


@pytest.mark.parametrize("behaviors", ["rec", "src", "both"])
def test_steps_are_searches_with_their_words_and_recommendations_with_none(behaviors):
    made = interleaved()
    words, clicks = merged_steps(made, behaviors)
    r, k = made.rec_items.shape[1], made.ses_clicks.shape[2]
    rows = []
    for b in range(len(made)):
        steps = []
        for at in made.merge_index[b].tolist():
            if at < r and behaviors != "src" and made.rec_items[b, at]:
                steps.append(([0] * words.shape[2], [made.rec_items[b, at].item()] + [0] * (k - 1)))
            if at >= r and behaviors != "rec" and made.ses_clicks[b, at - r].any():
                steps.append((made.ses_words[b, at - r].tolist(), made.ses_clicks[b, at - r].tolist()))
        rows.append(steps)
    longest = max(map(len, rows))
    assert words.shape[:2] == clicks.shape[:2] == (len(made), longest)
    for b, steps in enumerate(rows):
        assert [*zip(words[b].tolist(), clicks[b].tolist(), strict=True)][: len(steps)] == steps
        assert not words[b, len(steps) :].any() and not clicks[b, len(steps) :].any()
    nobody = without(made, "rec", "src")
    assert [x.shape[:2] for x in merged_steps(nobody, behaviors)] == [(len(made), 1)] * 2


def test_fields_have_the_contracted_shapes():
    dataset = pocket()
    batch = dataset.batch("test", "src", np.arange(7))
    r, s = dataset.config.history_rec, dataset.config.history_src
    w, k = dataset.query_word_ids.shape[1], batch.ses_clicks.shape[2]
    shapes = {"user": (7,), "query": (7, w), "cand": (7, 100), "merge_index": (7, r + s)}
    shapes |= {"rec_items": (7, r), "rec_time": (7, r), "ses_time": (7, s)}
    shapes |= {"ses_words": (7, s, w), "ses_clicks": (7, s, k)}
    for name, shape in shapes.items():
        assert tuple(getattr(batch, name).shape) == shape, name
        assert getattr(batch, name).dtype == torch.long
    assert batch.task == "src" and all(batch.query_text)
    assert (batch.merge_index.sort(dim=1).values == torch.arange(r + s)).all(), "a permutation"


def test_candidates_start_with_the_positive_and_queries_match():
    dataset = pocket()
    rows = dataset.rows["test"]["src"]
    batch = dataset.batch("test", "src", np.arange(len(rows)))
    assert (batch.cand[:, 0].numpy() == dataset.item[rows.event]).all()
    assert list(batch.query_text) == dataset.events["query"].iloc[rows.event].tolist()
    words = [[dataset.words[i] for i in row if i] for row in batch.query.tolist()]
    typed = [text.lower().split() for text in batch.query_text]
    assert words == typed or UNKNOWN_WORD in batch.query


def test_a_recommendation_row_has_no_query():
    batch = pocket().batch("test", "rec", np.arange(5))
    assert set(batch.query_text) == {""} and (batch.query == 0).all()


def test_clicks_of_one_session_stay_together_and_are_cut():
    events = [("u", f"i{n}", 1, "src", "red shoe", 5) for n in range(4)]
    events += [("u", f"r{t}", t, "rec") for t in (2, 3, 4, 5, 6)]
    dataset = Dataset.from_tables(tables(*events), TINY.replace(session_clicks=3))
    batch = dataset.batch("test", "rec", np.array([0]))
    clicks = dataset.item_ids[batch.ses_clicks[0, 0].numpy()].tolist()
    assert clicks == ["i0", "i1", "i2"] and (batch.ses_clicks[0, 1:] == 0).all()
    items, is_search = merged_history(batch, 6)
    assert dataset.item_ids[items[0].numpy()].tolist() == ["i0", "i1", "i2", "r2", "r3", "r4"]
    assert is_search[0].tolist() == [True] * 3 + [False] * 3


def test_a_session_that_is_not_over_is_not_seen():
    """A session's second click happens after the target: the whole session is hidden from it."""
    events = [("u", item, time, "src", "red shoe", 5) for item, time in (("a", 1), ("b", 3))]
    events += [("u", "t", 2, "rec")]
    events += [("u", f"r{t}", t, "rec") for t in range(4, 9)]
    dataset = Dataset.from_tables(tables(*events), TINY)
    targets = dataset.item_ids[dataset.item[dataset.rows["train"]["rec"].event]]
    row = np.flatnonzero(targets == "t")
    batch = dataset.batch("train", "rec", row, np.ones((1, 1), dtype=int))
    assert (batch.ses_clicks == 0).all()


def test_unknown_words_and_names():
    dataset = pocket()
    assert (dataset.word_ids("zzyzx qwghlm")[0, :2] == UNKNOWN_WORD).all()
    with pytest.raises(ConfigError, match="unknown split 'tset'; did you mean 'test'"):
        dataset.batch("tset", "rec", np.array([0]))
    with pytest.raises(ConfigError, match="unknown task"):
        dataset.batch("test", "buy", np.array([0]))


def test_every_row_is_in_exactly_one_share():
    dataset = pocket()

    def events(*share):
        made = dataset.batches("test", "rec", 7, *share, with_event=True)
        return [event for batch in made for event in batch.event.tolist()]

    whole = events()
    shares = [event for k in range(3) for event in events((k, 3))]
    assert sorted(whole) == sorted(shares) == sorted(dataset.rows["test"]["rec"].event.tolist())


def test_moving_and_picking_rows_keeps_everything():
    batch = pocket().batch("test", "src", np.arange(5))
    part = batch.rows(torch.tensor([3, 1]))
    assert part.query_text == (batch.query_text[3], batch.query_text[1])
    assert torch.equal(part.cand, batch.cand[[3, 1]]) and part.to("cpu").task == "src"


def test_as_many_merged_events_as_both_histories_hold_are_both_histories():
    """GenSR with history = history_rec + history_src reads what UniSAR reads, no more and no less."""
    config = pocket().config
    for task in ("rec", "src"):
        batch = pocket().batch("test", task, np.arange(len(pocket().rows["test"][task])))
        merged, is_search = merged_history(batch, config.history_rec + config.history_src)
        for row in range(len(batch)):
            parts = batch.rec_items[row], batch.ses_clicks[row].flatten()
            rec, src = (sorted(items[items != 0].tolist()) for items in parts)
            real = merged[row] != 0
            assert sorted(merged[row][real & ~is_search[row]].tolist()) == rec
            assert sorted(merged[row][real & is_search[row]].tolist()) == src
    assert (batch.rec_items != 0).all(dim=1).any(), "some histories are cut, else this test sees nothing"


def test_histories_are_trimmed_appended_to_and_padded_in_front():
    items = torch.tensor([[3, 7, 0, 0], [0, 0, 0, 0], [5, 5, 9, 0]])
    assert trimmed(items).tolist() == [[3, 7, 0], [0, 0, 0], [5, 5, 9]]
    assert trimmed(items[:0]).shape == (0, 1) and trimmed(items[1:2]).tolist() == [[0]]
    assert appended(items, 8).tolist() == [[3, 7, 8, 0, 0], [8, 0, 0, 0, 0], [5, 5, 9, 8, 0]]
    of_each_row = torch.tensor([8, 6, 5])
    assert appended(items[:, :3], of_each_row).tolist() == [[3, 7, 8, 0], [6, 0, 0, 0], [5, 5, 9, 5]]
    assert left_padded(items).tolist() == [[0, 0, 3, 7], [0, 0, 0, 0], [0, 5, 5, 9]]
    assert left_padded(items[:, :1]).tolist() == [[3], [0], [5]]
