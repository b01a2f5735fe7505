"""USER (Yao et al., CIKM 2021, arXiv 2109.15012): one sequence of both behaviors, one intent.

A user's behaviors are one sequence in time: items recommended and clicked, and queries with what
was clicked after them. What is wanted now stands behind it in a slot: the query typed, or the user,
if nothing is. A transformer over the current session and the slot says the intent, one over the
earlier sessions reads them for the intent and for each candidate, and the score is made of the four
cosines of an intent and a candidate, as they are and as the history sees them.

Departures: items have vectors in place of texts and features, and a query's words no transformer of
their own, just attention. Data without session ids have a session end after every ten behaviors,
counted from the newest. The weights of the cosines start large and no tanh lies on their sum, under
which a softmax could not fall below .43. A candidate reads its own user's history (the authors'
code tiles histories the other way round than candidates), padding is masked, and positions and
types of behaviors are added, as the code means to and does not.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, left_padded, newest
from ...data.dataset import Dataset
from ...data.schema import REC
from ..attention import AdditivePool, CoAttention
from ..base import RankingModel
from ..encoders import Encoder
from ..layers import check_heads, id_table, masked_softmax
from ..losses import info_nce


class USERConfig(Config):
    """Options of USER."""

    width: int = Field(64, ge=1, description="d (published: 100)")
    session: int = Field(10, ge=1, description="behaviors of a session (published: as many as are)")
    sessions: int = Field(6, ge=1, description="newest ones that are read (published: all)")
    heads: int = Field(8, ge=1, description="published: 8")
    inner: int = Field(256, ge=1, description="of the feed-forwards (published: 2048)")
    dropout: float = Field(0.1, ge=0, lt=1, description="published: 0.1")
    scale: float = Field(10.0, gt=0, description="sum of the cosines' weights at the start")


class HistoryReader(nn.Module):
    """What a one-layer transformer over [history ; token] makes of the token, for many tokens.

    Keys and values of the history do not depend on the token, so they are made once for all. In a
    second layer they would, and each token would need a pass over the history of its own.

    Args:
        width, heads, inner, dropout: as those of a post-norm layer.
    """

    def __init__(self, width: int, heads: int, inner: int, dropout: float):
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout = nn.Dropout(dropout)
        self.feed = nn.Sequential(
            nn.Linear(width, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, width)
        )

    def forward(self, x: Tensor, history: Tensor, valid: Tensor) -> Tensor:
        """Tokens x (B, C, d), history (B, N, d), real where valid (B, N) -> (B, C, d)."""
        q, k, v = self._projected(x)  # (B, h, C, d/h)
        _, keys, values = self._projected(history)  # (B, h, N, d/h)
        itself = (q * k).sum(dim=-1, keepdim=True)  # (B, h, C, 1)
        scores = torch.cat([q @ keys.transpose(-1, -2), itself], dim=-1) / q.shape[-1] ** 0.5
        keep = F.pad(valid, (0, 1), value=True)[:, None, None]  # (B, 1, 1, N + 1)
        weights = self.dropout(masked_softmax(scores, keep))
        read = weights[..., :-1] @ values + weights[..., -1:] * v
        x = self.norm[0](x + self.dropout(self.out(read.transpose(1, 2).flatten(2))))
        return self.norm[1](x + self.dropout(self.feed(x)))

    def _projected(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values by head, (B, h, N, d/h) each."""
        parts = self.project(x).unflatten(-1, (3, self.heads, -1))  # (B, N, 3, h, d/h)
        return parts.permute(2, 0, 3, 1, 4).unbind()


class USER(RankingModel):
    """Unified search and recommendation by cosines of intents and candidates, trained by softmax.

    Args:
        config: options.
        n_users, n_items, n_words: users are 0-based; items and words have 0 for padding, which
            ``n_words`` counts.
    """

    name = "user"
    Config = USERConfig
    user_table = "users"
    tiny: ClassVar = {"width": 8, "session": 3, "sessions": 3, "heads": 2, "inner": 8}

    def __init__(self, config: USERConfig, n_users: int, n_items: int, n_words: int):
        super().__init__(config, n_users=n_users, n_items=n_items, n_words=n_words)
        self.n_users = n_users
        self.n_items = n_items
        d = config.width
        self.users = id_table(n_users, d, padding=False)
        self.items = id_table(n_items + 1, d)
        self.words = id_table(n_words, d)
        self.pool_words = AdditivePool(d, d)
        self.co_attention = CoAttention(d, voted=False)
        self.node = nn.Linear(2 * d, d)
        self.behavior = id_table(2, d, padding=False)  # recommendation, search
        block = {"heads": config.heads, "dropout": config.dropout, "inner": config.inner}
        places = config.session * config.sessions + 1  # the slot has the last one
        self.session = Encoder(d, places, layers=2, **block)
        self.session.encoder.layers[1] = self.session.encoder.layers[0]  # one layer, applied twice
        self.history = HistoryReader(d, **block)
        self.weigh = nn.Linear(4, 1, bias=False)
        nn.init.constant_(self.weigh.weight, config.scale / 4)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: USERConfig) -> USER:
        """A fresh model with a vector for each user, item and word."""
        return cls(config, dataset.n_users, dataset.n_items, dataset.n_words)

    def searches(self, batch: Batch) -> Tensor:
        """Each session's query and clicks as one node, (B, S, d)."""
        words, clicks = batch.ses_words.flatten(0, 1), batch.ses_clicks.flatten(0, 1)
        q, v = self.words(words), self.items(clicks)  # (B * S, W, d), (B * S, K, d)
        of_words, of_clicks = self.co_attention(q, v, words != 0, clicks != 0)
        both = torch.cat([of_words.unsqueeze(1) @ q, of_clicks.unsqueeze(1) @ v], dim=-1)
        return self.node(both).view(*batch.ses_time.shape, -1)

    def behaviors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The newest behaviors in order of time, padded in front to whole sessions.

        Returns:
            (B, k * session, d), zeros at padding, and real (B, k * session).
        """
        nodes = torch.cat([self.items(batch.rec_items), self.searches(batch)], dim=1)
        kind = torch.arange(nodes.shape[1], device=nodes.device) >= batch.rec_items.shape[1]
        nodes = nodes + self.behavior(kind.long())  # (B, R + S, d)
        real = torch.cat([batch.rec_items != 0, (batch.ses_clicks != 0).any(dim=-1)], dim=1)
        size = self.config.session
        n = size * min(math.ceil(nodes.shape[1] / size), self.config.sessions)
        at, inside = newest(real.gather(1, batch.merge_index), n)
        # Columns of the nodes, counted from 1: 0 is padding.
        column = left_padded((batch.merge_index.gather(1, at) + 1) * inside)  # (B, n)
        nodes = F.pad(nodes, (0, 0, 1, 0))
        return nodes.gather(1, column.unsqueeze(-1).expand(-1, -1, nodes.shape[2])), column != 0

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What is known of the users before any candidate is seen; once per user, whatever C is.

        Returns:
            The intent of the session (B, d), the earlier sessions (B, N, d), and which of their
            behaviors are real (B, N); N is 0 if one session holds all.
        """
        if batch.task == REC:
            slot = self.users(batch.user)  # (B, d)
        else:
            slot = self.pool_words(self.words(batch.query), batch.query != 0)
        x, real = self.behaviors(batch)
        size = self.config.session
        k = x.shape[1] // size
        # The slot stands behind the last session: those before it end in padding.
        slots = F.pad(slot[:, None, None], (0, 0, 0, 0, k - 1, 0))  # (B, k, 1, d)
        x = torch.cat([x.unflatten(1, (k, size)), slots], dim=2)  # (B, k, size + 1, d)
        is_last = torch.arange(1, k + 1, device=x.device) == k
        real = torch.cat([real.unflatten(1, (k, size)), is_last.expand(len(x), -1)[..., None]], 2)
        last = len(self.session.position) - 1
        place = torch.arange(last - k * size, last, device=x.device).view(k, size)
        place = F.pad(place, (0, 1), value=last).repeat(len(x), 1)  # (B * k, size + 1)
        out = self.session(x.flatten(0, 1), real.flatten(0, 1), place).unflatten(0, (-1, k))
        return out[:, -1, -1], out[:, :-1, :-1].flatten(1, 2), real[:, :-1, :-1].flatten(1, 2)

    def cosines(self, batch: Batch) -> Tensor:
        """Of the intent in the session and in the history with each candidate, and with what the
        history makes of it: (B, C, 4).
        """
        intent, earlier, real = self.encode(batch)
        x = torch.cat([intent.unsqueeze(1), self.items(batch.cand)], dim=1)  # (B, 1 + C, d)
        both = torch.stack([x, self.history(x, earlier, real)], dim=2)  # (B, 1 + C, 2, d)
        both = F.normalize(both, dim=-1)
        return torch.einsum("bid,bcjd->bcij", both[:, 0], both[:, 1:]).flatten(2)

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32."""
        return self.weigh(self.cosines(batch)).squeeze(-1).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``softmax``: cross-entropy of the positive among the candidates."""
        return {"softmax": info_nce(self.score(batch))}
