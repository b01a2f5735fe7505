"""`Dataset`: validated tables as index arrays, split, with stored negatives; it makes batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..config import DataConfig
from ..errors import DataError, known
from .batches import Batch
from .histories import Histories
from .item_texts import item_texts, item_titles
from .law import ClickLaw
from .negatives import NegativeSampler, checksum, stored_negatives
from .schema import (
    BEHAVIOR,
    BEHAVIORS,
    ITEM,
    NAME_COLUMNS,
    QUERY,
    REC,
    SESSION,
    SRC,
    TIME,
    USER,
    Tables,
    coded,
    cut_query,
    validate,
)
from .split import SPLITS, TEST, TRAIN, VALID, Rows, k_core, leave_one_out, split_counts
from .words import Words, make_vocabulary

HELD_OUT = [(split, task) for split in (VALID, TEST) for task in BEHAVIORS]


class Dataset:
    """One data set, ready for training and evaluation.

    Users are numbered 0..n_users-1 and items 1..n_items (0 is padding). Build it with
    `gensr_lib.data.load_dataset` or `Dataset.from_tables`.

    Attributes:
        name: for tables and folders.
        config: the `DataConfig` it was made with.
        user, item, time, is_search, query, session: (E,) the events after all filters, by user,
            then time; ``query`` numbers `query_texts`, whose first is the empty one.
        items: the table of items; row i - 1 describes item i.
        user_ids, item_ids: names by index; ``item_ids[0]`` is the padding.
        words: the vocabulary; ``query_word_ids`` are its numbers of the words of each query.
        counts: events, users and items after each filter.
        split: the `Split`.
        rows: ``rows[split][task]``, the `Rows` to train or test on.
        truth: what only a simulation knows, else None.
        notes: a sentence for each thing that was left out, cut or made up in reading: repeated
            events, unused columns, items without a row, long texts, searches from categories.
    """

    def __init__(
        self, tables: Tables, config: DataConfig, name: str, seed: int, cache: Path | None
    ):
        self.name = name
        self.config = config
        self.seed = seed
        self.items = tables.items
        self.counts = list(tables.counts)
        self.truth = tables.truth
        self.notes = [str(note) for note in tables.notes]  # without the rows that they are about
        self._take_events(tables.interactions)
        self.split = leave_one_out(self.user, self.time, self.is_search, self.n_users)
        self.sampler = NegativeSampler(self.user, self.item, self.user_ids, self.n_items)
        log = (self.user, self.item, self.time, self.is_search, self.query, self.session)
        self.histories = Histories(*log, self.n_users, config.session_clicks)
        self._make_words()
        self.rows = {split: {b: self._rows(split, b) for b in BEHAVIORS} for split in SPLITS}
        self._store_negatives(cache)
        self.counts += split_counts(self.rows, self.split, self.user, self.item, self.query)

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
            said = f"no event is left after the {config.min_interactions}-core filter"
            raise DataError(f"{name}: {said}; use more data or lower min_interactions.")
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
        for table in (self._coded_events(), self.items):
            sha.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        arrays = {f"{s}_{b}": self.rows[s][b].event for s in SPLITS for b in BEHAVIORS}
        arrays |= {f"{s}_{b}_neg": self.rows[s][b].negatives for s, b in HELD_OUT}
        sha.update(checksum(arrays).encode())
        return sha.hexdigest()[:16]

    @property
    def events(self) -> pd.DataFrame:
        """The sorted table of interactions with names in place of numbers, made anew each time."""
        named = self._coded_events().astype(dict.fromkeys(NAME_COLUMNS, object))
        return named.assign(**{SESSION: self.session})

    @cached_property
    def item_text(self) -> list[str]:
        """What systems read of each item by index, as in `item_texts`; '' for padding."""
        return ["", *item_texts(self.items, self.config.categories_in_text)]

    @cached_property
    def item_title(self) -> list[str]:
        """A short name of each item by index, for people, as in `item_titles`."""
        return ["", *item_titles(self.items)]

    def training_edges(self, behaviors: str = REC) -> tuple[np.ndarray, np.ndarray]:
        """(user, item) of every click in the training part: LightGCN's graph.

        Args:
            behaviors: ``rec`` or ``src``, or ``both``: first those of recommendations.
        """
        chosen = BEHAVIORS if behaviors == "both" else [known("behavior", behaviors, BEHAVIORS)]
        rows = np.concatenate([self.rows[TRAIN][task].event for task in chosen])
        return self.user[rows], self.item[rows]

    def seen_pairs(self, split: str) -> np.ndarray:
        """Whether training has seen the pair of query and clicked item of each search row (N,).

        A pair is the text of the query, as it stands, and the item. In stored order; True for all
        rows of the training split.

        Raises:
            ConfigError: an unknown split.
        """
        trained, asked = map(self._search_pairs, (TRAIN, known("split", split, SPLITS)))
        return np.isin(asked, trained)

    def _search_pairs(self, split: str) -> np.ndarray:
        """A number (N,) for the pair of query and clicked item of each search row."""
        event = self.rows[split][SRC].event
        return self.query[event].astype(np.int64) * len(self.item_ids) + self.item[event]

    @cached_property
    def law(self) -> ClickLaw:
        """The click law of a simulated data set; DataError where there is none."""
        return ClickLaw(self)

    def rows_before_cut(self) -> np.ndarray:
        """(E,) which events are training."""
        return np.arange(len(self.user)) < self.split.cut_valid[self.user]

    @cached_property
    def training_queries(self) -> np.ndarray:
        """Numbers (Q,), ascending, of the distinct queries of training that have a word."""
        typed = np.unique(self.query[self.rows_before_cut() & self.is_search])
        return typed[self.query_word_ids[typed].any(axis=1)]

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
        rows = self.rows[known("split", split, SPLITS)][known("task", task, BEHAVIORS)]
        event = rows.event[index]
        if candidates is None:
            if rows.negatives is None:
                raise DataError("training rows have no stored negatives; pass the candidates.")
            candidates = np.concatenate([self.item[event][:, None], rows.negatives[index]], axis=1)
        query = self.query[event]
        asked = (self.query_word_ids[query], tuple(self.query_texts[query]))
        made = self.make_batch(task, self.user[event], rows.limit[index], candidates, *asked)
        return replace(made, event=torch.from_numpy(event)) if with_event else made

    def make_batch(self, task, user, limit, candidates, query_words, query_text) -> Batch:
        """A batch from its parts: history of ``user`` (B,) before row ``limit`` (B,), candidates.

        Args:
            candidates: (B, C).
            query_words: (B, W) word ids of the current query.
            query_text: B strings; a long one is cut as those of the tables are.
        """
        config = self.config
        history = self.histories.before(user, limit, config.history_rec, config.history_src)
        arrays = {"user": user, "query": query_words, "cand": candidates, **history}
        arrays["ses_words"] = self.query_word_ids[arrays.pop("ses_query")]  # query 0 has no words
        tensors = {k: torch.from_numpy(np.ascontiguousarray(a)).long() for k, a in arrays.items()}
        query_text = tuple(map(cut_query, query_text))
        return Batch(task=task, query_text=query_text, **tensors)

    def batches(
        self, split: str, task: str, size: int, share=(0, 1), with_event: bool = False
    ) -> Iterator[Batch]:
        """Evaluation batches in stored order; ``share`` (k, n): every n-th row from the k-th."""
        index = np.arange(len(self.rows[split][task]))[share[0] :: share[1]]
        for start in range(0, len(index), size):
            yield self.batch(split, task, index[start : start + size], with_event=with_event)

    def training_negatives(self, task: str, n: int, seed: tuple[int, ...]) -> np.ndarray:
        """Fresh negatives (N, n) for all training rows of a task; the same seed gives the same."""
        rng = np.random.default_rng([*seed, BEHAVIORS.index(task)])
        return self.sampler.draw(self.user[self.rows[TRAIN][task].event], n, rng)

    def word_ids(self, text: str) -> np.ndarray:
        """Ids (1, W) of the words of a query as typed; one that training lacks is unknown."""
        return Words([text]).matrix(self.words, self.query_word_ids.shape[1])

    # --- construction ------------------------------------------------------------------------

    def _take_events(self, events: pd.DataFrame) -> None:
        """The columns as arrays. Users are numbered by name, items by the table of items."""
        user, item, query = (events[column].cat for column in (USER, ITEM, QUERY))
        self.user_ids = user.categories.to_numpy(dtype=object)
        self.user = user.codes.to_numpy(dtype=np.int64)
        self.item_ids = np.array(["", *self.items[ITEM]], dtype=object)
        number = pd.Index(self.items[ITEM]).get_indexer(item.categories).astype(np.int32) + 1
        self.item = number[item.codes]
        self.time = events[TIME].to_numpy()
        self.session = events[SESSION].to_numpy()
        self.is_search = events[BEHAVIOR].eq(SRC).to_numpy()
        # Queries in order of appearance behind the empty one, whose code is -1 if nothing has it:
        # as a position, that is the one appended.
        empty = query.categories.get_indexer([""])
        numbers, found = pd.factorize(np.r_[empty, query.codes])
        self.query = numbers[1:]
        self.query_texts = np.append(query.categories.astype(object), "")[found]

    def _coded_events(self) -> pd.DataFrame:
        """The events with categorical names, without their sessions."""
        columns = {
            USER: coded(self.user, self.user_ids),
            ITEM: coded(self.item, self.item_ids),
            TIME: self.time,
            BEHAVIOR: coded(self.is_search.astype(np.int8), BEHAVIORS),
            QUERY: coded(self.query, self.query_texts),
        }
        return pd.DataFrame(columns)

    def _make_words(self) -> None:
        """Vocabulary of training queries and item texts, and the word ids of every query."""
        queries = Words(self.query_texts)
        trained = queries.of(self.query[self.rows_before_cut() & self.is_search])
        texts = Words(np.array(self.item_text, dtype=object))
        self.words = make_vocabulary(trained, texts.distinct)
        width = min(queries.longest(), self.config.query_words)
        self.query_word_ids = queries.matrix(self.words, width)

    def _rows(self, split: str, task: str) -> Rows:
        event = self.split.rows[split][task]
        most = {VALID: self.config.max_valid_rows, TEST: self.config.max_test_rows}.get(split)
        if most is not None and len(event) > most:
            # The users who come first in one random order: the same for both tasks, as far as
            # they have both.
            rng = np.random.default_rng([self.seed, SPLITS.index(split)])
            place = rng.permutation(self.n_users)[self.user[event]]
            event = np.sort(event[np.argsort(place, kind="stable")[:most]])
        return Rows(event, self._limit(split, event))

    def _limit(self, split: str, event: np.ndarray) -> np.ndarray:
        """For each event (N,), the row of the log at which its history ends."""
        if self.config.twins == "visible":
            return event  # as in published preprocessing: the twin in the row above is seen
        if split == TRAIN:  # strictly earlier than the target's moment
            same_user, same_time = (a[1:] == a[:-1] for a in (self.user, self.time))
            goes_on = np.r_[False, same_user & same_time]
            first = np.maximum.accumulate(np.where(goes_on, 0, np.arange(len(self.user))))
            return first[event]
        reaches_test = split == TEST and self.config.test_history == "train+validation"
        cut = self.split.cut_test if reaches_test else self.split.cut_valid
        return cut[self.user[event]]

    def _store_negatives(self, cache: Path | None) -> None:
        """Draw the negatives of all held-out rows, or read them where they were stored before."""
        n = self.config.eval_negatives
        events = {f"{s}_{t}": self.rows[s][t].event for s, t in HELD_OUT}

        def draw() -> dict[str, np.ndarray]:
            rng = np.random.default_rng([self.seed, 99])
            return {k: self.sampler.draw(self.user[e], n, rng) for k, e in events.items()}

        targets = checksum({**events, "touched": self.sampler.touched})
        path = cache and Path(cache) / f"negatives-{targets[:12]}-{n}-seed{self.seed}.npz"
        stored = stored_negatives(path, draw, {k: (len(e), n) for k, e in events.items()})
        for split, task in HELD_OUT:
            rows = self.rows[split][task]
            self.rows[split][task] = replace(rows, negatives=stored[f"{split}_{task}"])

    def count_table(self) -> pd.DataFrame:
        """Events, users, items and queries after each step, for the book."""
        return pd.DataFrame(self.counts).set_index("step")

    def __repr__(self) -> str:
        sizes = f"{self.n_users} users, {self.n_items} items, {len(self.user)} events"
        return f"Dataset({self.name!r}, {sizes}, {self.hash})"
