"""TEM (Bi et al., SIGIR 2020): a transformer reads the query and what was clicked before it.

*A Transformer-based Embedding Model for Personalized Product Search*: the state of the query, once
it has read the items and they each other, is what is looked for. How much of it is personal is left
to the transformer, where earlier models have a weight.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, merged_history, trimmed
from ...data.dataset import Dataset
from ...data.schema import SRC
from ..base import RankingModel
from ..encoders import Encoder, sinusoids
from ..layers import id_table
from ..losses import negative_sampling
from ..product_search import ProductQuery, WordLM, item_texts_of, zero_table


class TEMConfig(Config):
    """Options of TEM; *published* is what the authors' code has by default."""

    width: int = Field(64, ge=1, description="d (published: 128)")
    layers: int = Field(1, ge=1, description="published: 1 to 3")
    heads: int = Field(4, ge=1, description="of attention (published: 8)")
    inner: int = Field(256, ge=1, description="width of the feed-forward (published: 512)")
    dropout: float = Field(0.1, ge=0, lt=1, description="published: 0.1")
    history: int = Field(30, ge=1, description="most recent clicks read (published: 20)")
    history_of: Literal["rec", "src", "both"] = Field("src", description="behaviors in it")
    text_words: int = Field(5, ge=1, description="said of an item in a step (published: 5)")
    word_negatives: int = Field(5, ge=1, description="drawn for each of them (published: 5)")


class TEM(RankingModel):
    """s(c) = x · e_c + b_c, with x the state at q of a transformer over [q, e_1, …, e_N].

    q = tanh(W m + b) is that of `QEM`, at position 0. Each token reads all others, later ones too.

    Departures:
        - Tokens are multiplied by sqrt(d) before the sines of their positions are added. The
          authors' vectors start as normal(0, 1), ours ten times smaller, and would be lost in them.
        - Plain pre-norm blocks; in the code the first layer's attention reads what is not normed.
        - The history is encoded once, not anew for each negative, and q has no dropout of its own.
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
        tables: what a subclass was given beside these.
    """

    name = "tem"
    tasks = frozenset({SRC})
    task_term = "rank"
    Config = TEMConfig
    tiny: ClassVar = {"width": 8, "inner": 16, "history": 9}

    def __init__(self, config: TEMConfig, n_words: int, texts: Tensor, **tables: Tensor):
        super().__init__(config, n_words=n_words, texts=texts, **tables)
        d = config.width
        self.query = ProductQuery(n_words, d)
        self.items = id_table(len(texts), d)
        self.bias = zero_table(len(texts))
        self.language = WordLM(n_words, texts, config.text_words, config.word_negatives)
        self.encoder = Encoder(
            d,
            1 + config.history,
            config.layers,
            config.heads,
            config.dropout,
            position_std=None,
            inner=config.inner,
            activation="gelu",
            norm_first=True,
        )
        positions = sinusoids(1 + config.history, d)
        self.encoder.position = nn.Parameter(positions, requires_grad=False)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: TEMConfig) -> TEM:
        """A fresh model with a vector for each word and item."""
        return cls(config, dataset.n_words, item_texts_of(dataset, cls.name))

    def read(self, query: Tensor, tokens: Tensor, valid: Tensor) -> Tensor:
        """x of queries (B, d) that read tokens (B, N, d), real where valid (B, N): (B, d)."""
        x = torch.cat([query.unsqueeze(1), tokens], dim=1) * self.config.width**0.5
        valid = torch.nn.functional.pad(valid, (1, 0), value=True)  # so no row is without a token
        return self.encoder(x, valid)[:, 0]

    def intent(self, batch: Batch) -> Tensor:
        """x, what is looked for, by whom: (B, d)."""
        clicks = trimmed(merged_history(batch, self.config.history, self.config.history_of)[0])
        return self.read(self.query(batch.query), self.items(clicks), clicks != 0)

    def score_items(self, intent: Tensor, items: Tensor) -> Tensor:
        """Logits (B, C) in float32 of items (B, C) for x (B, d)."""
        scores = torch.einsum("bd,bcd->bc", intent, self.items(items))
        return (scores + self.bias(items).squeeze(-1)).float()

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32; without a known word of the query, those of q = tanh(b)."""
        return self.score_items(self.intent(batch), batch.cand)

    def terms(self, intent: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss for x (B, d) of a batch."""
        item = batch.cand[:, 0]
        rank = negative_sampling(self.score_items(intent, batch.cand)).mean()
        table = self.query.words.table
        return {"rank": rank, **self.language.terms(table, item, item_words=self.items(item))}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``rank``: the click against its negatives; ``item_words``: the text of its item."""
        return self.terms(self.intent(batch), batch)
