"""Where results live: ``runs/<dataset>/<profile>/<model>/seed-<n>/``, with provenance and resume.

A run whose configuration hash is already there is loaded, not repeated; one that was killed goes on
where it was; one of another configuration is moved aside, never overwritten.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout

from .. import NUMBERS
from ..config import ModelSettings, Profile, TrainingConfig, digest, load_profile
from ..data.dataset import Dataset
from ..data.sources.load import load_dataset
from ..data.split import TEST
from ..errors import ConfigError, DataError, unknown
from ..files import project_root, write_atomically
from ..models import RankingModel, build_model, model_class
from ..models.gensr.prompt import PROMPTS
from ..models.language_model import Backbone, load_backbone
from ..training.evaluation import Evaluation, evaluate
from ..training.loop import TrainingRun, make_accelerator, readable, train
from .model_card import model_card
from .provenance import provenance

RESULT, RANKS, HISTORY, GRADIENTS = "metrics.json", "ranks.parquet", "history.parquet", "gradients.parquet"
CARD = "README.md"  # where the Hugging Face hub looks for a model's card
ORACLE = "oracle"
LOADING = 20  # seconds that a process which only loads a run may hold it
LOG = logging.getLogger(__name__)


@dataclass
class Run:
    """One finished run: the trained model and what it did on the test set.

    Attributes:
        folder: where it lives.
        model: best weights, eval mode.
        evaluation: test ranks per user.
        history: one row per epoch; empty for models that are not trained.
        gradients: angles between the tasks' gradients, as in `TrainingRun`; empty where none was measured.
        record: configuration, data hash, versions, hardware, seconds, peak memory, metrics.
        loaded: whether it was found on disk instead of trained now.
    """

    folder: Path
    model: RankingModel
    evaluation: Evaluation
    history: pd.DataFrame
    gradients: pd.DataFrame
    record: dict[str, Any]
    loaded: bool


@dataclass
class Workspace:
    """One data set, profile and seed: everything a chapter needs, made when first asked for.

    Args:
        dataset_name: as for `load_dataset`.
        profile_name: as for `load_profile`.
        seed: of data, weights and training.
    """

    dataset_name: str = "pocket"
    profile_name: str = "pocket"
    seed: int = 0
    _runs: dict[str, Run] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _checked_seed(self.seed)

    @cached_property
    def profile(self) -> Profile:
        """The profile, validated."""
        return load_profile(self.profile_name)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, loaded once.

        Raises:
            DataError: it cannot be read, or no user did enough to be tested.
        """
        found = load_dataset(self.dataset_name, self.profile, self.seed)
        if not any(len(rows) for rows in found.rows[TEST].values()):
            raise DataError(
                f"{found.name}: no user has enough events of one behavior to hold two of them out for validation and "
                f"test; give more data, or lower data.min_interactions of the profile."
            )
        return found

    @cached_property
    def folder(self) -> Path:
        """``runs/<dataset>/<profile>``."""
        return project_root() / "runs" / Path(self.dataset_name).resolve().name / self.profile_name

    @property
    def figures(self) -> Path:
        """``figures/`` for the default run (the committed ones), a folder of the run for any other."""
        default = (self.dataset_name, self.profile_name, self.seed) == ("pocket", "pocket", 0)
        return project_root() / "figures" if default else self.folder / "figures"

    def settings(self, model: str, **options: Any) -> ModelSettings:
        """The profile's settings of a model with some options changed; `TrainingConfig` fields are recognised.

        Raises:
            ConfigError: an option that neither the model nor the training has, or a value out of range.
        """
        cls, settings = model_class(model), self.profile.settings(model)
        known = [*cls.Config.model_fields, *TrainingConfig.model_fields]
        for name in options:
            if name not in known:
                raise unknown(f"option of {model}", name, known)
        of_training = {k: v for k, v in options.items() if k in TrainingConfig.model_fields}
        of_model = {k: v for k, v in options.items() if k not in of_training}
        changed = ModelSettings(model={**settings.model, **of_model}, training=settings.training.replace(**of_training))
        cls.Config.parse(changed.model, where=f"model {model}")
        return changed

    def backbone(self, seed: int | None = None) -> Backbone:
        """A fresh backbone of the profile; the pocket tokenizer is trained on the catalogue and the prompts.

        Args:
            seed: of the pocket backbone's weights, if it is not the workspace's.
        """
        dataset, prompts = self.dataset, list(PROMPTS.values()) * 1000  # often enough to be whole tokens
        seen = dataset.query_texts[dataset.query[dataset.rows_before_cut() & dataset.is_search]]
        texts = [*dataset.item_text[1:], *dataset.items["categories"], *sorted(set(seen)), *prompts]
        return load_backbone(self.profile.backbone, texts, self.seed if seed is None else seed)

    def artefacts(self, model: str, seed: int | None = None) -> dict[str, Any]:
        """What a model needs beside the data set: GenSR's backbone and the frozen LightGCN table."""
        makers = {
            "backbone": lambda: self.backbone(seed),
            "cf_table": lambda: self.fit("lightgcn").model.item_vectors(),
        }
        return {need: makers[need]() for need in model_class(model).needs}

    def fit(self, model: str, variant: str | None = None, seed: int | None = None, **options: Any) -> Run:
        """Train and test a model, or load the run if it is already there.

        A run that another process is making is waited for, then loaded.

        Args:
            model: as in `available_models`.
            variant: name of the folder if it is not the model's plain run (an ablation, say).
            seed: of the weights and the training, if it is not the workspace's; the data stay as they are.
            options: changes to the profile's settings, e.g. ``tau=0.1`` or ``epochs=2``.

        Raises:
            ConfigError: unknown model or option.
        """
        seed = self.seed if seed is None else _checked_seed(seed)
        settings, name = self.settings(model, **options), variant or model
        key, place = self.run_hash(model, settings, seed), f"{name}/seed-{seed}"
        if place in self._runs and self._runs[place].record["hash"] == key:
            return self._runs[place]
        folder, accelerator = self.folder / place, make_accelerator()
        with _alone(folder) if accelerator.is_main_process else contextlib.nullcontext():
            if accelerator.is_main_process:
                _make_way(folder, key)
            accelerator.wait_for_everyone()
            if (folder / RESULT).exists():
                run = load_run(folder, model, self.dataset)
            else:
                run = self._train(folder, model, settings, key, seed, accelerator)
        self._runs[place] = run
        return run

    def run_hash(self, model: str, settings: ModelSettings, seed: int) -> str:
        """What makes two runs the same: model, options, what it is built on, data, seed and `NUMBERS`."""
        cls = model_class(model)
        needs = {"backbone": self.profile.backbone} if "backbone" in cls.needs else {}
        if "cf_table" in cls.needs:
            needs["cf_table"] = self.run_hash("lightgcn", self.settings("lightgcn"), self.seed)
        config = cls.Config.parse(settings.model)
        return digest(model, config, settings.training, needs, self.dataset.hash, seed, NUMBERS)

    def forget(self) -> None:
        """Drop the models held in memory; they stay on disk and are loaded when asked for."""
        self._runs.clear()

    def record(self, chapter: str, results: dict[str, Any]) -> Path:
        """Write what a chapter found, with its provenance, to ``chapters/<chapter>.json`` of the run's folder."""
        path = self.folder / "chapters" / f"{chapter}.json"
        content = {
            "chapter": chapter,
            "results": results,
            "provenance": provenance(self.dataset, self.seed),
        }
        return write_atomically(path, lambda p: p.write_text(json.dumps(content, indent=2, default=_plain) + "\n"))

    def _train(
        self, folder: Path, name: str, settings: ModelSettings, key: str, seed: int, accelerator: Accelerator
    ) -> Run:
        started = time.perf_counter()
        description = {"hash": key, "name": name, **settings.model_dump(mode="json")}
        if accelerator.is_main_process:
            write_atomically(folder / "config.json", lambda p: p.write_text(json.dumps(description, indent=2)))
        artefacts = self.artefacts(name, seed)
        torch.manual_seed(seed)  # the initial weights
        model = build_model(name, self.dataset, settings, **artefacts)
        model.to(accelerator.device)
        run = train(model, self.dataset, settings.training, seed=seed, folder=folder / "checkpoint",
                    accelerator=accelerator)  # fmt: skip
        tested = evaluate(model, self.dataset, batch_size=settings.training.eval_batch_size, accelerator=accelerator)
        own = {"dataset_name": str(self.dataset_name), "profile_name": self.profile_name, "seed": self.seed}
        record = {**description, "workspace": own, "metrics": tested.metrics, "best_epoch": run.best_epoch,
                  "seconds": {"train": run.seconds, "test": tested.seconds, "all": time.perf_counter() - started},
                  "resumed_at": run.resumed_at, "provenance": provenance(self.dataset, seed)}  # fmt: skip
        model.cpu()  # as a run that is loaded
        if accelerator.is_main_process:
            save_run(folder, model, tested, run, record)
            shutil.rmtree(folder / "checkpoint", ignore_errors=True)  # of no use to a finished run
        accelerator.wait_for_everyone()
        return Run(folder, model, tested, run.history, run.gradients, record, loaded=False)


def save_run(folder: Path, model: RankingModel, tested: Evaluation, run: TrainingRun, record: dict) -> None:
    """Write model, ranks, what training left and, last, the record that makes the run count as finished."""
    if model.name != ORACLE:  # the oracle is the simulation itself
        model.save_pretrained(folder / "model")
        write_atomically(folder / "model" / CARD, lambda p: p.write_text(model_card(record, model), encoding="utf-8"))
    write_atomically(folder / RANKS, lambda p: tested.table.to_parquet(p, index=False))
    write_atomically(folder / HISTORY, lambda p: run.history.to_parquet(p, index=False))
    write_atomically(folder / GRADIENTS, lambda p: run.gradients.to_parquet(p, index=False))
    write_atomically(folder / RESULT, lambda p: p.write_text(json.dumps(record, indent=2, default=_plain) + "\n"))


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy scalars as numbers, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def load_run(folder: Path, name: str, dataset: Dataset) -> Run:
    """A finished run from disk.

    Raises:
        ConfigError: a file of the run is missing or damaged.
    """
    cls, record = model_class(name), readable(folder / RESULT, lambda p: json.loads(p.read_text()))
    if name == ORACLE:
        model = cls.from_dataset(dataset, cls.Config())
    else:
        model = readable(folder / "model", cls.from_pretrained)
    table, history, gradients = (readable(folder / part, pd.read_parquet) for part in (RANKS, HISTORY, GRADIENTS))
    seconds = readable(folder / RESULT, lambda _: record["seconds"]["test"])
    tested = Evaluation(name, "test", table, seconds)
    return Run(folder, model.eval(), tested, history, gradients, record, loaded=True)


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ConfigError(f"seed is {seed!r}; it must be a whole number from 0 on")
    return int(seed)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder against other processes; the lock of a process that died is free."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=LOADING)
    except Timeout:
        LOG.warning("%s: another process is making this run; waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make_way(folder: Path, key: str) -> None:
    """Move a run of another configuration aside, under its own hash; bring an earlier one of this hash back."""
    earlier = folder.with_name(f"{folder.name}.{key}")
    written = next((path for path in (folder / "config.json", folder / RESULT) if path.exists()), None)
    if written and (other := readable(written, lambda p: json.loads(p.read_text())["hash"])) != key:
        aside = folder.with_name(f"{folder.name}.{other}")
        if not aside.exists():
            os.replace(folder, aside)
        else:  # the same older run was moved aside before
            os.replace(folder, folder.with_name(f"{folder.name}.{other}.{time.time_ns()}"))
    if earlier.exists() and not folder.exists():
        os.replace(earlier, folder)


def result_table(runs: dict[str, Run]) -> pd.DataFrame:
    """R@5, R@10, N@5, N@10 of several runs for both tasks: one row per run, columns (task, metric)."""
    rows = {
        name: {
            (task, metric): value for task, values in run.evaluation.metrics.items() for metric, value in values.items()
        }
        for name, run in runs.items()
    }
    return pd.DataFrame(rows).T.rename_axis("system")
