"""BERT4Rec (Sun et al., CIKM 2019): items of a history hidden, and guessed from both sides.

A transformer that reads in both directions fills the gaps of a sequence, a cloze. At scoring, the
gap stands behind the last item.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, appended, merged_history, trimmed
from ...data.dataset import Dataset
from ...data.schema import REC
from ..base import RankingModel
from ..encoders import Encoder
from ..layers import last_state, start_normal
from ..losses import draws_of_softmax, softmax_over_items


class BERT4RecConfig(Config):
    """Options of BERT4Rec; *published* is the authors' configuration for Beauty."""

    width: int = Field(64, ge=1, description="d (published: 64)")
    layers: int = Field(2, ge=1, description="published: 2")
    heads: int = Field(2, ge=1, description="of attention (published: 2)")
    dropout: float = Field(0.5, ge=0, lt=1, description="of tokens and states (published: 0.5)")
    attention_dropout: float = Field(0.2, ge=0, lt=1, description="published: 0.2")
    mask_ratio: float = Field(0.6, gt=0, lt=1, description="share of a cloze (published: 0.6)")
    last_only: float = Field(
        0.3, ge=0, le=1, description="rows that hide the last item alone (published: 1 copy of 11)"
    )
    history: int = Field(30, ge=1, description="most recent clicks read (published: 50)")
    history_of: Literal["rec", "src", "both"] = Field("rec", description="behaviors in it")
    full_softmax: int = Field(
        100_000, ge=1, description="largest catalogue that the loss runs over as a whole"
    )
    sampled_items: int = Field(
        1000, ge=1, description="random items of the loss above that (published: none, all items)"
    )


class BERT4Rec(RankingModel):
    """s(c) = z · e_c + b_c, with z = LN(GELU(W h + b)) of the state h at [MASK].

    A training sequence is the history and the positive behind it. Most rows hide a random share of
    it, at least one item; the others hide the positive alone, as at scoring.

    Departures:
        - The gaps are drawn anew in each step. The authors store ten copies of a sequence with
          different gaps, and one more with the last item hidden, which ``last_only`` stands for: at
          0.3 more rows are as at scoring.
        - Above ``full_softmax`` items the softmax is sampled: targets of the batch, uniform draws.
        - Norms have torch's epsilon, 1e-5 and not 1e-12; normal weights are not truncated.
        - A falling rate for longer, and 30 + 1 positions: the shared protocol. A cloze is slow to
          learn: give it more epochs than SASRec.

    Args:
        config: options.
        n_items: items are 1-based; 0 is padding and stays a zero vector, I + 1 is [MASK].
    """

    name = "bert4rec"
    tasks = frozenset({REC})
    task_term = "cloze"
    Config = BERT4RecConfig
    tiny: ClassVar = {"width": 8, "history": 9}

    def __init__(self, config: BERT4RecConfig, n_items: int):
        super().__init__(config, n_items=n_items)
        self.n_items = n_items
        largest, draws = config.full_softmax, config.sampled_items
        self.draws = draws_of_softmax(self.name, n_items, largest, draws)
        self.mask = n_items + 1
        d = config.width
        self.items = nn.Embedding(n_items + 2, d, padding_idx=0)
        self.encoder = Encoder(
            d,
            config.history + 1,
            config.layers,
            config.heads,
            config.dropout,
            entry=nn.Sequential(nn.LayerNorm(d), nn.Dropout(config.dropout)),
            inner=4 * d,
            activation="gelu",
        )
        for layer in self.encoder.encoder.layers:
            layer.self_attn.dropout = config.attention_dropout
            layer.dropout.p = 0.0  # torch's inside of the feed-forward, where BERT has none
        self.head = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d))
        self.bias = nn.Parameter(torch.zeros(n_items + 1))
        start_normal(self)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: BERT4RecConfig) -> BERT4Rec:
        """A fresh model with a row for each item."""
        return cls(config, dataset.n_items)

    def clicks(self, batch: Batch) -> Tensor:
        """The history that is read, (B, N)."""
        return trimmed(merged_history(batch, self.config.history, self.config.history_of)[0])

    def states(self, tokens: Tensor) -> Tensor:
        """h at each token, an item or [MASK], of sequences (B, N): (B, N, d), zeros at padding."""
        return self.encoder(self.items(tokens), tokens != 0)

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C); without a history, what [MASK] alone says."""
        tokens = appended(self.clicks(batch), self.mask)  # (B, N + 1)
        user = self.head(last_state(self.states(tokens), tokens != 0))  # (B, d)
        scores = torch.einsum("bd,bcd->bc", user, self.items(batch.cand))
        return (scores + self.bias[batch.cand]).float()

    def gaps(self, tokens: Tensor) -> Tensor:
        """Which tokens of sequences (B, N) to hide, drawn anew: (B, N) bool, at least one a row."""
        real = tokens != 0
        count = real.sum(dim=1, keepdim=True)  # (B, 1)
        noise = torch.rand(tokens.shape, device=tokens.device).masked_fill(~real, 2.0)
        rank = noise.argsort(dim=1).argsort(dim=1)  # real tokens in any order, then padding
        cloze = rank < (self.config.mask_ratio * count).round().clamp(min=1)
        last = torch.arange(tokens.shape[1], device=tokens.device) == count - 1
        is_last_only = torch.rand(len(tokens), 1, device=tokens.device) < self.config.last_only
        return torch.where(is_last_only, last, cloze)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``cloze``: cross-entropy of the hidden items."""
        tokens = appended(self.clicks(batch), batch.cand[:, 0])  # (B, N + 1)
        hidden = self.gaps(tokens)
        states = self.states(tokens.masked_fill(hidden, self.mask))[hidden]  # (P, d)
        table = self.items.weight[1 : self.mask]
        target = tokens[hidden] - 1
        cloze = softmax_over_items(self.head(states), target, table, self.bias[1:], self.draws)
        return {"cloze": cloze}
