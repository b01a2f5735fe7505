"""Blocks that several models share: masked means, a transformer that survives empty histories, attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid positions: x (B, N, d), valid (B, N) -> (B, d); zeros where none is valid."""
    weight = valid.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class HistoryEncoder(nn.Module):
    """MSA + FFN over a history, eq. 3 and eq. 4: a post-norm transformer encoder with positions.

    Args:
        width: d, the width of the item vectors.
        length: N, the longest history.
        layers, heads, dropout: as released: 1 layer, 2 heads, feed-forward of width d.
    """

    def __init__(self, width: int, length: int, layers: int = 1, heads: int = 2, dropout: float = 0.1):
        super().__init__()
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, width, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, N, d), valid (B, N) -> (B, N, d), zeros at padding.

        An empty history attends to its own padding and is zeroed afterwards: torch would return
        NaN for a row in which every key is blocked, and only in eval mode.
        """
        blocked = ~valid & valid.any(dim=1, keepdim=True)  # (B, N)
        out = self.encoder(x + self.position[: x.shape[1]], src_key_padding_mask=blocked)
        return out * valid.unsqueeze(-1)


class SoftFilter(nn.Module):
    """History soft filtering, eq. 5 and 6: multi-head attention of each candidate over the history.

    Args:
        width: d of the candidate vectors and of the encoded history.
        heads: the heads of MCA; each has its own weights over the history.
    """

    def __init__(self, width: int, heads: int = 2):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)  # W_V of eq. 6

    def forward(self, candidate: Tensor, history: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """candidate (B, C, d), history (B, N, d), valid (B, N) -> filtered (B, C, d), weights (B, C, N).

        The weights are the mean of alpha_j over the heads: they sum to 1 over the valid positions
        (eq. 5), or are all 0 for an empty history, whose filtered vector is 0.
        """
        q, k, v = self._split(self.query(candidate)), self._split(self.key(history)), self._split(self.value(history))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (B, h, C, N)
        keep = valid[:, None, None, :]
        alpha = scores.masked_fill(~keep, torch.finfo(scores.dtype).min).softmax(dim=-1) * keep  # eq. 5
        filtered = (alpha @ v).transpose(1, 2).flatten(2)  # eq. 6, (B, C, d)
        return filtered, alpha.mean(dim=1)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, h, N, d/h)
