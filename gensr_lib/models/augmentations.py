"""Other views of a history for contrastive learning: a part of it, or all of it in another order.

Each takes (B, N) whether a column of a history is real, padding on the right, and leaves at least
one real column where there is one. A share of n columns is ⌊share n⌋ of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .layers import random_below


def cropped(real: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A random stretch of each history.

    Returns:
        at (B, N), the columns in their new places, and inside (B, N), which of these are real.
    """
    count, place = _count_and_place(real)
    length = (share * count).long().clamp(min=1)
    start = random_below(count - length + 1)
    at = (start + place).clamp(max=real.shape[1] - 1)
    return at, place < torch.minimum(length, count)


def reordered(real: Tensor, share: float) -> Tensor:
    """The columns (B, N) in an order in which a random stretch of each history is shuffled."""
    count, place = _count_and_place(real)
    length = (share * count).long()
    start = random_below(count - length + 1)
    in_stretch = (place >= start) & (place < start + length)
    # Within the stretch random keys, all between those before and those behind it.
    key = torch.where(
        in_stretch, start + length * torch.rand(real.shape, device=real.device), place
    )
    return key.argsort(dim=1, stable=True)


def some_of(real: Tensor, share: float) -> Tensor:
    """A random choice (B, N) among the real columns, which may stand anywhere."""
    noise = torch.rand(real.shape, device=real.device).masked_fill(~real, 2.0)
    rank = noise.argsort(dim=1).argsort(dim=1)  # real columns in any order, then padding
    return rank < (share * real.sum(dim=1, keepdim=True)).long()


def _count_and_place(real: Tensor) -> tuple[Tensor, Tensor]:
    """How many columns are real (B, 1), and the number of each (N,)."""
    return real.sum(dim=1, keepdim=True), torch.arange(real.shape[1], device=real.device)
