"""Transformers over histories that survive empty ones.

Shapes: B rows, N tokens of a history, d the width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import check_heads


def up_to_here(valid: Tensor) -> Tensor:
    """What a causal reader may read: (B, N) -> (B, N, N), row i its real columns up to i."""
    return valid.unsqueeze(1).expand(-1, valid.shape[1], -1).tril()


def sinusoids(length: int, width: int) -> Tensor:
    """Fixed positions (length, d) of sines and cosines in turn (Vaswani et al. 2017)."""
    rate = 10_000.0 ** (-torch.arange(0, width, 2) / width)  # (d / 2,)
    angle = torch.arange(length)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


class Encoder(nn.Module):
    """A transformer encoder with learned positions; as it stands, eq. 3 and eq. 4 of GenSR.

    Args:
        width: d of tokens.
        length: how many positions there are.
        layers, heads, dropout: as released for GenSR: 1 layer, 2 heads.
        position_std: spread of the positions at the start; None leaves it to the model.
        entry: what tokens with their positions pass first, such as a norm and dropout.
        inner: width of the feed-forward; None: d.
        activation: of the feed-forward: ``relu``, ``gelu`` or a function.
        norm_first: norms in front of each part, and one behind the last; False: behind each part.
    """

    def __init__(
        self,
        width: int,
        length: int,
        layers: int = 1,
        heads: int = 2,
        dropout: float = 0.1,
        position_std: float | None = 0.02,
        entry: nn.Module | None = None,
        inner: int | None = None,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        norm_first: bool = False,
    ):
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.entry = entry or nn.Identity()
        position = torch.empty(length, width)
        if position_std is not None:
            position = torch.randn(length, width) * position_std
        self.position = nn.Parameter(position)
        shape = {"activation": activation, "norm_first": norm_first, "batch_first": True}
        layer = nn.TransformerEncoderLayer(width, heads, inner or width, dropout, **shape)
        last = nn.LayerNorm(width) if norm_first else None
        self.encoder = nn.TransformerEncoder(layer, layers, last, enable_nested_tensor=False)

    def forward(
        self, x: Tensor, valid: Tensor, place: Tensor | None = None, readable: Tensor | None = None
    ) -> Tensor:
        """Encode tokens x (B, N, d), real where valid (B, N).

        Args:
            place: (B, N) or (N,) the position of each token; default: their order.
            readable: (B, N, N) whether row i may read column j; default: every real token.

        Returns:
            (B, N, d), zeros at padding and at tokens that have nothing to read.
        """
        if place is None:
            x = x + self.position[: x.shape[1]]
        else:
            # Only padding stands behind the last position.
            x = x + F.embedding(place.clamp(max=len(self.position) - 1), self.position)
        x = self.entry(x)
        # torch gives NaN, and only in eval mode, for a token in which every key is blocked: such a
        # token reads everything instead, and is zeroed afterwards.
        if readable is None:
            blocked = ~valid & valid.any(dim=1, keepdim=True)  # (B, N)
            return self.encoder(x, src_key_padding_mask=blocked) * valid.unsqueeze(-1)
        out = self.encoder(x, mask=_blocked(readable, self.heads))
        return out * (readable.any(dim=-1) & valid).unsqueeze(-1)


class CrossEncoder(nn.Module):
    """A transformer decoder: one history reads itself and another one of the same tokens.

    Args:
        width, layers, heads, dropout: of the decoder.
        inner: width of the feed-forward; None: d.
        norm_first: norms in front of each part, and one behind the last; False: behind each part.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
        inner: int | None = None,
        norm_first: bool = False,
    ):
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        shape = {"norm_first": norm_first, "batch_first": True}
        layer = nn.TransformerDecoderLayer(width, heads, inner or width, dropout, **shape)
        last = nn.LayerNorm(width) if norm_first else None
        self.decoder = nn.TransformerDecoder(layer, layers, last)

    def forward(
        self, target: Tensor, memory: Tensor, valid: Tensor, readable: Tensor | None = None
    ) -> Tensor:
        """target, memory (B, N, d), valid (B, N) -> (B, N, d), zeros at padding.

        Args:
            readable: (B, N, N) whether row i may read column j, of either history; default: every
                real token.
        """
        if readable is None:
            blocked = ~valid & valid.any(dim=1, keepdim=True)  # see Encoder
            masks = {"tgt_key_padding_mask": blocked, "memory_key_padding_mask": blocked}
            return self.decoder(target, memory, **masks) * valid.unsqueeze(-1)
        blocked = _blocked(readable, self.heads)
        out = self.decoder(target, memory, tgt_mask=blocked, memory_mask=blocked)
        return out * (readable.any(dim=-1) & valid).unsqueeze(-1)


def _blocked(readable: Tensor, heads: int) -> Tensor:
    """torch's mask of what may be read, (B, N, N) -> (B * h, N, N): see `Encoder.forward`."""
    blocked = ~readable & readable.any(dim=-1, keepdim=True)
    return blocked.repeat_interleave(heads, dim=0)
