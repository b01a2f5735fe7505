"""Floors against scikit-learn, ridge regressions, formulas by hand, and data that lack what they read."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from gensr_lib.config import DataConfig
from gensr_lib.data.dataset import Dataset
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.data.schema import Tables
from gensr_lib.data.words import Words
from gensr_lib.errors import ConfigError
from gensr_lib.models import build_model
from tests.worlds import TINY, keep_items, pocket, tables

FLOORS = ("category_count", "item_knn", "ease", "bm25", "query_lookup")
EVERYTHING = 10_000  # a history longer than any


def clicks_of(dataset: Dataset, *tasks: str) -> np.ndarray:
    """Training clicks as a dense table of zeros and ones (U, I + 1)."""
    table = np.zeros((dataset.n_users, dataset.n_items + 1))
    for row in np.concatenate([dataset.rows["train"][task].event for task in tasks]):
        table[dataset.user[row], dataset.item[row]] = 1
    return table


def whole_catalogue(dataset: Dataset, task: str, rows: int = 6, split: str = "test"):
    """The first rows of a split, each with all items as candidates, in order."""
    items = np.tile(keep_items(dataset), (rows, 1))
    return dataset.batch(split, task, np.arange(rows), items)


def histories(batch) -> list[set[int]]:
    """The distinct items of each row's history."""
    clicks = torch.cat([batch.rec_items, batch.ses_clicks.flatten(1)], dim=1)
    rows = [[item for item in row if item] for row in clicks.tolist()]
    assert any(len(set(row)) < len(row) for row in rows), "else nothing shows that each counts once"
    return [set(row) for row in rows]


def with_items(dataset_tables: Tables, **columns) -> Dataset:
    """A data set of tables in which some columns of the items are others."""
    return Dataset.from_tables(replace(dataset_tables, items=dataset_tables.items.assign(**columns)), TINY)


def shop() -> Tables:
    """Four users who click and search among six items, twice each, and the crowd of `tables`."""
    events = []
    for number, user in enumerate("abcd"):
        items = [f"i{(number + step) % 6}" for step in range(6)]
        events += [(user, item, 10 * t, "rec") for t, item in enumerate(items)]
        events += [(user, item, 10 * t + 5, "src", f"red {item}", 100 * number + t) for t, item in enumerate(items)]
    return tables(*events)


# --- against something independent -------------------------------------------------------------


@pytest.mark.parametrize("edges", ["rec", "both"])
def test_neighbours_are_those_of_scikit_learn(edges):
    dataset = pocket()
    model = build_model("item_knn", dataset, dict(edges=edges, neighbours=10_000, history=EVERYTHING))
    similarity = cosine_similarity(clicks_of(dataset, *(["rec", "src"] if edges == "both" else ["rec"])).T)
    np.fill_diagonal(similarity, 0)
    batch = whole_catalogue(dataset, "rec")
    expected = [similarity[sorted(seen)].sum(0)[1:] for seen in histories(batch)]
    assert np.allclose(model.score(batch), expected, atol=1e-5)


def test_only_the_most_similar_neighbours_count_and_shrinkage_is_in_the_denominator():
    dataset = pocket()
    model = build_model("item_knn", dataset, dict(neighbours=7, shrinkage=3))
    clicks = clicks_of(dataset, "rec", "src")
    together, users = clicks.T @ clicks, clicks.sum(0)
    similarity = together / (np.sqrt(np.outer(users, users)) + 3)
    np.fill_diagonal(similarity, 0)
    best = -np.sort(-similarity, axis=1)[:, :7]
    assert np.allclose(model.similarity, best, atol=1e-6)
    found = np.take_along_axis(similarity, model.neighbour.numpy(), axis=1)
    assert np.allclose(found * (best > 0), best, atol=1e-6)


def test_blocks_of_items_change_nothing(monkeypatch):
    whole = build_model("item_knn", pocket()).state_dict()
    monkeypatch.setattr("gensr_lib.models.floors.BLOCK", 17)
    assert all(
        torch.equal(value, whole[name]) for name, value in build_model("item_knn", pocket()).state_dict().items()
    )


def test_ease_is_a_ridge_regression_for_each_item_on_all_others():
    dataset = pocket()
    model = build_model("ease", dataset, dict(l2=5, history=EVERYTHING))
    clicks = clicks_of(dataset, "rec", "src")[:, 1:]
    expected = np.zeros((dataset.n_items, dataset.n_items))
    for item in range(dataset.n_items):
        others = np.arange(dataset.n_items) != item
        ridge = Ridge(alpha=5, fit_intercept=False).fit(clicks[:, others], clicks[:, item])
        expected[others, item] = ridge.coef_
    assert np.allclose(model.weights[1:, 1:], expected, atol=1e-6) and np.abs(expected).max() > 0.05
    assert not model.weights[0].any() and not model.weights[:, 0].any()
    batch = whole_catalogue(dataset, "src")
    rows = [expected[np.array(sorted(seen)) - 1].sum(0) for seen in histories(batch)]
    assert np.allclose(model.score(batch), rows, atol=1e-5)


def test_ease_of_two_items_by_hand():
    """Three users: {1, 2}, {1, 2}, {1}. b_12 = c_12 / (c_1 + l2) = 2 / (3 + l2), b_21 = 2 / (2 + l2)."""
    dataset = pocket()
    few = replace_edges(dataset, [0, 0, 1, 1, 2], [1, 2, 1, 2, 1])
    weights = build_model("ease", few, dict(l2=0.5)).weights
    assert weights[1, 2] == pytest.approx(2 / 3.5) and weights[2, 1] == pytest.approx(2 / 2.5)
    assert weights.count_nonzero() == 2


def replace_edges(dataset: Dataset, user, item) -> Dataset:
    """A data set of the same sizes with these training clicks."""
    copy = object.__new__(Dataset)
    copy.__dict__.update(dataset.__dict__)
    copy.training_edges = lambda behaviors: (np.array(user), np.array(item))
    return copy


def test_bm25_is_lucenes_formula():
    """Robertson and Walker's sum, word by word, over all items of the catalogue."""
    dataset = pocket()
    model = build_model("bm25", dataset, dict(k1=1.3, b=0.6, popularity=0))
    texts = [Counter(word_list(text)) for text in dataset.item_text[1:]]
    length = [sum(text.values()) for text in texts]
    mean = sum(length) / len(length)
    batch = whole_catalogue(dataset, "src")
    found = model.score(batch)
    for row, query in enumerate(batch.query_text):
        expected = []
        for text, words in zip(texts, length, strict=True):
            score = 0.0
            for word in word_list(query):
                having = sum(word in other for other in texts)
                idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
                score += idf * text[word] / (text[word] + 1.3 * (1 - 0.6 + 0.6 * words / mean))
            expected.append(score)
        assert np.allclose(found[row], expected, atol=1e-4)
    assert (found > 0).any(1).all()


def word_list(text: str) -> list[str]:
    """Words one after the other, repeated ones too."""
    words = Words(np.array([text], dtype=object))
    return list(words.distinct[words.code])


def test_a_word_said_twice_counts_twice():
    model = build_model("bm25", pocket(), dict(popularity=0))
    batch = whole_catalogue(pocket(), "src", rows=2)
    word = word_list(batch.query_text[0])[0]
    once, twice = model.score(replace(batch, query_text=(word, f"{word}, {word.upper()}")))
    assert torch.allclose(2 * once, twice) and once.max() > 0


def test_the_lookup_counts_pairs_of_query_and_item():
    dataset = pocket()
    model = build_model("query_lookup", dataset, dict(popularity=0.3))
    rows = dataset.rows["train"]["src"].event
    train = pd.DataFrame({"query": dataset.query_texts[dataset.query[rows]], "item": dataset.item[rows]})
    pairs = train.groupby(["query", "item"]).size()
    clicks = train.groupby("item").size()
    batch = whole_catalogue(dataset, "src", rows=20)
    found = model.score(batch).numpy()
    seen = 0
    for row, query in enumerate(batch.query_text):
        count = np.array([pairs.get((query, item), 0) for item in keep_items(dataset)])
        popular = np.array([clicks.get(item, 0) for item in keep_items(dataset)])
        assert np.allclose(found[row], np.log1p(count) + 0.3 * np.log1p(popular), atol=1e-5)
        seen += count.any()
    assert 0 < seen < 20, "some queries are new, some are not"


@pytest.mark.parametrize(
    ("history", "count"),
    [
        (3, {"i2": 1, "i3": 2, "i4": 1, "i5": 0, "i0": 0}),  # a search's i2, then i3 twice
        (20, {"i2": 2, "i3": 2, "i4": 2, "i5": 0, "i0": 4}),  # all eight, and padding
    ],
)
def test_category_counts_by_hand(history, count):
    """User a clicked i0 to i3, each of them twice: see `shop`. i4's first path is i2's; i5 has none."""
    kind = {"i2": "A > B", "i3": "A > C | A > B", "i4": "A > B | X", "i5": ""}
    source = shop()
    dataset = with_items(source, categories=[kind.get(name, "Z") for name in source.items["item_id"]])
    model = build_model("category_count", dataset, dict(history=history, popularity=0.5))
    number = {name: i for i, name in enumerate(dataset.item_ids)}
    row = dataset.user_ids[dataset.user[dataset.rows["test"]["rec"].event]].tolist().index("a")
    cand = np.array([[number[name] for name in ("i2", "i3", "i4", "i5", "i0")]])
    batch = dataset.batch("test", "rec", np.array([row]), cand)
    clicked = [dataset.item_ids[items[items > 0]].tolist() for items in (batch.rec_items[0], batch.ses_clicks[0, :, 0])]
    assert clicked == [["i0", "i1", "i2", "i3"]] * 2, "the history that the sums below are for"
    train = dataset.item_ids[dataset.item[dataset.rows["train"]["rec"].event]].tolist()
    expected = [math.log(1 + n) + 0.5 * math.log(1 + train.count(name)) for name, n in count.items()]
    assert model.score(batch)[0].tolist() == pytest.approx(expected, abs=1e-6)


# --- nothing that is held out, nothing that is not there ----------------------------------------


@pytest.mark.parametrize("name", FLOORS)
def test_no_held_out_event_influences_them(name):
    config = DataConfig(min_interactions=1)
    simulated = simulate(PocketConfig(n_users=60, n_items=220, n_events=2000), 0)
    first = Dataset.from_tables(simulated, config)
    events = first.events.astype(dict.fromkeys(["user_id", "item_id", "behavior", "query"], object))
    rng = np.random.default_rng(0)

    def shuffled(rows: np.ndarray) -> dict:
        """The state of the model when these events have their items and queries exchanged."""
        other = events.copy()
        other.loc[rows, "item_id"] = rng.permutation(other.loc[rows, "item_id"])
        searches = rows & first.is_search
        other.loc[searches, "query"] = rng.permutation(other.loc[searches, "query"])
        dataset = Dataset.from_tables(replace(simulated, interactions=other, valid=False), config)
        assert (dataset.item != first.item).any() and (dataset.split.cut_valid == first.split.cut_valid).all()
        return build_model(name, dataset).state_dict()

    expected = build_model(name, first).state_dict()
    held_out, training = ~first.rows_before_cut(), first.rows_before_cut()
    assert all(torch.equal(value, expected[key]) for key, value in shuffled(held_out).items())
    changed = shuffled(training)
    same = [v.shape == expected[k].shape and torch.equal(v, expected[k]) for k, v in changed.items()]
    assert not all(same), "training events do"


def test_items_without_text_score_by_popularity_alone():
    source = shop()
    bare = source.items["item_id"].isin(["i1", "i2"]).to_numpy(copy=True)
    title = np.where(bare, "", source.items["title"])
    dataset = with_items(source, title=title, categories="")
    batch = whole_catalogue(dataset, "src", rows=2)
    batch = replace(batch, query_text=("thing", "i3 thing"))
    text = build_model("bm25", dataset, dict(popularity=0)).score(batch)
    assert (text[:, bare] == 0).all() and (text[:, ~bare] > 0).all()
    # Lucene's N and mean length are of the items that have a text.
    n = (~bare).sum()
    words = [len(word_list(text)) for text in title[~bare]]
    alone = math.log(1 + 0.5 / (n + 0.5)) / (1 + 1.2 * (0.25 + 0.75 * words[0] * n / sum(words)))
    assert text[0, ~bare][0].item() == pytest.approx(alone, abs=1e-6)
    clicks = torch.log1p(torch.from_numpy(np.bincount(
        dataset.item[dataset.rows["train"]["src"].event], minlength=dataset.n_items + 1)))  # fmt: skip
    both = build_model("bm25", dataset, dict(popularity=2)).score(batch)
    assert torch.allclose(both, text + 2 * clicks[1:].float(), atol=1e-5)


def test_a_catalogue_without_any_text_and_unknown_words_give_ties():
    source = shop()
    silent = with_items(source, title="", categories="", text="")
    batch = whole_catalogue(silent, "src", rows=2)
    assert (build_model("bm25", silent, dict(popularity=0)).score(batch) == 0).all()
    dataset = pocket()
    batch = replace(whole_catalogue(dataset, "src", rows=3), query_text=("xyzzy plugh", "", "?!"))
    assert (build_model("bm25", dataset, dict(popularity=0)).score(batch) == 0).all()
    lookup = build_model("query_lookup", dataset, dict(popularity=1)).score(batch)
    assert torch.equal(lookup[0], lookup[1]) and lookup[0].max() > 0


@pytest.mark.parametrize("name", ["category_count", "item_knn", "ease"])
def test_users_without_history_get_popularity_or_ties(name):
    batch = whole_catalogue(pocket(), "rec", rows=3)
    empty = replace(batch, rec_items=batch.rec_items * 0, ses_clicks=batch.ses_clicks * 0)
    scores = build_model(name, pocket()).score(empty)
    assert torch.equal(scores[0], scores[1]) and torch.isfinite(scores).all()
    assert (scores.std() > 0) == (name == "category_count")


def test_without_categories_the_count_is_refused_and_the_rest_is_not():
    dataset = with_items(shop(), categories="")
    with pytest.raises(ConfigError, match=r"'category_count' cannot be made for tables: .* no item has one"):
        build_model("category_count", dataset)
    for name in set(FLOORS) - {"category_count"}:
        build_model(name, dataset)


def test_a_catalogue_too_large_for_ease_is_refused_with_its_size():
    n = pocket().n_items
    with pytest.raises(ConfigError, match=rf"'ease'.*{n} items takes 0\.0 GiB.*max_items is {n - 1}; raise max_items"):
        build_model("ease", pocket(), dict(max_items=n - 1))
    assert build_model("ease", pocket(), dict(max_items=n)).weights.shape == (n + 1, n + 1)
    many = replace_edges(pocket(), [0], [1])
    many.item_ids = np.zeros(100_001, dtype=object)
    with pytest.raises(ConfigError, match=r"100,000 items takes 223\.5 GiB"):  # 24 * 1e10 / 2^30
        build_model("ease", many)


def test_without_searches_queries_have_no_floor_and_without_recommendations_searches_are_learned():
    source = shop()
    events = source.interactions
    clicks = Dataset.from_tables(replace(source, interactions=events[events["behavior"] == "rec"]), TINY)
    for name in ("bm25", "query_lookup"):
        with pytest.raises(ConfigError, match=f"'{name}' cannot be made.*answers queries"):
            build_model(name, clicks)
    crowd = events["user_id"] == "~"
    searches = events.assign(
        behavior="src", query=events["query"].where(~crowd, "x"), session_id=np.arange(len(events))
    )[(events["behavior"] == "src") | crowd]
    found = Dataset.from_tables(replace(source, interactions=searches), TINY)
    for name in ("item_knn", "ease"):
        model = build_model(name, found, dict(edges="rec"))
        assert (model.score(whole_catalogue(found, "src", rows=2)) > 0).any()
    assert all(build_model(name, found).score(whole_catalogue(found, "src", rows=2)).std() > 0 for name in FLOORS)
