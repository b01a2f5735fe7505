"""A data set on disk as the arrays it is made of, so that it is read, filtered and split once.

Arrays are memory-mapped: what nobody looks at is not read, and processes share what they read.
Such a folder is made by the library for itself and may be deleted at any time.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ..config import DataConfig
from ..files import sync, writing
from .dataset import Dataset
from .histories import Histories, Ragged
from .negatives import NegativeSampler
from .schema import BEHAVIORS, ITEM, ITEM_COLUMNS
from .split import SPLITS, TRAIN, Rows, Split

FORMAT = 1  # raised when the files below are others
LOG = logging.getLogger(__name__)
COLUMNS = ("user", "item", "time", "is_search", "query", "session", "query_word_ids")
CUTS = ("cut_valid", "cut_test", "too_short")
TEXTS = ("user_ids", "query_texts", "words")
PLAIN = ("name", "seed", "counts", "notes", "hash")
META = "dataset.json"


def save_prepared(dataset: Dataset, folder: Path) -> None:
    """Write a data set that is no simulation into a new folder, whole or not at all.

    Only under a lock: what a killed process left of this folder is removed.

    Raises:
        ConfigError: the disk is full or read-only.
    """
    part = folder.with_name(f".{folder.name}.part")
    with writing(folder):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            arrays = _arrays(dataset)
            for name, array in arrays.items():
                np.save(part / f"{name}.npy", array, allow_pickle=False)
            _write_table(part / "items.arrow", dataset.items.to_dict("series"))
            for name in TEXTS:
                _write_table(part / f"{name}.arrow", {name: getattr(dataset, name)})
            meta = {name: getattr(dataset, name) for name in PLAIN}
            meta |= {"format": FORMAT, "config": dataset.config.model_dump(mode="json")}
            (part / META).write_text(json.dumps(meta), encoding="utf-8")
            for path in [*part.iterdir(), part]:
                sync(path)  # before the name, as in `write_atomically`
            os.replace(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def load_prepared(folder: Path) -> Dataset | None:
    """The data set of a folder; None if there is none, or one that cannot be read any more."""
    if not (folder / META).exists():
        return None
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        found = _read_arrays(folder)
        texts = {name: _read_table(folder / f"{name}.arrow")[name] for name in TEXTS}
        items = _read_table(folder / "items.arrow")[list(ITEM_COLUMNS)]
        return _assembled(meta, found, texts, items)
    except (OSError, ValueError, LookupError, EOFError, pa.ArrowException) as error:
        LOG.warning("%s: cannot be read (%s); the data are prepared again.", folder, error)
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    """All arrays by the names of their files."""
    found = {name: getattr(dataset, name) for name in COLUMNS}
    found |= {name: getattr(dataset.split, name) for name in CUTS}
    found["touched"] = dataset.sampler.touched
    for split in SPLITS:
        for task in BEHAVIORS:
            rows = dataset.rows[split][task]
            place = f"{split}-{task}"
            found[f"target-{place}"] = dataset.split.rows[split][task]
            found |= {f"{name}-{place}": value for name, value in vars(rows).items()}
    for field in fields(Histories):
        value = getattr(dataset.histories, field.name)
        if isinstance(value, Ragged):
            found[f"{field.name}-values"] = value.values
            found[f"{field.name}-offsets"] = value.offsets
        else:
            found[field.name] = value
    return {name: array for name, array in found.items() if array is not None}


def _read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """All arrays, mapped: a change stays in memory, as the file is not ours alone."""
    return {
        path.stem: np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
        for path in folder.glob("*.npy")
    }


def _assembled(
    meta: dict[str, Any],
    arrays: dict[str, np.ndarray],
    texts: dict[str, pd.Series],
    items: pd.DataFrame,
) -> Dataset:
    """The data set of what was stored."""
    if meta["format"] != FORMAT:
        raise ValueError(f"it is of format {meta['format']}, and this version writes {FORMAT}")
    targets = {s: {t: arrays[f"target-{s}-{t}"] for t in BEHAVIORS} for s in SPLITS}
    user_ids = texts["user_ids"].to_numpy(dtype=object)
    dataset = Dataset(
        **{name: meta[name] for name in PLAIN if name != "hash"},
        **{name: arrays[name] for name in COLUMNS},
        config=DataConfig.parse(meta["config"]),
        items=items,
        truth=None,
        user_ids=user_ids,
        item_ids=np.array(["", *items[ITEM]], dtype=object),
        query_texts=texts["query_texts"].to_numpy(dtype=object),
        words=pd.Index(texts["words"].to_numpy(dtype=object)),
        split=Split(*(arrays[name] for name in CUTS[:2]), targets, arrays["too_short"]),
        rows={s: {t: _rows(arrays, s, t) for t in BEHAVIORS} for s in SPLITS},
        sampler=NegativeSampler(arrays["touched"], user_ids, len(items)),
        histories=_histories(arrays),
    )
    dataset.hash = meta["hash"]  # of texts and tables that need not be read for it
    return dataset


def _rows(arrays: dict[str, np.ndarray], split: str, task: str) -> Rows:
    """One task's targets in one split; those of training have no negatives."""
    names = ("event", "limit") if split == TRAIN else ("event", "limit", "negatives")
    return Rows(*(arrays[f"{name}-{split}-{task}"] for name in names))


def _histories(arrays: dict[str, np.ndarray]) -> Histories:
    found = {}
    for field in fields(Histories):
        if field.name in arrays:
            found[field.name] = arrays[field.name]
        else:
            parts = (arrays[f"{field.name}-{part}"] for part in ("values", "offsets"))
            found[field.name] = Ragged(*parts)
    return Histories(**found)


def _write_table(path: Path, columns: dict[str, Any]) -> None:
    table = pa.table(
        {name: pa.array(values, pa.large_string()) for name, values in columns.items()}
    )
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read_table(path: Path) -> pd.DataFrame:
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
        return table.to_pandas().astype(object)
