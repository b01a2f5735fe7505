"""`Dataset`: validated tables turned into index arrays, split, with stored negatives; it makes batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..config import DataConfig
from ..errors import DataError, unknown
from .batches import Batch, Ragged, merge_order
from .negatives import NegativeSampler, checksum, stored_negatives
from .schema import (
    BEHAVIOR,
    BEHAVIORS,
    CATEGORIES,
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
    validate,
)
from .split import SPLITS, TEST, TRAIN, VALID, k_core, leave_one_out

UNKNOWN_WORD = 1  # id of a word that no training query and no item text has


@dataclass(frozen=True)
class Rows:
    """The target events of one task in one split.

    Attributes:
        event: (N,) row numbers in the sorted events.
        limit: (N,) only events of the user before this row number may enter the history.
        negatives: (N, 99) stored negatives; None for training rows, whose negatives are redrawn.
    """

    event: np.ndarray
    limit: np.ndarray
    negatives: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.event)


class Dataset:
    """One data set, ready for training and evaluation.

    Users are numbered 0..n_users-1 and items 1..n_items (0 is padding). Build it with
    `gensr_lib.data.load_dataset` or `Dataset.from_tables`.

    Attributes:
        name: for tables and folders.
        config: the `DataConfig` it was made with.
        events: the sorted table of interactions after all filters.
        items: the table of items; row i - 1 describes item i.
        user_ids, item_ids: names by index; ``item_ids[0]`` is the padding.
        counts: events, users and items after each filter.
        split: the `Split`.
        truth: what only a simulation knows, else None.
    """

    def __init__(self, tables: Tables, config: DataConfig, name: str, seed: int, cache: Path | None):
        self.name, self.config, self.seed, self.truth = name, config, seed, tables.truth
        self.events, self.items, self.counts = tables.interactions, tables.items, list(tables.counts)
        self._index()
        self.split = leave_one_out(self.user, self.time, self.is_search, self.n_users)
        self.sampler = NegativeSampler(self.user, self.item, self.n_users, self.n_items)
        self._make_histories()
        self.rows = {split: {b: self._rows(split, b) for b in BEHAVIORS} for split in SPLITS}
        self._store_negatives(cache)
        self._count_split()

    @classmethod
    def from_tables(
        cls,
        tables: Tables,
        config: DataConfig | None = None,
        name: str = "tables",
        seed: int = 0,
        cache: Path | None = None,
    ) -> Dataset:
        """Validate, filter and split two tables.

        Args:
            tables: as a loader returns them.
            config: filters and protocol; the defaults are the paper's.
            seed: of the stored negatives and of the stored subset of evaluation rows.
            cache: folder for the stored negatives; None keeps them in memory.

        Raises:
            DataError: the tables break the schema, or nothing is left after the filters.
        """
        config = config or DataConfig()
        tables = k_core(validate(tables, name), config.min_interactions)
        if tables.interactions.empty:
            raise DataError(
                f"{name}: no event is left after the {config.min_interactions}-core filter; "
                f"use more data or lower min_interactions."
            )
        return cls(tables, config, name, seed, cache)

    # --- size and identity -------------------------------------------------------------------

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items, without the padding."""
        return len(self.item_ids) - 1

    @property
    def n_words(self) -> int:
        """Size of the vocabulary of query and item words, padding and unknown word included."""
        return len(self.words)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (first 16 digits) over events, texts, split and stored negatives."""
        sha = hashlib.sha256(self.config.model_dump_json().encode())
        for table in (self.events.drop(columns=SESSION), self.items):
            sha.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        arrays = {f"{s}_{b}": self.rows[s][b].event for s in SPLITS for b in BEHAVIORS}
        arrays |= {f"{s}_{b}_neg": self.rows[s][b].negatives for s in (VALID, TEST) for b in BEHAVIORS}
        sha.update(checksum(arrays).encode())
        return sha.hexdigest()[:16]

    @cached_property
    def item_text(self) -> list[str]:
        """Description of each item by index: title and text, else its category; '' for the padding."""
        rows = zip(self.items[TITLE], self.items[TEXT], self.items[CATEGORIES], strict=True)
        return ["", *(_describe(*row) for row in rows)]

    @cached_property
    def item_title(self) -> list[str]:
        """A short name of each item by index, for people: title, else description; '' for the padding."""
        return [title or text for title, text in zip(["", *self.items[TITLE]], self.item_text, strict=True)]

    def training_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """(user, item) of every recommendation click of the training part: what LightGCN may see."""
        rows = self.rows[TRAIN][REC].event
        return self.user[rows], self.item[rows]

    # --- batches -----------------------------------------------------------------------------

    def batch(
        self,
        split: str,
        task: str,
        index: np.ndarray,
        candidates: np.ndarray | None = None,
        with_event: bool = False,
    ) -> Batch:
        """The batch of some rows of a split.

        Args:
            index: positions in ``rows[split][task]``.
            candidates: (B, C); by default the positive and the stored negatives.
            with_event: name the rows of the answers in the log, for an oracle.
        """
        rows = self.rows[_known("split", split, SPLITS)][_known("task", task, BEHAVIORS)]
        event = rows.event[index]
        if candidates is None:
            if rows.negatives is None:
                raise DataError("training rows have no stored negatives; pass the candidates.")
            candidates = np.concatenate([self.item[event][:, None], rows.negatives[index]], axis=1)
        query = self.query[event]
        made = self.make_batch(
            task, self.user[event], rows.limit[index], candidates,
            query_words=self.query_word_ids[query], query_text=tuple(self.query_texts[query]),
        )  # fmt: skip
        return replace(made, event=torch.from_numpy(event)) if with_event else made

    def make_batch(self, task, user, limit, candidates, query_words, query_text) -> Batch:
        """A batch from its parts: history of ``user`` (B,) before row ``limit`` (B,), candidates (B, C)."""
        c = self.config
        rec_end = np.searchsorted(self.rec_row, limit)
        ses_end = np.searchsorted(self.ses_row, limit)
        rec_items = self.rec_items.last(user, rec_end, c.history_rec)
        ses_clicks = self.ses_clicks.last(user, ses_end, c.history_src)
        rec_time = self.rec_time.last(user, rec_end, c.history_rec)
        ses_time = self.ses_time.last(user, ses_end, c.history_src)
        merge = merge_order(rec_time, rec_items != 0, ses_time, ses_clicks[:, :, 0] != 0)
        past_query = self.ses_query.last(user, ses_end, c.history_src)  # (B, S), 0: the empty query
        arrays = dict(
            user=user, rec_items=rec_items, rec_time=rec_time, ses_words=self.query_word_ids[past_query],
            ses_clicks=ses_clicks, ses_time=ses_time, merge_index=merge, query=query_words, cand=candidates,
        )  # fmt: skip
        tensors = {name: torch.from_numpy(np.ascontiguousarray(a)).long() for name, a in arrays.items()}
        return Batch(task=task, query_text=query_text, **tensors)

    def batches(
        self, split: str, task: str, size: int, share: tuple[int, int] = (0, 1), with_event: bool = False
    ) -> Iterator[Batch]:
        """Evaluation batches in stored order; ``share`` (k, n) yields every n-th row from the k-th."""
        index = np.arange(len(self.rows[split][task]))[share[0] :: share[1]]
        for start in range(0, len(index), size):
            yield self.batch(split, task, index[start : start + size], with_event=with_event)

    def training_negatives(self, task: str, n: int, seed: tuple[int, ...]) -> np.ndarray:
        """Fresh negatives (N, n) for all training rows of a task; the same seed gives the same ones."""
        rng = np.random.default_rng([*seed, BEHAVIORS.index(task)])
        return self.sampler.draw(self.user[self.rows[TRAIN][task].event], n, rng)

    def word_ids(self, text: str) -> np.ndarray:
        """Word ids (1, W) of a query as typed; a word never seen in training is `UNKNOWN_WORD`."""
        return _word_matrix(pd.Series([text]), self.words, self.query_word_ids.shape[1])

    # --- construction ------------------------------------------------------------------------

    def _index(self) -> None:
        events = self.events
        self.user_ids, self.user = np.unique(events[USER].to_numpy(dtype=str), return_inverse=True)
        codes = pd.Index(self.items[ITEM]).get_indexer(events[ITEM])
        self.item_ids = np.array(["", *self.items[ITEM]], dtype=object)
        self.item = (codes + 1).astype(np.int32)
        self.time = events[TIME].to_numpy()
        self.is_search = events[BEHAVIOR].eq(SRC).to_numpy()
        self.query, texts = pd.factorize(pd.concat([pd.Series([""]), events[QUERY]]))  # text 0 is the empty query
        self.query, self.query_texts = self.query[1:], np.asarray(texts, dtype=object)

    def _make_histories(self) -> None:
        rec = np.flatnonzero(~self.is_search)
        self.rec_row = rec
        rec_offsets = np.searchsorted(self.user[rec], np.arange(self.n_users + 1))
        self.rec_items, self.rec_time = Ragged(self.item[rec], rec_offsets), Ragged(self.time[rec], rec_offsets)
        self._make_sessions()
        self._make_words()

    def _make_sessions(self) -> None:
        """Search clicks with the same user and session id are one session, placed at its last click.

        A session that is not over when the target happens must not be seen, hence the last click.
        """
        src = np.flatnonzero(self.is_search)
        session = pd.DataFrame({"user": self.user[src], "session": self.events[SESSION].to_numpy()[src], "row": src})
        session["last"] = session.groupby(["user", "session"], sort=False)["row"].transform("max")
        session = session.sort_values(["last", "row"], kind="stable")
        session["click"] = session.groupby("last").cumcount()
        self.ses_row, number = np.unique(session["last"].to_numpy(), return_inverse=True)
        clicks = np.zeros((len(self.ses_row), self.config.session_clicks), dtype=np.int32)
        kept = session["click"].to_numpy() < self.config.session_clicks
        clicks[number[kept], session["click"].to_numpy()[kept]] = self.item[session["row"].to_numpy()[kept]]
        used = max(1, int((clicks != 0).any(axis=0).sum()))  # no columns that nothing fills (K = 1 on Amazon)
        offsets = np.searchsorted(self.user[self.ses_row], np.arange(self.n_users + 1))
        self.ses_clicks = Ragged(clicks[:, :used], offsets)
        self.ses_time = Ragged(self.time[self.ses_row], offsets)
        self.ses_query = Ragged(self.query[self.ses_row], offsets)

    def _make_words(self) -> None:
        """Vocabulary of training queries and item texts, and the word ids of every query."""
        seen = np.unique(self.query[self.rows_before_cut() & self.is_search])
        texts = pd.concat([pd.Series(self.query_texts[seen], dtype=object), self.items[TITLE], self.items[TEXT]])
        words = _words(texts).explode().dropna().unique()
        self.words = pd.Index(["<pad>", "<unknown>", *sorted(words)])
        lengths = _words(pd.Series(self.query_texts, dtype=object)).str.len()
        width = int(min(max(1, lengths.max()), self.config.query_words))
        self.query_word_ids = _word_matrix(pd.Series(self.query_texts, dtype=object), self.words, width)

    def rows_before_cut(self) -> np.ndarray:
        """(E,) which events are training."""
        return np.arange(len(self.user)) < self.split.cut_valid[self.user]

    def _rows(self, split: str, task: str) -> Rows:
        event = self.split.rows[split][task]
        most = {VALID: self.config.max_valid_rows, TEST: self.config.max_test_rows}.get(split)
        if most is not None and len(event) > most:  # the same users for both tasks, as far as they have both
            order = np.random.default_rng([self.seed, SPLITS.index(split)]).permutation(self.n_users)
            event = np.sort(event[np.argsort(order[self.user[event]], kind="stable")[:most]])
        return Rows(event, self._limit(split, event))

    def _limit(self, split: str, event: np.ndarray) -> np.ndarray:
        if self.config.twins == "visible":
            return event  # by row number, as in published preprocessing: the twin in the row above is seen
        if split == TRAIN:
            earlier = (self.user[1:] == self.user[:-1]) & (self.time[1:] == self.time[:-1])
            first = np.maximum.accumulate(np.where(np.r_[False, earlier], 0, np.arange(len(self.user))))
            return first[event]  # strictly earlier than the target's moment
        all_before_test = split == TEST and self.config.test_history == "train+validation"
        return (self.split.cut_test if all_before_test else self.split.cut_valid)[self.user[event]]

    def _store_negatives(self, cache: Path | None) -> None:
        held_out = [(split, task) for split in (VALID, TEST) for task in BEHAVIORS]

        def draw() -> dict[str, np.ndarray]:
            rng = np.random.default_rng([self.seed, 99])
            n = self.config.eval_negatives
            return {f"{s}_{t}": self.sampler.draw(self.user[self.rows[s][t].event], n, rng) for s, t in held_out}

        targets = checksum({f"{s}_{t}": self.rows[s][t].event for s, t in held_out} | {"touched": self.sampler.touched})
        path = cache and Path(cache) / f"negatives-{targets[:12]}-{self.config.eval_negatives}-seed{self.seed}.npz"
        stored = stored_negatives(path, draw)
        for split, task in held_out:
            rows = self.rows[split][task]
            self.rows[split][task] = Rows(rows.event, rows.limit, stored[f"{split}_{task}"])

    def _count_split(self) -> None:
        """Rows of the table of counts for the split itself."""
        short = int(self.split.too_short.sum())
        for split in SPLITS:
            rows = {task: self.rows[split][task].event for task in BEHAVIORS}
            every = np.concatenate(list(rows.values()))
            self.counts.append({
                "step": f"{split} rows" + f" ({short} users too short to hold out)" * (split == TRAIN and short > 0),
                "rec events": len(rows[REC]), "src events": len(rows[SRC]),
                "users": len(np.unique(self.user[every])), "items": len(np.unique(self.item[every])),
                "queries": len(np.unique(self.query[rows[SRC]])),
            })  # fmt: skip

    def count_table(self) -> pd.DataFrame:
        """Events, users, items and queries after each step, for the book."""
        return pd.DataFrame(self.counts).set_index("step")

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, {self.n_users} users, {self.n_items} items, {len(self.user)} events, {self.hash})"
        )


def _known(kind: str, value: str, allowed) -> str:
    if value not in allowed:
        raise unknown(kind, value, allowed)
    return value


def _describe(title: str, text: str, path: str) -> str:
    """One description out of what is known; a text that begins with the title stands alone."""
    return (text if text.startswith(title) else f"{title}. {text}".strip(" .")) or path


def _words(texts: pd.Series) -> pd.Series:
    return texts.str.lower().str.findall(r"[^\W_]+")


def _word_matrix(texts: pd.Series, words: pd.Index, width: int) -> np.ndarray:
    """Word ids (n, width) of some texts, right-padded with 0, longer ones cut."""
    long = _words(texts.reset_index(drop=True)).explode().dropna()
    place = long.groupby(level=0).cumcount().to_numpy()
    ids = words.get_indexer(long)
    ids = np.where(ids < 0, UNKNOWN_WORD, ids)
    matrix = np.zeros((len(texts), width), dtype=np.int32)
    kept = place < width
    matrix[long.index.to_numpy()[kept], place[kept]] = ids[kept]
    return matrix
