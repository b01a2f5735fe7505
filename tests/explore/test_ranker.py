"""Ranked lists over the whole catalogue, against scoring all candidates in one batch and sorting by hand."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import gensr_lib.explore.ranker
from gensr_lib.config import DataConfig
from gensr_lib.data.batches import merged_history
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError
from gensr_lib.explore.histories import Event, event_batch
from gensr_lib.explore.ranker import PARTS, Ranker
from gensr_lib.models import Popularity, available_models
from tests.models.test_contract import make
from tests.worlds import TINY, keep_items, pocket, tables

cases = [(name, task) for name, cls in available_models().items() for task in sorted(cls.tasks)]
by_task = pytest.mark.parametrize(("name", "task"), cases)


@cache
def ranker(name: str = "gensr", chunk: int = 50) -> Ranker:
    return Ranker(make(name).eval(), pocket(), chunk)


def rows_of_both_tasks(n: int) -> list[tuple[str, int, int]]:
    """(user id, its test row for rec, its test row for src) of some users who have both."""
    data = pocket()
    users = {task: data.user[data.rows["test"][task].event] for task in ("rec", "src")}
    both = np.intersect1d(users["rec"], users["src"])[:n]
    return [(data.user_ids[u], *(int(np.flatnonzero(users[task] == u)[0]) for task in ("rec", "src"))) for u in both]


def whole_catalogue(task: str, row: int):
    """The test row as the evaluation has it, with all items as candidates."""
    return pocket().batch("test", task, np.array([row]), keep_items(pocket())[None], with_event=True)


def with_protocol(**options) -> Dataset:
    """The data of `pocket` under another protocol."""
    config = DataConfig(min_interactions=2, history_rec=12, history_src=12, **options)
    return Dataset.from_tables(simulate(PocketConfig(n_users=60, n_items=220, n_events=2000), 0), config)


def ask(ranked: Ranker, user, task: str, query: str, **options):
    return ranked.recommend(user, **options) if task == "rec" else ranked.search(user, query, **options)


def known_events(user: str) -> list[tuple]:
    """What a known user did before the held-out events, as one would type it."""
    data = pocket()
    training = np.concatenate([data.rows["train"][task].event for task in ("rec", "src")])
    own = data.events.iloc[np.sort(training)].query("user_id == @user")
    return list(zip(own["item_id"], own["behavior"], own["query"], strict=True))


# --- lists ------------------------------------------------------------------------------------


@by_task
def test_a_list_is_all_candidates_scored_in_one_batch_and_sorted(name, task):
    ranked, data = ranker(name, chunk=7), pocket()
    for user, *rows in rows_of_both_tasks(3):
        batch = whole_catalogue(task, rows[task == "src"])
        with torch.no_grad():
            expected = ranked.model.score(batch)[0].numpy()
        table = ask(ranked, user, task, batch.query_text[0], k=None, exclude_seen=False)
        scores = dict(zip(table["item_id"], table["score"], strict=True))
        in_order = [scores[i] for i in data.item_ids[1:]]
        assert len(table) == data.n_items and np.allclose(in_order, expected, atol=1e-5)
        assert (np.diff(table["score"]) <= 0).all() and list(table["rank"]) == list(range(1, data.n_items + 1))
        for k in (4, data.n_items):
            first = ask(ranked, user, task, batch.query_text[0], k=k, exclude_seen=False)
            assert first.equals(table.head(k))


def test_a_list_describes_its_items():
    table = ranker().recommend(0, 5)
    about = pocket().items.set_index("item_id").loc[table["item_id"]]
    assert list(table.columns) == ["rank", "item_id", "title", "categories", "score", "P(Yes)"]
    assert list(table["title"]) == list(about["title"]) and list(table["categories"]) == list(about["categories"])
    assert list(ranker("popularity").recommend(0, 1).columns)[-1] == "score", "only GenSR answers Yes or No"


def test_p_yes_is_the_probability_of_the_answer_yes():
    user, row, _ = rows_of_both_tasks(1)[0]
    batch, model = whole_catalogue("rec", row), ranker().model
    with torch.no_grad():
        yes = model.answer(batch, model.encode(batch))[0, :, 0].exp().numpy()
    table = ranker().recommend(user, None, exclude_seen=False).set_index("item_id")
    assert np.allclose(table.loc[pocket().item_ids[1:], "P(Yes)"], yes, atol=1e-6)


def test_equal_scores_stand_in_the_order_of_the_items():
    model = make("popularity")
    model.clicks.zero_()
    model.clicks[0, [5, 9]] = 3
    table = Ranker(model, pocket()).recommend(None, 6)
    assert list(table["item_id"]) == list(pocket().item_ids[[5, 9, 1, 2, 3, 4]])


@pytest.mark.parametrize("task", ["rec", "src"])
def test_items_of_the_visible_log_are_left_out_and_held_out_ones_stay(task):
    data = pocket()
    for user, *rows in rows_of_both_tasks(3):
        batch = whole_catalogue(task, rows[task == "src"])
        seen = {item for item, *_ in known_events(user)}
        everything = ask(ranker(), user, task, batch.query_text[0], k=None, exclude_seen=False)
        unseen = ask(ranker(), user, task, batch.query_text[0], k=None)
        expected = everything[~everything["item_id"].isin(seen)]
        assert list(unseen["item_id"]) == list(expected["item_id"]) and len(seen) > 5
        clicked = data.item_ids[data.item[batch.event.item()]]
        assert clicked in set(unseen["item_id"]) or clicked in seen


def test_with_visible_twins_what_counts_as_seen_depends_on_the_question():
    """All that stands before the task's own test event."""
    ranked, later = Ranker(make("popularity"), pocket()), set()
    ranked.dataset = data = with_protocol(twins="visible")
    for task in ("rec", "src"):
        for event in data.rows["test"][task].event[:20]:
            user = data.user[event]
            own = (data.user == user) & (np.arange(len(data.user)) < event)
            left = ask(ranked, user, task, "marble kennel", k=None)["item_id"]
            assert set(data.item_ids[1:]) - set(left) == set(data.item_ids[data.item[own]])
            later |= {task} if event > data.split.cut_test[user] else set()
    assert later == {"rec", "src"}, "each of the two is the later event of some user"


def test_with_visible_twins_a_user_without_a_test_event_is_cut_where_testing_begins():
    bought, searched = [("a", f"i{n}", n, "rec") for n in range(8)], ("b", "i0", 0, "src", "shoe")
    data = Dataset.from_tables(tables(*bought, searched), TINY.replace(twins="visible"))
    left = Ranker(Popularity.from_dataset(data), data).search("a", "shoe", None)["item_id"]
    assert {item for _, item, *_ in bought} - set(left) == {item for _, item, *_ in bought[:7]}


def test_a_new_users_items_are_left_out():
    given = list(pocket().item_ids[[3, 4]])
    assert not set(ranker().recommend(given, None)["item_id"]) & set(given)
    assert len(ranker().recommend(given, None, exclude_seen=False)) == pocket().n_items


def test_the_same_question_has_the_same_answer_and_the_model_keeps_its_mode():
    model = make("gensr").train()  # with dropout, if the mode were not changed while scoring
    ranked = Ranker(model, pocket())
    first, again = ranked.search(2, "marble kennel", 20), ranked.search(2, "marble kennel", 20)
    assert first.equals(again) and model.training
    assert first.equals(Ranker(deepcopy(model).eval(), pocket()).search(2, "marble kennel", 20))


def test_chunks_change_nothing_and_the_history_is_encoded_once(monkeypatch):
    model, calls = make("gensr").eval(), []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda batch: calls.append(1) or encode(batch))
    small, large = Ranker(model, pocket(), 11).scores(1), Ranker(model, pocket(), 1000).scores(1)
    assert len(calls) == 2 and np.allclose(small, large, atol=1e-5)


def test_users_and_items_may_be_named_or_numbered():
    data = pocket()
    by_name = ranker().scores(data.user_ids[4], items=[data.item_ids[7], data.item_ids[2]])
    assert np.array_equal(by_name, ranker().scores(np.int64(4), items=np.array([7, 2])))
    assert np.allclose(by_name, ranker().scores(4)[[6, 1]], atol=1e-6)
    assert ranker().history([data.item_ids[7], 2]).equals(ranker().history([7, data.item_ids[2]]))


@pytest.mark.parametrize(
    "given", [iter, lambda events: (e for e in events), lambda events: dict(enumerate(events)).values()]
)
def test_a_new_user_may_come_as_an_iterator(given):
    """Whatever is gone through, each public method goes through it once."""
    events, items = [4, (9, "src", "marble kennel"), (2, "rec", None)], [1, 2]
    ranked = ranker()
    assert ranked.recommend(given(events), 3).equals(ranked.recommend(events, 3))
    assert ranked.search(given(events), "kennel", 3).equals(ranked.search(events, "kennel", 3))
    assert ranked.history(given(events)).equals(ranked.history(events)) and len(ranked.history(events)) == 3
    parts = ["cf", "history"]
    found = ranked.scores(given(events), "", given(items), given(parts))
    assert np.array_equal(found, ranked.scores(events, "", items, parts))
    found, expected = ranked.explain(given(events), "", given(items)), ranked.explain(events, "", items)
    assert found.contributions.equals(expected.contributions) and found.history.equals(expected.history)


# --- histories --------------------------------------------------------------------------------

PROTOCOLS = [{}, {"test_history": "train+validation"}, {"twins": "visible"}]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: "-".join(p.values()) or "default")
def test_a_known_user_has_the_history_of_the_test_protocol(protocol):
    ranked = Ranker(make("gensr"), pocket())
    ranked.dataset = data = with_protocol(**protocol)
    for task in ("rec", "src"):
        batch = data.batch("test", task, np.arange(8))
        items, is_search = merged_history(batch, ranked.model.config.history)
        for row in range(8):
            table = ranked.history(int(batch.user[row]), batch.query_text[row])
            real = items[row] != 0
            assert list(table["item_id"]) == list(data.item_ids[items[row][real].numpy()])
            assert list(table["behavior"].eq("src")) == is_search[row][real].tolist()


@pytest.mark.parametrize("behaviors", ["rec", "src"])
def test_a_history_of_one_behavior_is_shown_as_the_model_reads_it(behaviors):
    ranked = Ranker(make("gensr").eval(), pocket())
    ranked.model.config = ranked.model.config.replace(history_of=behaviors)
    batch = pocket().batch("test", "rec", np.arange(5))
    items, _ = merged_history(batch, ranked.model.config.history, behaviors)
    for row in range(5):
        expected = pocket().item_ids[items[row][items[row] != 0].numpy()]
        table = ranked.history(int(batch.user[row]))
        assert list(table["item_id"]) == list(expected) and set(table["behavior"]) <= {behaviors}


def test_a_new_user_with_a_known_users_history_gets_the_same_scores_from_gensr():
    for user, *_ in rows_of_both_tasks(4):
        events = known_events(user)
        for query in ("", "marble kennel"):
            assert np.allclose(ranker().scores(events, query), ranker().scores(user, query), atol=1e-6)
        columns = ["item_id", "behavior", "query"]
        assert ranker().history(events)[columns].equals(ranker().history(user)[columns])


def test_a_new_user_is_the_average_user_for_unisar():
    """As a known user of the same history whose own vector is the mean of all users' vectors."""
    ranked = ranker("unisar")
    for user, *_ in rows_of_both_tasks(3):
        average = deepcopy(ranked.model)
        average.user_id.weight.data[:] = ranked.model.user_id.weight.mean(dim=0)
        for query in ("", "marble kennel"):
            found = ranked.scores(known_events(user), query)
            assert np.allclose(found, Ranker(average, pocket()).scores(user, query), atol=1e-5)
            assert not np.allclose(found, ranked.scores(user, query), atol=1e-4)


@pytest.mark.parametrize("name", available_models())
def test_a_model_refuses_new_users_or_treats_them_all_alike(name, monkeypatch):
    """The number that stands for a new user in the batch must not matter: else the model's traits
    `serves_new_users` and `user_table` are wrong."""
    ranked = ranker(name)
    if not ranked.model.serves_new_users:
        with pytest.raises(ConfigError, match=f"'{name}' cannot score a new user: it"):
            ranked.recommend([1, 2], 3)
        with pytest.raises(ConfigError, match="cannot score a new user"):
            ranked.recommend(None, 3)
        return
    before = ranked.scores([1, (2, "src", "marble kennel")])
    moved = lambda *args: replace(event_batch(*args), user=torch.tensor([7]))  # noqa: E731
    monkeypatch.setattr(gensr_lib.explore.ranker, "event_batch", moved)
    assert np.array_equal(before, ranked.scores([1, (2, "src", "marble kennel")]))


@pytest.mark.parametrize("name", ["gensr", "unisar", "popularity"])
def test_nobody_is_a_user_without_a_history(name):
    ranked = ranker(name)
    assert np.isfinite(ranked.scores(None)).all() and np.array_equal(ranked.scores(None), ranked.scores([]))
    assert ranked.history(None).empty and list(ranked.history(None).columns) == list(ranked.history(0).columns)
    assert len(ranked.search(None, "marble kennel", 5)) == 5


@cache
def long_sessions() -> Dataset:
    """A log whose search sessions have three clicks each."""
    clicks = [("a", f"i{n}", n, "src", "red shoe", n // 3) for n in range(12)]
    return Dataset.from_tables(tables(*clicks), TINY)


def test_consecutive_searches_with_one_query_are_one_session():
    given = [(1, "rec", ""), (2, "src", "a"), (3, "src", "a"), (4, "src", "b"), (5, "rec", ""), (6, "src", "b")]
    batch = event_batch(long_sessions(), "rec", [Event(*event) for event in given])
    assert batch.ses_clicks[0, :4].tolist() == [[2, 3, 0], [4, 0, 0], [6, 0, 0], [0, 0, 0]]
    assert batch.ses_time[0, :4].tolist() == [3, 4, 6, 0], "the time of a session is that of its last click"
    assert batch.rec_items[0, :3].tolist() == [1, 5, 0] and batch.rec_time[0, :3].tolist() == [1, 5, 0]
    assert batch.event is None, "no event of the log: an oracle has nothing to look up"
    items, is_search = merged_history(batch, 6)
    assert items.tolist() == [[1, 2, 3, 4, 5, 6]] and is_search[0].tolist() == [False, True, True, True, False, True]


def test_a_new_users_history_is_shown_as_typed():
    ranked = Ranker(make("popularity"), pocket())
    ranked.dataset = long_sessions()
    table = ranked.history([1, (2, "src", " red shoe"), (3, "src", "red shoe "), (4, "src", "zzqx")])
    assert list(table["item_id"]) == list(long_sessions().item_ids[1:5])
    assert list(table["query"]) == ["", "red shoe", "red shoe", "<unknown>"]
    assert list(table["time"]) == [1, 3, 3, 4], "one session: spaces around a query say nothing"


def test_one_query_with_more_clicks_than_a_session_holds_goes_on_in_another():
    batch = event_batch(long_sessions(), "rec", [Event(i, "src", "a") for i in range(1, 8)])
    assert batch.ses_clicks[0, :4].tolist() == [[1, 2, 3], [4, 5, 6], [7, 0, 0], [0, 0, 0]]


def test_what_is_too_old_is_left_out():
    data = pocket()
    many = [Event(1 + i % 200, *(("src", f"query {i}") if i % 2 else ("rec",))) for i in range(100)]
    batch = event_batch(data, "rec", many)
    assert batch.rec_items[0].tolist() == [1 + i for i in range(76, 100, 2)]
    assert batch.ses_clicks[0, :, 0].tolist() == [1 + i for i in range(77, 100, 2)]
    widths = {name: t.shape[1:] for name, t in vars(batch).items() if isinstance(t, torch.Tensor) and name != "cand"}
    made = data.batch("test", "rec", np.arange(1))
    assert widths == {name: getattr(made, name).shape[1:] for name in widths}


# --- explanations -----------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["rec", "src"])
def test_explained_weights_are_those_of_the_filter(task):
    user, *rows = rows_of_both_tasks(1)[0]
    batch = whole_catalogue(task, rows[task == "src"])
    shown = [4, 9, 30]
    found = ranker().explain(user, batch.query_text[0], shown)
    items, weights = ranker().model.filter_weights(batch.with_candidates(torch.tensor([shown])))
    n = int((items != 0).sum())
    assert list(found.history["item_id"]) == list(pocket().item_ids[items[0, :n].numpy()])
    for view in ("cf", "semantic"):
        assert np.allclose(found.weights[view], weights[view][0, :, :n].numpy(), atol=1e-6)
        assert np.allclose(found.weights[view].sum(axis=1), 1, atol=1e-5)
    assert np.allclose(found.contributions["score"], ranker().scores(user, batch.query_text[0], shown))
    assert list(found.contributions["item_id"]) == list(pocket().item_ids[shown])


def test_weights_of_a_short_history_have_no_places_for_padding():
    found = ranker().explain([5, (6, "src", "kennel")], "", [1, 2, 3])
    for alpha in found.weights.values():
        assert alpha.shape == (3, 2) and np.allclose(alpha.sum(axis=1), 1, atol=1e-5)
    assert {alpha.shape for alpha in ranker().explain(None, "", [1, 2, 3]).weights.values()} == {(3, 0)}


def test_the_cf_part_is_what_a_zero_projection_takes_away():
    blind = deepcopy(ranker().model)
    for parameter in blind.cf_projection.parameters():
        torch.nn.init.zeros_(parameter)
    found = ranker().explain(3, "marble kennel", [1, 2, 3]).contributions
    without = Ranker(blind, pocket()).scores(3, "marble kennel", [1, 2, 3])
    assert np.allclose(found["cf"], found["score"] - without, atol=1e-5) and found["cf"].abs().max() > 1e-3


def test_the_semantic_part_is_what_zero_token_embeddings_of_items_take_away():
    blind = deepcopy(ranker().model)
    blind.semantic_items = lambda items: torch.zeros(*items.shape, 16)
    blind.semantic_filter.value.weight.data.zero_()  # the encoder of a history gives it positions
    found = ranker().explain(3, "", [1, 2, 3]).contributions
    without = Ranker(blind, pocket()).scores(3, "", [1, 2, 3])
    assert np.allclose(found["semantic"], found["score"] - without, atol=1e-5) and found["semantic"].abs().max() > 1e-3


def test_the_history_part_is_what_an_empty_history_takes_away():
    """The CF slot of an empty history holds the projection's bias, so here there is none."""
    model = make("gensr").eval()
    model.cf_projection.bias.data.zero_()
    ranked = Ranker(model, pocket())
    found = ranked.explain(3, "", [1, 2, 3]).contributions
    assert np.allclose(found["history"], found["score"] - ranked.scores(None, "", [1, 2, 3]), atol=1e-5)


def test_zeroed_parts_add_up_their_slots():
    everything = ranker().scores(3, "", zeroed=["cf", "semantic"])
    assert np.ptp(everything) < 1e-5, "without any slot all items look alike"
    assert np.ptp(ranker().scores(3, "", zeroed=["history"])) > 1e-3
    assert set(PARTS["cf"]) | set(PARTS["semantic"]) == {f"{who}_{v}" for who in ("user", "item")
                                                         for v in ("cf", "semantic")}  # fmt: skip


def test_parts_can_be_taken_out_of_a_one_way_model_too():
    model = make("gensr").eval()
    model.config = model.config.replace(one_way=True)
    ranked = Ranker(model, pocket())
    assert not np.allclose(ranked.scores(3), ranker().scores(3), atol=1e-4)
    assert np.ptp(ranked.scores(3, "", zeroed=["cf", "semantic"])) < 1e-5
    assert np.ptp(ranked.scores(3, "", zeroed=["cf"])) > 1e-3


# --- bad input --------------------------------------------------------------------------------

FIRST = pocket().user_ids[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.recommend(FIRST + "x"), f"unknown user '{FIRST}x'; did you mean '{FIRST}'"),
        (lambda r: r.recommend(""), "unknown user ''"),
        (lambda r: r.recommend(pocket().n_users), f"user {pocket().n_users} is out of range: 0 to"),
        (lambda r: r.recommend(-1), "user -1 is out of range"),
        (lambda r: r.recommend(True), "unknown user 'True'"),
        (lambda r: r.recommend(3.5), "user 3.5 is neither"),
        (lambda r: r.recommend(["no item"]), f"unknown item 'no item';.* there are {pocket().n_items}, such as"),
        (lambda r: r.recommend([0]), f"item 0 is out of range: 1 to {pocket().n_items};"),
        (lambda r: r.recommend([(1, "scr", "x")]), "unknown behavior 'scr'; did you mean 'src'"),
        (lambda r: r.recommend([(1, "src")]), "is a search and has no query"),
        (lambda r: r.recommend([(1, "rec", "shoe")]), "is no search and has the query 'shoe'"),
        (lambda r: r.recommend([(1, "src", "shoe", 4)]), "the event .* is none"),
        (lambda r: r.recommend([()]), "the event .* is none"),
        (lambda r: r.recommend(0, 0), "k is 0"),
        (lambda r: r.recommend(0, 2.5), "k is 2.5"),
        (lambda r: r.recommend(0, True), "k is True"),
        (lambda r: r.recommend(0, 10_000), "k is 10000, and 189 of the catalogue's 218 items can be ranked"),
        (lambda r: r.search(0, " "), r"query is empty: .* recommend"),
        (lambda r: r.search(0, None), "query is empty"),
        (lambda r: r.scores(0, zeroed=["text"]), "unknown part of the prompt 'text'"),
        (lambda r: r.explain(0, "", ["no item"]), "unknown item 'no item'"),
        (lambda r: r.recommend(b"abc"), "user b'abc' is neither"),
        (lambda r: r.recommend({1: "a"}), r"user \{1: 'a'\} is neither"),
        (lambda r: r.recommend({1}), r"user \{1\} is neither"),
        (lambda r: r.recommend(np.array(3)), r"user array\(3\) is neither"),
        (lambda r: r.recommend(pd.DataFrame({"item_id": [1]})), "(?s)user .* is neither"),
        (lambda r: r.recommend("\ud800"), r"unknown user '\\ud800'"),
        (lambda r: r.search(0, 5), "query is 5; give text"),
        (lambda r: r.search(0, ["a"]), r"query is \['a'\]; give text"),
        (lambda r: r.scores(0, 5), "query is 5; give text"),
        (lambda r: r.explain(0, 5, 1), "query is 5; give text"),
        (lambda r: r.history(0, 7), "query is 7; give text"),
        (lambda r: r.search(0, "a \ud800 dog"), r"query 'a \\ud800 dog' has no character at position 2; leave"),
        (lambda r: r.recommend([(1, "src", 5)]), "the query of the event of item '1' is 5; give text"),
        (lambda r: r.recommend([(1, "src", None)]), "is a search and has no query"),
        (lambda r: r.scores(0, items=[]), "items is empty: name one item or more"),
        (lambda r: r.explain(0, "", []), "item is empty: name one item or more"),
        (lambda r: r.scores(0, items=3), "items 3 is no list of items; put a single one in brackets"),
        (lambda r: r.scores(0, "", "i00000"), "items 'i00000' is no list of items; put a single one in brackets"),
        (lambda r: r.scores(0, items={1, 2}), r"items \{1, 2\} is no list"),
        (lambda r: r.explain(0, "", None), "item None is no list"),
        (lambda r: r.explain(0, "", 2.5), "item 2.5 is no list"),
        (lambda r: r.scores(0, zeroed="cf"), "zeroed 'cf' is no list of parts; they are cf, semantic, history"),
        (lambda r: r.scores(0, zeroed=[["cf"]]), "unknown part of the prompt"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call(ranker())


def test_queries_of_unknown_words_work_and_spaces_around_them_say_nothing():
    assert len(ranker().search(0, "zzqx ?? ööö", 3)) == len(ranker("unisar").search(0, "??", 3)) == 3
    assert ranker().search(0, " kennel\n", 3).equals(ranker().search(0, "kennel", 3))
    assert np.array_equal(ranker().scores(0, None), ranker().scores(0, "  "))


@pytest.mark.parametrize("name", ["gensr", "unisar"])
def test_a_query_longer_than_the_words_kept_is_read_as_in_the_test_protocol(name):
    """Models of words read the first ones, GenSR the whole text."""
    ranked = Ranker(make(name).eval(), with_protocol(query_words=1))
    texts = ranked.dataset.query_texts[ranked.dataset.query[ranked.dataset.rows["test"]["src"].event]]
    row = next(n for n, text in enumerate(texts) if len(text.split()) > 2)
    batch = ranked.dataset.batch("test", "src", np.array([row]), keep_items(pocket())[None])
    with torch.no_grad():
        expected = ranked.model.score(batch)[0].numpy()
    assert np.allclose(ranked.scores(int(batch.user[0]), texts[row]), expected, atol=1e-5)
    first = ranked.scores(int(batch.user[0]), texts[row].split()[0])
    assert np.allclose(first, expected, atol=1e-5) == (name == "unisar")


def test_a_model_that_does_not_serve_the_task_says_which_do():
    with pytest.raises(ConfigError, match=r"'lightgcn' does not serve search; others do: popularity.*gensr"):
        ranker("lightgcn").search(0, "kennel")


@pytest.mark.parametrize(("behavior", "kind"), [("rec", "search"), ("src", "recommendation")])
def test_a_task_that_the_data_have_no_training_events_of_is_refused(behavior, kind):
    ranked, data = Ranker(make("gensr").eval(), with_protocol()), with_protocol()
    other = "src" if behavior == "rec" else "rec"
    data.rows["train"][other] = replace(data.rows["train"][other], event=np.zeros(0, dtype=np.int64))
    assert len(ask(ranked, 0, other, "kennel", k=3)) == 3
    ranked.dataset = data
    assert len(ask(ranked, 0, behavior, "kennel", k=3)) == 3
    with pytest.raises(ConfigError, match=f"'tables' has no {kind} event to train on, so the model 'gensr' was never"):
        ask(ranked, 0, other, "kennel", k=3)


def test_the_oracle_answers_for_test_events_only():
    user, _, row = rows_of_both_tasks(1)[0]
    query = whole_catalogue("src", row).query_text[0]
    assert np.isclose(np.exp(ranker("oracle").scores(user, query)).sum(), 1, atol=1e-4)
    with pytest.raises(ConfigError, match="no test search event with this query"):
        ranker("oracle").search(user, query + " other")


@pytest.mark.parametrize("call", [lambda r: r.explain(0, "", 1), lambda r: r.scores(0, zeroed=["cf"])])
def test_only_gensrs_slots_can_be_looked_into(call):
    with pytest.raises(ConfigError, match="the model 'unisar' has not got these"):
        call(ranker("unisar"))
    sequences = make("gensr").eval()
    sequences.config = sequences.config.replace(history_slot="sequence")
    with pytest.raises(ConfigError, match="history_slot='sequence' has not got these"):
        call(Ranker(sequences, pocket()))


def test_a_model_of_another_catalogue_is_refused():
    with pytest.raises(ConfigError, match=r"'popularity' has n_items = \d+, the data set 'tables' has \d+"):
        Ranker(make("popularity"), long_sessions())
    with pytest.raises(ConfigError, match=r"dataset is 'pocket'; pass a Dataset, such as load_dataset\("):
        Ranker(make("popularity"), "pocket")
    with pytest.raises(ConfigError, match=r"model is namespace\(.*; pass a trained one, or a run to Ranker.from_run\("):
        Ranker(SimpleNamespace(model=make("popularity")), pocket())


@pytest.mark.parametrize("chunk", [0, 1.5, None, "5", True])
def test_a_wrong_chunk_is_named(chunk):
    with pytest.raises(ConfigError, match=f"chunk is {chunk!r}; candidates are scored in chunks of 1 or more"):
        Ranker(make("popularity"), pocket(), chunk)


def test_the_ranker_of_a_run_takes_no_data_but_the_runs_own():
    """Data of the same size are not the same data."""
    run = SimpleNamespace(model=make("gensr"), record={"provenance": {"dataset_hash": pocket().hash}})
    ranked, other = Ranker.from_run(run, pocket(), 9), with_protocol()
    assert ranked.model is run.model and ranked.dataset is pocket() and ranked.chunk == 9
    assert Ranker(run.model, other).dataset is other, "without a hash there are the sizes only"
    message = f"'gensr' has hash = {pocket().hash}, the data set 'tables' has {other.hash}: use the data, profile and"
    for refused in (lambda: Ranker.from_run(run, other), lambda: Ranker(run.model, other, data_hash=pocket().hash)):
        with pytest.raises(ConfigError, match=message):
            refused()


def test_damaged_weights_are_noticed():
    model = make("gensr").eval()
    model.lm.get_input_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        Ranker(model, pocket()).recommend(0)
