"""Ranking a trained model by other rules than the book's: what a protocol alone is worth.

The book ranks the positive among the stored negatives, and a tie counts half (`evaluate`). Many
published numbers are by sorting, where a tie goes to the positive, and some of whole catalogues.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, TASK_LABELS
from ..models.base import RankingModel
from .metrics import check_scores, ranks, summarise

AT_ONCE = 1024  # candidates of a row in one call of the model


@torch.no_grad()
def ranked(
    model: RankingModel,
    dataset: Dataset,
    split: str = "test",
    *,
    ties: Literal["half", "positive first"] = "half",
    candidates: Literal["stored", "all"] = "stored",
    batch_size: int = 64,
) -> pd.DataFrame:
    """Ranks of every positive of a split: ``task, row, user, item, rank``, as in `Evaluation`.

    Args:
        ties: what a candidate with the positive's score counts, half a place or none. The published
            code of GenSR and UniSAR sorts with the positive in front, which is the second.
        candidates: the stored ones, or all items that the user touches in no event.
        batch_size: rows at once.
    """
    was_training = model.training
    model.eval()
    parts = []
    for task in (t for t in BEHAVIORS if t in model.tasks and len(dataset.rows[split][t])):
        first = 0
        total = -(-len(dataset.rows[split][task]) // batch_size)
        bar = {"desc": f"rank {split} rows, {TASK_LABELS[task]}", "leave": False, "disable": None}
        batches = dataset.batches(split, task, batch_size, with_event=model.reads_event)
        for batch in tqdm(batches, total=total, **bar):
            if candidates == "all":
                scores = _of_catalogue(model, dataset, batch)
            else:
                scores = model.score(batch.to(model.device)).float().cpu()
            check_scores(scores)
            place = ranks(scores) if ties == "half" else 1 + (scores > scores[:, :1]).sum(dim=1)
            rows = np.arange(first, first + len(batch))
            asked = {"user": batch.user.numpy(), "item": batch.cand[:, 0].numpy()}
            parts.append({"task": task, "row": rows, **asked, "rank": place.double().numpy()})
            first += len(batch)
    model.train(was_training)
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)


def metrics_by_rule(model: RankingModel, dataset: Dataset, **rules) -> dict[str, dict[str, float]]:
    """R@5, R@10, N@5, N@10 of a model by task, under rules of `ranked`."""
    table = ranked(model, dataset, **rules)
    return {task: summarise(rows) for task, rows in table.groupby("task", sort=False)}


def _of_catalogue(model: RankingModel, dataset: Dataset, batch: Batch) -> Tensor:
    """Scores (B, 1 + I) of the positive and of all items, -inf of those that the user touches."""
    items = torch.arange(1, dataset.n_items + 1)
    listed = torch.cat([batch.cand[:, :1], items.expand(len(batch), -1)], dim=1)
    asked = batch.with_candidates(listed).to(model.device)
    scores = model.score_in_chunks(asked, AT_ONCE).float().cpu()
    touched = dataset.sampler.is_touched(batch.user.numpy()[:, None], items.numpy())
    scores[:, 1:].masked_fill_(torch.from_numpy(touched), -torch.inf)
    return scores
