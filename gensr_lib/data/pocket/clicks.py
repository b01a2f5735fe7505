"""How the pocket world draws wishes, queries and clicks in a topic; the law stands in `world`.

A search starts from a wish, an item that the user has in mind: its words make the query, and query
and taste choose the click, which need not be the wish. Wishes and clicks on items that the user
clicked before are rare, by the factor R = ``repeat``, so that each draw depends on all earlier
ones. One event after the other this would be slow; `_TopicClicks` draws all at once and repairs.
"""

from __future__ import annotations

import numpy as np

from . import words as vocabulary


def _shares(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Cumulative shares of weights (N, C), row r on [r, r + 1]: end to end they ascend."""
    total = np.cumsum(weights, axis=1)
    return total / total[:, -1:] + rows[:, None]  # (N, C)


def _draw(shares: np.ndarray, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Columns (E,) drawn from ``rows`` (E,) of shares (N, C), by one binary search for all."""
    n_columns = shares.shape[1]
    place = np.searchsorted(shares.ravel(), rows + uniform, side="right")
    return np.clip(place - rows * n_columns, 0, n_columns - 1)


def draw_each(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """One column for each row of the weights: (N, C), (N,) to (N,)."""
    rows = np.arange(len(weights))
    return _draw(_shares(weights, rows), rows, uniform)


def draw_clicks(
    world, tastes, person, topic, is_search, rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items (E,), query words (E, 4) and accidents (E,) of a block's events, topic by topic."""
    accident = is_search & (rng.random(len(person)) < world.config.search_accident)
    item = rng.integers(world.config.n_items, size=len(person))  # kept for accidents only
    words = np.full((len(person), 4), vocabulary.NO_WORD, dtype=np.uint8)
    order = np.argsort(topic, kind="stable")
    for events in np.split(order, np.flatnonzero(np.diff(topic[order])) + 1):
        k = topic[events[0]]
        meant = ~accident[events]
        present, row = np.unique(person[events], return_inverse=True)
        logits = world.logits(k, tastes, present)
        clicks = _TopicClicks(world, k, logits, row, is_search[events], meant, rng)
        clicks.draw()
        item[events[meant]] = world.members(k)[clicks.click[meant]]
        words[events] = clicks.words
    return item, words, accident


class _TopicClicks:
    """The wishes, queries and clicks of E events of one topic, sorted by user and time.

    A user here is a person: of an account that two people share, each repeats what is their own.

    Rejection sampling, exact. At first every wish and click is drawn from the full weights, as if
    nobody had clicked anything yet. Then pass after pass: a draw that hits an item which the same
    user clicked at an *earlier* event is a repeat; it stands with probability R (the coin is tossed
    when it is drawn) and is refused otherwise. Of each user only the first refusal is redrawn in a
    pass: everything before it is final, so it is known which items count R there, and it is drawn
    from these weights and stands for good. A refused wish draws its query anew, and so its click,
    whose coin is tossed again. A redrawn click changes what later events repeat; so the first
    clicks of that user are noted anew and the next pass looks again. Each pass fixes one draw of
    every user that has a refusal, so the passes end. An accident (the click on any item at all)
    neither repeats nor counts as a click of the user.
    """

    def __init__(self, world, k, logits, row, is_search, meant, rng):
        self.config = world.config
        self.rng = rng
        self.row = row  # (E,) the user of each event, as the two below
        self.is_search = is_search
        self.meant = meant
        self.item_words = world.words[world.members(k)]  # (n_k, 6)
        self.item_sets = vocabulary.word_sets(self.item_words)
        for_rec, self.for_src = logits  # (U_k, n_k) each
        users = np.arange(len(for_rec))
        self.searches = np.flatnonzero(is_search)
        # A recommendation draws from its user's row of click shares, a search from its own.
        self.source = row.copy()
        self.source[self.searches] = len(users) + np.arange(len(self.searches))
        self.wish_shares = _shares(np.exp(self.for_src), users)  # (U_k, n_k)
        self.click_shares = np.empty((len(users) + len(self.searches), for_rec.shape[1]))
        self.click_shares[users] = _shares(np.exp(for_rec), users)
        self.words = np.full((len(row), 4), vocabulary.NO_WORD, dtype=np.uint8)
        self.first = np.empty(for_rec.shape, dtype=np.int64)  # event of the first click, E if none
        self.wish = np.zeros_like(row)  # a column of the topic, as click
        self.click = np.zeros_like(row)
        self.wish_stands = np.zeros(len(row), dtype=bool)
        self.click_stands = np.zeros(len(row), dtype=bool)

    def draw(self) -> None:
        """Draw everything, then redraw refusals until none is left."""
        uniform = self.rng.random(len(self.searches))
        self.wish[self.searches] = _draw(self.wish_shares, self.row[self.searches], uniform)
        self._draw_queries(self.searches)
        self._draw_clicks(np.arange(len(self.row)))
        self._note_first_clicks(np.arange(len(self.for_src)))
        while True:
            refused_wish = self.is_search & ~self.wish_stands & self._repeats(self.wish)
            refused_click = self.meant & ~self.click_stands & self._repeats(self.click)
            refused = np.flatnonzero(refused_wish | refused_click)
            if not len(refused):
                return
            users, place = np.unique(self.row[refused], return_index=True)
            first = refused[place]
            self._redraw_wishes(first[refused_wish[first]])
            self._redraw_clicks(first[~refused_wish[first]])
            self._note_first_clicks(users)

    def _repeats(self, drawn: np.ndarray) -> np.ndarray:
        """Which events (E,) drew an item that their user had clicked at an earlier one."""
        return self.first[self.row, drawn] < np.arange(len(self.row))

    def _note_first_clicks(self, users: np.ndarray) -> None:
        """Write down anew when each of ``users`` first clicked each item."""
        self.first[users] = len(self.row)
        chosen = np.zeros(len(self.first), dtype=bool)
        chosen[users] = True
        events = np.flatnonzero(self.meant & chosen[self.row])[::-1]  # the earliest is written last
        self.first[self.row[events], self.click[events]] = events

    def _redraw_wishes(self, events: np.ndarray) -> None:
        self.wish[events] = self._draw_discounted(self.wish_shares[self.row[events]], events)
        self._draw_queries(events)
        self.wish_stands[events] = True
        self._draw_clicks(events)

    def _redraw_clicks(self, events: np.ndarray) -> None:
        self.click[events] = self._draw_discounted(self.click_shares[self.source[events]], events)
        self.click_stands[events] = True

    def _draw_discounted(self, shares: np.ndarray, events: np.ndarray) -> np.ndarray:
        """Columns (F,) from the weights behind ``shares`` (F, n_k), repeats counting R."""
        weights = np.diff(shares, axis=1, prepend=np.floor(shares[:, :1]))
        weights[self.first[self.row[events]] < events[:, None]] *= self.config.repeat
        return draw_each(weights, self.rng.random(len(events)))

    def _draw_queries(self, events: np.ndarray) -> None:
        """The queries of wishes just drawn, and the weights of the clicks that follow them."""
        self.wish_stands[events] = self.rng.random(len(events)) < self.config.repeat
        self.words[events] = _phrase(self.config, self.item_words[self.wish[events]], self.rng)
        overlap = vocabulary.word_sets(self.words[events]) @ self.item_sets.T  # (S, n_k)
        weights = np.exp(self.for_src[self.row[events]] + self.config.query_match * overlap)
        self.click_shares[self.source[events]] = _shares(weights, self.source[events])

    def _draw_clicks(self, events: np.ndarray) -> None:
        uniform = self.rng.random(len(events))
        self.click[events] = _draw(self.click_shares, self.source[events], uniform)
        self.click_stands[events] = self.rng.random(len(events)) < self.config.repeat


def _phrase(c, wished: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Queries (S, 4) of 1 to 4 words of the wished-for items' six (S, 6), in the order of a title.

    The noun or the label is always there, so that a query names its topic.
    """
    n = len(wished)
    heard = wished.copy()
    colours = (0, 0, vocabulary.N_COLOURS)
    materials = (1, vocabulary.N_COLOURS, vocabulary.N_MATERIALS)
    nouns = (3, vocabulary.FIRST_NOUN, vocabulary.N_NOUNS)
    for slot, first, count in (colours, materials, nouns):
        wrong = rng.random(n) < c.query_noise
        heard[wrong, slot] = first + rng.integers(count, size=wrong.sum())
    priority = rng.random(wished.shape)  # (S, 6)
    priority[np.arange(n), np.where(rng.random(n) < 0.7, 3, 2)] = -1
    length = rng.choice([1, 2, 3, 4], p=[0.1, 0.3, 0.4, 0.2], size=n)
    used = np.argsort(np.argsort(priority, axis=1), axis=1) < length[:, None]  # (S, 6)
    heard[~used] = vocabulary.NO_WORD
    return np.sort(heard, axis=1)[:, :4]
