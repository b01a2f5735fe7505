"""The click law of a data set: the truth in our numbers, and Bayes' rule over lists of candidates."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.law import ClickLaw
from gensr_lib.errors import DataError
from tests.worlds import TINY, pocket, tables, twin_events

P = np.array([0.3, 0.05, 0.2, 0.25, 0.15, 0.05])  # of the items 1 to 6 of the world below


class Known:
    """As much of a truth as the law looks at: the same p for every event."""

    def rows(self, user, time, behavior):
        return np.arange(len(user))

    def item_index(self, item_ids):
        return np.array([int(name[1:]) for name in item_ids])

    def log_prob(self, rows, items):
        return np.log(P[items])


def world(*items: int) -> SimpleNamespace:
    """One user who clicked the items in turn; the catalogue lists the six items backwards."""
    ids = np.array(["", *(f"i{n}" for n in reversed(range(6)))], dtype=object)
    log = {"user": np.zeros(len(items), int), "item": np.array(items), "time": np.arange(len(items))}
    return SimpleNamespace(
        name="known", truth=Known(), user_ids=np.array(["u"]), item_ids=ids, n_items=6,
        is_search=np.zeros(len(items), bool), **log,
    )  # fmt: skip


def lists_by_bayes(touched: set[int], n: int) -> dict[frozenset, np.ndarray]:
    """P(click | set of 1 + n candidates), over all clicks and all negatives: (6,) for each set."""
    found = defaultdict(lambda: np.zeros(6))
    for click in range(1, 7):
        free = [item for item in range(1, 7) if item not in touched | {click}]
        for negatives in combinations(free, n):
            found[frozenset({click, *negatives})][click - 1] += P[6 - click] / comb(len(free), n)
    return {names: weight / weight.sum() for names, weight in found.items()}


@pytest.mark.parametrize("others", [(), (2,), (2, 5, 5)])
def test_shares_are_what_bayes_rule_says_of_every_possible_list(others):
    for names, exact in lists_by_bayes(set(others), n=2).items():
        for click in names:
            if exact[click - 1] > 0:
                law = ClickLaw(world(*others, click))
                candidates = np.array([[click, *(names - {click})]])
                share = law.click_shares(np.array([len(others)]), candidates)
                assert share[0] == pytest.approx(exact[candidates[0] - 1], abs=1e-12)


def test_the_law_of_the_pocket_world_in_the_numbers_of_the_data_set():
    data = pocket()
    events = np.array([0, 7, len(data.user) - 1])
    items = np.array([[1, 5], [2, data.n_items], [9, 3]])
    for event, row, found in zip(events, items, data.law.log_prob(events, items), strict=True):
        named = [data.user_ids[data.user[event]]], [data.time[event]], ["src" if data.is_search[event] else "rec"]
        exact = data.truth.log_prob(data.truth.rows(*named), data.truth.item_index(data.item_ids[row])[None])
        assert found == pytest.approx(exact[0], abs=1e-12)


@pytest.mark.parametrize("task", ["rec", "src"])
def test_shares_of_the_pocket_world_are_those_of_p(task):
    data = pocket()
    event = data.rows["test"][task].event
    candidates = np.concatenate([data.item[event][:, None], data.rows["test"][task].negatives], axis=1)
    shares = data.law.click_shares(event, candidates)
    p = np.exp(data.law.log_prob(event, candidates))
    known = np.array([((data.user == data.user[e]) & (data.item == data.item[e])).sum() > 1 for e in event])
    assert shares[~known] == pytest.approx((p / p.sum(axis=1, keepdims=True))[~known])
    assert (shares[known] == (np.arange(candidates.shape[1]) == 0)).all()


def test_without_a_truth_there_is_no_law():
    data = Dataset.from_tables(tables(*twin_events("a"), *twin_events("b")), TINY, name="mine")
    with pytest.raises(DataError, match="mine: the click law is known of simulated worlds only"):
        _ = data.law
