"""What data lack is said in words; a task needs test rows, and users who have them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gensr_lib.data.split import Rows
from gensr_lib.errors import DataError
from gensr_lib.experiments import needs
from gensr_lib.experiments.needs import LEAST, LEAST_USERS, lacks


def data(rec: tuple[int, int], src: tuple[int, int], train: tuple[int, int] = (5, 5)):
    """A data set of so many test rows, of so many users, in each task, and some training rows."""
    sizes = {"rec": rec, "src": src}
    user, test = [], {}
    for task, (rows, users) in sizes.items():
        events = np.arange(len(user), len(user) + rows)
        test[task] = Rows(events, events, None)
        user += [n % users for n in range(rows)]
    events = {task: np.arange(n) for task, n in zip(sizes, train, strict=True)}
    rows = {"train": {task: Rows(at, at, None) for task, at in events.items()}, "test": test}
    return SimpleNamespace(name="ours", rows=rows, user=np.array(user, dtype=int))


@pytest.mark.parametrize(
    ("rec", "src", "tasks", "lacking"),
    [
        ((LEAST, LEAST_USERS), (LEAST, LEAST_USERS), ["rec", "src"], ""),
        ((500, LEAST_USERS - 1), (LEAST, 12), ["src"], "recommendations of only 9 users to test"),
        ((LEAST - 1, 15), (LEAST, 12), ["src"], "only 19 recommendations to test"),
        ((0, 1), (LEAST, 12), ["src"], "no recommendations to test"),
    ],
)
def test_a_task_needs_rows_of_several_users(rec, src, tasks, lacking):
    dataset = data(rec, src)
    assert needs.tested_tasks(dataset) == tasks
    assert lacks(dataset, "rec") == lacking and lacks(dataset, "src") == ""


def test_a_task_that_is_never_trained_is_lacking():
    dataset = data((50, 20), (50, 20), train=(0, 5))
    assert needs.tested_tasks(dataset) == ["src"] and lacks(dataset, "rec") == "no recommendations to train on"


def test_too_few_of_both_is_an_error_with_the_counts():
    with pytest.raises(DataError, match=r"ours: 500 of recommendations and 3 of searches .* of 10 users"):
        needs.tested_tasks(data((500, 4), (3, 3)))
