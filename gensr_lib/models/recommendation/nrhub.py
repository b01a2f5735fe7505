"""NRHUB (Wu et al., EMNLP 2019): a user in three views, pooled by attention, then pooled again.

The views are the items browsed, the queries typed and the items clicked after them. Heterogeneous
user behavior, from "Neural News Recommendation with Heterogeneous User Behavior".

Departures: an item is its number's vector and a query the mean of its words', where the paper reads
the words of all of them by a convolution (there are no texts in the shared protocol); a tanh layer
lies on views and candidates, as in later uses of it for items without text; the view of clicks
stands in for the web pages browsed; the most recent history, instead of a random part of it. The
authors' notebook pools without a mask, so that padding takes attention, and sums projected vectors:
here padding is masked, an empty view too, and the vectors themselves are summed, as in the paper.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import REC
from ..attention import AdditivePool
from ..base import RankingModel
from ..layers import QueryEncoder, id_table
from ..losses import info_nce

VIEWS = ("browsed", "queries", "clicks")


class NRHUBConfig(Config):
    """Options of NRHUB."""

    width: int = Field(64, ge=1, description="d (published: 400 channels, words of 300)")
    attention: int = Field(64, ge=1, description="of attention pooling (published: 200)")
    dropout: float = Field(0.2, ge=0, lt=1, description="published: 0.2")


class NRHUB(RankingModel):
    """Inner product of a user of three views with the candidate, trained by softmax.

    It knows no order and no user; one without any history has the same score for all items.

    Args:
        config: options.
        n_items, n_words: items without, words with the padding.
    """

    name = "nrhub"
    tasks = frozenset({REC})
    Config = NRHUBConfig
    tiny: ClassVar = {"width": 8, "attention": 8}

    def __init__(self, config: NRHUBConfig, n_items: int, n_words: int):
        super().__init__(config, n_items=n_items, n_words=n_words)
        d = config.width
        self.items = id_table(n_items + 1, d)
        self.words = QueryEncoder(n_words, d)
        self.dropout = nn.Dropout(config.dropout)
        self.pool = nn.ModuleDict({view: AdditivePool(d, config.attention) for view in VIEWS})
        self.view_linear = nn.Linear(d, d)
        self.pool_views = AdditivePool(d, config.attention)
        self.item_linear = nn.Linear(d, d)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: NRHUBConfig) -> NRHUB:
        """A fresh model with a vector for each item and word."""
        return cls(config, dataset.n_items, dataset.n_words)

    def views(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The vectors (B, 3, d) of the `VIEWS`, and which of them are not empty (B, 3)."""
        clicks = batch.ses_clicks.flatten(1)  # (B, S * K)
        elements = {
            "browsed": (self.items(batch.rec_items), batch.rec_items != 0),
            "queries": (self.words(batch.ses_words), (batch.ses_words != 0).any(dim=-1)),
            "clicks": (self.items(clicks), clicks != 0),
        }
        pooled = [self.pool[v](self.dropout(x), valid) for v, (x, valid) in elements.items()]
        known = [valid.any(dim=1) for _, valid in elements.values()]
        views = torch.tanh(self.view_linear(torch.stack(pooled, dim=1)))
        return views, torch.stack(known, dim=1)

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32."""
        user = self.pool_views(*self.views(batch))  # (B, d)
        candidate = torch.tanh(self.item_linear(self.items(batch.cand)))  # (B, C, d)
        return torch.einsum("bd,bcd->bc", user, candidate).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``softmax``: cross-entropy of the positive among the candidates."""
        return {"softmax": info_nce(self.score(batch))}
