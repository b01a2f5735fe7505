"""Small tasks with a right answer, how often a model has it after some steps, and what a model looks at.

Twenty items are of five kinds, four of each; a search for a kind has one word and one click. No row is seen twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gensr_lib.data.batches import Batch
from gensr_lib.models.base import RankingModel
from tests.worlds import pocket

KINDS, OF_KIND, USERS = 5, 4, 10
N_ITEMS, N_WORDS = KINDS * OF_KIND, KINDS + 2  # words 0 and 1 are padding and the unknown word


def _batch(cand: Tensor, rec: Tensor, words: Tensor, clicks: Tensor) -> Batch:
    """Recommendations first, then the searches."""
    n, steps = len(cand), rec.shape[1] + words.shape[1]
    return Batch(
        task="rec", user=torch.zeros(n).long(), rec_items=rec, rec_time=torch.zeros_like(rec), ses_words=words,
        ses_clicks=clicks, ses_time=torch.zeros_like(words[..., 0]), merge_index=torch.arange(steps).expand(n, -1),
        query=torch.zeros(n, 1).long(), query_text=("",) * n, cand=cand,
    )  # fmt: skip


def _of_kind(kind: Tensor, g: torch.Generator) -> Tensor:
    return 1 + kind * OF_KIND + torch.randint(OF_KIND, kind.shape, generator=g)


def _one_of_each_kind(first: Tensor, g: torch.Generator) -> Tensor:
    """Candidates (B, 5): an item of the kind asked for (B,), then one of each other kind."""
    return _of_kind((first[:, None] + torch.arange(KINDS)) % KINDS, g)


def kind_of_history(n: int, g: torch.Generator) -> Batch:
    """Recommended items are all of one kind, and so is the next; searches tell nothing."""
    kind = torch.randint(KINDS, (n,), generator=g)
    nothing = torch.zeros(n, 1, 1).long()
    rec = _of_kind(kind[:, None].expand(-1, 3), g)
    return _batch(_one_of_each_kind(kind, g), rec, nothing, nothing)


def kind_of_last_search(n: int, g: torch.Generator, searches: int = 1) -> Batch:
    """The next item is of the kind that was searched for last; recommendations are random."""
    kind = torch.randint(KINDS, (n, searches), generator=g)
    rec = torch.randint(1, N_ITEMS + 1, (n, 3), generator=g)
    return _batch(_one_of_each_kind(kind[:, -1], g), rec, kind[..., None] + 2, _of_kind(kind, g)[..., None])


def cycle(n: int, g: torch.Generator) -> Batch:
    """Items follow one another in a circle of twenty, from anywhere, one to six of them; all are candidates."""
    start, length = torch.randint(N_ITEMS, (n, 1), generator=g), torch.randint(1, 7, (n, 1), generator=g)
    step = torch.arange(6)
    rec = (1 + (start + step) % N_ITEMS) * (step < length)
    cand = 1 + (start + length + torch.arange(N_ITEMS)) % N_ITEMS
    nothing = torch.zeros(n, 1, 1).long()
    return _batch(cand, rec, nothing, nothing)


def kind_of_user(n: int, g: torch.Generator) -> Batch:
    """Each user wants one kind, and histories are random."""
    user = torch.randint(USERS, (n,), generator=g)
    made = kind_of_last_search(n, g)
    return replace(made, user=user, cand=_one_of_each_kind(user % KINDS, g))


def kind_of_query(n: int, g: torch.Generator) -> Batch:
    """A search for a kind by its word; what was searched for and clicked before tells nothing."""
    kind, asked = torch.randint(KINDS, (n, 3), generator=g), torch.randint(KINDS, (n,), generator=g)
    made = _batch(_one_of_each_kind(asked, g), _of_kind(kind, g), kind[..., None] + 2, _of_kind(kind, g)[..., None])
    return replace(made, task="src", query=asked[:, None] + 2)


def kind_of_clicks(n: int, g: torch.Generator) -> Batch:
    """A search without words for the kind of all items clicked before, in searches without words."""
    kind = torch.randint(KINDS, (n,), generator=g)
    clicks = _of_kind(kind[:, None].expand(-1, 3), g)[..., None]
    rec = torch.randint(1, N_ITEMS + 1, (n, 3), generator=g)
    return replace(_batch(_one_of_each_kind(kind, g), rec, torch.zeros_like(clicks), clicks), task="src")


def learn(model: RankingModel, lesson: Callable[[int, torch.Generator], Batch], steps: int, rate: float) -> float:
    """R@1 on 500 fresh rows after some steps of Adam."""
    g = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        terms = model.loss(lesson(64, g))
        sum(model.loss_weights.get(name, 1.0) * term for name, term in terms.items()).backward()
        optimizer.step()
    with torch.no_grad():
        scores = model.eval().score(lesson(500, g))
    return (scores[:, :1] > scores[:, 1:]).all(dim=1).double().mean().item()


@torch.no_grad()
def reads(model: RankingModel, task: str | None = None) -> set[str]:
    """Fields of the batch, candidates aside, without which scores of a task, rec where it can, are others."""
    made = pocket().batch("test", task or ("rec" if "rec" in model.tasks else "src"), np.arange(6))
    before = model.eval().score(made)
    changed = {
        "user": made.user.roll(1),
        "rec_items": _others(made.rec_items, pocket().n_items),
        "rec_time": made.rec_time + 5,
        "ses_words": _others(made.ses_words, pocket().n_words - 1),
        "ses_clicks": _others(made.ses_clicks, pocket().n_items),
        "ses_time": made.ses_time + 5,
        "query": (made.query + 1) % pocket().n_words,
    }
    return {
        name for name, value in changed.items() if not torch.equal(model.score(replace(made, **{name: value})), before)
    }


def _others(ids: Tensor, highest: int) -> Tensor:
    """Other ids in the same places."""
    return torch.where(ids != 0, 1 + ids % highest, 0)
