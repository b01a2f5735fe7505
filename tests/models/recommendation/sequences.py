"""What the tests of the sequence models share: batches from lists of items, and a cycle to learn."""

from __future__ import annotations

import torch

from gensr_lib.data.batches import Batch
from gensr_lib.models import RankingModel, available_models

SEQUENCE_MODELS = ("bert4rec", "fmlp", "gru4rec", "sasrec")
ITEMS = 20
LONGEST = 6
HISTORIES = [[3, 7, 1, 9], [], [5], [2, 4, 6, 8, 10, 12], [11, 5, 11]]
CANDIDATES = torch.tensor([[4, 13, 20, 17]]).repeat(len(HISTORIES), 1) - torch.arange(len(HISTORIES))[:, None] % 4


def untrained(name: str, n_items: int = ITEMS, **options) -> RankingModel:
    """A narrow model in eval mode, with weights large enough to be told apart."""
    cls = available_models()[name]
    torch.manual_seed(0)
    model = cls(cls.Config(**{"width": 8, "history": LONGEST, **options}), n_items).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        model.items.weight[0] = 0
    return model


def batch_of(histories: list[list[int]] = HISTORIES, candidates: torch.Tensor = CANDIDATES, room: int = 8) -> Batch:
    """Rows of recommendation without any search; histories are padded to ``room``."""
    items = torch.zeros(len(histories), room, dtype=torch.long)
    for row, history in zip(items, histories, strict=True):
        row[: len(history)] = torch.tensor(history, dtype=torch.long)
    none = torch.zeros(len(items), 1, dtype=torch.long)
    return Batch(
        task="rec", user=none[:, 0], rec_items=items, rec_time=items, ses_words=none[..., None],
        ses_clicks=none[..., None], ses_time=none, merge_index=torch.arange(room + 1).expand(len(items), -1),
        query=none, query_text=("",) * len(items), cand=candidates,
    )  # fmt: skip


def cycle(start: torch.Tensor, length: torch.Tensor) -> Batch:
    """Item i is followed by i + 1, and 20 by 1. Candidates: what follows, and the 13 items that no history holds."""
    step = torch.arange(LONGEST)
    histories = (start[:, None] + step) % ITEMS + 1
    histories = [row[:n].tolist() for row, n in zip(histories, length.tolist(), strict=True)]
    candidates = (start + length)[:, None] + torch.arange(ITEMS - LONGEST)
    return batch_of(histories, candidates % ITEMS + 1, room=LONGEST)


def every_start_and_length() -> Batch:
    """All rows that the cycle has."""
    start, length = torch.meshgrid(torch.arange(ITEMS), torch.arange(1, LONGEST + 1), indexing="ij")
    return cycle(start.flatten(), length.flatten())


def learn_the_cycle(name: str, steps: int, rate: float = 0.01, **options) -> tuple[RankingModel, float]:
    """A model after some steps on the cycle, and its R@1 over all rows; ties are misses."""
    cls = available_models()[name]
    torch.manual_seed(1)
    model = cls(cls.Config(**{"width": 16, "history": LONGEST, "dropout": 0.0, **options}), ITEMS).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        made = cycle(torch.randint(ITEMS, (64,)), torch.randint(1, LONGEST + 1, (64,)))
        drawn = 1 + torch.rand(64, ITEMS - LONGEST - 1).argsort(dim=1)[:, :4]
        candidates = made.cand.gather(1, torch.cat([torch.zeros(64, 1, dtype=torch.long), drawn], dim=1))
        optimizer.zero_grad()
        sum(model.loss(made.with_candidates(candidates)).values()).backward()
        optimizer.step()
    with torch.no_grad():
        scores = model.eval().score(every_start_and_length())
    return model, (scores[:, :1] > scores[:, 1:]).all(dim=1).float().mean().item()
