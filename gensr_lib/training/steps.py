"""What a step of training takes: rows of each task, with which candidates, and at which rate."""

from __future__ import annotations

import math

import numpy as np

from ..config import TrainingConfig
from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS
from ..data.split import TRAIN
from ..errors import ConfigError
from ..models.base import RankingModel


def plan_steps(
    model: RankingModel, dataset: Dataset, training: TrainingConfig
) -> tuple[dict[str, int], int]:
    """Rows of each trained task per step, and steps per epoch.

    A model whose class serves both tasks takes the steps of the joint training, of which one of its
    tasks fills its own part: "trained on one task" then means fewer rows, not fewer steps. A class
    that serves one task knows no joint training, and its task has the whole batch.

    Raises:
        ConfigError: the data set has no training row for any task of the model.
    """
    joint = type(model).tasks | model.tasks
    rows = {task: len(dataset.rows[TRAIN][task]) for task in BEHAVIORS if task in joint}
    rows = {task: n for task, n in rows.items() if n}
    if not model.tasks & rows.keys():
        raise ConfigError(
            f"{dataset.name} has no training row for {model.name}, which serves "
            f"{sorted(model.tasks)}."
        )
    sizes, steps = step_sizes(rows, training)
    return {task: size for task, size in sizes.items() if task in model.tasks}, steps


def step_sizes(rows: dict[str, int], training: TrainingConfig) -> tuple[dict[str, int], int]:
    """Rows of each task per step and steps per epoch, so that the tasks run out together.

    >>> step_sizes({"rec": 100, "src": 60}, TrainingConfig(batch_size=32))
    ({'rec': 32, 'src': 15}, 4)
    """
    first, lead = next(iter(rows.items()))
    steps = math.ceil(lead / training.batch_size)
    sizes = {task: min(math.ceil(n / steps), max(n, 1)) for task, n in rows.items()}
    sizes[first] = training.batch_size
    return sizes, min(steps, training.max_steps_per_epoch or steps)


def training_batch(dataset: Dataset, task: str, index: np.ndarray, negatives: np.ndarray) -> Batch:
    """Some training rows, the clicked item in column 0 and its negatives (B, n) behind it."""
    positive = dataset.item[dataset.rows[TRAIN][task].event[index]]
    candidates = np.concatenate([positive[:, None], negatives], axis=1)
    return dataset.batch(TRAIN, task, index, candidates)


def rate_of(step: int, steps: int, training: TrainingConfig) -> float:
    """Learning rate of a step: linear warm-up, then linear decay to zero.

    Args:
        step: counted from 0 over the whole training.
        steps: of an epoch.

    >>> rate_of(100, 100, TrainingConfig(epochs=2, learning_rate=0.5, warmup_steps=0))
    0.25
    """
    warm = training.warmup_steps
    total = (training.decay_epochs or training.epochs) * steps
    rising = (step + 1) / (warm + 1)
    falling = (total - step) / max(1, total - warm)
    return training.learning_rate * min(rising, falling, 1.0)
