"""DIN (Zhou et al., KDD 2018, arXiv 1706.06978): each candidate reads the history its own way.

Where the paper and the authors' code differ, this is the code: weights by a softmax over the
history, and the difference and product of candidate and token instead of their outer product.

Departures, for the protocol that all systems share: items by their number alone, without a
category; the published 80-40 perceptron of the score has 200-80 channels and Dice, the paper's own
activation, in place of sigmoids; several negatives, where the authors have one; AdamW in place of
gradient descent. Of several processes each has the batch statistics of its own rows.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import REC
from ..attention import TargetAttention
from ..base import RankingModel
from ..layers import id_table
from ..losses import click


class DINConfig(Config):
    """Options of DIN."""

    width: int = Field(64, ge=1, description="d (published: 128, half of it for the category)")
    attention: tuple[int, int] = Field((80, 40), description="of the attention (published: 80, 40)")
    hidden: tuple[int, int] = Field((200, 80), description="of the score (published: 80, 40)")
    normalise: bool = Field(True, description="softmax over the history (paper: no; code: yes)")


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all rows of x (..., d), however they are laid out.

    A single row has no spread: in training, too, it is normalised by the running statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        rows = x.flatten(0, -2)
        if len(rows) > 1:
            return super().forward(rows).view_as(x)
        own = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(rows, *own, training=False, eps=self.eps).view_as(x)


class Dice(nn.Module):
    """DIN's activation: p x + (1 - p) alpha x, where p is the sigmoid of x standardised.

    Mean and variance are those of each channel over the batch; alpha is learned and starts at 0.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm = BatchNorm(width, affine=False)
        self.alpha = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        p = torch.sigmoid(self.norm(x))
        return p * x + (1 - p) * self.alpha * x


class DIN(RankingModel):
    """Deep Interest Network, trained by each candidate's click.

    It reads recommendation clicks and knows no order, no user and no search.

    Args:
        config: options.
        n_items: without the padding.
    """

    name = "din"
    tasks = frozenset({REC})
    Config = DINConfig
    tiny: ClassVar = {"width": 8, "attention": (8, 4), "hidden": (16, 8)}

    def __init__(self, config: DINConfig, n_items: int):
        super().__init__(config, n_items=n_items)
        d = config.width
        self.items = id_table(n_items + 1, d)
        self.bias = id_table(n_items + 1, 1)  # will learn how popular an item is
        self.attention = TargetAttention(d, config.attention, config.normalise)
        self.interest = nn.Sequential(BatchNorm(d), nn.Linear(d, d))
        first, second = config.hidden
        self.predict = nn.Sequential(
            BatchNorm(3 * d),
            nn.Linear(3 * d, first),
            Dice(first),
            nn.Linear(first, second),
            Dice(second),
            nn.Linear(second, 1),
        )

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: DINConfig) -> DIN:
        """A fresh model with a vector for each item."""
        return cls(config, dataset.n_items)

    def score(self, batch: Batch) -> Tensor:
        """The logit of a click, (B, C) float32."""
        history = self.items(batch.rec_items)  # (B, R, d)
        candidate = self.items(batch.cand)  # (B, C, d)
        interest = self.attention(history, candidate, batch.rec_items != 0)  # (B, C, d)
        interest = self.interest(interest)
        x = torch.cat([interest, candidate, interest * candidate], dim=-1)  # (B, C, 3d)
        return (self.predict(x) + self.bias(batch.cand)).squeeze(-1).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``click``: binary cross-entropy of each candidate."""
        return {"click": click(self.score(batch))}
