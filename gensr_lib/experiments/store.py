"""A run on disk: one folder with the model, the ranks, what training left, and where it comes from.

``metrics.json`` is written last: a folder that has it holds a finished run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from scipy import stats

from ..data.dataset import Dataset
from ..data.schema import SRC
from ..errors import ConfigError, known
from ..files import read_json, read_or_refuse, write_atomically, write_json, writing
from ..models.base import RankingModel
from ..models.registry import model_class
from ..training.evaluation import Evaluation
from ..training.loop import TrainingRun
from .model_card import model_card
from .significance import LEVEL
from .spec import RunSpec

RESULT, RANKS, HISTORY, GRADIENTS = (
    "metrics.json",
    "ranks.parquet",
    "history.parquet",
    "gradients.parquet",
)
CONFIG = "config.json"  # written first: what the run is going to be
CHECKPOINT = "checkpoint"  # a folder; gone when the run is finished
CARD = "README.md"  # where the Hugging Face hub looks for a model's card
LONGEST = 200  # bytes of a folder's name; most file systems hold 255
LOADING = 20  # seconds that a process which only loads a run may hold it
LOG = logging.getLogger(__name__)


def checked_name(variant: str) -> str:
    """A variant's name, which names a folder.

    Raises:
        ConfigError: no folder can be called so, or it would lie elsewhere.
    """
    if not variant.isprintable() or set(variant) & set("/\\") or variant.startswith("."):
        raise ConfigError(
            f"variant {variant[:40]!r} names a folder: it must not begin with a dot, nor hold "
            f"slashes or what cannot be printed"
        )
    if len(variant.encode()) > LONGEST:
        raise ConfigError(
            f"variant '{variant[:20]}…' names a folder, and no folder's name has {len(variant)} "
            f"letters; use fewer than {LONGEST // 4}"
        )
    return variant


@dataclass
class Run:
    """One finished run: the trained model and what it did on the test set.

    Attributes:
        folder: where it lives.
        model: best weights, eval mode, on the CPU; None of what a study keeps (`studies.evidence`).
        evaluation: test ranks per user, and on a simulated world their expected metrics.
        history: one row per epoch; empty for models that are not trained.
        gradients: angles between the tasks' gradients, as in `TrainingRun`; empty where none was
            measured.
        record: specification, data hash, versions, hardware, seconds, peak memory, metrics, and
            ``expected``: the same under the click law, empty where none is known.
        loaded: whether it was found on disk instead of trained now.
    """

    folder: Path
    model: RankingModel | None
    evaluation: Evaluation
    history: pd.DataFrame
    gradients: pd.DataFrame
    record: dict[str, Any]
    loaded: bool


def save_run(
    folder: Path, model: RankingModel, tested: Evaluation, training: TrainingRun, record: dict
) -> None:
    """Write model, ranks, what training left and, last, the record that makes the run finished."""
    if model.saved:
        model.save_pretrained(folder / "model")
        card = model_card(record, model)
        write_atomically(folder / "model" / CARD, lambda p: p.write_text(card, encoding="utf-8"))
    # Ranks, not only metrics: a paired test between two systems needs them row by row.
    tables = {RANKS: tested.table, HISTORY: training.history, GRADIENTS: training.gradients}
    for name, table in tables.items():
        write_atomically(folder / name, lambda p, table=table: table.to_parquet(p, index=False))
    write_json(folder / RESULT, record)


def load_run(folder: Path, dataset: Dataset) -> Run:
    """A finished run from disk.

    Raises:
        ConfigError: a file of the run is missing or damaged.
    """
    record = read_json(folder / RESULT)
    name, options, seconds = read_or_refuse(
        folder / RESULT, lambda _: (record["model"], record["options"], record["seconds"]["test"])
    )
    cls = model_class(name)
    if cls.saved:
        model = read_or_refuse(folder / "model", cls.from_pretrained)
    else:
        model = cls.from_dataset(dataset, cls.Config.parse(options))
    table, history, gradients = (
        read_or_refuse(folder / part, pd.read_parquet) for part in (RANKS, HISTORY, GRADIENTS)
    )
    tested = Evaluation(cls.name, "test", table, seconds)
    return Run(folder, model.eval(), tested, history, gradients, record, loaded=True)


def is_of(record: Mapping[str, Any], spec: RunSpec) -> bool:
    """Whether a run is that of a specification, by however many processes."""
    return record.get("alike", record["hash"]) == spec.alike


def is_finished(folder: Path, spec: RunSpec) -> bool:
    """Whether a folder holds the finished run of a specification, by however many processes."""
    return (folder / RESULT).exists() and is_of(read_json(folder / RESULT), spec)


@contextlib.contextmanager
def held(folder: Path, spec: RunSpec) -> Iterator[None]:
    """Hold a run's folder against other processes; the lock of a process that died is free.

    A finished run is loaded without one where none can be made, as on a read-only disk.

    Raises:
        ConfigError: no lock can be made, and the run is still to be made.
    """
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        with writing(folder):
            _acquire(lock, folder)
    except ConfigError:
        if not is_finished(folder, spec):
            raise
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=LOADING)
    except Timeout:
        LOG.warning("%s: another process is making this run; waiting for it", folder)
        lock.acquire()


def set_aside(folder: Path, spec: RunSpec) -> None:
    """Make room for a specification's run: another run there moves aside, under its own hash.

    An earlier run of it that was moved aside comes back. Nothing is ever deleted.
    """
    written = next((p for p in (folder / CONFIG, folder / RESULT) if p.exists()), None)
    other = read_json(written) if written else {}
    if other and not is_of(other, spec):
        aside = folder.with_name(f"{folder.name}.{other['hash']}")
        if aside.exists():  # the same older run was moved aside before
            aside = aside.with_name(f"{aside.name}.{time.time_ns()}")
        os.replace(folder, aside)
        if "options" not in other:
            LOG.warning(
                "%s: this run was made by an earlier layout of the library and cannot be read any "
                "more; it is kept as %s, and the run is made anew",
                folder,
                aside.name,
            )
    for key in (spec.hash, spec.alike):
        earlier = folder.with_name(f"{folder.name}.{key}")
        if earlier.exists() and not folder.exists():
            os.replace(earlier, folder)


def result_table(
    runs: Mapping[str, Run], expected: bool = False, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """R@5, R@10, N@5, N@10 of several runs: a row per run, columns (task, metric).

    Args:
        runs: by the names of the rows.
        expected: of runs on a simulated world, also ``expected R@5`` and so on: the metrics
            averaged over the click law (`training.metrics`). Other runs have none.
        metrics: only these, plain or expected.

    Raises:
        ConfigError: one of the ``metrics`` is not there.
    """
    rows = {}
    for name, run in runs.items():
        by_task = run.evaluation.both if expected or metrics else run.evaluation.metrics
        rows[name] = {
            (task, metric): values[known("metric", metric, values)]
            for task, values in by_task.items()
            for metric in metrics or values
        }
    return pd.DataFrame(rows).T.rename_axis("system")


def seen_table(runs: Mapping[str, Run], dataset: Dataset, metric: str = "N@10") -> pd.DataFrame:
    """Search where training has seen the pair of query and clicked item, and where it has not.

    A row per run, columns (pairs, what): for the pairs ``seen`` and ``unseen``, which
    `Dataset.seen_pairs` tells apart, the mean of a metric over rows, its 95 % interval (Student's
    t) from ``low`` to ``high``, and the number of ``rows``. Of no row the mean is NaN; of one row
    the interval is.

    Args:
        runs: by the names of the rows; those that do not serve search are left out.
        dataset: what they were tested on.
        metric: a plain one parts the two sharply. An expected one averages over the whole list of
            a row, seen pairs and unseen ones, whichever the click was.

    Raises:
        ConfigError: a metric that a run does not have.
    """
    found = {name: run.evaluation for name, run in runs.items()}
    found = {name: each for name, each in found.items() if each.table["task"].eq(SRC).any()}
    parts = {"seen": {}, "unseen": {}}
    for name, each in found.items():
        values = pd.Series(each.values(SRC, metric))
        row = each.table.loc[each.table["task"].eq(SRC), "row"]
        seen = dataset.seen_pairs(each.split)[row]
        parts["seen"][name] = _mean_of(values[seen], metric)
        parts["unseen"][name] = _mean_of(values[~seen], metric)
    tables = {pairs: pd.DataFrame.from_dict(part, "index") for pairs, part in parts.items()}
    return pd.concat(tables, axis=1).rename_axis("system")


def _mean_of(values: pd.Series, metric: str) -> dict[str, float]:
    """Mean, interval and number of some values (N,); N may be 0."""
    mean = values.mean()
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.sem()
    return {metric: mean, "low": mean - half, "high": mean + half, "rows": len(values)}
