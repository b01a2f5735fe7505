"""What a user did, as events and as the batch that a model reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.histories import merge_order
from ..data.schema import REC, SRC


class Event(NamedTuple):
    """A click of a new user: an item by position, ``rec`` or ``src``, and the query of a search."""

    item: int
    behavior: str = REC
    query: str = ""


def history_batch(dataset: Dataset, task: str, user: int, limit: int, query: str) -> Batch:
    """A one-row batch without candidates: a known user's history before a row of the log."""
    cand = np.zeros((1, 0), dtype=np.int64)
    words = dataset.word_ids(query)
    return dataset.make_batch(task, np.array([user]), np.array([limit]), cand, words, (query,))


def event_batch(dataset: Dataset, task: str, events: Sequence[Event], query: str = "") -> Batch:
    """The batch of a new user, whose event n happened at time n; what is too old is left out."""
    batch = history_batch(dataset, task, 0, 0, query)  # before the first row: all is padding
    clicks = [(event.item, time) for time, event in enumerate(events, 1) if event.behavior == REC]
    for place, (item, time) in enumerate(clicks[-batch.rec_items.shape[1] :]):
        batch.rec_items[0, place] = item
        batch.rec_time[0, place] = time
    sessions = _sessions(events, width=batch.ses_clicks.shape[2])
    for place, (text, items, time) in enumerate(sessions[-batch.ses_time.shape[1] :]):
        batch.ses_words[0, place] = torch.from_numpy(dataset.word_ids(text)[0])
        batch.ses_clicks[0, place, : len(items)] = torch.tensor(items)
        batch.ses_time[0, place] = time
    times = [time.numpy() for time in (batch.rec_time, batch.ses_time)]
    order = merge_order(times[0], times[0] > 0, times[1], times[1] > 0)
    return replace(batch, merge_index=torch.from_numpy(order))


def _sessions(events: Sequence[Event], width: int) -> list[tuple[str, list[int], int]]:
    """Query, items and time of the last click of each session, of at most ``width`` clicks."""
    found = []
    for (behavior, query), run in groupby(enumerate(events, 1), key=lambda timed: timed[1][1:]):
        clicks = list(run) if behavior == SRC else []
        for start in range(0, len(clicks), width):
            part = clicks[start : start + width]
            found.append((query, [event.item for _, event in part], part[-1][0]))
    return found
