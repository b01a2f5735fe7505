"""Floors that read the query: what a word, or the whole query, says of each item.

`BM25` over the items' texts (Robertson et al., TREC-3, in Lucene's form) and `QueryLookup` (what
the same query led to in training). Both are lists of items with weights under keys.

The defaults were chosen on the *validation* rows of the pocket world; no test row was looked at.
"""

from __future__ import annotations

import bm25s
import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import BEHAVIORS, SRC
from ...data.split import TRAIN, tasks_of
from ...data.words import Words
from ..base import RankingModel
from ..floors import log_popularity

LAST_KEY = np.iinfo(np.int64).max  # behind every key of a `_Lookup`; nothing is kept under it


class _Lookup(RankingModel):
    """A list of items with weights under each key: a word, or a whole query.

    Keys are 64-bit hashes of texts, so that they are weights like any other on disk.

    Args:
        popularity: (I + 1,) log popularity in searches.
        key: (V + 1,) ascending, `LAST_KEY` at the end.
        start: (V + 2,) the list of key v is ``start[v]:start[v + 1]`` of the next two.
        item, weight: (P,) each.
    """

    family = "anchor"
    tasks = frozenset({SRC})

    def __init__(
        self, config: Config, popularity: Tensor, key: Tensor, start: Tensor, item: Tensor,
        weight: Tensor,
    ):  # fmt: skip
        tables = dict(popularity=popularity, key=key, start=start, item=item, weight=weight)
        super().__init__(config, **tables)
        for name, table in tables.items():
            self.register_buffer(name, table)

    @classmethod
    def obstacle(cls, dataset: Dataset, config: Config) -> str:
        """It answers queries."""
        has_searches = SRC in tasks_of(dataset.rows)
        return "" if has_searches else "it answers queries, and there are none to train and test"

    def totals(self, row: Tensor, key: Tensor, n_rows: int) -> Tensor:
        """Sum of the weights of each item (n_rows, I + 1) under keys, each for its row, (L,)."""
        place = torch.searchsorted(self.key, key)
        known = self.key[place] == key
        row, place = row[known], place[known]
        length = self.start[place + 1] - self.start[place]
        # Where the lists stand, end to end: each begins at its start, behind those before it.
        shift = (self.start[place] - (length.cumsum(0) - length)).repeat_interleave(length)
        entry = shift + torch.arange(len(shift), device=shift.device)
        totals = self.popularity.new_zeros(n_rows, len(self.popularity))
        at = (row.repeat_interleave(length), self.item[entry])
        return totals.index_put_(at, self.weight[entry], accumulate=True)


class BM25Config(Config):
    """Options of BM25; ``k1`` and ``b`` are Lucene's defaults."""

    k1: float = Field(1.2, ge=0, description="how soon a repeated word stops to count")
    b: float = Field(0.75, ge=0, le=1, description="how much long texts are discounted")
    popularity: float = Field(0.5, ge=0, description="weight of log popularity; 0: text alone")


class BM25(_Lookup):
    """Sums over the words of a query how much each speaks for the candidate's text.

    Of a word that is f times in a text of l words, of N texts with l' words on average of which n
    have it: ``ln(1 + (N - n + 1/2) / (n + 1/2)) f / (f + k1 (1 - b + b l / l'))``, the weights of
    `bm25s`. Popularity is added as ``popularity * log(1 + clicks)``. An item without text is not
    among the N and has popularity alone, as all items have for a query of unknown words.
    """

    name = "bm25"
    Config = BM25Config

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: BM25Config) -> BM25:
        """Index `Dataset.item_text`."""
        words = Words(np.array(dataset.item_text, dtype=object))
        popularity = log_popularity(dataset)[BEHAVIORS.index(SRC)]
        return cls(config, popularity, *_lists(*_index(words, config)))

    def score(self, batch: Batch) -> Tensor:
        """BM25 of the query and each candidate (B, C), with popularity."""
        words = Words(np.array(batch.query_text, dtype=object))
        row = torch.from_numpy(words.text).to(batch.cand.device)
        key = torch.from_numpy(_keys(words.distinct)[words.code]).to(batch.cand.device)
        found = self.totals(row, key, len(batch)).gather(1, batch.cand)
        return found + self.config.popularity * self.popularity[batch.cand]


class QueryLookupConfig(Config):
    """Options of the lookup."""

    popularity: float = Field(0.1, ge=0, description="weight of log popularity")


class QueryLookup(_Lookup):
    """Counts how often the same query led to the candidate before.

    ``log(1 + clicks from this very query) + popularity * log(1 + clicks)``, training searches only.
    """

    name = "query_lookup"
    Config = QueryLookupConfig

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: QueryLookupConfig) -> QueryLookup:
        """Count the pairs of query and item."""
        rows = dataset.rows[TRAIN][SRC].event
        pairs = np.stack([dataset.query[rows], dataset.item[rows]])
        (query, item), count = np.unique(pairs, axis=1, return_counts=True)
        lists = _lists(_keys(dataset.query_texts)[query], item, np.log1p(count))
        return cls(config, log_popularity(dataset)[BEHAVIORS.index(SRC)], *lists)

    def score(self, batch: Batch) -> Tensor:
        """Log counts of the pair and of the item, weighted (B, C)."""
        key = torch.from_numpy(_keys(np.array(batch.query_text, dtype=object)))
        row = torch.arange(len(batch), device=batch.cand.device)
        found = self.totals(row, key.to(row.device), len(batch)).gather(1, batch.cand)
        return found + self.config.popularity * self.popularity[batch.cand]


def _keys(texts: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each text, the same on every machine."""
    return pd.util.hash_array(np.asarray(texts, dtype=object), categorize=False).view(np.int64)


def _lists(key: np.ndarray, item: np.ndarray, weight: np.ndarray) -> list[Tensor]:
    """Keys, starts, items and weights of a `_Lookup` from (P,) of each entry."""
    order = np.lexsort((item, key))
    distinct, start = np.unique(key[order], return_index=True)
    start = np.r_[start, len(key), len(key)]
    tables = (np.r_[distinct, LAST_KEY], start, item[order].astype(np.int64))
    return [*map(torch.from_numpy, tables), torch.from_numpy(weight[order]).float()]


def _index(words: Words, config: BM25Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Key, item and BM25 weight of each word of each text; the item's number is its text's."""
    items = np.unique(words.text)
    if not len(items):
        return np.zeros(0, np.int64), items, np.zeros(0)
    texts = np.split(words.code, np.flatnonzero(np.diff(words.text)) + 1)
    index = bm25s.BM25(method="lucene", k1=config.k1, b=config.b)
    vocabulary = {word: code for code, word in enumerate(words.distinct)}
    index.index((texts, vocabulary), show_progress=False)
    weights = index.scores  # a sparse matrix of texts and words, by word
    key = np.repeat(_keys(words.distinct), np.diff(weights["indptr"]))
    return key, items[weights["indices"]], weights["data"]
