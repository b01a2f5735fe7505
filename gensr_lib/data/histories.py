"""Histories: what each user did before a given row, by behavior, as ragged arrays.

Recommendation clicks and search sessions are kept apart, since models read them apart; a batch
takes the last few of each, and `merge_order` says how the two interleave in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Ragged:
    """Rows of varying length: row r holds ``values[offsets[r]:offsets[r + 1]]``.

    >>> history = Ragged(np.array([7, 8, 9]), np.array([0, 2, 3]))
    >>> history.last(np.array([0, 1]), np.array([2, 3]), 2)
    array([[7, 8],
           [9, 0]])
    """

    values: np.ndarray
    offsets: np.ndarray

    def last(self, row: np.ndarray, end: np.ndarray, n: int) -> np.ndarray:
        """The last ``n`` values of each row before position ``end``, right-padded with 0.

        Args:
            row, end: (B,) each.

        Returns:
            (B, n, ...)
        """
        start = np.maximum(self.offsets[row], end - n)  # (B,)
        at = start[:, None] + np.arange(n)  # (B, n)
        inside = at < end[:, None]
        if not len(self.values):
            return np.zeros((*at.shape, *self.values.shape[1:]), self.values.dtype)
        taken = self.values[np.minimum(at, len(self.values) - 1)]
        return taken * inside.reshape(*inside.shape, *(1,) * (taken.ndim - 2))


@dataclass(frozen=True)
class Histories:
    """The recommendation clicks (N) and search sessions (S) of all users, by user and time.

    A session is the search clicks of one user with one session id, and stands where its *last*
    click does: one that is not over when the target happens must not be seen.

    Attributes:
        rec_row, ses_row: (N,), (S,) row of the log at which each click, each session, is over.
        rec_items, rec_time: of each click.
        ses_clicks: (S, K) items of each session, its first clicks, padded with 0.
        ses_time, ses_query: of each session.
    """

    rec_row: np.ndarray
    ses_row: np.ndarray
    rec_items: Ragged
    rec_time: Ragged
    ses_clicks: Ragged
    ses_time: Ragged
    ses_query: Ragged

    @classmethod
    def of_log(
        cls, user, item, time, is_search, query, session, n_users: int, session_clicks: int
    ) -> Histories:
        """The histories of a log.

        Args:
            user, item, time, is_search, query, session: (E,) events sorted by user, then time.
            session_clicks: how many clicks of a session are kept.
        """
        users = np.arange(n_users + 1)
        rec = np.flatnonzero(~is_search)
        rec_starts = np.searchsorted(user[rec], users)
        ses, clicks = _sessions(user, item, is_search, session, session_clicks)
        ses_starts = np.searchsorted(user[ses], users)
        return cls(
            rec_row=rec,
            ses_row=ses,
            rec_items=Ragged(item[rec], rec_starts),
            rec_time=Ragged(time[rec], rec_starts),
            ses_clicks=Ragged(clicks, ses_starts),
            ses_time=Ragged(time[ses], ses_starts),
            ses_query=Ragged(query[ses], ses_starts),
        )

    def before(self, user: np.ndarray, limit: np.ndarray, n_rec: int, n_src: int) -> dict:
        """The newest ``n_rec`` clicks and ``n_src`` sessions of users (B,) before rows (B,).

        Returns:
            The history's fields of `Batch` by name, but for ``ses_words``; and ``ses_query``
            (B, S), the sessions' queries by number.
        """
        rec_end = np.searchsorted(self.rec_row, limit)
        ses_end = np.searchsorted(self.ses_row, limit)
        found = {
            "rec_items": self.rec_items.last(user, rec_end, n_rec),
            "rec_time": self.rec_time.last(user, rec_end, n_rec),
            "ses_clicks": self.ses_clicks.last(user, ses_end, n_src),
            "ses_time": self.ses_time.last(user, ses_end, n_src),
            "ses_query": self.ses_query.last(user, ses_end, n_src),
        }
        real_clicks = found["rec_items"] != 0
        real_sessions = found["ses_clicks"][:, :, 0] != 0
        found["merge_index"] = merge_order(
            found["rec_time"], real_clicks, found["ses_time"], real_sessions
        )
        return found


def _sessions(user, item, is_search, session, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the last clicks of all sessions, ascending (S,), and their first items (S, K)."""
    src = np.flatnonzero(is_search)
    number, distinct = pd.factorize(session[src])
    _, number = np.unique(user[src] * len(distinct) + number, return_inverse=True)
    last = np.zeros(number.max(initial=-1) + 1, dtype=np.int64)
    last[number] = src  # ascending, so that the last click of each session stays
    order = np.argsort(last[number], kind="stable")  # sessions by their last click, clicks by row
    ses_row, number = np.unique(last[number[order]], return_inverse=True)
    place = np.arange(len(src)) - np.searchsorted(number, number)  # of a click in its session
    kept = place < most
    items = np.zeros((len(ses_row), most), dtype=np.int32)
    items[number[kept], place[kept]] = item[src[order[kept]]]
    used = max(1, int((items != 0).any(axis=0).sum()))  # no columns that nothing fills
    return ses_row, items[:, :used]


def merge_order(
    rec_time: np.ndarray, rec_real: np.ndarray, ses_time: np.ndarray, ses_real: np.ndarray
) -> np.ndarray:
    """Permutation (B, R + S) that sorts [rec ; sessions] by time, padding last; ties keep order."""
    time = np.concatenate([rec_time, ses_time], axis=1)
    real = np.concatenate([rec_real, ses_real], axis=1)
    by_time = np.argsort(time, axis=1, kind="stable")
    padding = ~np.take_along_axis(real, by_time, axis=1)
    padding_last = np.argsort(padding, axis=1, kind="stable")
    return np.take_along_axis(by_time, padding_last, axis=1)
