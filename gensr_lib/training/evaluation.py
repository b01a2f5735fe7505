"""`evaluate`: rank each positive among its stored negatives and keep the rank of every user."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, TASK_LABELS
from ..data.split import TRAIN
from ..errors import known
from ..models.base import RankingModel
from .metrics import (
    EXPECTED,
    candidate_ranks,
    expected_columns,
    metric_columns,
    ranks,
    summarise,
    summarise_expected,
)

LOG = logging.getLogger(__name__)


@dataclass
class Evaluation:
    """Ranks of one model on one split.

    Attributes:
        model, split: what was evaluated.
        table: one row per test row: ``task, row, user, item, rank``; kept for paired tests. On a
            simulated world also `metrics.EXPECTED`: the metrics averaged over the click law.
        seconds: wall time.
    """

    model: str
    split: str
    table: pd.DataFrame
    seconds: float

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """R@5, R@10, N@5, N@10 by task."""
        return {task: summarise(rows) for task, rows in self.table.groupby("task", sort=False)}

    @property
    def expected(self) -> dict[str, dict[str, float]]:
        """The same metrics averaged over the click law; empty where it is not known."""
        if not set(EXPECTED) <= set(self.table):
            return {}
        by_task = self.table.groupby("task", sort=False)
        return {task: summarise_expected(rows) for task, rows in by_task}

    def values(self, task: str, metric: str = "N@10") -> np.ndarray:
        """A metric for each test row of a task (N,), in stored order, as paired tests need it.

        Raises:
            ConfigError: a task or metric that is not here.
        """
        rows = self.table[self.table["task"] == known("task", task, self.table["task"].unique())]
        plain = metric_columns(rows["rank"].to_numpy())
        columns = plain | {name: rows[name].to_numpy() for name in EXPECTED if name in rows}
        return columns[known("metric", metric, columns)]

    def mean(self, metric: str = "N@5") -> float:
        """Mean of a plain metric over the tasks: what models are selected by.

        On a simulated world too: a user of real data has no other, and a selection by the law
        would help the models with what nobody knows.
        """
        return float(np.mean([values[metric] for values in self.metrics.values()]))

    def frame(self, expected: bool = False) -> pd.DataFrame:
        """Metrics as a table, one row per task.

        Args:
            expected: where the click law is known, the expected metrics follow the plain ones.
        """
        values = self.both if expected else self.metrics
        return pd.DataFrame(values).T.rename_axis("task")

    @property
    def both(self) -> dict[str, dict[str, float]]:
        """Plain and, as ``expected R@5``..., expected metrics by task."""
        values = self.metrics
        for task, means in self.expected.items():
            values[task] |= {f"expected {name}": value for name, value in means.items()}
        return values


@dataclass
class StoredEvaluation(Evaluation):
    """One whose rows hold a part of the expected metrics, while the means of all are known.

    Attributes:
        means: by task, as `Evaluation.expected`.
    """

    means: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def expected(self) -> dict[str, dict[str, float]]:
        """Expected metrics by task, of the whole rows."""
        return self.means


def evaluate(
    model: RankingModel,
    dataset: Dataset,
    split: str = "test",
    *,
    batch_size: int = 64,
    accelerator: Accelerator | None = None,
    change: Callable[[Batch], Batch] | None = None,
) -> Evaluation:
    """Rank every positive of a split among its stored negatives.

    On a simulated world each list is also scored by the law that the click was drawn from.

    Args:
        model: scored in eval mode, on the device it is on; its mode is restored.
        split: ``valid`` or ``test``.
        batch_size: rows of 1 + 99 candidates at once; changes speed and memory only.
        accelerator: with several processes, each ranks its share and all get the whole result.
        change: done to what the model is asked, such as histories in another order (`analysis`);
            the candidates must stay.

    Raises:
        ValueError: the model gives a NaN score, or the split has no row for any of its tasks.
    """
    started = time.perf_counter()
    was_training = model.training
    share = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    tasks = [t for t in BEHAVIORS if t in model.tasks and len(dataset.rows[split][t])]
    if not tasks:
        raise ValueError(
            f"{dataset.name}: no {split} row for {model.name}, which serves {sorted(model.tasks)}."
        )
    tasks = _trained(model, dataset, tasks)
    model.eval()
    try:
        own = [
            p
            for task in tasks
            for p in _rank_task(model, dataset, split, task, batch_size, share, accelerator, change)
        ]
    finally:
        model.train(was_training)
    parts = gather_object(own) if share[1] > 1 else own
    # With any number of processes the table is in stored order: paired tests rely on it.
    table = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    table["order"] = table["task"].map(BEHAVIORS.index)
    table = table.sort_values(["order", "row"]).drop(columns="order").reset_index(drop=True)
    return Evaluation(model.name, split, table, time.perf_counter() - started)


def _trained(model: RankingModel, dataset: Dataset, tasks: list[str]) -> list[str]:
    """Without the tasks that a model which learns had no training row of, unless all are such."""
    rows = dataset.rows[TRAIN]
    never = [task for task in tasks if not len(rows[task]) and model.learns()]
    if not never or never == tasks:
        return tasks
    names = " and ".join(TASK_LABELS[task] for task in never)
    LOG.warning("%s: no training row of %s, so it is not evaluated in it", model.name, names)
    return [task for task in tasks if task not in never]


# Not inference_mode: what a model keeps (a graph, say) must still serve training afterwards.
@torch.no_grad()
def _rank_task(model, dataset, split, task, batch_size, share, accelerator, change) -> list[dict]:
    """Ranks of this process's share of one task, as columns per batch."""
    autocast = accelerator.autocast if accelerator else contextlib.nullcontext
    rows = np.arange(len(dataset.rows[split][task]))[share[0] :: share[1]]
    found = []
    total = -(-len(rows) // batch_size)
    batches = dataset.batches(split, task, batch_size, share, with_event=model.reads_event)
    for batch in tqdm(
        batches, f"rank {split} rows, {TASK_LABELS[task]}", total, leave=False, disable=None
    ):
        asked = change(batch) if change else batch
        with autocast():
            scores = model.score(asked.to(model.device))
        at = rows[len(found) * batch_size :][: len(batch)]
        found.append(
            {
                "task": task,
                "row": at,
                "user": batch.user.numpy(),
                "item": batch.cand[:, 0].numpy(),
                "rank": ranks(scores.float()).cpu().numpy(),
                **_expected(dataset, dataset.rows[split][task].event[at], batch, scores),
            }
        )
    return found


def _expected(dataset, event, batch, scores) -> dict[str, np.ndarray]:
    """The columns `EXPECTED` of a batch; none where no click law is known."""
    if dataset.truth is None:
        return {}
    shares = dataset.law.click_shares(event, batch.cand.cpu().numpy())
    return expected_columns(candidate_ranks(scores.float()).cpu().numpy(), shares)
