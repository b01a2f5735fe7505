"""RecBole's atomic files: the split as benchmark files, the stored negatives beside it.

In RecBole 1.2.1 a part of a split is a file ``<name>.<part>.inter`` in a folder ``<name>``, and all
settings name parts. Its evaluation draws negatives by itself or ranks all items. It takes a list of
candidates nowhere: rows with labels, its mode ``labeled``, only have metrics of single scores, and
with Recall or NDCG its trainer fails. So the stored negatives are files of their own, and
``recbole.md`` beside this module, the README of each export, ranks by them in a few lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from ..dataset import HELD_OUT, Dataset
from ..schema import (
    CATEGORIES,
    ITEM,
    QUERY,
    REC,
    SESSION,
    SRC,
    TASK_LABELS,
    TEXT,
    TIME,
    TITLE,
    USER,
)
from ..split import SPLITS
from .atomic import levels, refuse_unreadable, separator_for, words, write_table
from .columns import LISTS, ROWS, Columns, groups, listed, seen
from .folder import exported_tasks, write_export

TEMPLATE = Path(__file__).with_suffix(".md")
TIMESTAMP = "timestamp"
HISTORY = f"{ITEM}_list"  # RecBole's name for the items before the one of the row
NEGATIVES = "negatives"
SEQUENTIAL = "-sequential"
LISTED = (QUERY, HISTORY, NEGATIVES, TITLE, CATEGORIES, TEXT)
TYPES = dict.fromkeys((USER, ITEM, SESSION), "token") | dict.fromkeys(LISTED, "token_seq")
TYPES[TIMESTAMP] = "float"
HEAD = """\
# For RecBole 1.2.1, as config_file_list of the data set {}; data_path is the folder of this file.
# uni: negatives that RecBole draws, to choose an epoch by. The README ranks by the stored ones.
"""
ITSELF = "ml-100k"  # a name for which RecBole reads an example of its own, whatever the folder has


def export_recbole(dataset: Dataset, folder: str | Path, force: bool = False) -> Path:
    """Write a data set as RecBole reads it: items, split, stored negatives and settings.

    For each task there are the rows of each part with user, item and time, for general models, and
    once more with the history of each row, for sequential ones. A history is the clicks of the
    row's own behavior that a model of the book may see; rows without one are left out there, since
    no sequential model of RecBole reads them.

    Args:
        folder: a new or an empty one, or with ``force`` one that holds an older export. It gets a
            ``README.md`` that says what to do with it.
        force: replace an older export.

    Returns:
        The folder, as an absolute path.

    Raises:
        DataError: there is nothing to test, or an id that RecBole would not read as it is: one
            with a tab, with a quotation mark in front, or that stands for a missing value.
        ConfigError: the folder holds something else, or cannot be written.
    """
    export = _Export(dataset)
    return write_export(folder, dataset, "recbole", export.write, force)


class _Export:
    """The files of one data set, which `write` makes.

    Attributes:
        token: RecBole's name of the data set, of its folder and of its files.
        separator: what stands between the parts of a list.
    """

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.tasks = exported_tasks(dataset)
        self.columns = Columns(dataset)
        users, items = self.columns.names[USER], self.columns.names[ITEM][1:]
        refuse_unreadable(dataset.name, USER, users)
        refuse_unreadable(dataset.name, ITEM, items)
        self.separator = separator_for(dataset.name, items)
        token = re.sub(r"[^\w.-]", "-", dataset.name).lstrip(".") or "data"
        self.token = f"{token}-gensr" if token == ITSELF else token

    def write(self, folder: Path) -> dict[str, int]:
        """Write all files below a folder; returns the rows of each table by its path."""
        (folder / self.token).mkdir()
        rows = {}
        for name, columns in self._tables().items():
            path = f"{self.token}/{self.token}.{name}"
            rows[path] = write_table(folder / path, TYPES, columns)
        texts = {f"{name}.yaml": self._settings(name) for name in self._kinds()}
        for name, text in (texts | {"README.md": self._readme(rows)}).items():
            (folder / name).write_text(text, encoding="utf-8")
        return rows

    # --- tables --------------------------------------------------------------------------------

    def _tables(self) -> dict[str, Iterator[dict[str, pa.Array]]]:
        """The columns of each table, in groups of rows, by the end of its name."""
        found = {"item": self._items()}
        for task in self.tasks:
            for part in SPLITS:
                found[f"{task}.{part}.inter"] = self._rows(part, task)
                found[f"{task}{SEQUENTIAL}.{part}.inter"] = self._sequences(part, task)
        for part, task in HELD_OUT:
            if task in self.tasks:
                found[f"{task}.{part}.{NEGATIVES}"] = self._negatives(part, task)
        return found

    def _items(self) -> Iterator[dict[str, pa.Array]]:
        items = self.dataset.items
        for group in groups(len(items), LISTS, "items"):
            some = items.iloc[group]
            item, title, text = (pa.array(some[c], pa.string()) for c in (ITEM, TITLE, TEXT))
            yield {
                ITEM: item,
                TITLE: words(title, self.separator),
                CATEGORIES: levels(some[CATEGORIES], self.separator),
                TEXT: words(text, self.separator),
            }

    def _rows(self, part: str, task: str) -> Iterator[dict[str, pa.Array]]:
        """Each target event, with what was typed and the session if it is a search."""
        rows = self.dataset.rows[part][task]
        for group in groups(len(rows), ROWS, f"{task}, {part}"):
            columns = self.columns.of(rows.event[group])
            found = self._targets(columns)
            if task == SRC:
                found[QUERY] = words(columns[QUERY], self.separator)
                found[SESSION] = columns[SESSION]
            yield found

    def _sequences(self, part: str, task: str) -> Iterator[dict[str, pa.Array]]:
        """Each target event that has a history of its own behavior, with that history."""
        rows = self.dataset.rows[part][task]
        for group in groups(len(rows), LISTS, f"{task}, {part}, histories"):
            past = seen(self.dataset, rows, group).only(is_search=task == SRC)
            kept = past.counts > 0
            found = self._targets(self.columns.of(rows.event[group][kept]))
            found[HISTORY] = self._items_list(past.item, past.counts[kept])
            yield found

    def _negatives(self, part: str, task: str) -> Iterator[dict[str, pa.Array]]:
        """Each held-out event with its stored negatives, in the order of the rows."""
        rows = self.dataset.rows[part][task]
        for group in groups(len(rows), LISTS, f"{task}, {part}, negatives"):
            columns = self.columns.of(rows.event[group])
            negatives = rows.negatives[group]
            counts = np.full(len(negatives), negatives.shape[1])
            listed_items = self._items_list(negatives.ravel(), counts)
            yield {USER: columns[USER], ITEM: columns[ITEM], NEGATIVES: listed_items}

    def _targets(self, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        return {USER: columns[USER], ITEM: columns[ITEM], TIMESTAMP: columns[TIME]}

    def _items_list(self, items: np.ndarray, counts: np.ndarray) -> pa.StringArray:
        return pc.binary_join(listed(self.columns.named(ITEM, items), counts), self.separator)

    # --- settings ------------------------------------------------------------------------------

    def _kinds(self) -> list[str]:
        """The names of the settings: a task, or a task for sequential models."""
        return [task + kind for task in self.tasks for kind in ("", SEQUENTIAL)]

    def _settings(self, name: str) -> str:
        """A file of settings for RecBole, with the parts of the split of that name."""
        columns = [USER, ITEM, TIMESTAMP]
        own = {}
        if name.endswith(SEQUENTIAL):
            columns.append(HISTORY)
            own = self._sequential(name.removesuffix(SEQUENTIAL))
        elif name == SRC:
            columns.append(QUERY)
        n = self.dataset.config.eval_negatives
        settings = {
            "data_path": ".",
            "field_separator": "\t",
            "seq_separator": self.separator,
            "USER_ID_FIELD": USER,
            "ITEM_ID_FIELD": ITEM,
            "TIME_FIELD": TIMESTAMP,
            "load_col": {"inter": columns, "item": [ITEM]},
            "benchmark_filename": [f"{name}.{part}" for part in SPLITS],
            "eval_args": {"order": "TO", "mode": {"valid": f"uni{n}", "test": f"uni{n}"}},
            "metrics": ["Recall", "NDCG"],
            "topk": [5, 10],
            "valid_metric": "NDCG@5",
            "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1},
            **own,
        }
        return HEAD.format(self.token) + yaml.safe_dump(settings, sort_keys=False)

    def _sequential(self, task: str) -> dict[str, Any]:
        config = self.dataset.config
        longest = {REC: config.history_rec, SRC: config.history_src * config.session_clicks}
        return {
            "alias_of_item_id": [HISTORY],
            "MAX_ITEM_LIST_LENGTH": longest[task],
            "train_neg_sample_args": None,  # for the loss CE, the default of most such models
        }

    def _readme(self, rows: dict[str, int]) -> str:
        """What the folder holds, and how to use it: the template, filled in."""
        start = f"{self.token}/{self.token}"
        counts = [
            [task, part, *(rows[f"{start}.{task}{kind}.{part}.inter"] for kind in ("", SEQUENTIAL))]
            for task in self.tasks
            for part in SPLITS
        ]
        said = {"data": self.dataset, "token": self.token, "separator": self.separator}
        said |= {"task": self.tasks[0], "labels": TASK_LABELS, "counts": counts}
        template = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), keep_trailing_newline=True)
        return template.render(said)
