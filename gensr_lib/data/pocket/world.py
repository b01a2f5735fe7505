"""The pocket world: a simulated platform with search and recommendation whose click law is known.

With topic k(i), log-popularity a_i and latent vector z_i of an item, long-term taste pi_u and
latent vectors of a user, <u, i> their product with z_i over sqrt(d) (`tastes`), own topic k and
words q of a query:

    rec:  p(i | u, t)    = softmax_k(l_ut)[k(i)] * softmax_{j in k(i)}(A a_j + B <u, j> + g_j)[i]
          l_ut[k]        = log pi_u[k] + D x_us . e_k + S h_ut[k] / (1 + h_ut[k])
    src:  p(i | u, q, k) = (1 - eps) [k(i) = k] softmax_{j in k}(s_uqj)[i] + eps / I
          s_uqj          = C |q & words_j| + A' a_j + B' <u, j>

where both item softmaxes add log R for each j that this user clicked before, under either behavior
(an accident, the eps part, leaves no such mark): repeats are rare, but never impossible. g_j is
log `HIDDEN_WEIGHT` for the items that recommendation hardly shows, else 0. x_us is a slow drift,
one step of an AR(1) process per visit s; h_ut[k] counts the earlier searches of topic k with
exponential decay. The topic of a search is drawn from a mixture of taste, all topics alike, and
the recent recommendation clicks, so that each behavior tells about the other. Which behavior comes
next depends on neither topic nor item. Where two people share an account, u is whoever is there:
each has a taste, latent vectors, recent searches and clicks of their own; the drift is the
account's. `truth.Truth` is this law as code.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from ...config import PocketConfig
from ..schema import (
    BEHAVIOR_CODES,
    CATEGORIES,
    INTERACTION_COLUMNS,
    ITEM,
    TEXT,
    TITLE,
    Tables,
    coded,
    name_codes,
)
from . import words as vocabulary
from .clicks import draw_clicks, draw_each
from .tastes import Tastes, people_per_account
from .truth import Truth

# Users that share one random generator: part of what a seed means, whatever the chunk size.
_BLOCK = 512
_EPOCH = 1_700_000_000  # seconds since 1970 at which the first users appear
HIDDEN_WEIGHT = 0.05  # of an item that recommendation hardly shows, beside 1 of all others
# Streams of random numbers beside the seed: what the dials add is drawn from streams of its own,
# so that a world with a dial at 0 is the same world without that dial.
_ITEMS, _USERS, _DIALS_OF_ITEMS, _DIALS_OF_USERS = range(4)


def simulate(config: PocketConfig | None = None, seed: int = 0) -> Tables:
    """Simulate a world and keep its law.

    Args:
        config: sizes and strengths; the calibrated default if None.
        seed: the same seed gives identical tables on the same numpy version.

    Returns:
        Tables as `schema.validate` would return them, with a `Truth` in ``truth``. Each search
        has one click and a ``session_id`` of its own.
    """
    world = _make_world(config or PocketConfig(), seed)
    n_blocks = -(-world.config.n_users // _BLOCK)
    blocks = [_simulate_block(world, seed, b) for b in range(n_blocks)]
    truth = Truth(world, blocks)
    tables = Tables(_event_table(world, blocks), _item_table(world), truth=truth, valid=True)
    return tables.count("simulated")


@dataclass
class _World:
    """The catalogue and what all users share. K topics, I items, d latent directions."""

    config: PocketConfig
    topic: np.ndarray  # (I,) int32
    order: np.ndarray  # (I,) items sorted by topic
    start: np.ndarray  # (K + 1,) where each topic begins in `order`
    popularity: np.ndarray  # (I,) log weight, mean 0 and sd 1
    latent: np.ndarray  # (I, d)
    words: np.ndarray  # (I, 6) uint8, the slots of `words.SLOTS`
    topic_weight: np.ndarray  # (K,) sums to 1
    loading: np.ndarray  # (K, 4) directions of the drift
    table: np.ndarray  # (K, 60) words as strings
    shown: np.ndarray  # (I,) g, log of how readily recommendation shows an item
    silent: np.ndarray  # (I,) bool, items without any text

    def members(self, k: int) -> np.ndarray:
        """The items of topic k, ascending."""
        return self.order[self.start[k] : self.start[k + 1]]

    def overlap(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Words that queries (S, 4) share with items (N,), as sets: (S, N)."""
        return vocabulary.word_sets(queries) @ vocabulary.word_sets(self.words[items]).T

    def logits(self, k: int, tastes: Tastes, people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unnormalised log weights of topic k's items for people (P,), without a query.

        Returns:
            those of recommendation and of search, (P, n_k) each.
        """
        c = self.config
        members = self.members(k)
        latent = self.latent[members].T / c.latent_dim**0.5  # (d, n_k)
        pop = self.popularity[members]
        rec = c.popularity * pop + c.affinity * (tastes.rec(people, k) @ latent)
        src = c.search_popularity * pop + c.search_affinity * (tastes.src(people, k) @ latent)
        return rec + self.shown[members], src


def _make_world(config: PocketConfig, seed: int) -> _World:
    rng = np.random.default_rng([seed, _ITEMS])
    dials = np.random.default_rng([seed, _DIALS_OF_ITEMS])
    n = config.n_items
    k = config.topics
    topic = (rng.permutation(n) % k).astype(np.int32)
    rank = rng.permutation(n) + 1
    latent = rng.standard_normal((n, config.latent_dim))  # (I, d)
    weight = (rng.permutation(k) + 1.0) ** -0.5
    return _World(
        config=config,
        topic=topic,
        order=np.argsort(topic, kind="stable"),
        start=np.concatenate([[0], np.cumsum(np.bincount(topic, minlength=k))]),
        popularity=-np.log(rank / n) - 1.0,
        latent=latent,
        words=_item_words(config, latent, rng),
        topic_weight=weight / weight.sum(),
        loading=rng.standard_normal((k, 4)) / 2.0,
        table=vocabulary.word_table(k),
        shown=np.where(dials.random(n) < config.rec_hidden, np.log(HIDDEN_WEIGHT), 0.0),
        silent=dials.random(n) < config.no_text,
    )


def _item_words(config: PocketConfig, latent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Words of all items (I, 6). Colour and material follow the first two latent directions.

    So titles and queries tell of taste.
    """
    n = len(latent)
    rho = config.look_follows_taste
    words = np.empty((n, len(vocabulary.SLOTS)), dtype=np.uint8)
    colours = (0, vocabulary.N_COLOURS)
    materials = (vocabulary.N_COLOURS, vocabulary.N_MATERIALS)
    for slot, (first, count) in enumerate([colours, materials]):
        noise = (1 - rho**2) ** 0.5 * rng.standard_normal(n)
        look = rho * latent[:, slot % config.latent_dim] + noise
        bounds = [NormalDist().inv_cdf(q / count) for q in range(1, count)]
        words[:, slot] = first + np.searchsorted(bounds, look)
    words[:, 2] = vocabulary.LABEL
    words[:, 3] = vocabulary.FIRST_NOUN + rng.integers(vocabulary.N_NOUNS, size=n)
    one = rng.integers(vocabulary.N_OCCASIONS, size=n)
    other = (one + rng.integers(1, vocabulary.N_OCCASIONS, size=n)) % vocabulary.N_OCCASIONS
    words[:, 4:] = vocabulary.FIRST_OCCASION + np.stack([one, other], axis=1)
    return words


@dataclass
class _Block:
    """Events of up to 512 users, by user and time; of the E events R are recommendations."""

    user: np.ndarray  # (E,) index of the user in the world
    person: np.ndarray  # (E,) index of the person: those of an account stand next to each other
    item: np.ndarray  # (E,)
    time: np.ndarray  # (E,) int64 seconds
    is_search: np.ndarray  # (E,) bool
    topic: np.ndarray  # (E,) of the click (rec) or the intent (src)
    words: np.ndarray  # (E, 4) uint8
    accident: np.ndarray  # (E,) bool, searches that clicked on any item
    session: np.ndarray  # (E,) int64
    tastes: Tastes  # of P people
    taste: np.ndarray  # (P, K)
    log_topic: np.ndarray  # (R, K) log softmax of l_ut


def _simulate_block(world: _World, seed: int, block: int) -> _Block:
    c = world.config
    rng = np.random.default_rng([seed, _USERS, block])
    dials = np.random.default_rng([seed, _DIALS_OF_USERS, block])
    first = block * _BLOCK
    n_users = min(_BLOCK, c.n_users - first)
    mean = c.n_events / c.n_users
    length = rng.integers(int(np.ceil(0.6 * mean)), c.most_events + 1, size=n_users)  # (U,)
    taste, own = _people(world, n_users, rng)  # (U, K), (U, d)
    is_search, new_visit, time = _occasions(c, n_users, rng)  # (U, T) each
    person = np.broadcast_to(np.arange(n_users)[:, None], is_search.shape)  # (U, T)
    per_account = people_per_account(c)
    if per_account > 1:
        others = _people(world, n_users, dials)
        taste, own = (_next_to(a, b) for a, b in zip((taste, own), others, strict=True))
        person = person * per_account + _who_visits(c, new_visit, dials)
    tastes = Tastes.draw(c, own, dials)
    active = np.arange(c.most_events) < length[:, None]  # (U, T)
    topic, log_topic = _topics(world, taste, person, is_search, new_visit, active, rng)
    user, step = np.nonzero(active)
    chosen = is_search[active]
    item, words, accident = draw_clicks(world, tastes, person[active], topic[active], chosen, rng)
    nth = np.cumsum(is_search, axis=1) - 1  # (U, T)
    session = np.where(chosen, (first + user) * c.most_events + nth[user, step], -1)
    return _Block(
        user=first + user,
        person=first * per_account + person[active],
        item=item,
        time=time[active],
        is_search=chosen,
        topic=topic[active],
        words=words,
        accident=accident,
        session=session,
        tastes=tastes,
        taste=taste,
        log_topic=log_topic,
    )


def _people(world: _World, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Taste over topics (n, K) and latent vector (n, d) of some people."""
    c = world.config
    taste = rng.gamma(c.favourites * world.topic_weight, size=(n, c.topics))
    taste /= taste.sum(axis=1, keepdims=True)  # a Dirichlet's shares
    taste = (1 - c.curiosity) * taste + c.curiosity / c.topics
    return taste, rng.standard_normal((n, c.latent_dim))


def _next_to(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rows of two tables (U, n) in turn: (2U, n)."""
    return np.stack([first, second], axis=1).reshape(-1, first.shape[1])


def _who_visits(c: PocketConfig, new_visit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whether the second person is there at each step: 0 or 1 (U, T), constant in a visit."""
    steps = np.arange(new_visit.shape[1])
    begun = np.maximum.accumulate(np.where(new_visit, steps, 0), axis=1)  # (U, T)
    is_second = rng.random(new_visit.shape) < c.second_person
    return np.take_along_axis(is_second, begun, axis=1).astype(np.int64)


def _occasions(
    c: PocketConfig, n_users: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Behavior, visits and seconds of every step, (U, T) each; a behavior rarely repeats."""
    shape = (n_users, c.most_events)
    after_search = c.search_share / 2  # P(search | search); the other one keeps the share
    after_rec = min(1.0, c.search_share * (1 - after_search) / (1 - c.search_share))
    uniform = rng.random(shape)
    is_search = np.zeros(shape, dtype=bool)
    is_search[:, 0] = uniform[:, 0] < c.search_share
    run = np.ones(n_users, dtype=np.int64)
    for t in range(1, shape[1]):
        last = is_search[:, t - 1]
        free = uniform[:, t] < np.where(last, after_search, after_rec)
        is_search[:, t] = np.where(run >= c.longest_run, ~last, free)
        run = np.where(is_search[:, t] == last, run + 1, 1)
    new_visit = rng.random(shape) < 1 / c.visit_length
    mean_gap = np.where(new_visit, 86_400.0, 60.0)  # a day between visits, a minute within
    gap = rng.exponential(mean_gap)
    time = _EPOCH + np.cumsum(1 + gap.astype(np.int64), axis=1)
    return is_search, new_visit, time


def _topics(
    world, taste, person, is_search, new_visit, active, rng
) -> tuple[np.ndarray, np.ndarray]:
    """Walk all users at once through the steps: topics (U, T), log p(topic) of rec (R, K)."""
    c = world.config
    decay = 0.5 ** (1 / world.config.half_life)
    topic = np.zeros(active.shape, dtype=np.int64)
    searched = np.zeros_like(taste)  # (P, K) decayed counts, as clicked
    clicked = np.zeros_like(taste)
    drift = rng.standard_normal((len(active), world.loading.shape[1]))  # (U, 4)
    log_topic = np.zeros((*active.shape, c.topics))  # (U, T, K)
    for t in range(active.shape[1]):
        moved = c.drift_memory * drift
        moved += (1 - c.drift_memory**2) ** 0.5 * rng.standard_normal(drift.shape)
        drift = np.where(new_visit[:, t, None], moved, drift)
        uniform = rng.random(len(active))
        rec = np.flatnonzero(active[:, t] & ~is_search[:, t])
        src = np.flatnonzero(active[:, t] & is_search[:, t])
        by_rec = person[rec, t]
        by_src = person[src, t]
        shift = c.search_shift * searched[by_rec] / (1 + searched[by_rec])  # (R_t, K)
        weight = np.exp(c.drift * drift[rec] @ world.loading.T + shift) * taste[by_rec]
        topic[rec, t] = draw_each(weight, uniform[rec])
        wishes = _search_mixture(c, taste[by_src], clicked[by_src])
        topic[src, t] = draw_each(wishes, uniform[src])
        log_topic[rec, t] = np.log(weight / weight.sum(axis=1, keepdims=True))
        searched *= decay
        clicked *= decay
        searched[by_src, topic[src, t]] += 1
        clicked[by_rec, topic[rec, t]] += 1
    return topic, log_topic[active & ~is_search]


def _search_mixture(c: PocketConfig, taste: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """Weights of topics of a search (R, K); before the first click, taste stands in for clicks."""
    total = clicked.sum(axis=1, keepdims=True)  # (R, 1)
    recent = np.where(total > 0, clicked / np.maximum(total, 1e-300), taste)
    return c.search_taste * taste + c.search_explore / c.topics + c.search_recent * recent


def _event_table(world: _World, blocks: list[_Block]) -> pd.DataFrame:
    c = world.config

    def join(name: str) -> np.ndarray:
        return np.concatenate([getattr(block, name) for block in blocks])

    is_search = join("is_search")
    query = np.full(len(is_search), "", dtype=object)
    topic = join("topic")[is_search]
    words = join("words")[is_search]
    query[is_search] = vocabulary.query_texts(world.table, topic, words)
    user = coded(join("user"), vocabulary.names("u", c.n_users))
    item = coded(join("item"), vocabulary.names("i", c.n_items))
    behavior = pd.Categorical.from_codes(is_search.astype(np.int8), dtype=BEHAVIOR_CODES)
    query = name_codes(pd.Series(query, dtype=object))
    columns = (
        user,
        item.remove_unused_categories(),
        join("time"),
        behavior,
        query,
        join("session"),
    )
    return pd.DataFrame(dict(zip(INTERACTION_COLUMNS, columns, strict=True)))


def _item_table(world: _World) -> pd.DataFrame:
    titles, paths, texts = vocabulary.item_texts(world.table, world.topic, world.words)
    names = vocabulary.names("i", world.config.n_items)
    said = {TITLE: titles, CATEGORIES: paths, TEXT: texts}
    said = {column: np.where(world.silent, "", value) for column, value in said.items()}
    return pd.DataFrame({ITEM: names, **said}).astype(object)
