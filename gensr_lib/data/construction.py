"""From filtered tables to the parts of a `Dataset`: index arrays, split, histories, negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import DataConfig
from ..errors import DataError
from .histories import Histories
from .item_texts import item_texts
from .negatives import NegativeSampler, checksum, stored_negatives
from .schema import BEHAVIOR, BEHAVIORS, ITEM, QUERY, SESSION, SRC, TIME, USER, Tables
from .split import SPLITS, TEST, TRAIN, VALID, Rows, Split, last_days, leave_one_out, split_counts
from .words import Words, make_vocabulary

HELD_OUT = [(split, task) for split in (VALID, TEST) for task in BEHAVIORS]


def parts_of(
    tables: Tables, config: DataConfig, name: str, seed: int, cache: Path | None
) -> dict[str, Any]:
    """All fields of a `Dataset` by name.

    Args:
        tables: as `split.k_core` returns them.
        config, name, seed, cache: as for `Dataset.from_tables`.

    Raises:
        DataError: the log cannot be split in the way that is asked for, or too few items are left
            to draw negatives from.
    """
    log = _log(tables)
    n_users, n_items = len(log["user_ids"]), len(tables.items)
    sampler = NegativeSampler.of_log(log["user"], log["item"], log["user_ids"], n_items)
    if config.split == "given":
        split, rows = _given(log, n_users, tables, config, name, seed)
    else:
        split = _split(log, n_users, tables, config, name)
        rows = _rows(log, n_users, split, config, seed)
        rows = _with_negatives(rows, log["user"], sampler, config.eval_negatives, seed, cache)
    columns = [log[name] for name in ("user", "item", "time", "is_search", "query", "session")]
    histories = Histories.of_log(*columns, n_users, config.session_clicks)
    counts = split_counts(rows, split, log["user"], log["item"], log["query"])
    words = _words(log, split, tables.items, config)
    return {
        "name": name,
        "config": config,
        "seed": seed,
        "items": tables.items,
        "counts": [*tables.counts, *counts],
        "truth": tables.truth,
        "notes": [str(note) for note in tables.notes],  # without the rows that they are about
        **log,
        "split": split,
        "rows": rows,
        "sampler": sampler,
        "histories": histories,
        **words,
    }


def _log(tables: Tables) -> dict[str, np.ndarray]:
    """The columns as arrays. Users are numbered by name, items by the table of items."""
    events = tables.interactions
    user, item, query = (events[column].cat for column in (USER, ITEM, QUERY))
    number = pd.Index(tables.items[ITEM]).get_indexer(item.categories).astype(np.int32) + 1
    # Queries in order of appearance behind the empty one, whose code is -1 if nothing has it:
    # as a position, that is the one appended.
    empty = query.categories.get_indexer([""])
    numbers, found = pd.factorize(np.r_[empty, query.codes])
    return {
        "user_ids": user.categories.to_numpy(dtype=object),
        "item_ids": np.array(["", *tables.items[ITEM]], dtype=object),
        "user": user.codes.to_numpy(dtype=np.int64),
        "item": number[item.codes],
        "time": events[TIME].to_numpy(),
        "is_search": events[BEHAVIOR].eq(SRC).to_numpy(),
        "query": numbers[1:],
        "session": events[SESSION].to_numpy(),
        "query_texts": np.append(query.categories.astype(object), "")[found],
    }


def _split(
    log: Mapping[str, np.ndarray], n_users: int, tables: Tables, config: DataConfig, name: str
) -> Split:
    user, time, is_search = (log[column] for column in ("user", "time", "is_search"))
    if config.split == "leave-one-out":
        return leave_one_out(user, time, is_search, n_users)
    if tables.clock is None:
        found = "these times only order events and say nothing of days"
        raise DataError(f"{name}: split: last days, but {found}; hold out by leave-one-out.")
    return last_days(user, tables.clock.days(time), is_search, n_users)


def _given(
    log: Mapping[str, np.ndarray],
    n_users: int,
    tables: Tables,
    config: DataConfig,
    name: str,
    seed: int,
) -> tuple[Split, dict[str, dict[str, Rows]]]:
    """The split that the data come with, and its rows, at most as many as the options say."""
    if tables.given is None:
        raise DataError(f"{name}: split: given, but no split comes with the data; choose another.")
    rows: dict[str, dict[str, Rows]] = {}
    for part in SPLITS:
        rows[part] = {}
        for task in BEHAVIORS:
            given = tables.given.rows[part][task]
            chosen = _chosen(given.event, log["user"], n_users, part, config, seed)
            rows[part][task] = given if chosen is None else given.taken(chosen)
    return tables.given.split, rows


def _rows(
    log: Mapping[str, np.ndarray], n_users: int, split: Split, config: DataConfig, seed: int
) -> dict[str, dict[str, Rows]]:
    """The rows to train and test on, without negatives, at most as many as the options say."""
    limits = _limits(log, split, config)
    rows: dict[str, dict[str, Rows]] = {}
    for part in SPLITS:
        rows[part] = {}
        for task in BEHAVIORS:
            event = split.rows[part][task]
            chosen = _chosen(event, log["user"], n_users, part, config, seed)
            event = event if chosen is None else event[chosen]
            rows[part][task] = Rows(event, limits[part][event])
    return rows


def _chosen(
    event: np.ndarray, user: np.ndarray, n_users: int, part: str, config: DataConfig, seed: int
) -> np.ndarray | None:
    """Positions of the targets that stay where an option limits their number; None: all do.

    They are those of the users who come first in one random order: the same for both tasks, as far
    as they have both.
    """
    most = {VALID: config.max_valid_rows, TEST: config.max_test_rows}.get(part)
    if most is None or len(event) <= most:
        return None
    rng = np.random.default_rng([seed, SPLITS.index(part)])
    place = rng.permutation(n_users)[user[event]]
    return np.sort(np.argsort(place, kind="stable")[:most])


def _limits(
    log: Mapping[str, np.ndarray], split: Split, config: DataConfig
) -> dict[str, np.ndarray]:
    """For each event (E,) as the target of a part, the row of the log at which its history ends."""
    user, time = log["user"], log["time"]
    row = np.arange(len(user))
    if config.twins == "visible":
        return dict.fromkeys(SPLITS, row)  # as published preprocessing: the twin above is seen
    same_moment = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
    first = np.maximum.accumulate(np.where(np.r_[False, same_moment], 0, row))
    held_out = {
        "train": (split.cut_valid, split.cut_valid),
        "train+validation": (split.cut_valid, split.cut_test),
    }
    if config.test_history == "earlier":
        return dict.fromkeys(SPLITS, first)
    valid, test = held_out[config.test_history]
    return {TRAIN: first, VALID: valid[user], TEST: test[user]}


def _with_negatives(
    rows: dict[str, dict[str, Rows]],
    user: np.ndarray,
    sampler: NegativeSampler,
    n: int,
    seed: int,
    cache: Path | None,
) -> dict[str, dict[str, Rows]]:
    """The held-out rows with negatives (N, n), drawn, or read where they were stored before."""
    events = {f"{s}_{t}": rows[s][t].event for s, t in HELD_OUT}

    def draw() -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, 99])
        return {k: sampler.draw(user[e], n, rng) for k, e in events.items()}

    targets = checksum({**events, "touched": sampler.touched})
    path = cache and Path(cache) / f"negatives-{targets[:12]}-{n}-seed{seed}.npz"
    stored = stored_negatives(path, draw, {k: (len(e), n) for k, e in events.items()})
    for part, task in HELD_OUT:
        rows[part][task] = replace(rows[part][task], negatives=stored[f"{part}_{task}"])
    return rows


def _words(
    log: Mapping[str, np.ndarray], split: Split, items: pd.DataFrame, config: DataConfig
) -> dict[str, Any]:
    """Vocabulary of training queries and item texts, and the word ids of every query."""
    queries = Words(log["query_texts"])
    is_training = np.arange(len(log["user"])) < split.cut_valid[log["user"]]
    trained = queries.of(log["query"][is_training & log["is_search"]])
    texts = item_texts(items, config.categories_in_text).to_numpy(dtype=object)
    words = make_vocabulary(trained, Words(texts).distinct)
    width = min(queries.longest(), config.query_words)
    return {"words": words, "query_word_ids": queries.matrix(words, width)}
