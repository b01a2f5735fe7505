"""QEM (Ai et al., CIKM 2019): the query alone, with no user in it.

The query embedding model is what *A Zero Attention Model for Personalized Product Search* compares
its personal ones with: a query and the items are vectors of one space, and the nearest item wins.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import SRC
from ..base import RankingModel
from ..layers import id_table
from ..losses import negative_sampling
from ..product_search import ProductQuery, WordLM, item_texts_of, zero_table


class QEMConfig(Config):
    """Options of QEM; *published* is what the code of the authors' group has by default."""

    width: int = Field(64, ge=1, description="d of words and items (published: 128)")
    text_words: int = Field(5, ge=1, description="said of an item in a step (published: 5)")
    word_negatives: int = Field(5, ge=1, description="drawn for each of them (published: 5)")


class QEM(RankingModel):
    """s(c) = q · e_c + b_c, with q = tanh(W m + b) of the mean m of the query's words.

    Trained by negative sampling: the click against its negatives, and an item's vector against
    words that its text does not have.

    Departures:
        - The negatives of a click are those drawn for the record, uniform among the items that the
          user touches in no part of the data, as for all systems of the book. HEM draws by the
          frequency of items, and shares draws in a batch.
        - The text of an item is its title and description, not its reviews.
        - AdamW with a falling rate, d = 64: the shared protocol; no dropout of the query.

    Args:
        config: options.
        n_words: words have 0 for padding, which it counts.
        texts: (I + 1, T) words of each item's text, row 0 padding; T = 0: no language model.
    """

    name = "qem"
    tasks = frozenset({SRC})
    task_term = "rank"
    Config = QEMConfig
    tiny: ClassVar = {"width": 8}

    def __init__(self, config: QEMConfig, n_words: int, texts: Tensor):
        super().__init__(config, n_words=n_words, texts=texts)
        self.query = ProductQuery(n_words, config.width)
        self.items = id_table(len(texts), config.width)
        self.bias = zero_table(len(texts))
        self.language = WordLM(n_words, texts, config.text_words, config.word_negatives)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: QEMConfig) -> QEM:
        """A fresh model with a vector for each word and item."""
        return cls(config, dataset.n_words, item_texts_of(dataset, cls.name))

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32; without a known word of the query, those of q = tanh(b)."""
        query = self.query(batch.query)  # (B, d)
        scores = torch.einsum("bd,bcd->bc", query, self.items(batch.cand))
        return (scores + self.bias(batch.cand).squeeze(-1)).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``rank``: the click against its negatives; ``item_words``: the text of its item."""
        item = batch.cand[:, 0]
        rank = negative_sampling(self.score(batch)).mean()
        table = self.query.words.table
        return {"rank": rank, **self.language.terms(table, item, item_words=self.items(item))}
