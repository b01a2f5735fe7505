"""What can be known of the items of the pocket world: all of it, or what text or clicks tell.

A reader of `models.reader` sees items through one of these. What clicks tell is worked out by
somebody who knows the law and everybody's taste, from the clicks of the training part: more than
any trained table of vectors can know from them. I items, K topics, d directions, V words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from . import words as vocabulary
from .truth import Truth

_SHARED_WORDS = vocabulary.LABEL  # colours and materials, which all topics share
_OWN_WORDS = vocabulary.NO_WORD - vocabulary.LABEL  # words that a topic has for itself


@dataclass(frozen=True)
class Knowledge:
    """What is known of items.

    Attributes:
        topic: (I, K) probability of each topic.
        latent: (I, d) expected latent vector.
        words: (I, V) how far each word belongs to the item, 0 to 1.
    """

    topic: np.ndarray
    latent: np.ndarray
    words: np.ndarray


def law(truth: Truth) -> Knowledge:
    """The items as they are."""
    everything = np.arange(truth.config.n_items)
    return Knowledge(_one_hot(truth), truth.item_latent, _words_of(truth, everything))


def from_text(truth: Truth) -> Knowledge:
    """What the texts say: topic and words, and the directions that looks follow.

    Of an item without text nothing is known, and every topic is as likely as any other.
    """
    known = law(truth)
    silent = truth.silent[:, None]
    mean, _ = _looks(truth)
    return Knowledge(
        topic=np.where(silent, 1 / truth.config.topics, known.topic),
        latent=mean,
        words=np.where(silent, 0.0, known.words),
    )


def from_clicks(truth: Truth, rows: np.ndarray, use_text: bool = False) -> Knowledge:
    """What clicks tell of the items that they hit, beside their texts if these are read too.

    A click of a person with taste pi speaks for topic k by log pi[k]; a search says its topic in
    words, and is wrong by accident only. With the vectors v of those who clicked an item (their
    latent vectors times B / sqrt(d), or B' for a search) and a normal prior, its own is near::

        (Lambda + sum v v')^-1 (Lambda m + sum v)

    one step of Newton from 0, where m and Lambda are mean and precision before any click: 0 and 1,
    or what the looks in the text say. As words an item has those that led searches to it.

    Args:
        rows: (N,) numbers of simulated events, those of the training part.
    """
    c = truth.config
    n = c.n_items
    item = truth.clicked(rows)
    person = truth.person[rows]
    is_search = truth.is_search[rows]
    searched = is_search.nonzero()[0]
    speaks = np.log(truth.taste[person])  # (N, K)
    speaks[searched] = (
        np.log(c.topics / c.search_accident) * np.eye(c.topics)[truth.event_topic[rows[searched]]]
    )
    log_topic = _sums(item, speaks, n)
    topic = np.exp(log_topic - log_topic.max(axis=1, keepdims=True))
    topic /= topic.sum(axis=1, keepdims=True)
    strength = np.where(is_search, c.search_affinity, c.affinity)[:, None] / c.latent_dim**0.5
    taste = np.where(
        is_search[:, None],
        truth.tastes.src(person, truth.topic[item]),
        truth.tastes.rec(person, truth.topic[item]),
    )
    v = strength * taste  # (N, d)
    words = _sums(item[searched], _query_words(truth, rows[searched]), n)
    times = np.bincount(item[searched], minlength=n)[:, None]
    words = words / np.maximum(times, 1)
    mean, variance = _looks(truth)
    if not use_text:
        mean, variance = np.zeros_like(mean), np.ones_like(variance)
    precision = _sums(item, v[:, :, None] * v[:, None, :], n) + _diagonals(1 / variance)
    latent = np.linalg.solve(precision, (_sums(item, v, n) + mean / variance)[:, :, None])[:, :, 0]
    if not use_text:
        return Knowledge(topic, latent, words)
    text = from_text(truth)
    silent = truth.silent[:, None]
    return Knowledge(
        topic=np.where(silent, topic, text.topic),
        latent=latent,
        words=np.where(silent, words, text.words),
    )


def query_words(truth: Truth, texts: Sequence[str]) -> np.ndarray:
    """The known words of queries as typed, 0 or 1: (B,) strings to (B, V)."""
    table = vocabulary.word_table(truth.config.topics)[:, :-1]  # (K, 59)
    topics, codes = np.indices(table.shape)
    number = pd.Series(_number(topics, codes).ravel(), index=table.ravel())
    number = number[~number.index.duplicated()]  # a shared word stands in each topic
    typed = pd.Series(list(texts), dtype=object).str.split().explode().map(number).dropna()
    hot = np.zeros((len(texts), _n_words(truth)))
    hot[typed.index.to_numpy(), typed.to_numpy(dtype=np.int64)] = 1.0
    return hot


def topic_of_words(truth: Truth) -> np.ndarray:
    """Which topic each word belongs to, if to one alone: (V, K) of 0 and 1."""
    own = np.arange(_SHARED_WORDS, _n_words(truth))
    hot = np.zeros((_n_words(truth), truth.config.topics))
    hot[own, (own - _SHARED_WORDS) // _OWN_WORDS] = 1.0
    return hot


def _n_words(truth: Truth) -> int:
    return _SHARED_WORDS + _OWN_WORDS * truth.config.topics


def _number(topic: np.ndarray, code: np.ndarray) -> np.ndarray:
    """Number of a word among all V: shared ones first, then the own ones, topic by topic."""
    own = _SHARED_WORDS + _OWN_WORDS * topic + code - vocabulary.LABEL
    return np.where(code < _SHARED_WORDS, code, own)


def _hot(truth: Truth, topic: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Words of texts of topics (N,), codes (N, W), as rows of 0 and 1: (N, V)."""
    row, slot = np.nonzero(codes != vocabulary.NO_WORD)
    hot = np.zeros((len(codes), _n_words(truth)))
    hot[row, _number(topic[row], codes[row, slot].astype(np.int64))] = 1.0
    return hot


def _words_of(truth: Truth, items: np.ndarray) -> np.ndarray:
    return _hot(truth, truth.topic[items], truth.words[items])


def _query_words(truth: Truth, rows: np.ndarray) -> np.ndarray:
    return _hot(truth, truth.event_topic[rows], truth.query_codes[rows])


def _one_hot(truth: Truth) -> np.ndarray:
    return np.eye(truth.config.topics)[truth.topic]


def _looks(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the latent vectors (I, d) given the texts; 0 and 1 where these are mute.

    Colour and material are the ranks of rho z + sqrt(1 - rho^2) noise: the middle of a rank's bin
    stands for it.
    """
    c = truth.config
    rho = c.look_follows_taste
    mean = np.zeros_like(truth.item_latent)
    variance = np.ones_like(mean)
    slots = ((0, vocabulary.N_COLOURS, 0), (1, vocabulary.N_MATERIALS, vocabulary.N_COLOURS))
    for slot, count, first in slots:
        middle = [NormalDist().inv_cdf((bin + 0.5) / count) for bin in range(count)]
        direction = slot % c.latent_dim
        mean[:, direction] = rho * np.array(middle)[truth.words[:, slot].astype(int) - first]
        variance[:, direction] = 1 - rho**2 + 1e-6
    silent = truth.silent[:, None]
    return np.where(silent, 0.0, mean), np.where(silent, 1.0, variance)


def _diagonals(values: np.ndarray) -> np.ndarray:
    """Rows (I, d) as diagonal matrices (I, d, d)."""
    return values[:, :, None] * np.eye(values.shape[1])


def _sums(item: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Sum of the values (N, …) of each item: (n, …)."""
    total = np.zeros((n, *values.shape[1:]))
    np.add.at(total, item, values)
    return total
