"""`Dataset`: validated tables as index arrays, split, with stored negatives; it makes batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..config import DataConfig
from ..errors import DataError, known
from .batches import Batch
from .construction import HELD_OUT, parts_of
from .histories import Histories
from .item_texts import item_texts, item_titles
from .law import ClickLaw
from .negatives import NegativeSampler, checksum
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
from .split import SPLITS, TRAIN, Rows, Split, k_core
from .words import Words


@dataclass(eq=False, repr=False)
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
        query_texts: queries by number.
        user_ids, item_ids: names by index; ``item_ids[0]`` is the padding.
        words: the vocabulary; ``query_word_ids`` are its numbers of the words of each query.
        sampler: draws negatives.
        histories: what came before a row of the log.
        counts: events, users and items after each filter.
        split: the `Split`.
        rows: ``rows[split][task]``, the `Rows` to train or test on.
        truth: what only a simulation knows, else None.
        notes: a sentence for each thing that was left out, cut or made up in reading: repeated
            events, unused columns, items without a row, long texts, searches from categories.
    """

    name: str
    config: DataConfig
    seed: int
    items: pd.DataFrame
    counts: list[dict]
    truth: object
    notes: list[str]
    user_ids: np.ndarray
    item_ids: np.ndarray
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    is_search: np.ndarray
    query: np.ndarray
    session: np.ndarray
    query_texts: np.ndarray
    split: Split
    rows: dict[str, dict[str, Rows]]
    sampler: NegativeSampler
    histories: Histories
    words: pd.Index
    query_word_ids: np.ndarray

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
            DataError: the tables break the schema, nothing is left after the filters, or
                `construction.parts_of` refuses them.
        """
        config = config or DataConfig()
        tables = validate(tables, name)
        if config.split != "given":
            tables = k_core(tables, config.min_interactions, config.both_behaviors)
        if tables.interactions.empty:
            said = f"no event is left after the {config.min_interactions}-core filter"
            raise DataError(f"{name}: {said}; use more data or lower min_interactions.")
        return cls(**parts_of(tables, config, name, seed, cache))

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
        """SHA-256 (first 16 digits) over events, texts, split and stored negatives.

        Also over sessions where one has several clicks, and ends of histories where they are given.
        """
        config = json.dumps(self.config.identity(), separators=(",", ":"), ensure_ascii=False)
        sha = hashlib.sha256(config.encode())
        for table in (self._coded_events(), self.items):
            sha.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        arrays = {f"{s}_{b}": self.rows[s][b].event for s in SPLITS for b in BEHAVIORS}
        arrays |= {f"{s}_{b}_neg": self.rows[s][b].negatives for s, b in HELD_OUT}
        session = self.session[self.session >= 0]
        if len(np.unique(session)) < len(session):
            arrays["session"] = pd.factorize(session)[0]
        if self.config.split == "given":
            arrays |= {f"{s}_{b}_limit": self.rows[s][b].limit for s in SPLITS for b in BEHAVIORS}
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

    def count_table(self) -> pd.DataFrame:
        """Events, users, items and queries after each step, for the book."""
        return pd.DataFrame(self.counts).set_index("step")

    def __repr__(self) -> str:
        sizes = f"{self.n_users} users, {self.n_items} items, {len(self.user)} events"
        return f"Dataset({self.name!r}, {sizes}, {self.hash})"
