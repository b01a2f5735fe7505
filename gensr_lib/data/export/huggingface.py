"""A folder that `datasets.load_dataset` reads: Parquet files, and a card that names them.

Four configurations: ``rec`` and ``src``, the rows of each task in each part of the split;
``items``; and ``log``, the training events. A held-out row has its history in full, and its stored
negatives. A training row has a reference in place of them, as its history would be written out anew
for each click: the rows ``log_start`` to ``log_end`` of ``log``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..dataset import Dataset
from ..schema import BEHAVIOR, ITEM, ITEM_COLUMNS, QUERY, SESSION, TIME, USER
from ..split import TEST, TRAIN, VALID
from .card import Table, card
from .columns import LISTS, ROWS, Columns, groups, listed, seen
from .folder import exported_tasks, write_export

PART_NAMES = {TRAIN: "train", VALID: "validation", TEST: "test"}  # as the hub calls them
TEXT, WHOLE = pa.string(), pa.int64()
IN_FULL = {
    "negatives": pa.list_(TEXT),
    "history_items": pa.list_(TEXT),
    "history_behaviors": pa.list_(TEXT),
    "history_queries": pa.list_(TEXT),
    "history_times": pa.list_(WHOLE),
}
ROWS_SCHEMA = pa.schema(
    {USER: TEXT, TIME: WHOLE, QUERY: TEXT, "positive": TEXT}
    | {**IN_FULL, "log_start": WHOLE, "log_end": WHOLE}
)
VISIBLE_FROM = "visible_from"
LOG_SCHEMA = pa.schema(
    {USER: TEXT, ITEM: TEXT, TIME: WHOLE, BEHAVIOR: TEXT, QUERY: TEXT, SESSION: WHOLE}
    | {VISIBLE_FROM: WHOLE}
)
ITEMS_SCHEMA = pa.schema(dict.fromkeys(ITEM_COLUMNS, TEXT))


def export_huggingface(dataset: Dataset, folder: str | Path, force: bool = False) -> Path:
    """Write a data set as `datasets` of Hugging Face reads it; neither it nor a network is needed.

    ``datasets.load_dataset(folder, "rec")`` then gives the recommendation rows in the splits
    ``train``, ``validation`` and ``test``; the card, ``README.md``, says what each column holds.

    Args:
        folder: a new or an empty one, or with ``force`` one that holds an older export.
        force: replace an older export.

    Returns:
        The folder, as an absolute path.

    Raises:
        DataError: there is nothing to test.
        ConfigError: the folder holds something else, or cannot be written.
    """
    export = _Export(dataset)
    return write_export(folder, dataset, "huggingface", export.write, force)


class _Export:
    """The files of one data set, which `write` makes.

    Attributes:
        place: (E + 1,) training events before each row of the log.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.tasks = exported_tasks(dataset)
        self.columns = Columns(dataset)
        self.is_training = dataset.rows_before_cut()
        self.place = np.r_[0, np.cumsum(self.is_training)]

    def write(self, folder: Path) -> dict[str, int]:
        """Write all files below a folder; returns the rows of each table by its path."""
        tables = [
            (Table(task, name, f"{task}/{name}.parquet", ROWS_SCHEMA), self._rows(part, task))
            for task in self.tasks
            for part, name in PART_NAMES.items()
            if len(self.dataset.rows[part][task])  # datasets cannot read a split without rows
        ]
        tables.append((Table("items", "train", "items.parquet", ITEMS_SCHEMA), self._items()))
        tables.append((Table("log", "train", "log.parquet", LOG_SCHEMA), self._log()))
        written = [_write_table(folder, table, columns) for table, columns in tables]
        (folder / "README.md").write_text(card(self.dataset, written), encoding="utf-8")
        return {table.path: table.rows for table in written}

    def _rows(self, part: str, task: str) -> Iterator[dict[str, pa.Array]]:
        """The rows of a part of the split: what was asked, the answer, and what may be known."""
        data = self.dataset
        rows = data.rows[part][task]
        firsts = np.searchsorted(data.user, np.arange(data.n_users))  # (U,) of the log
        for group in groups(len(rows), LISTS, f"{task}, {part}"):
            event = rows.event[group]
            columns = self.columns.of(event)
            found = {name: columns[name] for name in (USER, TIME, QUERY)}
            found["positive"] = columns[ITEM]
            found |= self._in_full(part, task, group)
            found["log_start"] = pa.array(self.place[firsts[data.user[event]]])
            found["log_end"] = pa.array(self.place[rows.limit[group]])
            yield found

    def _in_full(self, part: str, task: str, group: slice) -> dict[str, pa.Array]:
        """Negatives and history of held-out rows; nothing for rows of training."""
        rows = self.dataset.rows[part][task]
        if part == TRAIN:
            n = group.stop - group.start
            return {name: pa.nulls(n, kind) for name, kind in IN_FULL.items()}
        past = seen(self.dataset, rows, group)
        negatives = rows.negatives[group]
        values = {
            "history_items": self.columns.named(ITEM, past.item),
            "history_behaviors": self.columns.named(BEHAVIOR, past.is_search),
            "history_queries": self.columns.named(QUERY, past.query),
            "history_times": pa.array(past.time),
        }
        found = {name: listed(column, past.counts) for name, column in values.items()}
        each = np.full(len(negatives), negatives.shape[1])
        found["negatives"] = listed(self.columns.named(ITEM, negatives.ravel()), each)
        return found

    def _items(self) -> Iterator[dict[str, pa.Array]]:
        items = self.dataset.items
        for group in groups(len(items), LISTS, "items"):
            some = items.iloc[group]
            yield {name: pa.array(some[name], pa.string()) for name in ITEM_COLUMNS}

    def _log(self) -> Iterator[dict[str, pa.Array]]:
        """The training events, and the row of this table from which on a history may have each."""
        event = np.flatnonzero(self.is_training)
        visible_from = self._visible_from()[event]
        for group in groups(len(event), ROWS, "log"):
            yield self.columns.of(event[group]) | {VISIBLE_FROM: pa.array(visible_from[group])}

    def _visible_from(self) -> np.ndarray:
        """For each event (E,), the least ``log_end`` of a row whose history may have it.

        A search is seen when its session is over; one that goes on behind the training part is
        not seen by any row that ends within it.
        """
        data = self.dataset
        last = np.arange(len(data.user))
        src = np.flatnonzero(data.is_search)
        last[src] = pd.Series(src).groupby([data.user[src], data.session[src]]).transform("max")
        never = self.place[-1] + 1
        return np.where(self.is_training[last], self.place[last] + 1, never)


def _write_table(folder: Path, table: Table, columns: Iterable[Mapping[str, pa.Array]]) -> Table:
    """Write a table, a row group for each group of its rows; returns it with its sizes."""
    path = folder / table.path
    path.parent.mkdir(exist_ok=True)
    rows = 0
    memory = 0
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for group in columns:
            batch = pa.table(group).select(table.schema.names).cast(table.schema)
            writer.write_table(batch, row_group_size=len(batch))
            rows += len(batch)
            memory += batch.nbytes
    return replace(table, rows=rows, memory=memory, disk=path.stat().st_size)
