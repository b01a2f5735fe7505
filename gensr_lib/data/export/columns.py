"""Columns of events and histories as Arrow arrays, made for a group of rows at a time.

Names stay numbers until Arrow puts the strings in their place: a data set of ten million events
never is a list of Python objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from ..dataset import Dataset
from ..schema import BEHAVIOR, BEHAVIORS, ITEM, QUERY, SESSION, TIME, USER
from ..split import Rows

ROWS = 1 << 17  # of a group of plain columns
LISTS = 1 << 13  # of a group with lists of a hundred names and more, or with whole texts


class Columns:
    """The columns of a data set's events, in its own names.

    Attributes:
        names: of users, items, queries and behaviors by number, as Arrow strings.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.names = {
            USER: pa.array(dataset.user_ids, pa.string()),
            ITEM: pa.array(dataset.item_ids, pa.string()),
            QUERY: pa.array(dataset.query_texts, pa.string()),
            BEHAVIOR: pa.array(BEHAVIORS, pa.string()),
        }

    def named(self, column: str, numbers: np.ndarray) -> pa.StringArray:
        """Names of a column by their numbers (N,)."""
        numbers = pa.array(numbers.astype(np.int32))
        return pa.DictionaryArray.from_arrays(numbers, self.names[column]).dictionary_decode()

    def of(self, event: np.ndarray) -> dict[str, pa.Array]:
        """The columns of `schema.INTERACTION_COLUMNS` at some rows of the log (N,)."""
        data = self.dataset
        return {
            USER: self.named(USER, data.user[event]),
            ITEM: self.named(ITEM, data.item[event]),
            TIME: pa.array(data.time[event]),
            BEHAVIOR: self.named(BEHAVIOR, data.is_search[event]),
            QUERY: self.named(QUERY, data.query[event]),
            SESSION: pa.array(data.session[event]),
        }


@dataclass(frozen=True)
class Seen:
    """The clicks that the histories of N rows hold, one row behind the other, oldest first.

    Attributes:
        counts: (N,) clicks of each row.
        item, is_search, query, time: of each click, as numbers. A click of a search has the query
            and the time of its session.
    """

    counts: np.ndarray
    item: np.ndarray
    is_search: np.ndarray
    query: np.ndarray
    time: np.ndarray

    def only(self, is_search: bool) -> Seen:
        """The clicks of one behavior."""
        kept = self.is_search == is_search
        row = np.repeat(np.arange(len(self.counts)), self.counts)
        counts = np.bincount(row[kept], minlength=len(self.counts))
        columns = (self.item, self.is_search, self.query, self.time)
        return Seen(counts, *(column[kept] for column in columns))


def seen(dataset: Dataset, rows: Rows, group: slice) -> Seen:
    """What a model of the book sees of the past of some rows: the fields of `Batch`, as clicks."""
    config = dataset.config
    user = dataset.user[rows.event[group]]
    limit = rows.limit[group]
    past = dataset.histories.before(user, limit, config.history_rec, config.history_src)
    clicks = past["ses_clicks"]  # (B, S, K)
    n_rec, k = past["rec_items"].shape[1], clicks.shape[2]
    # Both behaviors as steps of K clicks, of which a recommendation fills the first.
    wide = np.pad(past["rec_items"][:, :, None], ((0, 0), (0, 0), (0, k - 1)))  # (B, R, K)
    order = past["merge_index"]  # (B, R + S)
    item = np.take_along_axis(np.concatenate([wide, clicks], axis=1), order[:, :, None], axis=1)
    time = np.concatenate([past["rec_time"], past["ses_time"]], axis=1)
    query = np.pad(past["ses_query"], ((0, 0), (n_rec, 0)))  # 0 is the empty one
    real = item != 0  # (B, R + S, K)
    per_step = {
        "is_search": order >= n_rec,
        "query": np.take_along_axis(query, order, axis=1),
        "time": np.take_along_axis(time, order, axis=1),
    }
    found = {name: np.repeat(step, real.sum(axis=2).ravel()) for name, step in per_step.items()}
    return Seen(real.sum(axis=(1, 2)), item[real], **found)


def listed(values: pa.Array, counts: np.ndarray) -> pa.ListArray:
    """Lists of ``counts`` (N,) values each."""
    offsets = np.r_[0, np.cumsum(counts)].astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values)


def groups(n: int, size: int, what: str) -> Iterator[slice]:
    """The rows 0..n-1 in groups, at least one, with a progress bar that is called ``what``."""
    starts = tqdm(range(0, max(n, 1), size), what, leave=False, disable=None)
    return (slice(start, min(start + size, n)) for start in starts)
