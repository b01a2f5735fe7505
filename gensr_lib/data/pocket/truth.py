"""The click law of the pocket world as an oracle: exact probabilities and information.

The equations stand in `world`; here they are evaluated for any simulated event and any items.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...errors import DataError
from ..schema import REC, SRC
from . import words as vocabulary
from .tastes import Tastes


class Truth:
    """The exact click law of the simulated events, in `Tables.truth`.

    Attributes:
        config: the `PocketConfig`.
        taste: long-term shares of topics of people (P, K).
        tastes: the latent vectors of people, `Tastes`.
        item_latent, popularity, words, shown: z_i (I, d), a_i (I,), word numbers (I, 6), g_i (I,).
        topic: topic of each item (I,).
        silent: (I,) items without any text.
        person, is_search, event_topic, query_codes: of each simulated event (E,), words (E, 4).
    """

    def __init__(self, world, blocks):
        def join(name):
            return np.concatenate([getattr(block, name) for block in blocks])

        self.config = world.config
        self._world = world
        self.topic = world.topic
        self.item_latent = world.latent
        self.popularity = world.popularity
        self.words = world.words
        self.shown = world.shown
        self.silent = world.silent
        self.taste = join("taste")
        self.tastes = Tastes.joined([block.tastes for block in blocks])
        self._user = join("user")
        self.person = join("person")
        self._time = join("time")
        self.is_search = join("is_search")
        self.event_topic = join("topic").astype(np.int32)
        self.query_codes = join("words")
        self._rec_row = np.cumsum(~self.is_search) - 1  # (E,) row in _log_topic
        self._log_topic = join("log_topic")  # (R, K)
        self._accidents = join("accident")
        self._item = join("item")
        self._marked, self._marked_at = self._first_clicks()
        self._log_sum_rec, self._log_sum_src = self._log_sums()
        self._item_names = pd.Index(vocabulary.names("i", world.config.n_items))

    def _first_clicks(self) -> tuple[np.ndarray, np.ndarray]:
        """The clicked (person, item) pairs as ascending keys, the first event of each: (M,)."""
        meant = np.flatnonzero(~self._accidents)
        keys = self.person[meant] * self.config.n_items + self._item[meant]
        keys, first = np.unique(keys, return_index=True)
        return keys, meant[first]

    def _clicked_before(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Whether the person of events (B,) had clicked the items (B, C) before: bool (B, C)."""
        keys = self.person[rows, None] * self.config.n_items + items
        place = np.minimum(np.searchsorted(self._marked, keys), len(self._marked) - 1)
        return (self._marked[place] == keys) & (self._marked_at[place] < rows[:, None])

    def _log_sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Logs of the softmaxes' denominators: rec (R, K) for each topic; src (E,), 0 for rec."""
        c = self.config
        world = self._world
        recs = np.flatnonzero(~self.is_search)
        rec = np.zeros_like(self._log_topic)
        src = np.zeros(len(self._user))
        everyone = np.arange(len(self.taste))
        for k in range(c.topics):
            members = world.members(k)
            first = self._first_in_topic(k)
            for_rec, for_src = world.logits(k, self.tastes, everyone)  # (P, n_k)
            rec[:, k] = self._log_sum(for_rec[self.person[recs]], recs, first)
            asked = np.flatnonzero(self.is_search & (self.event_topic == k))
            overlap = world.overlap(self.query_codes[asked], members)
            score = for_src[self.person[asked]] + c.query_match * overlap
            src[asked] = self._log_sum(score, asked, first)
        return rec, src

    def _first_in_topic(self, k: int) -> np.ndarray:
        """Event at which each person first clicked each item of topic k, E if never: (P, n_k)."""
        person, item = np.divmod(self._marked, self.config.n_items)
        members = self._world.members(k)
        inside = self.topic[item] == k
        first = np.full((len(self.taste), len(members)), len(self._user))
        first[person[inside], np.searchsorted(members, item[inside])] = self._marked_at[inside]
        return first

    def _log_sum(self, score: np.ndarray, rows: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Log sum of exp(score) (B, n_k) where items clicked before count `repeat`: (B,)."""
        before = first[self.person[rows]] < rows[:, None]  # (B, n_k)
        return np.log((np.exp(score) * np.where(before, self.config.repeat, 1.0)).sum(axis=1))

    def rows(self, user_id, time, behavior) -> np.ndarray:
        """The numbers (B,) of simulated events given by user, second and behavior, (B,) each.

        Raises:
            DataError: an event that was not simulated.
        """
        user_id, behavior = (np.asarray(names, dtype=object) for names in (user_id, behavior))
        names = pd.Index(vocabulary.names("u", self.config.n_users))
        user = names.get_indexer(user_id)
        time = np.asarray(time, dtype=np.int64)
        first = self._time.min()
        span = np.ptp(self._time) + 1
        keys = self._user * span + (self._time - first)  # ascending
        row = np.minimum(np.searchsorted(keys, user * span + (time - first)), len(keys) - 1)
        same = (self._user[row] == user) & (self._time[row] == time)
        same &= self.is_search[row] == (behavior == SRC)
        if not same.all():
            b = int((~same).argmax())
            given = f"user '{user_id[b]}', time {time[b]}, behavior '{behavior[b]}' (row {b})"
            raise DataError(
                f"pocket: no simulated event of {given}; the truth fits only its own tables."
            )
        return row

    def clicked(self, rows: np.ndarray) -> np.ndarray:
        """The item (N,) that each simulated event (N,) clicked."""
        return self._item[rows]

    def item_index(self, item_ids) -> np.ndarray:
        """The numbers of items given by their ids, any shape.

        Raises:
            DataError: an id that is not in the catalogue.
        """
        ids = np.asarray(item_ids, dtype=object)
        found = self._item_names.get_indexer(ids.ravel())
        if (found < 0).any():
            name = ids.ravel()[(found < 0).argmax()]
            raise DataError(f"pocket: item '{name}' is not in the simulated catalogue.")
        return found.reshape(ids.shape)

    def log_prob(self, rows: np.ndarray, items: np.ndarray, static: bool = False) -> np.ndarray:
        """Exact log p(i | user, state, query) in nats: ``rows`` (B,), ``items`` (B, C) to (B, C).

        It ranks one clicked item among uniform ones as well as any scorer can. With ``static`` the
        recommendation law knows pi_u in place of the state: neither drift nor searches.
        """
        rows = np.asarray(rows)
        items = np.asarray(items)
        result = np.empty(items.shape)
        src = self.is_search[rows]
        result[src] = self._log_search(rows[src], items[src])
        result[~src] = self._log_recommendation(rows[~src], items[~src], static)
        return result

    def _log_repeat(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        before = self._clicked_before(rows, items)  # (B, C)
        return np.where(before, np.log(self.config.repeat), 0.0)

    def _affinity(self, taste: np.ndarray, items: np.ndarray) -> np.ndarray:
        """<u, i> of latent vectors (B, C, d) and items (B, C): (B, C)."""
        inner = np.einsum("bcd,bcd->bc", self.item_latent[items], taste)
        return inner / self.config.latent_dim**0.5

    def _log_recommendation(self, rows, items, static: bool) -> np.ndarray:
        c = self.config
        person = self.person[rows]
        topic = self.topic[items]  # (B, C)
        recs = self._rec_row[rows]
        log_topic = np.log(self.taste[person]) if static else self._log_topic[recs]  # (B, K)
        affinity = self._affinity(self.tastes.rec(person[:, None], topic), items)
        score = c.popularity * self.popularity[items] + c.affinity * affinity
        score += self.shown[items] + self._log_repeat(rows, items)
        topic_share = np.take_along_axis(log_topic - self._log_sum_rec[recs], topic, axis=1)
        return topic_share + score  # (B, C)

    def _log_search(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        c = self.config
        person = self.person[rows]
        asked = self.query_codes[rows][:, None, :, None]  # (B, 1, 4, 1)
        known = self.words[items][:, :, None, :]  # (B, C, 1, 6)
        overlap = (asked == known).any(axis=3).sum(axis=2)  # (B, C)
        affinity = self._affinity(self.tastes.src(person[:, None], self.topic[items]), items)
        score = c.query_match * overlap + c.search_popularity * self.popularity[items]
        score += c.search_affinity * affinity + self._log_repeat(rows, items)
        score -= self._log_sum_src[rows, None]
        own_topic = self.topic[items] == self.event_topic[rows, None]  # all others by accident only
        meant = np.where(own_topic, score + np.log1p(-c.search_accident), -np.inf)
        return np.logaddexp(meant, np.log(c.search_accident / c.n_items))

    def click_probability(
        self, rows: np.ndarray, items: np.ndarray, n_negatives: int
    ) -> np.ndarray:
        """P(Y = 1 | event, item), (B, C), when one click is mixed with n uniform negatives.

        Of the 1 + n items shown, one is drawn from p and n from 1 / I. By Bayes' rule
        P(Y=1 | i) = p / (p + n / I) = I p / (I p + n), a monotone function of p.
        """
        odds = np.exp(self.log_prob(rows, items)) * self.config.n_items  # (B, C)
        return odds / (odds + n_negatives)

    def information_by_event(self, rows: np.ndarray, n_negatives: int) -> np.ndarray:
        """I(item; Y | event) in nats of each event, (B,): the exact sum over the catalogue.

        With m(i) = (p(i) + n / I) / (1 + n) and h the binary entropy it is
        h(1 / (1 + n)) - sum_i m(i) h(P(Y=1 | i)).
        """
        everything = np.arange(self.config.n_items)
        result = np.empty(len(rows))
        n_parts = 1 + len(rows) * len(everything) // 200_000  # to bound the memory
        for part in np.array_split(np.arange(len(rows)), n_parts):
            items = np.broadcast_to(everything, (len(part), len(everything)))
            yes = self.click_probability(np.asarray(rows)[part], items, n_negatives)
            shown = n_negatives / len(everything) / (1 + n_negatives) / (1 - yes)  # m(i)
            result[part] = _entropy(1 / (1 + n_negatives)) - (shown * _entropy(yes)).sum(axis=1)
        return result

    def information(self, task: str, n_negatives: int, max_events: int = 2000) -> float:
        """I(X; Y) in nats of X = (user and state, query, item) and Y of `click_probability`.

        Y does not depend on the event, so I(X; Y) is the mean of `information_by_event`, here over
        at most ``max_events`` evenly spaced events of ``task`` ('rec' or 'src'). Its standard error
        is their standard deviation / sqrt(max_events): below 0.002 nats for 2000.

        Raises:
            DataError: an unknown task, or n_negatives below 1.
        """
        if task not in (REC, SRC) or n_negatives < 1:
            given = f"task '{task}' must be 'rec' or 'src', n_negatives={n_negatives} at least 1"
            raise DataError(f"pocket: {given}.")
        rows = np.flatnonzero(self.is_search == (task == SRC))
        spaced = np.linspace(0, len(rows) - 1, min(max_events, len(rows))).astype(np.int64)
        return float(self.information_by_event(rows[np.unique(spaced)], n_negatives).mean())


def _entropy(p) -> np.ndarray:
    """Entropy of a yes/no answer in nats, 0 at p = 0 and 1."""
    p = np.clip(p, 1e-300, 1 - 1e-16)
    return -p * np.log(p) - (1 - p) * np.log1p(-p)
