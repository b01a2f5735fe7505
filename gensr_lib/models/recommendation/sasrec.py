"""SASRec (Kang and McAuley, ICDM 2018): self-attention over the history, causal.

Each item of a history reads those before it, and its state is compared with the vector of what
followed. At scoring, the state of the last item is the user.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, appended, merged_history, trimmed
from ...data.dataset import Dataset
from ...data.schema import REC
from ..base import RankingModel
from ..encoders import Encoder, up_to_here
from ..layers import last_state, start_normal
from ..losses import draws_of_softmax, mean_of_all, softmax_over_items


class SASRecConfig(Config):
    """Options of SASRec; *published* is what the authors' code has by default."""

    width: int = Field(64, ge=1, description="d (published: 50)")
    layers: int = Field(2, ge=1, description="blocks of attention (published: 2)")
    heads: int = Field(2, ge=1, description="of attention (published: 1)")
    dropout: float = Field(0.5, ge=0, lt=1, description="published: 0.5")
    history: int = Field(30, ge=1, description="most recent clicks read (published: 50)")
    history_of: Literal["rec", "src", "both"] = Field("rec", description="behaviors in it")
    loss: Literal["bce", "ce"] = Field(
        "bce", description="published: 'bce', one negative; 'ce': a softmax over the catalogue"
    )
    full_softmax: int = Field(
        100_000, ge=1, description="largest catalogue that 'ce' runs over as a whole"
    )
    sampled_items: int = Field(2048, ge=1, description="random items of 'ce' above that")


class SASRec(RankingModel):
    """s(c) = h_L · e_c, with h the causal encoding of sqrt(d) e_t + p_t.

    Positions are counted from the newest item, as in the authors' code, which pads in front.

    Departures:
        - x + Dropout(g(LN(x))), as in the paper; the authors' code adds to the *normed* x, and
          norms the queries of attention alone.
        - A record is a prefix of a user's clicks, so a click is a target again in each later one;
          the authors train one sequence of each user.
        - The negative of each position is one of those drawn for the record, in turn: uniform among
          the items that the user touches in no part of the data, as the protocol of the book has
          it for all systems. The authors draw one for each position.
        - Weights start as normal(0, 0.02), not as Glorot's.
        - AdamW with its usual beta_2 and a falling rate, d = 64, 2 heads: the shared protocol.

    Args:
        config: options.
        n_items: items are 1-based; 0 is padding and stays a zero vector.
    """

    name = "sasrec"
    tasks = frozenset({REC})
    task_term = "next"
    Config = SASRecConfig
    tiny: ClassVar = {"width": 8, "history": 9}

    def __init__(self, config: SASRecConfig, n_items: int):
        super().__init__(config, n_items=n_items)
        self.n_items = n_items
        self.draws = None
        if config.loss == "ce":
            largest, draws = config.full_softmax, config.sampled_items
            self.draws = draws_of_softmax(self.name, n_items, largest, draws)
        self.items = nn.Embedding(n_items + 1, config.width, padding_idx=0)
        self.encoder = Encoder(
            config.width,
            config.history,
            config.layers,
            config.heads,
            config.dropout,
            entry=nn.Dropout(config.dropout),
            norm_first=True,
        )
        start_normal(self)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: SASRecConfig) -> SASRec:
        """A fresh model with a row for each item."""
        return cls(config, dataset.n_items)

    def clicks(self, batch: Batch) -> Tensor:
        """The history that is read, (B, N)."""
        return trimmed(merged_history(batch, self.config.history, self.config.history_of)[0])

    def states(self, items: Tensor) -> Tensor:
        """h_t at each item of histories (B, N): (B, N, d), zeros at padding."""
        real = items != 0
        age = real.sum(dim=1, keepdim=True) - torch.arange(items.shape[1], device=items.device)
        place = self.config.history - age  # (B, N), the last position for the newest item
        x = self.items(items) * self.config.width**0.5
        return self.encoder(x, real, place, up_to_here(real))

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C); 0 for a user without a history."""
        items = self.clicks(batch)
        user = last_state(self.states(items), items != 0)  # (B, d)
        return torch.einsum("bd,bcd->bc", user, self.items(batch.cand)).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``next``: at every position of the history, the item that follows against a negative, or
        among all items with the option ``loss="ce"``.
        """
        items = self.clicks(batch)
        real = items != 0
        following = appended(items, batch.cand[:, 0])[:, 1:]  # (B, N), the positive behind the last
        states = self.states(items)
        if self.config.loss == "ce":
            table = self.items.weight[1:]
            ce = softmax_over_items(states[real], following[real] - 1, table, draws=self.draws)
            return {"next": ce}
        negatives = batch.cand[:, 1:]
        turn = torch.arange(items.shape[1], device=items.device) % negatives.shape[1]
        right = (states * self.items(following)).sum(dim=-1).float()  # (B, N)
        wrong = (states * self.items(negatives[:, turn])).sum(dim=-1).float()
        return {"next": mean_of_all((F.softplus(-right) + F.softplus(wrong))[real])}
