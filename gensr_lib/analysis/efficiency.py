"""What training and ranking cost, as ratios between systems measured in one run.

Seconds are those of a machine and of what else it does; the ratio of two systems that are timed in
turn, repeat by repeat, is a property of the systems. Weights do not matter: untrained models do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
import torch

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS
from ..data.split import TEST, TRAIN
from ..errors import ConfigError
from ..models.base import RankingModel

Call = Callable[[], object]


def timed(calls: Mapping[str, Call], repeats: int = 3) -> pd.DataFrame:
    """Seconds of each call, (repeats, calls): all calls in turn in each repeat, after one for each
    that does not count.

    Raises:
        ConfigError: fewer than one repeat.
    """
    if repeats < 1:
        raise ConfigError(f"repeats is {repeats}; it must be 1 or more")
    for call in calls.values():
        call()
    return pd.DataFrame([{name: _seconds(c) for name, c in calls.items()} for _ in range(repeats)])


def ratios(seconds: pd.DataFrame, to: str) -> pd.Series:
    """Median over repeats of each call's seconds over those of one call in the same repeat."""
    return seconds.div(seconds[to], axis=0).median()


def costs(
    models: Mapping[str, RankingModel],
    dataset: Dataset,
    to: str,
    *,
    rows: int = 32,
    negatives: int = 9,
    repeats: int = 3,
) -> pd.DataFrame:
    """What systems cost in training and in ranking, a row each.

    Columns: trained ``parameters``; ``candidates per second``, of training rows of both tasks,
    loss and gradient; ``ms per query``, to rank the stored candidates of a test row; and
    ``training`` and ``ranking``, the same as multiples of one system's.

    Args:
        models: by name; their modes are restored.
        to: name of the system that the others are multiples of.
        rows: of each task in a timed batch.
        negatives: of each training row.
    """
    tasks = [t for t in BEHAVIORS if all(t in m.tasks for m in models.values())]
    tasks = [t for t in tasks if min(len(dataset.rows[s][t]) for s in (TRAIN, TEST))]
    lessons = [_training_batch(dataset, task, rows, negatives) for task in tasks]
    asked = [_test_batch(dataset, task, rows) for task in tasks]
    trained = timed({n: _training_call(m, lessons) for n, m in models.items()}, repeats)
    ranked = timed({n: _ranking_call(m, asked) for n, m in models.items()}, repeats)
    candidates = sum(batch.cand.numel() for batch in lessons)
    queries = sum(len(batch) for batch in asked)
    sizes = {name: model.trained_parameters for name, model in models.items()}
    return pd.DataFrame(
        {
            "parameters": pd.Series(sizes),
            "candidates per second": candidates / trained.median(),
            "training": ratios(trained, to),
            "ms per query": ranked.median() / queries * 1e3,
            "ranking": ratios(ranked, to),
        }
    ).rename_axis("system")


def growth(
    models: Mapping[str, RankingModel],
    dataset: Dataset,
    task: str,
    candidates: Iterable[int],
    *,
    rows: int = 8,
    repeats: int = 3,
) -> pd.DataFrame:
    """Milliseconds to rank so many items for one test row, (candidates, models).

    Where the stored candidates are fewer, items of the catalogue in the order of their numbers
    follow, and then the first ones again: what an item is does not matter to the time.
    """
    batch = _test_batch(dataset, task, rows)
    found = {}
    for n in candidates:
        more = (torch.arange(n) % dataset.n_items + 1).expand(len(batch), -1)
        asked = batch.with_candidates(torch.cat([batch.cand, more], dim=1)[:, :n])
        seconds = timed({name: _ranking_call(m, [asked]) for name, m in models.items()}, repeats)
        found[n] = seconds.median() / len(batch) * 1e3
    return pd.DataFrame(found).T.rename_axis("candidates")


def _training_batch(dataset: Dataset, task: str, rows: int, negatives: int) -> Batch:
    own = dataset.rows[TRAIN][task]
    index = np.arange(min(rows, len(own)))
    drawn = dataset.training_negatives(task, negatives, (0, 0))[index]
    return dataset.batch(TRAIN, task, index, np.c_[dataset.item[own.event[index]], drawn])


def _test_batch(dataset: Dataset, task: str, rows: int) -> Batch:
    return dataset.batch(TEST, task, np.arange(min(rows, len(dataset.rows[TEST][task]))))


def _training_call(model: RankingModel, batches: list[Batch]) -> Call:
    def call() -> None:
        was_training = model.training
        model.train()
        sum(sum(model.loss(batch).values()) for batch in batches).backward()
        model.zero_grad()
        model.train(was_training)
        _wait(model)

    return call


def _ranking_call(model: RankingModel, batches: list[Batch]) -> Call:
    @torch.no_grad()
    def call() -> None:
        was_training = model.training
        model.eval()
        for batch in batches:
            model.score(batch)
        model.train(was_training)
        _wait(model)

    return call


def _wait(model: RankingModel) -> None:
    if str(model.device).startswith("cuda"):
        torch.cuda.synchronize()


def _seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
