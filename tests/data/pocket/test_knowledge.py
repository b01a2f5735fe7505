"""What text and clicks tell of items, against loops, and against the items as they are."""

from __future__ import annotations

import numpy as np
import pytest

from gensr_lib.data.pocket import knowledge
from gensr_lib.data.pocket import words as vocabulary
from gensr_lib.data.pocket.world import PocketConfig, simulate

DIALS = {"topic_taste": 0.6, "second_person": 0.3, "own_search_taste": 0.2, "task_angle": 40}


@pytest.fixture(scope="module")
def tables():
    sizes = {"n_users": 300, "n_items": 120, "n_events": 12_000, "n_topics": 4}
    return simulate(PocketConfig(**sizes, **DIALS, rec_hidden=0.2, no_text=0.3), seed=1)


@pytest.fixture(scope="module")
def truth(tables):
    return tables.truth


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_text_tells_what_spoken_items_are_and_nothing_of_silent_ones(truth):
    known, real = knowledge.from_text(truth), knowledge.law(truth)
    spoken = ~truth.silent
    assert 0 < spoken.mean() < 1
    np.testing.assert_array_equal(known.topic[spoken], real.topic[spoken])
    np.testing.assert_array_equal(known.words[spoken], real.words[spoken])
    assert (known.topic[~spoken] == 1 / 4).all()
    assert not known.words[~spoken].any() and not known.latent[~spoken].any()
    assert agreement(known.latent[spoken, :2], real.latent[spoken, :2]) > 0.7  # rho is .8
    assert not known.latent[:, 2:].any()


def test_looks_are_the_mean_given_the_bin():
    """Mean and variance of many latent values whose look fell into a bin are its colour's."""
    truth = simulate(PocketConfig(n_items=30_000, n_users=10, n_events=200), seed=0).truth
    mean, variance = knowledge._looks(truth)
    for colour in (0, 5, 12, 23):
        same = truth.words[:, 0] == colour
        assert abs(truth.item_latent[same, 0].mean() - mean[same, 0][0]) < 0.1
        assert abs(truth.item_latent[same, 0].var() - variance[same, 0][0]) < 0.1


def test_clicks_against_loops(truth):
    rows = np.arange(0, len(truth.person), 3)
    found = knowledge.from_clicks(truth, rows)
    c = truth.config
    for item in (0, 7, 50):
        log_topic, total, precision = np.zeros(4), np.zeros(4), np.eye(4)
        for row in rows[truth.clicked(rows) == item]:
            p, k = truth.person[row], truth.topic[item]
            z = (1 - 0.6) ** 0.5 * truth.tastes.own[p] + 0.6**0.5 * truth.tastes.by_topic[p, k]
            if truth.is_search[row]:
                asked = truth.event_topic[row]
                log_topic[asked] += np.log(4 / c.search_accident)
                z = 0.8**0.5 * z + 0.2**0.5 * truth.tastes.search[p]
                v = c.search_affinity / 2 * truth.tastes.weights * z
            else:
                log_topic += np.log(truth.taste[p])
                v = c.affinity / 2 * z
            total, precision = total + v, precision + np.outer(v, v)
        expected = np.exp(log_topic) / np.exp(log_topic).sum()
        np.testing.assert_allclose(found.topic[item], expected, rtol=1e-9)
        np.testing.assert_allclose(found.latent[item], np.linalg.solve(precision, total))


def test_more_clicks_tell_more(truth):
    rows = np.arange(len(truth.person))
    real = knowledge.law(truth)
    few, many = (knowledge.from_clicks(truth, some) for some in (rows[::20], rows))
    assert agreement(few.latent, real.latent) < agreement(many.latent, real.latent)
    assert agreement(many.latent, real.latent) > 0.6
    assert (many.topic.argmax(axis=1) == truth.topic).mean() > 0.95


def test_text_and_clicks_together_tell_more_than_either(truth):
    rows = np.arange(len(truth.person))[::3]
    real = knowledge.law(truth).latent
    both = agreement(knowledge.from_clicks(truth, rows, use_text=True).latent, real)
    assert both > agreement(knowledge.from_clicks(truth, rows).latent, real)
    assert both > agreement(knowledge.from_text(truth).latent, real)


def test_items_that_nobody_clicked_are_unknown_to_clicks(truth):
    nothing = knowledge.from_clicks(truth, np.array([], dtype=np.int64))
    assert (nothing.topic == 1 / 4).all()
    assert not nothing.latent.any() and not nothing.words.any()


def test_words_of_queries_are_those_of_the_events(tables, truth):
    rows = np.flatnonzero(truth.is_search)[:50]
    typed = tables.interactions["query"].astype(str).to_numpy()[rows]
    words = knowledge.query_words(truth, typed)
    by_code = knowledge._hot(truth, truth.event_topic[rows], truth.query_codes[rows])
    np.testing.assert_array_equal(words, by_code)
    assert (words.sum(axis=1) == (truth.query_codes[rows] != vocabulary.NO_WORD).sum(axis=1)).all()
    topics = words @ knowledge.topic_of_words(truth)
    assert (topics.argmax(axis=1) == truth.event_topic[rows]).all()


def test_unknown_and_empty_queries_have_no_words(truth):
    assert not knowledge.query_words(truth, ["", "zzz qqq"]).any()
