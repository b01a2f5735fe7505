"""UniSAR's records as a split: which click of the log each asks for, and what it may see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....errors import DataError
from ...schema import BEHAVIOR, BEHAVIORS, ITEM, QUERY, REC, SESSION, SRC, TIME, USER
from ...split import SPLITS, TEST, TRAIN, VALID, GivenSplit, Rows, Split
from ..formats.safe_pickle import read_pickle

CALLED = {TRAIN: "train", VALID: "val", TEST: "test"}  # the parts in the names of files
# In a user's log: what was clicked, and when. In a record: how many of them came before.
LISTS = {REC: ("rec_his", "rec_his_ts"), SRC: ("src_session_his", "src_session_his_ts")}
RECORD = ("user_id", "item_id", "rec_his", "src_session_his", "neg_items")
PLACE = "place"  # of an entry in its user's list, from 0 on
MANY = 1 << 32  # more than any list has entries


def words_of(keyword: Any) -> str:
    """Word numbers, however they are stored, as words that no language has.

    >>> words_of([20, 3, 0, 0]), words_of("[20, 3]"), words_of(7), words_of(np.zeros(3))
    ('w20 w3', 'w20 w3', 'w7', '')
    """
    if isinstance(keyword, str):
        keyword = re.findall(r"\d+", keyword)
    numbers = np.atleast_1d(np.asarray(keyword)).astype(np.int64)
    return " ".join(f"w{number}" for number in numbers if number)


def texts_of(keywords: Sequence, path: Path) -> list[str]:
    """`words_of` each of some keywords; `DataError` if one is no number and no list of them."""
    try:
        return [words_of(keyword) for keyword in keywords]
    except (TypeError, ValueError, OverflowError) as error:
        found = f"keywords or captions are no lists of numbers ({error})"
        raise DataError(f"{path}: {found}.") from None


@dataclass
class Records:
    """The N records of one task in one part.

    Attributes:
        table: user (by position), item, query, how many entries of each list came before, and, once
            it is known, the number of the target's click.
        negatives: (N, n) items by number, n = 0 for training.
    """

    table: pd.DataFrame
    negatives: np.ndarray

    @classmethod
    def read(cls, path: Path, task: str, users: np.ndarray) -> Records:
        """The records of a file; ``users`` are the names in the order of their positions."""
        table = read_pickle(path)
        names = (*RECORD, *(["keyword"] if task == SRC else []))
        lacking = [name for name in names if name not in getattr(table, "columns", [])]
        if lacking:
            raise DataError(f"{path}: no table with the columns {', '.join(lacking)}.")
        user = pd.Index(users).get_indexer(table["user_id"])
        if (user < 0).any():
            unknown = table["user_id"].iloc[(user < 0).argmax()]
            raise DataError(f"{path}: user {unknown} has no log in user_vocab.pkl.")
        try:
            numbers = {name: table[name].to_numpy().astype(np.int64) for name in RECORD[1:4]}
            listed = [] if path.stem.endswith(CALLED[TRAIN]) else table["neg_items"].tolist()
            negatives = np.array(listed, dtype=np.int64)
        except (TypeError, ValueError) as error:
            found = f"items, lengths or negatives are no numbers, or of several lengths ({error})"
            raise DataError(f"{path}: {found}.") from None
        query = texts_of(table["keyword"], path) if task == SRC else ""
        columns = {USER: user, ITEM: numbers["item_id"], QUERY: query}
        columns |= {task: numbers[LISTS[task][0]] for task in BEHAVIORS}
        width = -1 if len(table) else 0  # which numpy cannot tell of no rows
        return cls(pd.DataFrame(columns), negatives.reshape(len(table), width))


def with_targets(
    log: pd.DataFrame, records: dict[tuple, Records], notes: list[str]
) -> pd.DataFrame:
    """The log with all targets in it, and in each record the number of its target."""
    last = log.groupby(USER)[TIME].max()
    added = 0
    for (split, task), found in records.items():
        own = log[log[BEHAVIOR] == BEHAVIORS.index(task)].rename_axis("click").reset_index()
        own = own.sort_values(PLACE)[[USER, ITEM, PLACE, "click"]]
        asked = found.table.rename_axis("row").reset_index().sort_values(task)
        # The first click on the item at the record's place in the list, or after it.
        met = pd.merge_asof(
            asked, own, left_on=task, right_on=PLACE, by=[USER, ITEM], direction="forward"
        )
        click = met.set_index("row")["click"].sort_index()
        is_new = click.isna().to_numpy()
        new = found.table[is_new][[USER, ITEM, QUERY]]
        click[is_new] = len(log) + np.arange(len(new))
        found.table["click"] = click.astype(np.int64)
        # Behind all that is known of the user, which may be nothing; and a test behind what is
        # validated on.
        time = new[USER].map(last).fillna(0).astype(np.int64) + SPLITS.index(split)
        number = log[SESSION].to_numpy().max(initial=-1) + 1 + np.arange(len(new))
        session = -1 if task == REC else number
        more = {TIME: time, BEHAVIOR: BEHAVIORS.index(task), SESSION: session, PLACE: MANY - 1}
        log = pd.concat([log, new.assign(**more)], ignore_index=True)
        added = added + len(new)
    if added:
        notes.append(f"{added} targets are in no list of their users and end the users' logs.")
    return log.rename_axis("click").reset_index()


def without_idle(log: pd.DataFrame, records: dict[tuple, Records], users: np.ndarray) -> np.ndarray:
    """The users who have a row in the log, which is then numbered by them; so are the records."""
    seen, place = np.unique(log[USER], return_inverse=True)
    log[USER] = place
    for found in records.values():
        found.table[USER] = np.searchsorted(seen, found.table[USER])
    return users[seen]


def given_split(
    log: pd.DataFrame, records: dict[tuple, Records], n_users: int, notes: list[str]
) -> GivenSplit:
    """The split of the records; ``log`` is in order."""
    user = log[USER].to_numpy()
    row = np.empty(len(log), dtype=np.int64)
    row[log["click"]] = np.arange(len(log))
    ends = np.searchsorted(user, np.arange(n_users), side="right")
    cuts = {VALID: ends.copy(), TEST: ends.copy()}
    rows: dict[str, dict[str, Rows]] = {split: {} for split in SPLITS}
    shorter = 0
    for (split, task), found in records.items():
        event = row[found.table["click"]]
        limit, is_shorter = _limits(log, found.table, ends)
        shorter = shorter + int(is_shorter.sum())
        order = np.argsort(event, kind="stable")
        negatives = None if split == TRAIN else found.negatives[order].astype(np.int32)
        rows[split][task] = Rows(event[order], limit[order], negatives)
        for name in SPLITS[1 : 1 + SPLITS.index(split)]:
            np.minimum.at(cuts[name], user[event], event)
    own = sum(
        int((found.negatives == found.table[[ITEM]].to_numpy()).any(axis=1).sum())
        for (split, _), found in records.items()
        if split != TRAIN
    )
    if own:
        notes.append(f"{own} records have their own item among their negatives: a tie with itself.")
    if shorter:
        total = sum(len(found.table) for found in records.values())
        notes.append(f"{shorter} of {total} histories are shorter than their records say.")
    targets = {s: {t: part.event for t, part in parts.items()} for s, parts in rows.items()}
    split = Split(cuts[VALID], cuts[TEST], targets, too_short=np.zeros(n_users, dtype=bool))
    return GivenSplit(split, rows)


def _limits(
    log: pd.DataFrame, records: pd.DataFrame, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where each record's history ends (N,), and whether it then lacks what the record counts.

    One row ends both lists: the earlier of the rows at which each of them has its number.
    """
    user = records[USER].to_numpy()
    reached, held = [], []
    for code, task in enumerate(BEHAVIORS):
        own = np.flatnonzero(log[BEHAVIOR] == code)
        key = log[USER].to_numpy()[own] * MANY + log[PLACE].to_numpy()[own]
        at = np.searchsorted(key, user * MANY + records[task].to_numpy())
        row = np.append(own, len(log))[at]
        reached.append(np.minimum(row, ends[user]))
        held.append((own, at))
    limit = np.minimum(*reached)
    is_shorter = np.zeros(len(user), dtype=bool)
    for own, at in held:
        is_shorter |= np.searchsorted(own, limit) < at
    return limit, is_shorter
