"""What chapters and systems need of a data set, and in words what it lacks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..config import Config, Profile
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, CATEGORIES, REC, SRC
from ..data.split import TEST, tasks_of
from ..errors import DataError
from ..models.registry import model_class
from .spec import resolve

LEAST = 20  # test rows of a task, below which no mean or test over them says anything
LEAST_USERS = 10  # among whom these are: estimates are held out by users, and so few can be split
# What a part of a chapter may need, as it is named where it is missing.
NEEDS = {
    REC: "recommendations",
    SRC: "searches",
    "texts": "titles or texts",
    "categories": "categories",
}


def tested_tasks(dataset: Dataset) -> list[str]:
    """``rec``, ``src`` or both: what can be trained and has `LEAST` test rows of `LEAST_USERS`.

    Raises:
        DataError: too few test rows, or too few users who have them, of each.
    """
    found = [task for task in tasks_of(dataset.rows) if not _too_few(dataset, task)]
    if not found:
        test = dataset.rows[TEST]
        counts = " and ".join(f"{len(test[task])} of {NEEDS[task]}" for task in BEHAVIORS)
        raise DataError(
            f"{dataset.name}: {counts} are left to test, and the chapters need {LEAST} of one of "
            f"them, of {LEAST_USERS} users; give more users, or lower data.min_interactions of the "
            f"profile."
        )
    return found


def _too_few(dataset: Dataset, task: str) -> str:
    """In words, how few test rows a task has, or how few users have them; empty if enough."""
    rows = dataset.rows[TEST][task].event
    users = len(np.unique(dataset.user[rows]))
    if len(rows) < LEAST:
        return (
            f"only {len(rows)} {NEEDS[task]} to test" if len(rows) else f"no {NEEDS[task]} to test"
        )
    return f"{NEEDS[task]} of only {users} users to test" if users < LEAST_USERS else ""


def lacks(dataset: Dataset, need: str) -> str:
    """In words, what the data lack of one of `NEEDS`; empty if they have it."""
    if need in BEHAVIORS:
        tested_tasks(dataset)  # raises where nothing can be tested
        untrained = "" if need in tasks_of(dataset.rows) else f"no {NEEDS[need]} to train on"
        return _too_few(dataset, need) or untrained
    values = {"texts": dataset.item_text, "categories": dataset.items[CATEGORIES]}
    return "" if any(values[need]) else f"no {NEEDS[need]}"


def obstacle(dataset: Dataset, model: str, options: Config) -> str:
    """Why a model cannot be trained or tested on the data, as a sentence ends; empty if it can."""
    cls = model_class(model)
    reason = cls.obstacle(dataset, options)
    if not reason and not cls.tasks & set(tested_tasks(dataset)):
        reason = "the data have " + " and ".join(lacks(dataset, task) for task in sorted(cls.tasks))
    return reason


def sorted_out(
    dataset: Dataset, profile: Profile, models: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Those of some models that the data allow, and sentences that say why not of the others."""
    found, left_out = [], {}
    for model in models:
        options, _ = resolve(profile, model)
        if reason := obstacle(dataset, model, options):
            left_out.setdefault(reason, []).append(model)
        else:
            found.append(model)
    sentences = []
    for reason, names in left_out.items():
        if len(names) == 1:
            sentences.append(f"The system {names[0]} is left out: {reason}.")
        else:
            sentences.append(f"The systems {', '.join(names)} are left out: {reason}.")
    return found, sentences
