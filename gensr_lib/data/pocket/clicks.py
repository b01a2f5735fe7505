"""How the pocket world draws wishes, queries and clicks inside a topic; the law stands in `pocket`."""

from __future__ import annotations

import numpy as np

from . import words as vocabulary


def _shares(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Cumulative shares of weights (N, C), row r on [r, r + 1], so that rows laid end to end ascend."""
    total = np.cumsum(weights, axis=1)
    return total / total[:, -1:] + rows[:, None]  # (N, C)


def _draw(shares: np.ndarray, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Columns (E,) drawn from ``rows`` (E,) of shares (N, C), which may repeat; one binary search for all."""
    n_columns = shares.shape[1]
    column = np.searchsorted(shares.ravel(), rows + uniform, side="right") - rows * n_columns
    return np.clip(column, 0, n_columns - 1)


def draw_each(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """One column for each row of the weights: (N, C), (N,) to (N,)."""
    rows = np.arange(len(weights))
    return _draw(_shares(weights, rows), rows, uniform)


def draw_clicks(world, z_user, user, topic, is_search, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items (E,), query words (E, 4) and accidents (E,) of a block's events, topic by topic."""
    accident = is_search & (rng.random(len(user)) < world.config.search_accident)
    item = rng.integers(world.config.n_items, size=len(user))  # kept for accidents only
    words = np.full((len(user), 4), vocabulary.NO_WORD, dtype=np.uint8)
    order = np.argsort(topic, kind="stable")
    for events in np.split(order, np.flatnonzero(np.diff(topic[order])) + 1):
        k, meant = topic[events[0]], ~accident[events]
        present, row = np.unique(user[events], return_inverse=True)
        clicks = _TopicClicks(world, k, z_user[present], row, is_search[events], meant, rng)
        clicks.settle()
        item[events[meant]] = world.members(k)[clicks.column[meant]]
        words[events] = clicks.words
    return item, words, accident


class _TopicClicks:
    """The wishes, queries and clicks of E events of one topic, sorted by user and time.

    Exact by rejection: all are drawn from the full weights; an item that the user has already is then
    kept with probability R, else drawn again, now from the discounted weights. Only the first refusal
    of each user is redrawn in a pass, since all before it is then final. A refused wish changes its
    query, and so its click.
    """

    def __init__(self, world, k, z_user, row, is_search, meant, rng):
        self.config, self.row, self.is_search, self.meant, self.rng = world.config, row, is_search, meant, rng
        self.item_words = world.words[world.members(k)]  # (n_k, 6)
        self.item_sets = vocabulary.word_sets(self.item_words)
        for_rec, self.for_src = world.logits(k, z_user)  # (U_k, n_k)
        n_users, searches = len(z_user), np.flatnonzero(is_search)
        self.source = row.copy()  # (E,) the row of click shares: the user's for rec, one's own for src
        self.source[searches] = n_users + np.arange(len(searches))
        self.wish_shares = _shares(np.exp(self.for_src), np.arange(n_users))  # (U_k, n_k)
        self.click_shares = np.empty((n_users + len(searches), for_rec.shape[1]))
        self.click_shares[:n_users] = _shares(np.exp(for_rec), np.arange(n_users))
        self.words = np.full((len(row), 4), vocabulary.NO_WORD, dtype=np.uint8)
        self.first = np.empty((n_users, for_rec.shape[1]), dtype=np.int64)  # the event of the first click, E if none
        self.wish, self.column = np.zeros_like(row), np.zeros_like(row)
        self.wish_kept, self.click_kept = np.zeros(len(row), dtype=bool), np.zeros(len(row), dtype=bool)

    def settle(self) -> None:
        """Draw everything, then redraw refusals until none is left."""
        everything, n_users = np.arange(len(self.row)), len(self.for_src)
        searches = np.flatnonzero(self.is_search)
        self.wish[searches] = _draw(self.wish_shares, self.row[searches], self.rng.random(len(searches)))
        self._ask(searches)
        self._click(everything)
        self._mark(np.arange(n_users))
        while True:
            bad_wish = self.is_search & ~self.wish_kept & (self.first[self.row, self.wish] < everything)
            bad = bad_wish | (self.meant & ~self.click_kept & (self.first[self.row, self.column] < everything))
            refused = np.flatnonzero(bad)
            if not len(refused):
                return
            users, place = np.unique(self.row[refused], return_index=True)
            self._redraw(refused[place], bad_wish[refused[place]])
            self._mark(users)

    def _mark(self, users: np.ndarray) -> None:
        """Write down anew when each of ``users`` first clicked each item; accidents leave no mark."""
        self.first[users] = len(self.row)
        chosen = np.zeros(len(self.first), dtype=bool)
        chosen[users] = True
        events = np.flatnonzero(self.meant & chosen[self.row])[::-1]  # the earliest is written last
        self.first[self.row[events], self.column[events]] = events

    def _redraw(self, events: np.ndarray, is_wish: np.ndarray) -> None:
        wishes, clicks = events[is_wish], events[~is_wish]
        self.wish[wishes] = self._draw_discounted(self.wish_shares[self.row[wishes]], wishes)
        self._ask(wishes)
        self.wish_kept[wishes] = True
        self._click(wishes)
        self.column[clicks] = self._draw_discounted(self.click_shares[self.source[clicks]], clicks)
        self.click_kept[clicks] = True

    def _draw_discounted(self, shares: np.ndarray, events: np.ndarray) -> np.ndarray:
        weights = np.diff(shares, axis=1, prepend=np.floor(shares[:, :1]))  # (F, n_k)
        weights[self.first[self.row[events]] < events[:, None]] *= self.config.repeat
        return draw_each(weights, self.rng.random(len(events)))

    def _ask(self, events: np.ndarray) -> None:
        self.wish_kept[events] = self.rng.random(len(events)) < self.config.repeat
        self.words[events] = _phrase(self.config, self.item_words[self.wish[events]], self.rng)
        overlap = vocabulary.word_sets(self.words[events]) @ self.item_sets.T  # (S, n_k)
        weights = np.exp(self.for_src[self.row[events]] + self.config.query_match * overlap)
        self.click_shares[self.source[events]] = _shares(weights, self.source[events])

    def _click(self, events: np.ndarray) -> None:
        self.column[events] = _draw(self.click_shares, self.source[events], self.rng.random(len(events)))
        self.click_kept[events] = self.rng.random(len(events)) < self.config.repeat


def _phrase(c, wished: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Queries (S, 4) of 1 to 4 words of the wished-for items' six (S, 6), in the order of a title.

    The noun or the label is always there, so that a query names its topic.
    """
    n = len(wished)
    heard = wished.copy()
    pools = ((0, 0, vocabulary.N_COLOURS), (1, vocabulary.N_COLOURS, vocabulary.N_MATERIALS))
    for slot, first, count in (*pools, (3, vocabulary.FIRST_NOUN, vocabulary.N_NOUNS)):
        wrong = rng.random(n) < c.query_noise
        heard[wrong, slot] = first + rng.integers(count, size=wrong.sum())
    priority = rng.random(wished.shape)  # (S, 6)
    priority[np.arange(n), np.where(rng.random(n) < 0.7, 3, 2)] = -1
    length = rng.choice([1, 2, 3, 4], p=[0.1, 0.3, 0.4, 0.2], size=n)
    used = np.argsort(np.argsort(priority, axis=1), axis=1) < length[:, None]  # (S, 6)
    heard[~used] = vocabulary.NO_WORD
    return np.sort(heard, axis=1)[:, :4]
