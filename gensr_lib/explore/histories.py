"""One user's history: a new user's events as a batch, and any history as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..config import Config
from ..data.batches import Batch, merge_order
from ..data.dataset import Dataset
from ..data.schema import BEHAVIOR, ITEM, QUERY, REC, SRC, TIME, TITLE


@dataclass(frozen=True)
class Event:
    """A click of a new user: an item by position, ``rec`` or ``src``, and the query of a search."""

    item: int
    behavior: str = REC
    query: str = ""


def event_batch(dataset: Dataset, task: str, events: Sequence[Event], query: str = "") -> Batch:
    """A batch of one new user without candidates, shaped as the data set's own; what is too old is left out."""
    config, width = dataset.config, dataset.ses_clicks.values.shape[1]
    rec = [(e.item, time) for time, e in enumerate(events, start=1) if e.behavior == REC][-config.history_rec :]
    sessions = _sessions(events, width)[-config.history_src :]
    rec_items, rec_time = np.zeros((2, 1, config.history_rec), dtype=np.int64)
    rec_items[0, : len(rec)], rec_time[0, : len(rec)] = [e[0] for e in rec], [e[1] for e in rec]
    clicks, time = np.zeros((1, config.history_src, width), dtype=np.int64), np.zeros((1, config.history_src), np.int64)
    words = np.zeros((1, config.history_src, dataset.query_word_ids.shape[1]), dtype=np.int64)
    for row, (text, items, last) in enumerate(sessions):
        clicks[0, row, : len(items)], time[0, row], words[0, row] = items, last, dataset.word_ids(text)[0]
    arrays = dict(
        user=np.zeros(1, dtype=np.int64), rec_items=rec_items, rec_time=rec_time, ses_words=words, ses_clicks=clicks,
        ses_time=time, merge_index=merge_order(rec_time, rec_items != 0, time, clicks[:, :, 0] != 0),
        query=dataset.word_ids(query), cand=np.zeros((1, 0), dtype=np.int64),
    )  # fmt: skip
    return Batch(task=task, query_text=(query,), **{name: torch.from_numpy(a).long() for name, a in arrays.items()})


def _sessions(events: Sequence[Event], width: int) -> list[tuple[str, list[int], int]]:
    """Query, items and time of the last click of each session; a session holds at most ``width`` clicks."""
    found: list[tuple[str, list[int], int]] = []
    before = Event(0)
    for time, event in enumerate(events, start=1):
        if event.behavior == SRC:
            goes_on = before.behavior == SRC and before.query == event.query and len(found[-1][1]) < width
            items = found.pop()[1] if goes_on else []
            found.append((event.query, [*items, event.item], time))
        before = event
    return found


def history_table(dataset: Dataset, batch: Batch, config: Config) -> pd.DataFrame:
    """The clicks of a one-row batch in the order of `merged_history`, with what is known of each.

    Args:
        config: of the model; its ``history`` and ``history_of``, where it has these, say how much it reads.
    """
    n_rec, clicks = batch.rec_items.shape[1], []
    for place in batch.merge_index[0].tolist():
        if place < n_rec:
            clicks.append((int(batch.rec_items[0, place]), REC, "", int(batch.rec_time[0, place])))
        else:
            words = batch.ses_words[0, place - n_rec].tolist()
            query, time = " ".join(dataset.words[w] for w in words if w), int(batch.ses_time[0, place - n_rec])
            clicks += [(item, SRC, query, time) for item in batch.ses_clicks[0, place - n_rec].tolist()]
    kept = getattr(config, "history_of", "both")
    clicks = [click for click in clicks if click[0] and kept in ("both", click[1])]
    clicks = clicks[-getattr(config, "history", len(clicks)) :]
    rows = [(dataset.item_ids[item], dataset.item_title[item], *rest) for item, *rest in clicks]
    return pd.DataFrame(rows, columns=[ITEM, TITLE, BEHAVIOR, QUERY, TIME])
