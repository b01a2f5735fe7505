"""Filters, and the two ways to hold events out.

Each user's log is cut twice in time::

    ───────── train ─────────┃── validation ──┃──── test ────►  time
                         cut_valid         cut_test

Leave one out: the test event of a behavior is the user's last one, its validation event the last
one before `cut_test`. By days: all events of the log's last day are test events, those of the day
before are validation events, whoever's they are. The cuts are shared by both behaviors: nothing at
or after `cut_valid` is trained on or enters a LightGCN edge. So a twin (the search made from a
held-out purchase, or the purchase itself) is held out with it, and the three parts are disjoint in
time for every user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import DataError
from .schema import (
    BEHAVIOR,
    BEHAVIORS,
    ITEM,
    QUERY,
    REC,
    SRC,
    TIME,
    USER,
    Tables,
    count_events,
    count_line,
)

TRAIN, VALID, TEST = "train", "valid", "test"
SPLITS = (TRAIN, VALID, TEST)
MIN_TRAIN_SHARE = 0.5  # of a user's log: a behavior is held out only where as much is left


def k_core(tables: Tables, k: int, both_behaviors: bool = False) -> Tables:
    """Keep users and items with at least ``k`` interactions, repeatedly until all have them.

    A purchase and the search made from it are one interaction: they share user, item and time.
    Items that nobody is left to touch leave the table of items as well.

    Args:
        tables: as `schema.validate` returns them. Those that a loader has brought to this core
            already are returned as they are (`Tables.core`).
        both_behaviors: keep only users who have clicks of both behaviors left.
    """
    if tables.core == (k, both_behaviors):
        return tables
    events = tables.interactions
    codes = [events[column].cat.codes.to_numpy() for column in (USER, ITEM)]
    is_search = events[BEHAVIOR].eq(SRC).to_numpy()
    distinct = ~events.duplicated([USER, ITEM, TIME]).to_numpy()
    keep, step = core(*codes, is_search, distinct, k, both_behaviors)
    if not keep.all():
        events = events[keep].reset_index(drop=True)
        for column in (USER, ITEM, QUERY):
            events[column] = events[column].cat.remove_unused_categories()
    known = tables.items[ITEM].isin(events[ITEM].cat.categories)
    items = tables.items[known].reset_index(drop=True)
    counts = [*tables.counts, count_events(step, events)]
    return replace(
        tables, interactions=events, items=items, counts=counts, core=(k, both_behaviors)
    )


def core(
    user: np.ndarray,
    item: np.ndarray,
    is_search: np.ndarray,
    distinct: np.ndarray,
    k: int,
    both_behaviors: bool = False,
) -> tuple[np.ndarray, str]:
    """Which events (E,) are in the k-core, and what the table of counts calls the step.

    Args:
        user, item: (E,) codes from 0 on.
        is_search: (E,) which are searches.
        distinct: (E,) which count towards ``k``; all others go with their users and items.
    """
    keep = np.ones(len(user), dtype=bool)
    rounds = 0
    while True:
        left = keep.copy()
        for code in (user, item):
            counted = np.bincount(code[keep & distinct], minlength=code.max(initial=-1) + 1)
            left &= counted[code] >= k
        if both_behaviors:
            left &= with_both(user, is_search, keep)
        if left.sum() == keep.sum():
            break
        keep = left
        rounds = rounds + 1
    users = ", users with both behaviors" if both_behaviors else ""
    return keep, f"{k}-core{users}, {rounds} round{'s' * (rounds != 1)}"


def with_both(user: np.ndarray, is_search: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Whether the user of each event (E,) has events of both behaviors among those to ``keep``."""
    n_users = user.max(initial=-1) + 1
    has = [
        np.bincount(user[keep & kind], minlength=n_users) > 0 for kind in (is_search, ~is_search)
    ]
    return (has[0] & has[1])[user]


@dataclass
class Split:
    """Where each user's log is cut.

    Attributes:
        cut_valid, cut_test: (U,) row numbers in the sorted events: rows of the user before
            ``cut_valid`` are training; equal to the end of the user's log if nothing is held out.
        rows: ``rows[split][behavior]`` are the row numbers of the target events.
        too_short: (U,) users whose log is too short for the split: training only.
    """

    cut_valid: np.ndarray
    cut_test: np.ndarray
    rows: dict[str, dict[str, np.ndarray]]
    too_short: np.ndarray


def tasks_of(rows: Mapping[str, Mapping[str, Rows]]) -> list[str]:
    """The behaviors of a data set (`Dataset.rows`) that can be trained and tested."""
    return [task for task in BEHAVIORS if len(rows[TRAIN][task]) and len(rows[TEST][task])]


@dataclass(frozen=True)
class Rows:
    """The target events of one task in one split.

    Attributes:
        event: (N,) row numbers in the sorted events.
        limit: (N,) only events of the user before this row number may enter the history.
        negatives: (N, 99) stored negatives; None for training rows, whose negatives are redrawn.
    """

    event: np.ndarray
    limit: np.ndarray
    negatives: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.event)

    def taken(self, index: np.ndarray) -> Rows:
        """Some of the rows, by position."""
        negatives = None if self.negatives is None else self.negatives[index]
        return Rows(self.event[index], self.limit[index], negatives)


def leave_one_out(user: np.ndarray, time: np.ndarray, is_search: np.ndarray, n_users: int) -> Split:
    """Cut the log of each user as drawn at the top of this file.

    Args:
        user, time, is_search: (E,) events sorted by user, then time.
        n_users: users are numbered 0..n_users-1, each with at least one event.

    A behavior is held out for a user only if that leaves at least half of the user's events for
    training; otherwise (an old search, say) the other behavior alone is held out.
    """
    log = _Log(user, time, is_search, n_users)
    options = [_hold_out(log, kinds) for kinds in ((REC, SRC), (REC,), (SRC,))]
    # Each way to hold out is worked out for all users at once; then every user gets the first way
    # that is possible for them.
    chosen = np.full(n_users, -1)
    for number in (2, 1, 0):  # both behaviors if possible, else rec, else src
        chosen = np.where(options[number].possible, number, chosen)

    def pick(values, default):
        """Per user, the value of the chosen option."""
        return np.choose(chosen + 1, [default, *values])

    cut_valid = pick([o.cut_valid for o in options], log.ends)
    training = np.arange(len(user)) < cut_valid[user]
    train = {REC: np.flatnonzero(training & ~is_search), SRC: np.flatnonzero(training & is_search)}
    rows = {TRAIN: train, VALID: {}, TEST: {}}
    for split in (VALID, TEST):
        for behavior in BEHAVIORS:
            targets = [o.targets[split][behavior] for o in options]
            found = pick(targets, np.full(n_users, -1))
            rows[split][behavior] = found[found >= 0]
    return Split(cut_valid, pick([o.cut_test for o in options], log.ends), rows, chosen < 0)


def last_days(user: np.ndarray, day: np.ndarray, is_search: np.ndarray, n_users: int) -> Split:
    """Hold out all events of the log's last day (test) and of the day before (validation).

    Days are those on which something happened. A user may have many events to test on, or none;
    one who begins on these days is tested without any training event.

    Args:
        user, day, is_search: (E,) events sorted by user, then time.
        n_users: users are numbered 0..n_users-1.

    Raises:
        DataError: the log has fewer than three days.
    """
    days = np.unique(day)
    if len(days) < 3:
        advice = "hold out by split: leave-one-out"
        raise DataError(f"the log has {len(days)} days, and two are to be held out; {advice}.")
    part = np.searchsorted(days[-2:], day, side="right")  # 0 training, 1 validation, 2 test
    ends = [
        np.searchsorted(user, np.arange(n_users)) + np.bincount(user[part < p], minlength=n_users)
        for p in (1, 2)
    ]
    kinds = {REC: ~is_search, SRC: is_search}
    rows = {
        split: {behavior: np.flatnonzero((part == p) & kind) for behavior, kind in kinds.items()}
        for p, split in enumerate(SPLITS)
    }
    return Split(*ends, rows, too_short=np.zeros(n_users, dtype=bool))


class _Log:
    """The sorted events with, per user, where they start and end."""

    def __init__(self, user, time, is_search, n_users):
        self.user = user
        self.starts = np.searchsorted(user, np.arange(n_users), side="left")  # (U,)
        self.ends = np.searchsorted(user, np.arange(n_users), side="right")  # (U,)
        self.positions = {REC: np.flatnonzero(~is_search), SRC: np.flatnonzero(is_search)}
        new_moment = np.r_[True, (user[1:] != user[:-1]) | (time[1:] != time[:-1])]
        first = np.flatnonzero(new_moment)
        self.moment_start = first[np.cumsum(new_moment) - 1]  # (E,) its first row

    def last_before(self, behavior: str, limit: np.ndarray) -> np.ndarray:
        """Row of each user's last event of a behavior before row ``limit``: (U,), -1 if none."""
        rows = np.r_[-1, self.positions[behavior]]
        found = rows[np.searchsorted(rows, limit, side="left") - 1]  # limit >= 0 > rows[0]
        return np.where(found >= self.starts, found, -1)

    def earliest_moment(self, targets: list[np.ndarray], default: np.ndarray) -> np.ndarray:
        """First row of the earliest moment among the targets that exist: (U,)."""
        moments = [np.where(t >= 0, self.moment_start[t], default) for t in targets]
        return np.minimum.reduce(moments)


@dataclass
class _Option:
    """The cuts and targets (U,) of one way to hold out, and for whom it is possible."""

    cut_valid: np.ndarray
    cut_test: np.ndarray
    targets: dict[str, dict[str, np.ndarray]]
    possible: np.ndarray


def _hold_out(log: _Log, kinds: tuple[str, ...]) -> _Option:
    nothing = {b: np.full(len(log.ends), -1) for b in BEHAVIORS}
    tests = {b: log.last_before(b, log.ends) for b in kinds}
    cut_test = log.earliest_moment(list(tests.values()), log.ends)
    valids = {b: log.last_before(b, cut_test) for b in kinds}
    cut_valid = log.earliest_moment(list(valids.values()), cut_test)
    train_share = (cut_valid - log.starts) / (log.ends - log.starts)
    possible = (cut_valid < cut_test) & (cut_test < log.ends) & (train_share >= MIN_TRAIN_SHARE)
    return _Option(cut_valid, cut_test, {VALID: nothing | valids, TEST: nothing | tests}, possible)


@dataclass(frozen=True)
class GivenSplit:
    """A split that comes with the data, negatives and lengths of histories included.

    Attributes:
        split: the cuts, and the rows of the events that are targets.
        rows: ``rows[split][behavior]``, the same targets with their limits and negatives.
    """

    split: Split
    rows: dict[str, dict[str, Rows]]


def split_counts(
    rows: Mapping[str, Mapping[str, Rows]],
    split: Split,
    user: np.ndarray,
    item: np.ndarray,
    query: np.ndarray,
) -> list[dict[str, object]]:
    """A line of the table of counts for each split; ``user, item, query`` (E,) are the events'."""
    short = int(split.too_short.sum())
    notes = {TRAIN: f" ({short} users too short to hold out)"} if short else {}
    lines = []
    for name in SPLITS:
        events = [rows[name][task].event for task in BEHAVIORS]
        every = np.concatenate(events)
        is_search = np.arange(len(every)) >= len(events[0])
        step = f"{name} rows{notes.get(name, '')}"
        lines.append(count_line(step, is_search, user[every], item[every], query[every]))
    return lines
