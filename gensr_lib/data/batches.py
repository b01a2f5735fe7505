"""The batch: what a model sees of some rows. Field shapes are the contract of every model.

All ids are 0 for padding; histories are ordered oldest to newest and padded on the right. A batch
has one task. Histories are ragged arrays (`histories`), so a batch is a gather, not a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

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
        event: (B,) row of the answer in the log; None unless asked for, as only an oracle may.
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
        return self._map(lambda value: value.to(device, non_blocking=True))

    def with_candidates(self, cand: Tensor) -> Batch:
        """The same rows with other candidates (B, C')."""
        return replace(self, cand=cand)

    def rows(self, index: Tensor) -> Batch:
        """Some of the rows, by position or mask."""
        positions = torch.arange(len(self), device=self.user.device)[index].tolist()
        texts = tuple(self.query_text[i] for i in positions)
        return replace(self._map(lambda value: value[index]), query_text=texts)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with every tensor changed."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {name: v for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **{name: change(value) for name, value in tensors.items()})


def merged_history(batch: Batch, n: int, behaviors: str = "both") -> tuple[Tensor, Tensor]:
    """The last ``n`` items of both behaviors in time order, H_u of the paper's section 3.

    Args:
        behaviors: ``rec`` or ``src``: the last ``n`` items of that behavior alone.

    Returns:
        items (B, n) right-padded with 0, and is_search (B, n) bool.
    """
    rec = batch.rec_items  # (B, R)
    clicks = batch.ses_clicks  # (B, S, K)
    k = clicks.shape[2]
    # Both as steps of K clicks, of which a recommendation fills the first, in order of time.
    rec_wide = torch.nn.functional.pad(rec.unsqueeze(-1), (0, k - 1))  # (B, R, K)
    order = batch.merge_index.unsqueeze(-1).expand(-1, -1, k)  # (B, R+S, K)
    items = torch.cat([rec_wide, clicks], dim=1).gather(1, order).flatten(1)  # (B, (R+S)*K)
    is_search = (order >= rec.shape[1]).flatten(1)  # (B, (R+S)*K)
    if behaviors != "both":
        items = items * (is_search == (behaviors == SRC))
    at, inside = newest(items != 0, n)
    return items.gather(1, at) * inside, is_search.gather(1, at) & inside


def merged_steps(batch: Batch, behaviors: str = "both") -> tuple[Tensor, Tensor]:
    """Both histories as one, in steps: a search has its query's words and its clicks, a
    recommendation has no words and one click.

    Args:
        behaviors: ``rec`` or ``src``: the steps of that behavior alone.

    Returns:
        words (B, N, W) and clicks (B, N, K) in time order, right-padded; N is the longest history.
    """
    r, (s, k) = batch.rec_items.shape[1], batch.ses_clicks.shape[1:]
    pad = torch.nn.functional.pad
    words = pad(batch.ses_words, (0, 0, r, 0))  # (B, R + S, W)
    clicks = torch.cat([pad(batch.rec_items.unsqueeze(-1), (0, k - 1)), batch.ses_clicks], dim=1)
    real = (clicks != 0).any(dim=-1)  # (B, R + S)
    if behaviors != "both":
        is_search = torch.arange(r + s, device=real.device) >= r
        real = real & (is_search == (behaviors == SRC))
    by_time = real.gather(1, batch.merge_index)
    at, inside = newest(by_time, max(int(real.sum(dim=1).max()), 1))
    at = batch.merge_index.gather(1, at)
    return taken(words, at, inside), taken(clicks, at, inside)


def taken(x: Tensor, at: Tensor, inside: Tensor) -> Tensor:
    """Columns ``at`` (B, n) of x (B, N, d), zeros where not ``inside`` (B, n): (B, n, d)."""
    return x.gather(1, at.unsqueeze(-1).expand(-1, -1, x.shape[2])) * inside.unsqueeze(-1)


def trimmed(items: Tensor) -> Tensor:
    """Histories (B, N) without the last columns if they are padding in all rows; one is left."""
    longest = int((items != 0).any(dim=0).sum())
    return items[:, : max(longest, 1)]


def appended(items: Tensor, item: Tensor | int) -> Tensor:
    """Histories (B, N) with an item behind the last, one of each row (B,) or of all: (B, N + 1)."""
    count = (items != 0).sum(dim=1, keepdim=True)  # (B, 1)
    is_behind = torch.arange(items.shape[1] + 1, device=items.device) == count  # (B, N + 1)
    item = torch.as_tensor(item, device=items.device).view(-1, 1)
    return torch.where(is_behind, item, torch.nn.functional.pad(items, (0, 1)))


def left_padded(items: Tensor) -> Tensor:
    """Histories (B, N) with their padding in front: the last column has the newest items."""
    n = items.shape[1]
    count = (items != 0).sum(dim=1, keepdim=True)  # (B, 1)
    return items.gather(1, (torch.arange(n, device=items.device) + count) % n)


def newest(real: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The last ``n`` real columns of each row of (B, N), in their order.

    Returns:
        at (B, n) their places in the row, and inside (B, n): False where there are no more, whose
        place means nothing.
    """
    # Real ones first, their order kept; then the window of the newest n of them.
    real_first = (~real).to(torch.int8).argsort(dim=1, stable=True)
    count = real.sum(dim=1, keepdim=True)  # (B, 1)
    at = (count - n).clamp(min=0) + torch.arange(n, device=real.device)  # (B, n)
    inside = at < count  # fewer than n: the rest is padding
    return real_first.gather(1, at.clamp(max=real.shape[1] - 1)), inside
