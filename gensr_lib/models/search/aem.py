"""AEM (Ai et al., CIKM 2019): the query chooses among what the user clicked before.

The attention embedding model of *A Zero Attention Model for Personalized Product Search*: the user
is made anew for each query, as the mean of earlier items that the query weighs. See `zam` for the
paper's own model, which may leave the user out.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...config import Config
from ...data.batches import Batch, merged_history, trimmed
from ...data.dataset import Dataset
from ...data.schema import SRC
from ..attention import QueryAttention
from ..base import RankingModel
from ..layers import id_table
from ..losses import negative_sampling
from ..product_search import ProductQuery, WordLM, item_texts_of, zero_table


class AEMConfig(Config):
    """Options of AEM and ZAM; *published* is what the authors' code has by default."""

    width: int = Field(64, ge=1, description="d of words and items (published: 100)")
    heads: int = Field(
        8, ge=1, description="m, rows of the attention's tanh by unit of d (third-party code: 8)"
    )
    query_weight: float = Field(
        0.5, ge=0, le=1, description="λ of the query, beside 1 - λ of the user (published: 0.5)"
    )
    history: int = Field(30, ge=1, description="most recent clicks read (published: 20)")
    history_of: Literal["rec", "src", "both"] = Field("src", description="behaviors in it")
    text_words: int = Field(5, ge=1, description="said of an item in a step (published: 5)")
    word_negatives: int = Field(5, ge=1, description="drawn for each of them (published: 5)")


class AEM(RankingModel):
    """s(c) = (λ q + (1 - λ) Σ a_i e_i) · e_c + b_c, with a = softmax(f(q, i)) over earlier items i.

    q = tanh(W m + b) is that of `QEM`, f that of `QueryAttention`. Without a history, x = λ q.

    Departures:
        - The negatives of a click are those drawn for the record, uniform among the items that the
          user touches in no part of the data, as for all systems of the book. The text of an item
          is its title and description, not its reviews.
        - Earlier items are those of earlier searches; on Amazon the authors have purchases, which
          ``history_of`` can bring back.
        - AdamW with a falling rate, d = 64, 30 clicks: the shared protocol.

    Args:
        config: options.
        n_words: words have 0 for padding, which it counts.
        texts: (I + 1, T) words of each item's text, row 0 padding; T = 0: no language model.
    """

    name = "aem"
    tasks = frozenset({SRC})
    task_term = "rank"
    Config = AEMConfig
    zero: ClassVar[bool] = False  # whether attention may go to nothing
    tiny: ClassVar = {"width": 8, "heads": 3, "history": 9}

    def __init__(self, config: AEMConfig, n_words: int, texts: Tensor):
        super().__init__(config, n_words=n_words, texts=texts)
        self.query = ProductQuery(n_words, config.width)
        self.items = id_table(len(texts), config.width)
        self.bias = zero_table(len(texts))
        self.attention = QueryAttention(config.width, config.heads, self.zero)
        self.language = WordLM(n_words, texts, config.text_words, config.word_negatives)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: AEMConfig) -> AEM:
        """A fresh model with a vector for each word and item."""
        return cls(config, dataset.n_words, item_texts_of(dataset, cls.name))

    def intent(self, batch: Batch) -> Tensor:
        """x = λ q + (1 - λ) u, what is looked for, by whom: (B, d)."""
        clicks = trimmed(merged_history(batch, self.config.history, self.config.history_of)[0])
        query = self.query(batch.query)  # (B, d)
        user = self.attention(query, self.items(clicks), clicks != 0)  # (B, d)
        return self.config.query_weight * query + (1 - self.config.query_weight) * user

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32; without a known word of the query, those of q = tanh(b)."""
        scores = torch.einsum("bd,bcd->bc", self.intent(batch), self.items(batch.cand))
        return (scores + self.bias(batch.cand).squeeze(-1)).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``rank``: the click against its negatives; ``item_words``: the text of its item."""
        item = batch.cand[:, 0]
        rank = negative_sampling(self.score(batch)).mean()
        table = self.query.words.table
        return {"rank": rank, **self.language.terms(table, item, item_words=self.items(item))}
