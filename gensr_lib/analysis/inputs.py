"""What does a system read? Its scores when one input is another user's, or another item's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ..data.batches import Batch, taken
from ..errors import known
from ..models.base import RankingModel
from .order import reordered

Input = Literal[
    "user", "recommendation clicks", "clicks after searches", "past queries", "order", "query"
]
INPUTS: tuple[Input, ...] = get_args(Input)
HISTORY = ("rec_items", "rec_time", "ses_words", "ses_clicks", "ses_time", "merge_index")
PARTS = {"user": ("user",), "history": HISTORY, "query": ("query",)}
MOVED = 1e-4  # of the spread of the scores; sums in another order move them by less


def of_row_before(batch: Batch, parts: Iterable[Literal["user", "history", "query"]]) -> Batch:
    """The batch with parts of each row in the next row's place, the last row's in the first's.

    So with rows of different users each is asked for somebody else.

    Raises:
        ConfigError: an unknown part.
    """
    fields = [field for part in parts for field in PARTS[known("part", part, PARTS)]]
    moved = {name: getattr(batch, name).roll(1, dims=0) for name in fields}
    if "query" in moved:
        moved["query_text"] = batch.query_text[-1:] + batch.query_text[:-1]
    return replace(batch, **moved)


def exchanged(batch: Batch, what: Input, n_items: int, n_words: int) -> Batch:
    """The batch with one input in each row's place that is not its own.

    Users and queries are those `of_row_before`. What a history holds is replaced in place, each
    item or word by the next in number, so that its length and its times stay. ``order`` turns the
    histories of both behaviors round.

    Args:
        n_items, n_words: how many items and words there are, without padding.

    Raises:
        ConfigError: an unknown input.
    """
    if known("input", what, INPUTS) in ("user", "query"):
        return of_row_before(batch, [what])
    if what == "recommendation clicks":
        return replace(batch, rec_items=_next(batch.rec_items, n_items))
    if what == "clicks after searches":
        return replace(batch, ses_clicks=_next(batch.ses_clicks, n_items))
    if what == "past queries":
        return replace(batch, ses_words=_next(batch.ses_words, n_words))
    is_real = (batch.ses_clicks != 0).any(dim=-1)  # (B, S)
    newest_first = (-torch.arange(is_real.shape[1])).expand(is_real.shape)
    at = newest_first.masked_fill(~is_real, is_real.shape[1]).argsort(dim=1)
    words, clicks = (taken(x, at, is_real) for x in (batch.ses_words, batch.ses_clicks))
    return replace(reordered(batch, "backwards"), ses_words=words, ses_clicks=clicks)


@torch.no_grad()
def reads(model: RankingModel, batch: Batch, n_items: int, n_words: int) -> dict[Input, bool]:
    """Whether the scores of a batch depend on each input.

    Args:
        model: in eval mode.
        batch: of two users or more, with histories and, for searches, with different queries.
    """
    scores = model.score(batch.to(model.device))
    least = MOVED * scores.std()
    found = {}
    for what in INPUTS:
        other = model.score(exchanged(batch, what, n_items, n_words).to(model.device))
        found[what] = bool((other - scores).abs().max() > least)
    return found


def _next(numbers: Tensor, count: int) -> Tensor:
    return torch.where(numbers != 0, numbers % count + 1, 0)
