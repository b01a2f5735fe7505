"""FMLP-Rec (Zhou et al., WWW 2022): filters over the frequencies of the history, no attention.

A history of fixed length is taken to the frequency domain, where a learned filter weighs each
frequency, and back; a feed-forward follows. The state of the newest item is the user.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, left_padded, merged_history
from ...data.dataset import Dataset
from ...data.schema import REC
from ..base import RankingModel
from ..layers import start_normal
from ..losses import click


class FMLPRecConfig(Config):
    """Options of FMLP-Rec; *published* is what the authors' code has by default."""

    width: int = Field(64, ge=1, description="d (published: 64)")
    layers: int = Field(2, ge=1, description="blocks of filter and feed-forward (published: 2)")
    dropout: float = Field(0.5, ge=0, lt=1, description="published: 0.5")
    history: int = Field(30, ge=1, description="N, clicks and padding that is read (published: 50)")
    history_of: Literal["rec", "src", "both"] = Field("rec", description="behaviors in it")
    negatives: int = Field(1, ge=1, description="of those drawn, how many count (published: 1)")


class SpectralFilter(nn.Module):
    """A learned filter over the frequencies of N positions: irfft(W * rfft(x)), by channel.

    The same as a circular convolution over time with irfft(W): every position reads all others,
    later ones too, and the first stands behind the last.

    Args:
        length: N, of all that is filtered.
        width: d channels, each with weights of its own.
    """

    def __init__(self, length: int, width: int):
        super().__init__()
        # Pairs of real and imaginary part: optimizers and mixed precision dislike complex weights.
        self.weight = nn.Parameter(torch.randn(length // 2 + 1, width, 2) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, N, d) -> (B, N, d) in float32; N may be odd."""
        spectrum = torch.fft.rfft(x.float(), dim=1, norm="ortho")  # (B, N // 2 + 1, d)
        spectrum = spectrum * torch.view_as_complex(self.weight)
        return torch.fft.irfft(spectrum, n=x.shape[1], dim=1, norm="ortho")


class FilterBlock(nn.Module):
    """A filter, then a feed-forward, each added to what entered and normed."""

    def __init__(self, length: int, width: int, dropout: float):
        super().__init__()
        self.filter = nn.Sequential(SpectralFilter(length, width), nn.Dropout(dropout))
        self.filter_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )
        self.feed_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, N, d) -> (B, N, d)."""
        x = self.filter_norm(x + self.filter(x))
        return self.feed_norm(x + self.feed(x))


class FMLPRec(RankingModel):
    """s(c) = h_N · e_c, with h what the blocks make of LN(e_t + p_t).

    Histories are padded in front to N positions exactly, and padding is filtered with the rest, as
    published: it is LN(p_t), not 0. A filter is not causal, so the last position alone is trained:
    any other one has read its answer. Our records are all prefixes of a user's clicks, as theirs.

    Departures:
        - N = 30, 16 frequencies: the shared protocol.
        - Norms have torch's epsilon, 1e-5 and not 1e-12.
        - The loss is the mean over positive and negatives, half the published sum.

    Args:
        config: options.
        n_items: items are 1-based; 0 is padding, whose row of the table stays 0.
    """

    name = "fmlp"
    tasks = frozenset({REC})
    task_term = "click"
    Config = FMLPRecConfig
    tiny: ClassVar = {"width": 8, "history": 9}

    def __init__(self, config: FMLPRecConfig, n_items: int):
        super().__init__(config, n_items=n_items)
        self.n_items = n_items
        d = config.width
        self.items = nn.Embedding(n_items + 1, d, padding_idx=0)
        self.position = nn.Parameter(torch.empty(config.history, d))
        self.entry = nn.Sequential(nn.LayerNorm(d), nn.Dropout(config.dropout))
        blocks = (FilterBlock(config.history, d, config.dropout) for _ in range(config.layers))
        self.blocks = nn.Sequential(*blocks)
        start_normal(self)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: FMLPRecConfig) -> FMLPRec:
        """A fresh model with a row for each item."""
        return cls(config, dataset.n_items)

    def clicks(self, batch: Batch) -> Tensor:
        """The history that is read, (B, N), padded in front."""
        return left_padded(merged_history(batch, self.config.history, self.config.history_of)[0])

    def states(self, items: Tensor) -> Tensor:
        """h at each position of histories (B, N): (B, N, d)."""
        return self.blocks(self.entry(self.items(items) + self.position))

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C); without a history, what padding alone says."""
        user = self.states(self.clicks(batch))[:, -1]  # (B, d)
        return torch.einsum("bd,bcd->bc", user, self.items(batch.cand)).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``click``: binary cross-entropy of the positive and of the first negatives."""
        candidates = batch.cand[:, : 1 + self.config.negatives]
        return {"click": click(self.score(batch.with_candidates(candidates)))}
