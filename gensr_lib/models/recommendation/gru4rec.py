"""GRU4Rec (Hidasi et al., ICLR 2016; Hidasi and Karatzoglou, CIKM 2018): a recurrent network.

A gated recurrent unit reads a history item by item; its state is compared with the vector of each
candidate in the table that the history was read by. Trained to name the next item at every
position, by the cross-entropy of the second paper.
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
from ..layers import last_state
from ..losses import draws_of_softmax, softmax_over_items


class GRU4RecConfig(Config):
    """Options of GRU4Rec; *published* is what the authors' code has by default."""

    width: int = Field(64, ge=1, description="d of items and states (published: 100)")
    layers: int = Field(1, ge=1, description="recurrent layers (published: 1)")
    dropout: float = Field(0.0, ge=0, lt=1, description="of items that are read (published: 0)")
    history: int = Field(30, ge=1, description="most recent clicks read (published: the session)")
    history_of: Literal["rec", "src", "both"] = Field("rec", description="behaviors in it")
    full_softmax: int = Field(
        100_000, ge=1, description="largest catalogue that the loss runs over as a whole"
    )
    sampled_items: int = Field(
        2048, ge=1, description="random items of the loss above that (published: 2,048, always)"
    )


class GRU4Rec(RankingModel):
    """s(c) = h_L · e_c + b_c, with h_t = GRU(e_t, h_{t-1}) and h_0 = 0.

    Departures:
        - A state begins at 0 with each history. The authors carry it through sessions that lie side
          by side in a batch, which needs their order of rows, and ours is shared by all models.
        - A record is a prefix of a user's clicks, so a click is a target again in each later one.
        - The softmax is over all items. The authors sample it for speed: the batch's targets and
          draws by the square root of popularity. Above ``full_softmax`` items it is sampled here
          too, with uniform draws.
        - Recurrent weights start as torch's. AdamW with a falling rate in place of Adagrad, and
          d = 64: the shared protocol.

    Args:
        config: options.
        n_items: items are 1-based; 0 is padding and stays a zero vector.
    """

    name = "gru4rec"
    tasks = frozenset({REC})
    task_term = "next"
    Config = GRU4RecConfig
    tiny: ClassVar = {"width": 8, "history": 9}

    def __init__(self, config: GRU4RecConfig, n_items: int):
        super().__init__(config, n_items=n_items)
        self.n_items = n_items
        largest, draws = config.full_softmax, config.sampled_items
        self.draws = draws_of_softmax(self.name, n_items, largest, draws)
        self.items = nn.Embedding(n_items + 1, config.width, padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(n_items + 1))
        self.dropout = nn.Dropout(config.dropout)
        self.gru = nn.GRU(config.width, config.width, config.layers, batch_first=True)
        nn.init.xavier_uniform_(self.items.weight)  # as published
        nn.init.zeros_(self.items.weight[0])

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: GRU4RecConfig) -> GRU4Rec:
        """A fresh model with a row for each item."""
        return cls(config, dataset.n_items)

    def clicks(self, batch: Batch) -> Tensor:
        """The history that is read, (B, N)."""
        return trimmed(merged_history(batch, self.config.history, self.config.history_of)[0])

    def states(self, items: Tensor) -> Tensor:
        """h_t behind each item of histories (B, N): (B, N, d). Padding comes last, and so does not
        disturb the states of items.
        """
        states, _ = self.gru(self.dropout(self.items(items)))
        return states

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C); b_c for a user without a history."""
        items = self.clicks(batch)
        user = last_state(self.states(items), items != 0)  # (B, d)
        scores = torch.einsum("bd,bcd->bc", user, self.items(batch.cand))
        return (scores + self.bias[batch.cand]).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``next``: cross-entropy of the item that follows, at every position of the history."""
        items = self.clicks(batch)
        real = items != 0
        following = appended(items, batch.cand[:, 0])[:, 1:]  # (B, N), the positive behind the last
        states = self.states(items)[real]  # (P, d)
        table = self.items.weight[1:]
        target = following[real] - 1
        return {"next": softmax_over_items(states, target, table, self.bias[1:], self.draws)}
