"""What each mechanism of the paper can be worth on a simulated world, before anything is trained.

An effect that is not found says something only if it could have been there. For each mechanism two
readers (`models.reader`) are asked the same questions: one that has the ability that the mechanism
stands for, and one that differs in nothing else. The difference is the ceiling of the mechanism on
this world: what somebody who knows the law gains from it. A model can gain more than that only by
what the reader was not given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS
from ..data.split import tasks_of
from ..errors import ConfigError
from ..models.reader import Reader, ReaderConfig
from ..training.evaluation import Evaluation, evaluate

OWN = "own"  # stands for the task's own behavior
VISIBLE = 0.03  # of N@10: what a mechanism of the default world is worth in one task at least
# What GenSR is given: texts, and the vectors of a LightGCN that saw recommendations alone.
GIVEN = {"items": "views", "clicks_of": "rec"}


@dataclass(frozen=True)
class Mechanism:
    """A claim of the paper as two readers.

    Attributes:
        name: of the mechanism.
        without: in words, what the lesser reader lacks.
        able, unable: their options, as in `ReaderConfig`.
    """

    name: str
    without: str
    able: dict[str, Any]
    unable: dict[str, Any]


MECHANISMS = (
    Mechanism("soft filter", "weighs all clicks alike", {}, {"filter": False}),
    Mechanism("joint history", "reads one behavior", {}, {"history_of": OWN}),
    Mechanism(
        "joint training",
        "knows items by the clicks of one behavior",
        {"items": "views"},
        {"items": "views", "clicks_of": OWN},
    ),
    Mechanism("task prompt", "weighs alike in both tasks", {}, {"one_law": True}),
    Mechanism("collaborative view", "knows items by text alone", GIVEN, {"items": "text"}),
    Mechanism("semantic view", "knows items by clicks alone", GIVEN, GIVEN | {"items": "clicks"}),
    Mechanism("alignment", "never compares the views", GIVEN, GIVEN | {"items": "views apart"}),
)


def ceilings_of(dataset: Dataset, history: int = 40, metric: str = "N@10") -> pd.DataFrame:
    """The ceiling of each mechanism in each task, in expected metrics under the law.

    Args:
        dataset: a simulated one.
        history: clicks that the readers read.
        metric: one of `training.metrics.METRICS`.

    Returns:
        One row per mechanism and task: ``mechanism, task``, ``able`` and ``unable`` (the readers'
        values), ``ceiling``, ``se`` (of the paired difference over test rows) and ``none``, whether
        the ceiling is within two standard errors of zero: there an effect cannot show.

    Raises:
        ConfigError: the data set is not simulated, or lacks one of the two tasks.
    """
    if dataset.truth is None:
        raise ConfigError(
            f"the ceilings need a simulated world, whose law is known, not '{dataset.name}'."
        )
    if tasks_of(dataset.rows) != list(BEHAVIORS):
        raise ConfigError(
            f"{dataset.name}: the ceilings compare the tasks, and one of them has no rows; "
            f"simulate more users."
        )
    asked = _Asked(dataset, history, f"expected {metric}")
    rows = []
    for mechanism in tqdm(MECHANISMS, "ceilings", leave=False, disable=None):
        for task in BEHAVIORS:
            able, unable = (asked(task, options) for options in (mechanism.able, mechanism.unable))
            gain = able - unable
            se = gain.std(ddof=1) / len(gain) ** 0.5
            values = {"able": able.mean(), "unable": unable.mean(), "ceiling": gain.mean()}
            none = bool(gain.mean() < 2 * se)
            rows.append(
                {"mechanism": mechanism.name, "task": task, **values, "se": se, "none": none}
            )
    return pd.DataFrame(rows)


class _Asked:
    """What readers of a data set answer; each is fitted once."""

    def __init__(self, dataset: Dataset, history: int, metric: str):
        self.dataset = dataset
        self.history = history
        self.metric = metric
        self._found: dict[str, Evaluation] = {}

    def __call__(self, task: str, options: dict[str, Any]) -> np.ndarray:
        """A reader's metric for each test row of a task (N,); `OWN` in its options is the task."""
        options = {name: task if value == OWN else value for name, value in options.items()}
        config = ReaderConfig.parse({"history": self.history, **options})
        key = config.model_dump_json()
        if key not in self._found:
            reader = Reader.from_dataset(self.dataset, config)
            self._found[key] = evaluate(reader, self.dataset, batch_size=256)
        return self._found[key].values(task, self.metric)
