"""What a trained model makes of the users' questions: inputs, hidden states and answers as arrays.

A *question* is a row and one candidate; its label says whether that item was clicked. Chapter 6 measures
the information between these arrays, chapter 7 looks at where the two tasks lie in them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from tqdm.auto import tqdm

from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, TASK_LABELS
from ..data.split import TEST
from ..errors import DataError, unknown
from ..models.base import RankingModel


@dataclass(frozen=True)
class Sample:
    """n questions of one task as a model sees them, row after row, the click before its negatives.

    Attributes:
        task: the task the model was told (see ``as_task`` of `collect`).
        input: (n, d_x) what enters the part of the model that answers.
        hidden: (n, d_h) states by name: ``encoder``, ``head``.
        score: (n,) log-odds of a click.
        label: (n,) 1 for the click, 0 for a negative.
        row: (n,) the row of the split; questions of one row share the user and the history.
        user: (n,) user index.
    """

    task: str
    input: np.ndarray
    hidden: dict[str, np.ndarray]
    score: np.ndarray
    label: np.ndarray
    row: np.ndarray
    user: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def probability(self) -> np.ndarray:
        """P(click), (n,), in float64."""
        return 1 / (1 + np.exp(-self.score.astype(np.float64)))

    def answers(self, seed: int = 0) -> np.ndarray:
        """Yes (1) or no (0) drawn by the model's own probability, (n,)."""
        return (np.random.default_rng(seed).random(len(self)) < self.probability).astype(int)

    def balanced(self) -> Sample:
        """Each click as often as it has negatives, so that yes and no are equally frequent.

        It is one click against one random item, seen once for each of the negatives.
        """
        negatives = np.bincount(self.row, weights=1 - self.label).astype(int)
        times = np.where(self.label == 1, negatives[self.row], 1)
        at = np.repeat(np.arange(len(self)), times)
        hidden = {name: state[at] for name, state in self.hidden.items()}
        arrays = {name: getattr(self, name)[at] for name in ("input", "score", "label", "row", "user")}
        return Sample(self.task, hidden=hidden, **arrays)


@torch.no_grad()
def collect(
    model: RankingModel,
    dataset: Dataset,
    task: str,
    *,
    split: str = TEST,
    negatives: int = 1,
    max_rows: int | None = None,
    as_task: str | None = None,
    batch_size: int = 64,
) -> Sample:
    """Ask a model about the clicks of a split and the first of their stored negatives.

    Args:
        model: one with `RankingModel.represent`; used in eval mode, its mode is restored.
        task: whose rows.
        split: ``valid`` or ``test``.
        negatives: per click; 0 for the clicks alone.
        max_rows: evenly spaced rows of the split; None for all.
        as_task: ask the same questions as this task, with an empty query: what changes then is the
            task's prompt (or head), and nothing of the user or the item.
        batch_size: rows at once; changes speed and memory only.

    Raises:
        DataError: the split has no row of the task, or fewer stored negatives.
        ConfigError: an unknown task or split, or a model without hidden states.
    """
    known = {"task": (task, BEHAVIORS), "as_task": (as_task or task, BEHAVIORS), "split": (split, dataset.rows)}
    for kind, (name, names) in known.items():
        if name not in names:
            raise unknown(kind, name, names)
    rows = dataset.rows[split][task]
    stored = 0 if rows.negatives is None else rows.negatives.shape[1]
    if not len(rows) or negatives > stored:
        raise DataError(f"{dataset.name}: {len(rows)} {split} rows of {task} with {stored} stored negatives each; "
                        f"{negatives} were asked for.")  # fmt: skip
    n = min(len(rows), max_rows or len(rows))
    index = np.unique(np.linspace(0, len(rows) - 1, n).astype(int))
    device = next((t.device for t in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
    was_training, parts = model.training, []
    model.eval()
    try:
        chunks = np.array_split(index, -(-n // batch_size))
        for at in tqdm(chunks, f"hidden states, {TASK_LABELS[task]}", leave=False, disable=None):
            batch = dataset.batch(split, task, at)
            batch = _asked_as(batch.with_candidates(batch.cand[:, : 1 + negatives]), as_task or task)
            parts.append(_columns(model, batch.to(device), at))
    finally:
        model.train(was_training)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    hidden = {name.removeprefix("hidden "): joined.pop(name) for name in list(joined) if name.startswith("hidden ")}
    return Sample(as_task or task, hidden=hidden, **joined)


def _asked_as(batch: Batch, task: str) -> Batch:
    """The same users and candidates under another task, without a query."""
    if task == batch.task:
        return batch
    return replace(batch, task=task, query=torch.zeros_like(batch.query), query_text=("",) * len(batch))


def _columns(model: RankingModel, batch: Batch, at: np.ndarray) -> dict[str, np.ndarray]:
    """A batch's questions as flat arrays, (B*C, …)."""
    seen, candidates = model.represent(batch), batch.cand.shape[1]
    tensors = {"input": seen.input, "score": seen.score} | {f"hidden {k}": v for k, v in seen.hidden.items()}
    flat = {name: t.flatten(0, 1).float().cpu().numpy() for name, t in tensors.items()}
    label = np.zeros(batch.cand.shape, dtype=int)
    label[:, 0] = 1
    of_row = {"row": at, "user": batch.user.cpu().numpy()}
    return flat | {"label": label.ravel()} | {name: np.repeat(v, candidates) for name, v in of_row.items()}
