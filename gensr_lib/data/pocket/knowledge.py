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
    topic = np.eye(truth.config.topics)[truth.topic]
    return Knowledge(topic, truth.item_latent, _hot(truth, truth.topic, truth.words))


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
    topic = _topic_of_clicks(truth, rows)
    words = _words_of_searches(truth, rows)
    if not use_text:
        nothing = np.zeros_like(truth.item_latent)
        return Knowledge(topic, _latent_of_clicks(truth, rows, nothing, nothing + 1), words)
    text = from_text(truth)
    silent = truth.silent[:, None]
    return Knowledge(
        topic=np.where(silent, topic, text.topic),
        latent=_latent_of_clicks(truth, rows, *_looks(truth)),
        words=np.where(silent, words, text.words),
    )


def _topic_of_clicks(truth: Truth, rows: np.ndarray) -> np.ndarray:
    """Probability of each topic of each item (I, K), as its clicks speak for it."""
    c = truth.config
    speaks = np.log(truth.taste[truth.person[rows]])  # (N, K)
    searched = np.flatnonzero(truth.is_search[rows])
    said = np.eye(c.topics)[truth.event_topic[rows[searched]]]
    # A click of the topic that was said is K / eps times as likely as one by accident.
    speaks[searched] = np.log(c.topics / c.search_accident) * said
    log_topic = _sums(truth.clicked(rows), speaks, c.n_items)
    topic = np.exp(log_topic - log_topic.max(axis=1, keepdims=True))
    return topic / topic.sum(axis=1, keepdims=True)


def _latent_of_clicks(
    truth: Truth, rows: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Expected latent vectors (I, d) from those who clicked, and what is known before (I, d)."""
    c = truth.config
    item = truth.clicked(rows)
    person = truth.person[rows]
    is_search = truth.is_search[rows][:, None]  # (N, 1)
    src = c.search_affinity * truth.tastes.src(person, truth.topic[item])
    rec = c.affinity * truth.tastes.rec(person, truth.topic[item])
    v = np.where(is_search, src, rec) / c.latent_dim**0.5  # (N, d)
    precision = _sums(item, v[:, :, None] * v[:, None, :], c.n_items) + _diagonals(1 / variance)
    total = _sums(item, v, c.n_items) + mean / variance
    return np.linalg.solve(precision, total[:, :, None])[:, :, 0]


def _words_of_searches(truth: Truth, rows: np.ndarray) -> np.ndarray:
    """Which share of the searches that led to each item had each word: (I, V)."""
    searched = rows[truth.is_search[rows]]
    item = truth.clicked(searched)
    times = np.bincount(item, minlength=truth.config.n_items)[:, None]
    hot = _hot(truth, truth.event_topic[searched], truth.query_codes[searched])
    return _sums(item, hot, truth.config.n_items) / np.maximum(times, 1)


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
