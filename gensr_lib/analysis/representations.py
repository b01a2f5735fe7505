"""What a trained model makes of the users' questions: inputs, hidden states and answers as arrays.

A *question* is a row and one candidate; its label says whether that item was clicked. Chapter 6
measures the information between these arrays, chapter 7 looks where the two tasks lie in them.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def decisions(self) -> np.ndarray:
        """Yes (1) where the model finds yes likelier than no, else 0, (n,)."""
        return (self.score > 0).astype(int)

    def balanced(self) -> Sample:
        """Each click as often as it has negatives, so that yes and no are equally frequent.

        It is one click against one random item, seen once for each of the negatives.
        """
        negatives = np.bincount(self.row, weights=1 - self.label).astype(int)
        times = np.where(self.label == 1, negatives[self.row], 1)
        at = np.repeat(np.arange(len(self)), times)
        hidden = {name: state[at] for name, state in self.hidden.items()}
        names = ("input", "score", "label", "row", "user")
        return replace(self, hidden=hidden, **{name: getattr(self, name)[at] for name in names})


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
    as_task = as_task or task
    for kind, name, known in (
        ("task", task, BEHAVIORS),
        ("as_task", as_task, BEHAVIORS),
        ("split", split, dataset.rows),
    ):
        if name not in known:
            raise unknown(kind, name, known)
    rows = dataset.rows[split][task]
    stored = 0 if rows.negatives is None else rows.negatives.shape[1]
    if not len(rows) or negatives > stored:
        have = f"{len(rows)} {split} rows of {task}, {stored} stored negatives each"
        raise DataError(f"{dataset.name} has {have}; {negatives} were asked for.")
    n = min(len(rows), max_rows or len(rows))
    index = np.unique(np.linspace(0, len(rows) - 1, n).astype(int))
    parts = []
    was_training = model.training
    model.eval()
    try:
        chunks = np.array_split(index, -(-n // batch_size))
        for at in tqdm(chunks, f"hidden states, {TASK_LABELS[task]}", leave=False, disable=None):
            batch = dataset.batch(split, task, at)
            batch = batch.with_candidates(batch.cand[:, : 1 + negatives])
            if as_task != task:
                no_query = {"query": torch.zeros_like(batch.query), "query_text": ("",) * len(at)}
                batch = replace(batch, task=as_task, **no_query)
            parts.append(_arrays(model, batch, at))
    finally:
        model.train(was_training)
    arrays, hidden = zip(*parts, strict=True)
    return Sample(as_task, hidden=_joined(hidden), **_joined(arrays))


def _arrays(model: RankingModel, batch: Batch, at: np.ndarray) -> tuple[dict, dict]:
    """A batch's questions as flat arrays, (B*C, …): what `Sample` has, and its hidden states."""
    device = next((t.device for t in [*model.parameters(), *model.buffers()]), "cpu")
    seen = model.represent(batch.to(device))
    label = torch.zeros(batch.cand.shape, dtype=torch.long)
    label[:, 0] = 1
    n_candidates = batch.cand.shape[1]
    arrays = {
        "input": _flat(seen.input),
        "score": _flat(seen.score),
        "label": label.flatten().numpy(),
        "row": np.repeat(at, n_candidates),
        "user": np.repeat(batch.user.cpu().numpy(), n_candidates),
    }
    return arrays, {name: _flat(state) for name, state in seen.hidden.items()}


def _flat(tensor: torch.Tensor) -> np.ndarray:
    return tensor.flatten(0, 1).float().cpu().numpy()


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
