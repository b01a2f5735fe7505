"""The processed data of UniSAR, in the layout of its repository: records, and logs by user.

Source: Shi et al. 2024 (UniSAR: Modeling User Transition Behaviors between Search and
Recommendation), SIGIR, and the code published with it. The rows to train and test on, their
negatives and how much each history holds are stored, so that a system is measured on the very rows
behind the paper's tables. The files are pickles, of which only containers are admitted.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....errors import DataError
from ...schema import (
    BEHAVIOR,
    BEHAVIOR_CODES,
    BEHAVIORS,
    CATEGORIES,
    CATEGORY_SEPARATOR,
    ITEM,
    QUERY,
    REC,
    SESSION,
    SRC,
    TEXT,
    TIME,
    TITLE,
    USER,
    Tables,
    coded,
    count_events,
    name_codes,
)
from ...split import SPLITS, TEST, TRAIN, VALID
from ..formats.safe_pickle import read_pickle
from ..source import Kind
from .records import (
    CALLED,
    LISTS,
    PLACE,
    RECORD,
    Records,
    given_split,
    texts_of,
    with_targets,
    without_idle,
)

HOME = "https://github.com/TengShi-RUC/UniSAR"
USERS, SESSIONS, ITEMS = "user_vocab", "src_session_vocab_np", "item_vocab_np"
# What an item's two categories are called in its text, of which only numbers are published.
LEVELS = {"first_level_category_id": "category", "second_level_category_id": "subcategory"}
ENTRY = "entry"  # of a user's list
TARGETS = [(split, task) for split in SPLITS for task in BEHAVIORS]


def find_files(folder: Path) -> dict[str, Path]:
    """The six files of records and the three tables that are read, by name.

    Raises:
        DataError: the folder or a file is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. {HOME} says where the processed data are.")
    found = {name: folder / "vocab" / f"{name}.pkl" for name in (USERS, SESSIONS, ITEMS)}
    for split, task in TARGETS:
        name = f"{task}_{CALLED[split]}"
        found[name] = folder / "dataset" / f"{name}.pkl"
    if missing := [path for path in found.values() if not path.is_file()]:
        names = ", ".join(str(path.relative_to(folder)) for path in missing)
        raise DataError(f"{folder}: missing {names}; {HOME} says where the processed data are.")
    return found


def read_unisar(folder: Path) -> Tables:
    """Read the log, and the split that comes with it.

    - interactions: every click of the users' two lists, and every target that is in none of them,
      which then stands at the end of its user's log. Queries are word numbers as words, ``w20``.
    - items: named by their number; where captions and categories are there, ``text`` and
      ``categories`` hold their numbers.
    - given: the records as rows. A history ends where either of its two numbers of events is
      reached. Stored negatives of training are not used: they are drawn anew in each epoch.

    Raises:
        DataError: a file is missing, damaged or holds something else than arrays, tables and
            containers; a record or a log lacks a field, or its events are not in order; an item's
            number is none; the negatives of held-out records differ in number.
    """
    paths = find_files(folder)
    users, lists = _lists(paths[USERS])
    log = _clicks(lists, read_pickle(paths[SESSIONS]), paths[SESSIONS])
    records = {
        (split, task): Records.read(paths[f"{task}_{CALLED[split]}"], task, users)
        for split, task in TARGETS
    }
    notes = ["The stored negatives of training are not used: each epoch draws its own."]
    log = with_targets(log, records, notes)
    if log.empty:
        raise DataError(f"{folder}: no user has a click, and there is no record.")
    users = without_idle(log, records, users)
    log = log.sort_values([USER, TIME, BEHAVIOR], kind="stable", ignore_index=True)
    items = _items(read_pickle(paths[ITEMS]), log, records, paths[ITEMS])
    given = given_split(log, records, len(users), notes)
    interactions = _named(log, users)
    counts = [count_events("as given", interactions)]
    return Tables(interactions, items, counts, notes=notes, given=given, valid=True)


def _lists(path: Path) -> tuple[np.ndarray, dict[str, pd.DataFrame]]:
    """The users in the order of their names, and the entries of all their lists by behavior."""
    vocabulary = read_pickle(path)
    try:
        logs = dict(vocabulary if isinstance(vocabulary, Mapping) else enumerate(vocabulary))
        names = sorted(logs, key=str)
        users = np.array(names, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: no table of logs by the number of a user ({error!r}).") from None
    if not names:
        raise DataError(f"{path}: there is no user in it.")
    logs = [logs[name] for name in names]
    return users, {task: _entries(logs, *LISTS[task], users, path) for task in BEHAVIORS}


def _entries(
    logs: list[Mapping], entry: str, when: str, users: np.ndarray, path: Path
) -> pd.DataFrame:
    """All entries of one list of every user: whose, what, when, and at which place of the list."""
    entries, times = (_numbers(logs, name, users, path) for name in (entry, when))
    sizes, others = (np.array([len(part) for part in parts]) for parts in (entries, times))
    if (differ := sizes != others).any():
        said = f"user {users[differ.argmax()]}: {entry} and {when} are of other lengths"
        raise DataError(f"{path}: {said}.")
    user = np.repeat(np.arange(len(users)), sizes)
    place = np.arange(len(user)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    columns = {ENTRY: np.concatenate(entries), TIME: np.concatenate(times)}
    table = pd.DataFrame({USER: user, **columns, PLACE: place})
    backwards = (np.diff(user) == 0) & (np.diff(table[TIME]) < 0)
    if backwards.any():
        first = users[user[backwards.argmax()]]
        raise DataError(f"{path}: user {first}: {when} is not in order of time.")
    return table


def _numbers(logs: list[Mapping], name: str, users: np.ndarray, path: Path) -> list[np.ndarray]:
    """One list of every user as whole numbers."""
    parts = []
    for user, log in zip(users, logs, strict=True):
        try:
            part = np.asarray(log[name], dtype=np.int64)
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            found = f"user {user} has no list {name} of numbers ({error!r})"
            raise DataError(f"{path}: {found}.") from None
        if part.ndim != 1:
            raise DataError(f"{path}: user {user} has no list {name} of numbers, but a table.")
        parts.append(part)
    return parts


def _clicks(lists: dict[str, pd.DataFrame], sessions: Any, path: Path) -> pd.DataFrame:
    """The clicks of both lists, a row each; a session gives one for each item that is not 0."""
    shown, keywords = _sessions(sessions, path)
    rec = lists[REC].rename(columns={ENTRY: ITEM})
    rec = rec.assign(**{BEHAVIOR: 0, QUERY: "", SESSION: -1})
    src = lists[SRC]
    number = src[ENTRY].to_numpy()
    unknown = (number < 0) | (number >= len(shown))
    if unknown.any():
        named = number[unknown.argmax()]
        raise DataError(f"{path}: it has {len(shown)} sessions, and a log names {named}.")
    row, column = np.nonzero(shown[number])
    used, code = np.unique(number, return_inverse=True)
    texts = np.array(texts_of([keywords[session] for session in used], path), dtype=object)
    src = src.drop(columns=ENTRY).iloc[row]
    clicked = {ITEM: shown[number[row], column], BEHAVIOR: 1, QUERY: texts[code[row]]}
    both = pd.concat([rec, src.assign(**clicked, **{SESSION: row})], ignore_index=True)
    return both[[USER, ITEM, TIME, BEHAVIOR, QUERY, SESSION, PLACE]]


def _sessions(sessions: Any, path: Path) -> tuple[np.ndarray, Any]:
    """The items that were clicked in each session (S, n), and the keyword of each."""
    try:
        shown, keywords = np.asarray(sessions["pos_items"], dtype=np.int64), sessions["keyword"]
        n_keywords = len(keywords)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: no tables pos_items and keyword ({error!r}).") from None
    if shown.ndim != 2 or len(shown) != n_keywords:
        found = f"pos_items has the shape {shown.shape}, and there are {n_keywords} keywords"
        raise DataError(f"{path}: {found}; it must have a row for each.")
    return shown, keywords


def _items(
    vocabulary: Any, log: pd.DataFrame, records: dict[tuple, Records], path: Path
) -> pd.DataFrame:
    """The rows of `schema.ITEM_COLUMNS` of all items by number, with what is known of them."""
    known = vocabulary if isinstance(vocabulary, Mapping) else {}
    described = max(map(len, known.values()), default=1) - 1  # row 0 is padding
    used = np.concatenate([log[ITEM], *(found.negatives.ravel() for found in records.values())])
    if used.min() < 1 or used.max() > (described or used.max()):
        found = f"items are numbered 1 to {described}, and {used.min()} to {used.max()} occur"
        raise DataError(f"{path}: {found}. Are these files of one data set?")
    n = described or int(used.max())
    captions = known.get("caption")
    text = "" if captions is None else texts_of(captions[1 : n + 1], path)
    levels = [name for name in LEVELS if name in known]
    path_of = pd.Series("", index=range(n))
    for level in levels:
        between = "" if level == levels[0] else CATEGORY_SEPARATOR
        number = pd.Series(np.asarray(known[level])[1 : n + 1]).astype(str)
        path_of = path_of + between + f"{LEVELS[level]} " + number
    number = np.arange(1, n + 1).astype(str)
    columns = {ITEM: number, TITLE: "", CATEGORIES: path_of, TEXT: text}
    return pd.DataFrame(columns).astype(object)


def _named(log: pd.DataFrame, users: np.ndarray) -> pd.DataFrame:
    """The columns of `schema.INTERACTION_COLUMNS` with names in place of numbers."""
    used, place = np.unique(log[ITEM], return_inverse=True)
    named = {
        USER: coded(log[USER].to_numpy(), users.astype(str)),
        ITEM: name_codes(pd.Series(coded(place, used.astype(str)))),
        TIME: log[TIME],
        BEHAVIOR: pd.Categorical.from_codes(log[BEHAVIOR], dtype=BEHAVIOR_CODES),
        QUERY: name_codes(log[QUERY]),
        SESSION: log[SESSION],
    }
    return pd.DataFrame(named)


def _example(folder: Path) -> str:
    """Two users who click five things and search for three, of which the last two are held out."""
    log = {u: {"rec_his": [], "rec_his_ts": [], "src_session_his": []} for u in (0, 1)}
    for user, lists in log.items():
        lists["rec_his"] = [1 + user + n for n in range(5)]
        lists["rec_his_ts"] = [10 * n for n in range(5)]
        lists["src_session_his"] = [1 + 3 * user + n for n in range(3)]
        lists["src_session_his_ts"] = [25 + 10 * n for n in range(3)]
    clicked = np.arange(7)[:, None]  # of session n, item n
    sessions = {"keyword": np.stack([np.arange(7), np.full(7, 20)], axis=1), "pos_items": clicked}
    written = {f"vocab/{USERS}": log, f"vocab/{SESSIONS}": sessions, f"vocab/{ITEMS}": {}}
    for split, kept in ((TRAIN, (0, 1, 2)), (VALID, (3,)), (TEST, (4,))):
        rec = [(u, log[u]["rec_his"][n], n, max(n - 2, 0)) for u in log for n in kept]
        src = [(u, 1 + 3 * u + n - 2, n + 1, n - 2) for u in log for n in kept if n >= 2]
        for task, rows in ((REC, rec), (SRC, src)):
            table = pd.DataFrame(rows, columns=pd.Index(list(RECORD[:4]), dtype=object))
            table["neg_items"] = pd.Series([[7, 8]] * len(rows), dtype=object)
            if task == SRC:
                keywords = [f"[{item}, 20]" for _, item, *_ in rows]
                table["keyword"] = pd.Series(keywords, dtype=object)
            written[f"dataset/{task}_{CALLED[split]}"] = table
    for name, content in written.items():
        path = folder / f"{name}.pkl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(content, protocol=4))
    return str(folder)


SOURCE = Kind(
    read=lambda path, profile, seed: read_unisar(path),
    example=_example,
    check=find_files,
    holds=lambda folder: (folder / "dataset").is_dir() and (folder / "vocab").is_dir(),
    about="UniSAR's processed Amazon or KuaiSAR, with the rows behind the paper's tables",
    # The rows are those of the whole log: the published filters have been applied.
    protocol={"split": "given", "min_interactions": 1, "eval_negatives": 99},
)
