"""SESRec (Si et al., SIGIR 2023, arXiv 2305.10822): what searches say of the tastes, and what not.

Two transformers read recommendation clicks and search sessions. Co-attention says how much each
token matters to the other history: those above the mean are *similar* interests, the rest
*dissimilar*, and a triplet loss keeps the two apart. Each candidate pools all, similar and
dissimilar tokens of both histories, and a perceptron predicts the click. An alignment brings each
query near the items clicked after it.

Departures, for the protocol that all systems share: vectors of 32 numbers for ids, mapped to d = 64
(published: 32); histories of its length (published: 15 and 15 for Amazon); no vectors for whole
queries, of which a new one would have none; one learned vector for the source of all queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import BEHAVIORS, REC, SRC
from ..attention import CoAttention
from ..base import RankingModel
from ..encoders import Encoder
from ..layers import (
    Alignment,
    BilinearPool,
    QueryEncoder,
    id_table,
    masked_mean,
    mlp,
    query_click_pairs,
)
from ..losses import click, triplet


class SESRecConfig(Config):
    """Options of SESRec; the defaults are the published ones for Amazon but for the widths."""

    width: int = Field(64, ge=1, description="d (published: 32)")
    id_width: int = Field(32, ge=1, description="of tables of users, items, words (published: 32)")
    heads: int = Field(4, ge=1, description="published: 4 (Kuaishou: 2)")
    layers: int = Field(1, ge=1, description="published: 1")
    dropout: float = Field(0.1, ge=0, lt=1, description="published: 0.1")
    margin: float = Field(0.1, ge=0, description="of the triplets (published: 0.1)")
    tau: float = Field(0.1, gt=0, description="first temperature, learned (published: 0.1)")
    lambda_align: float = Field(0.1, ge=0, description="of the alignment (published: 0.1)")
    lambda_triplet: float = Field(0.001, ge=0, description="of the triplets (published: 0.001)")
    align_negatives: int = Field(1024, ge=1, description="random items, queries (published: 1024)")


@dataclass(frozen=True)
class Interests:
    """One encoded history and its two kinds of interests.

    Attributes:
        tokens: (B, N, d), zeros at padding.
        weights: (B, N) how much each token matters to the other history; they sum to 1.
        valid, similar, dissimilar: (B, N) all tokens, and those of either kind.
    """

    tokens: Tensor
    weights: Tensor
    valid: Tensor
    similar: Tensor
    dissimilar: Tensor


class SESRec(RankingModel):
    """Search-enhanced recommendation by disentangled interests.

    Args:
        config: options.
        n_users, n_items, n_words: users are 0-based; items and words have 0 for padding, which
            ``n_words`` counts.
        history_rec, history_src: the longest histories, R and S.
        queries: (Q, W) word ids of the training queries, to draw random ones from.
    """

    name = "sesrec"
    tasks = frozenset({REC})
    Config = SESRecConfig
    user_table = "user_id"
    task_term = "click"
    # A margin at which every triplet has a gradient, however few the rows.
    tiny: ClassVar = {"width": 16, "id_width": 8, "align_negatives": 12, "margin": 5.0}

    def __init__(
        self,
        config: SESRecConfig,
        n_users: int,
        n_items: int,
        n_words: int,
        history_rec: int,
        history_src: int,
        queries: Tensor,
    ):
        sizes = {"n_users": n_users, "n_items": n_items, "n_words": n_words, "queries": queries}
        super().__init__(config, **sizes, history_rec=history_rec, history_src=history_src)
        self.n_users = n_users
        self.n_items = n_items
        self.register_buffer("queries", queries)
        d = config.width
        self.user_id = id_table(n_users, config.id_width, padding=False)
        self.item_id = id_table(n_items + 1, config.id_width)
        self.item_linear = nn.Linear(config.id_width, d)
        self.words = QueryEncoder(n_words, config.id_width)
        self.query_linear = nn.Linear(config.id_width, d)
        self.source = nn.Parameter(torch.randn(d) * 0.1)
        block = {"layers": config.layers, "heads": config.heads, "dropout": config.dropout}
        lengths = {REC: history_rec, SRC: history_src}
        self.encoder = nn.ModuleDict(
            {b: Encoder(d, n, **block, activation=F.leaky_relu) for b, n in lengths.items()}
        )
        self.co_attention = CoAttention(d)
        self.query_item = Alignment(d, config.tau)
        self.pool = nn.ModuleDict({behavior: BilinearPool(d) for behavior in BEHAVIORS})
        for block in (self.query_item, *self.pool.values()):
            nn.init.xavier_normal_(block.weight)
        inputs = 7 * d + config.id_width
        self.predict = nn.Sequential(mlp(config.dropout, inputs, 200, 80), nn.Linear(80, 1))

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: SESRecConfig) -> SESRec:
        """Sized for a data set; its distinct training queries are what the alignment draws from."""
        queries = torch.from_numpy(dataset.query_word_ids[dataset.training_queries]).long()
        return cls(
            config,
            n_users=dataset.n_users,
            n_items=dataset.n_items,
            n_words=dataset.n_words,
            history_rec=dataset.config.history_rec,
            history_src=dataset.config.history_src,
            queries=queries,
        )

    def items(self, items: Tensor) -> Tensor:
        """(...) -> (..., d); the padding is a zero vector."""
        return self.item_linear(self.item_id(items)) * (items != 0).unsqueeze(-1)

    def query(self, words: Tensor) -> Tensor:
        """(..., W) -> (..., d)."""
        return self.query_linear(self.words(words))

    def encode(self, batch: Batch, queries: Tensor, clicks: Tensor) -> tuple[Interests, Interests]:
        """The interests in recommendations and in searches; once per user, whatever C is.

        Args:
            queries, clicks: (B, S, d) and (B, S, K, d), the vectors that sessions are made of.
        """
        valid = {REC: batch.rec_items != 0, SRC: (batch.ses_clicks != 0).any(dim=-1)}
        n_clicks = (batch.ses_clicks != 0).sum(dim=-1, keepdim=True).clamp(min=1)
        sessions = queries + self.source + clicks.sum(dim=2) / n_clicks  # (B, S, d)
        tokens = {REC: self.items(batch.rec_items), SRC: sessions}
        for behavior, x in tokens.items():
            place = torch.arange(x.shape[1], device=x.device)
            tokens[behavior] = self.encoder[behavior](x, valid[behavior], place)
        weights = self.co_attention(tokens[REC], tokens[SRC], valid[REC], valid[SRC])
        return tuple(
            Interests(tokens[b], w, valid[b], *disentangle(w, valid[b]))
            for b, w in zip((REC, SRC), weights, strict=True)
        )

    def score(self, batch: Batch) -> Tensor:
        """The logit of a click, (B, C) float32."""
        queries, clicks = self.query(batch.ses_words), self.items(batch.ses_clicks)
        return self._predict(batch, *self.encode(batch, queries, clicks))

    def _predict(self, batch: Batch, rec: Interests, src: Interests) -> Tensor:
        candidate = self.items(batch.cand)  # (B, C, d)
        pooled = [
            self.pool[behavior](of.tokens, candidate, kind)  # (B, C, d)
            for behavior, of in ((REC, rec), (SRC, src))
            for kind in (of.valid, of.similar, of.dissimilar)
        ]
        user = self.user_id(batch.user).unsqueeze(1).expand(-1, batch.cand.shape[1], -1)
        x = torch.cat([*pooled, user, candidate], dim=-1)  # (B, C, 7d + d_u)
        return self.predict(x).squeeze(-1).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``click``, binary cross-entropy, ``query_item``, the alignment, and ``triplet``."""
        queries, clicks = self.query(batch.ses_words), self.items(batch.ses_clicks)
        rec, src = self.encode(batch, queries, clicks)
        n = self.config.align_negatives
        device = batch.user.device
        random_items = self.items(1 + torch.randperm(self.n_items, device=device)[:n])
        some = torch.randperm(len(self.queries), device=device)[:n]
        pairs = query_click_pairs(batch, queries, clicks)
        align = self.query_item.against(*pairs, self.query(self.queries[some]), random_items)
        apart = sum(interest_triplet(of, self.config.margin) for of in (rec, src))
        return {
            "click": click(self._predict(batch, rec, src)),
            "query_item": align,
            "triplet": apart,
        }

    @property
    def loss_weights(self) -> dict[str, float]:
        """The alignment and the triplets count lambda_align and lambda_triplet."""
        return {"query_item": self.config.lambda_align, "triplet": self.config.lambda_triplet}


def disentangle(weights: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Similar and dissimilar tokens (B, N) by weights (B, N): at least 1 / n of n tokens, or less.

    A history that has none of a kind has all of its tokens in it.
    """
    n = valid.sum(dim=1, keepdim=True)
    # Equal weights must not fall below 1 / n by rounding.
    similar = valid & (weights.detach() * n >= 1 - 1e-5)
    return _or_all(similar, valid), _or_all(valid & ~similar, valid)


def _or_all(some: Tensor, valid: Tensor) -> Tensor:
    return torch.where(some.any(dim=1, keepdim=True), some, valid)


def interest_triplet(of: Interests, margin: float) -> Tensor:
    """The history as the other one weighs it is nearer to its similar than to its dissimilar
    interests; histories without a token are left out.
    """
    anchor = (of.weights.unsqueeze(1) @ of.tokens).squeeze(1)  # (B, d)
    known = of.valid.any(dim=1).nonzero().squeeze(1)
    similar, dissimilar = (masked_mean(of.tokens, kind) for kind in (of.similar, of.dissimilar))
    rows = (F.embedding(known, x) for x in (anchor, similar, dissimilar))
    return triplet(*rows, margin)
