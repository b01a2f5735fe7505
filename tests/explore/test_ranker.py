"""Ranked lists over the whole catalogue, against scoring all candidates in one batch by hand."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import gensr_lib.explore.ranker
from gensr_lib.config import DataConfig
from gensr_lib.data.batches import merged_history
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError
from gensr_lib.explore.ranker import PARTS, Event, Ranker, event_batch, p_yes
from gensr_lib.models import Popularity, available_models
from tests.models.test_contract import make
from tests.worlds import TINY, keep_items, pocket, tables

TASKS = ("rec", "src")
served = [(name, task) for name, cls in available_models().items() for task in sorted(cls.tasks)]


@cache
def ranker(name: str = "gensr", chunk: int = 50) -> Ranker:
    return Ranker(make(name).eval(), pocket(), chunk)


def rows_of_both_tasks(n: int) -> list[tuple[str, dict[str, int]]]:
    """Some users who have test rows of both tasks, and these rows."""
    data = pocket()
    users = {task: data.user[data.rows["test"][task].event].tolist() for task in TASKS}
    both = sorted(set(users["rec"]) & set(users["src"]))[:n]
    return [(data.user_ids[u], {task: users[task].index(u) for task in TASKS}) for u in both]


def whole_catalogue(task: str, row: int):
    """The test row as the evaluation has it, with all items as candidates."""
    items = keep_items(pocket())[None]
    return pocket().batch("test", task, np.array([row]), items, with_event=True)


def with_protocol(**options) -> Dataset:
    """The data of `pocket` under another protocol."""
    config = DataConfig(min_interactions=2, history_rec=12, history_src=12, **options)
    return Dataset.from_tables(simulate(PocketConfig(n_users=60, n_items=220, n_events=2000), 0), config)


def ask(ranked: Ranker, user, task: str, query: str, **options):
    if task == "rec":
        return ranked.recommend(user, **options)
    return ranked.search(user, query, **options)


def known_events(user: str) -> list[tuple]:
    """What a known user did before the held-out events, as one would type it."""
    data = pocket()
    own = data.events[data.rows_before_cut()].query("user_id == @user")
    return list(zip(own["item_id"], own["behavior"], own["query"], strict=True))


# --- lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "task"), served)
def test_a_list_is_all_candidates_scored_in_one_batch_and_sorted(name, task):
    ranked, data = ranker(name, chunk=7), pocket()
    for user, rows in rows_of_both_tasks(3):
        batch = whole_catalogue(task, rows[task])
        query = batch.query_text[0]
        with torch.no_grad():
            expected = ranked.model.score(batch)[0].numpy()
        table = ask(ranked, user, task, query, k=None, exclude_seen=False)
        scores = dict(zip(table["item_id"], table["score"], strict=True))
        assert np.allclose([scores[i] for i in data.item_ids[1:]], expected, atol=1e-5)
        assert (np.diff(table["score"]) <= 0).all()
        assert list(table["rank"]) == list(range(1, data.n_items + 1))
        assert ask(ranked, user, task, query, k=4, exclude_seen=False).equals(table.head(4))
        about = data.items.set_index("item_id").loc[table["item_id"]]
        for column in ("title", "categories"):
            assert list(table[column]) == list(about[column])


def test_p_yes_is_the_probability_of_the_answer_yes():
    user, rows = rows_of_both_tasks(1)[0]
    batch, model = whole_catalogue("rec", rows["rec"]), ranker().model
    with torch.no_grad():
        yes = model.answer(batch, model.encode(batch))[0, :, 0].exp().numpy()
    table = ranker().recommend(user, None, exclude_seen=False).set_index("item_id")
    assert np.allclose(table.loc[pocket().item_ids[1:], "P(Yes)"], yes, atol=1e-6)
    assert "P(Yes)" not in ranker("popularity").recommend(0, 1)
    far = torch.tensor([-800.0, 0.0, 3.0, 800.0], dtype=torch.float64)
    assert np.allclose(p_yes(far.numpy()), far.sigmoid().numpy(), atol=1e-15)


def test_equal_scores_stand_in_the_order_of_the_items():
    model = make("popularity")
    model.clicks.zero_()
    model.clicks[0, [5, 9]] = 3
    table = Ranker(model, pocket()).recommend(None, 6)
    assert list(table["item_id"]) == list(pocket().item_ids[[5, 9, 1, 2, 3, 4]])


@pytest.mark.parametrize("twins", ["hidden", "visible"])
def test_what_the_model_may_know_is_left_out_and_held_out_items_stay(twins):
    data = with_protocol(twins=twins) if twins == "visible" else with_protocol()
    ranked = Ranker(make("popularity"), data)
    for task in TASKS:
        rows = data.rows["test"][task]
        for event, limit in zip(rows.event[:20], rows.limit, strict=False):
            user = data.user[event]
            before = (data.user == user) & (np.arange(len(data.user)) < limit)
            left = set(ask(ranked, user, task, "marble kennel", k=None)["item_id"])
            assert set(data.item_ids[1:]) - left == set(data.item_ids[data.item[before]])
    given = list(data.item_ids[[3, 4]])
    assert not set(ranked.recommend(given, None)["item_id"]) & set(given)


def test_with_visible_twins_a_user_without_a_test_event_is_cut_where_testing_begins():
    bought = [("a", f"i{n}", n, "rec") for n in range(8)]
    config = TINY.replace(twins="visible")
    data = Dataset.from_tables(tables(*bought, ("b", "i0", 0, "src", "shoe")), config)
    left = Ranker(Popularity.from_dataset(data), data).search("a", "shoe", None)["item_id"]
    assert {item for _, item, *_ in bought} - set(left) == {f"i{n}" for n in range(7)}


def test_the_model_keeps_its_mode_and_encodes_the_history_once(monkeypatch):
    model, calls = make("gensr").train(), []  # dropout would give other scores each time
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda batch: calls.append(1) or encode(batch))
    small = Ranker(model, pocket(), 11).scores(1)
    assert model.training and len(calls) == 1
    assert np.allclose(small, Ranker(model, pocket(), 1000).scores(1), atol=1e-5)
    assert ranker().search(2, " kennel\n", 5).equals(ranker().search(2, "kennel", 5))


# --- histories --------------------------------------------------------------------------------

PROTOCOLS = [{}, {"test_history": "train+validation"}, {"twins": "visible"}]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: "-".join(p.values()) or "default")
@pytest.mark.parametrize("behaviors", ["both", "src"])
def test_a_known_user_has_the_history_of_the_test_protocol(protocol, behaviors):
    data = with_protocol(**protocol)
    ranked = Ranker(make("gensr"), data)
    ranked.model.config = ranked.model.config.replace(history_of=behaviors)
    for task in TASKS:
        batch = data.batch("test", task, np.arange(8))
        items, is_search = merged_history(batch, ranked.model.config.history, behaviors)
        for row in range(8):
            table = ranked.history(int(batch.user[row]), batch.query_text[row])
            real = items[row] != 0
            assert list(table["item_id"]) == list(data.item_ids[items[row][real].numpy()])
            assert list(table["behavior"] == "src") == is_search[row][real].tolist()


def test_a_new_user_with_a_known_users_history_gets_the_same_scores_from_gensr():
    for user, _ in rows_of_both_tasks(4):
        events = known_events(user)
        for query in ("", "marble kennel"):
            same = ranker().scores(user, query)
            assert np.allclose(ranker().scores(events, query), same, atol=1e-6)
        columns = ["item_id", "behavior", "query"]
        assert ranker().history(events)[columns].equals(ranker().history(user)[columns])


def test_a_new_user_is_the_average_user_for_unisar():
    """As a known user of the same history whose own vector is the mean of all users' vectors."""
    ranked = ranker("unisar")
    average = deepcopy(ranked.model)
    average.user_id.weight.data[:] = ranked.model.user_id.weight.mean(dim=0)
    for user, _ in rows_of_both_tasks(3):
        found = ranked.scores(known_events(user), "marble kennel")
        expected = Ranker(average, pocket()).scores(user, "marble kennel")
        assert np.allclose(found, expected, atol=1e-5)
        assert not np.allclose(found, ranked.scores(user, "marble kennel"), atol=1e-4)


@pytest.mark.parametrize("name", available_models())
def test_a_model_refuses_new_users_or_treats_them_all_alike(name, monkeypatch):
    """Else its traits `serves_new_users` and `user_table` are wrong: a new user has no number."""
    ranked, given = ranker(name), [1, (2, "src", "marble kennel")]
    if not ranked.model.serves_new_users:
        for user in (given, None):
            with pytest.raises(ConfigError, match="new user"):
                ranked.recommend(user, 3)
        return
    query = "" if "rec" in ranked.model.tasks else "marble kennel"
    before = ranked.scores(given, query)
    moved = lambda *args: replace(event_batch(*args), user=torch.tensor([7]))  # noqa: E731
    monkeypatch.setattr(gensr_lib.explore.ranker, "event_batch", moved)
    assert np.array_equal(before, ranked.scores(given, query))
    assert np.array_equal(ranked.scores(None, query), ranked.scores([], query))
    assert ranked.history(None).empty


@cache
def long_sessions() -> Dataset:
    """A log whose search sessions have three clicks each."""
    clicks = [("a", f"i{n}", n, "src", "red shoe", n // 3) for n in range(12)]
    return Dataset.from_tables(tables(*clicks), TINY)


def test_consecutive_searches_with_one_query_are_one_session():
    given = [(1, "rec"), (2, "src", "a"), (3, "src", "a"), (4, "src", "b"), (5,), (6, "src", "b")]
    batch = event_batch(long_sessions(), "rec", [Event(*event) for event in given])
    assert batch.ses_clicks[0, :4].tolist() == [[2, 3, 0], [4, 0, 0], [6, 0, 0], [0, 0, 0]]
    assert batch.ses_time[0, :4].tolist() == [3, 4, 6, 0], "that of the last click"
    assert batch.rec_items[0, :3].tolist() == [1, 5, 0]
    assert merged_history(batch, 6)[0].tolist() == [[1, 2, 3, 4, 5, 6]]
    long = event_batch(long_sessions(), "rec", [Event(i, "src", "a") for i in range(1, 8)])
    assert long.ses_clicks[0, :4].tolist() == [[1, 2, 3], [4, 5, 6], [7, 0, 0], [0, 0, 0]]


def test_a_new_users_history_is_shown_as_typed_and_what_is_too_old_is_left_out():
    data = long_sessions()
    ranked = Ranker(Popularity.from_dataset(data), data)
    given = [1, (2, "src", " red shoe"), (3, "src", "red shoe "), (4, "src", "zzqx")]
    table = ranked.history(given)
    assert list(table["item_id"]) == list(data.item_ids[1:5])
    assert list(table["query"]) == ["", "red shoe", "red shoe", "<unknown>"]
    assert list(table["time"]) == [1, 3, 3, 4]
    many = [(1 + n % 20, "src", f"query {n}") if n % 2 else 1 + n % 20 for n in range(40)]
    table = ranked.history(many)
    assert list(table["time"]) == list(range(29, 41)), "six of each behavior"


# --- explanations -----------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_explained_weights_are_those_of_the_filter_without_padding(task):
    shown = [4, 9, 30]
    for user, rows in rows_of_both_tasks(2):
        batch = whole_catalogue(task, rows[task])
        query = batch.query_text[0]
        found = ranker().explain(user, query, shown)
        batch = batch.with_candidates(torch.tensor([shown]))
        items, weights = ranker().model.filter_weights(batch)
        n = int((items != 0).sum())
        assert list(found.history["item_id"]) == list(pocket().item_ids[items[0, :n].numpy()])
        for view in ("cf", "semantic"):
            assert np.allclose(found.weights[view], weights[view][0, :, :n].numpy(), atol=1e-6)
            assert np.allclose(found.weights[view].sum(axis=1), 1, atol=1e-5)
        expected = ranker().scores(user, query)[np.array(shown) - 1]
        assert np.allclose(found.contributions["score"], expected, atol=1e-5)
    few = ranker().explain([5, (6, "src", "kennel")], "", shown).weights
    assert {alpha.shape for alpha in few.values()} == {(3, 2)}


def test_parts_are_what_zero_projections_and_an_empty_history_take_away():
    """The CF slot of an empty history holds the projection's bias, so here there is none."""
    model = make("gensr").eval()
    model.cf_projection.bias.data.zero_()
    ranked, blind = Ranker(model, pocket()), deepcopy(model)
    blind.cf_projection.weight.data.zero_()
    found = ranked.explain(3, "", [1, 2, 3]).contributions
    for part, without in (
        ("cf", Ranker(blind, pocket()).scores(3)),
        ("history", ranked.scores(None)),
    ):
        assert np.allclose(found[part], found["score"] - without[:3], atol=1e-5)
        assert found[part].abs().max() > 1e-3


@pytest.mark.parametrize("one_way", [False, True])
def test_without_any_slot_all_items_look_alike(one_way):
    model = make("gensr").eval()
    model.config = model.config.replace(one_way=one_way)
    ranked = Ranker(model, pocket())
    assert np.ptp(ranked.scores(3, "", ["cf", "semantic"])) < 1e-5
    for part in PARTS:
        assert np.ptp(ranked.scores(3, "", [part])) > 1e-3


# --- bad input --------------------------------------------------------------------------------

FIRST = pocket().user_ids[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ranker().recommend(FIRST + "x"), f"did you mean '{FIRST}'"),
        (lambda: ranker().recommend(pocket().n_users), "positions 0 to 59"),
        (lambda: ranker().recommend([0]), f"positions 1 to {pocket().n_items}"),
        (lambda: ranker().explain(0, "", "no item"), "unknown item 'no item'"),
        (lambda: ranker().recommend(iter([1])), "neither a known user nor a list"),
        (lambda: ranker().recommend([(1, "scr", "x")]), "no event"),
        (lambda: ranker().recommend([(1, "src", " ")]), "no event"),
        (lambda: ranker().recommend([(1, "src", "shoe", 4)]), "no event"),
        (lambda: ranker().recommend(0, 0), "k is 0"),
        (lambda: ranker().recommend(0, 10_000), "189 items"),
        (lambda: ranker().search(0, " "), "query is empty"),
        (lambda: ranker().scores(0, zeroed=["text"]), "unknown part of the prompt 'text'"),
        (lambda: ranker("lightgcn").search(0, "kennel"), "does not serve"),
        (lambda: ranker("unisar").explain(0, "", 1), "slots"),
        (lambda: Ranker(make("popularity"), long_sessions()), "n_items"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_a_task_that_the_data_have_no_training_events_of_is_refused():
    data = with_protocol()
    data.rows["train"]["src"] = replace(data.rows["train"]["src"], event=np.zeros(0, np.int64))
    ranked = Ranker(make("gensr").eval(), data)
    assert len(ranked.recommend(0, 3)) == 3
    with pytest.raises(ConfigError, match="never trained"):
        ranked.search(0, "kennel", 3)


def test_the_oracle_answers_for_test_events_only():
    user, rows = rows_of_both_tasks(1)[0]
    query = whole_catalogue("src", rows["src"]).query_text[0]
    assert np.isclose(np.exp(ranker("oracle").scores(user, query)).sum(), 1, atol=1e-4)
    with pytest.raises(ConfigError, match="test events only"):
        ranker("oracle").search(user, query + " other")


def test_the_ranker_of_a_run_takes_no_data_but_the_runs_own():
    """Data of the same size are not the same data."""
    run = SimpleNamespace(model=make("gensr"))
    run.record = {"provenance": {"dataset_hash": pocket().hash}}
    assert Ranker.from_run(run, pocket()).model is run.model
    with pytest.raises(ConfigError, match=f"hash = {pocket().hash}"):
        Ranker.from_run(run, with_protocol())


def test_damaged_weights_are_noticed():
    model = make("gensr").eval()
    model.lm.get_input_embeddings().weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        Ranker(model, pocket()).recommend(0)


def test_a_query_of_twenty_thousand_words_costs_no_more_than_its_first_ones():
    """Its answer is that of the part that is kept; without the cut it would ask for gigabytes."""
    asked = ranker()
    long = asked.search(0, "w " * 20_000, k=5)
    assert long.equals(asked.search(0, "w " * 300, k=5))
