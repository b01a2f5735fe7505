"""Does a model read the order of clicks? Its states when one changes, its ranks when all move."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..data.batches import Batch
from ..models.base import RankingModel


@torch.no_grad()
def reach(model: RankingModel, clicks: Tensor, other: int) -> np.ndarray:
    """How far the state at each position moves if one click changes, as a share of the most.

    Args:
        model: with ``states`` of histories, (B, N) to (B, N, d), as sequence models have them;
            asked as it is, so in eval mode unless its dropout is wanted.
        clicks: (1, N) a history without padding.
        other: an item that is not in it.

    Returns:
        (N, N): state by click that is changed.
    """
    n = clicks.shape[1]
    changed = clicks.repeat(n, 1)
    changed[range(n), range(n)] = other
    moved = (model.states(changed) - model.states(clicks)).norm(dim=-1)  # (click, state)
    return (moved / moved.max()).T.numpy()


def reordered(
    batch: Batch, order: Literal["shuffled", "backwards"], generator: torch.Generator | None = None
) -> Batch:
    """The batch with the recommendation clicks of each history in another order, at the old times.

    Args:
        generator: what shuffled histories are drawn from.
    """
    clicks = batch.rec_items
    if order == "shuffled":
        key = torch.rand(clicks.shape, generator=generator)
    else:
        key = -torch.arange(clicks.shape[1], dtype=torch.float).expand(clicks.shape)
    at = key.masked_fill(clicks == 0, torch.inf).argsort(dim=1)  # padding stays behind
    return replace(batch, rec_items=clicks.gather(1, at))
