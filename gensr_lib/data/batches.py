"""The batch: what a model sees of some rows. Field shapes are the contract of every model.

All ids are 0 for padding; histories are ordered oldest to newest and padded on the right. A batch
has one task. Histories are ragged arrays (values and offsets), so a batch is a gather, not a loop.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from .schema import SRC


@dataclass(frozen=True)
class Batch:
    """B rows of one task with C candidates each.

    Attributes:
        task: ``rec`` or ``src``.
        user: (B,) user index, 0-based.
        rec_items, rec_time: (B, R) the most recent recommendation clicks.
        ses_words: (B, S, W) query words of the most recent search sessions.
        ses_clicks: (B, S, K) items clicked in each session.
        ses_time: (B, S).
        merge_index: (B, R + S) the permutation that sorts [rec ; sessions] by time, padding last.
        query: (B, W) words of the current query; all 0 for ``rec``.
        query_text: B strings, the current query as typed; empty for ``rec``.
        cand: (B, C) candidates; column 0 is the positive (training and evaluation alike).
        event: (B,) row of the answer in the log; None unless it was asked for, as only an oracle may.
    """

    task: str
    user: Tensor
    rec_items: Tensor
    rec_time: Tensor
    ses_words: Tensor
    ses_clicks: Tensor
    ses_time: Tensor
    merge_index: Tensor
    query: Tensor
    query_text: tuple[str, ...]
    cand: Tensor
    event: Tensor | None = None

    def __len__(self) -> int:
        return len(self.user)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in moved.items()})

    def with_candidates(self, cand: Tensor) -> Batch:
        """The same rows with other candidates (B, C')."""
        return replace(self, cand=cand)

    def rows(self, index: Tensor) -> Batch:
        """Some of the rows, by position or mask."""
        picked = {f.name: getattr(self, f.name) for f in fields(self)}
        positions = torch.arange(len(self), device=self.user.device)[index].tolist()
        picked = {k: v[index] if isinstance(v, Tensor) else v for k, v in picked.items()}
        return Batch(**{**picked, "query_text": tuple(self.query_text[i] for i in positions)})


@dataclass(frozen=True)
class Ragged:
    """Rows of varying length: row r holds ``values[offsets[r]:offsets[r + 1]]``.

    >>> history = Ragged(np.array([7, 8, 9]), np.array([0, 2, 3]))
    >>> history.last(np.array([0, 1]), np.array([2, 3]), 2)
    array([[7, 8],
           [9, 0]])
    """

    values: np.ndarray
    offsets: np.ndarray

    def last(self, row: np.ndarray, end: np.ndarray, n: int) -> np.ndarray:
        """The last ``n`` values of each row before position ``end``, right-padded with 0: (B, n, ...)."""
        start = np.maximum(self.offsets[row], end - n)  # (B,)
        at = start[:, None] + np.arange(n)  # (B, n)
        inside = at < end[:, None]
        if not len(self.values):
            return np.zeros((*at.shape, *self.values.shape[1:]), self.values.dtype)
        taken = self.values[np.minimum(at, len(self.values) - 1)]
        return taken * inside.reshape(*inside.shape, *(1,) * (taken.ndim - 2))


def merge_order(rec_time: np.ndarray, rec_real: np.ndarray, ses_time: np.ndarray, ses_real: np.ndarray) -> np.ndarray:
    """Permutation (B, R + S) that sorts [rec ; sessions] by time with padding last; ties keep that order."""
    time = np.concatenate([rec_time, ses_time], axis=1)
    real = np.concatenate([rec_real, ses_real], axis=1)
    by_time = np.argsort(time, axis=1, kind="stable")
    padding_last = np.argsort(~np.take_along_axis(real, by_time, axis=1), axis=1, kind="stable")
    return np.take_along_axis(by_time, padding_last, axis=1)


def merged_history(batch: Batch, n: int, behaviors: str = "both") -> tuple[Tensor, Tensor]:
    """The last ``n`` items of both behaviors in time order, H_u of the paper's section 3.

    Args:
        behaviors: ``rec`` or ``src``: the last ``n`` items of that behavior alone.

    Returns:
        items (B, n) right-padded with 0, and is_search (B, n) bool.
    """
    rec, clicks = batch.rec_items, batch.ses_clicks  # (B, R), (B, S, K)
    k = clicks.shape[2]
    rec_wide = torch.nn.functional.pad(rec.unsqueeze(-1), (0, k - 1))  # (B, R, K): one click per step
    steps = torch.cat([rec_wide, clicks], dim=1)  # (B, R+S, K)
    steps = steps.gather(1, batch.merge_index.unsqueeze(-1).expand(-1, -1, k))
    is_search = (batch.merge_index >= rec.shape[1]).unsqueeze(-1).expand(-1, -1, k)
    items, is_search = steps.flatten(1), is_search.flatten(1)  # (B, (R+S)*K)
    if behaviors != "both":
        items = items * (is_search == (behaviors == SRC))
    order = (items == 0).to(torch.int8).argsort(dim=1, stable=True)  # real clicks first, order kept
    count = (items != 0).sum(dim=1, keepdim=True)  # (B, 1)
    at = (count - n).clamp(min=0) + torch.arange(n, device=items.device)  # (B, n): the newest n
    inside = at < count
    at = order.gather(1, at.clamp(max=items.shape[1] - 1))
    return items.gather(1, at) * inside, is_search.gather(1, at) & inside
