"""`Workspace`: one data set, profile and seed, and the runs made with them.

Runs live in ``runs/<dataset>/<profile>/<model>/seed-<n>/``. One whose specification is already
there is loaded, not repeated; one that was killed goes on where it was; one of another
specification is moved aside, never overwritten.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..config import Profile
from ..data.dataset import Dataset
from ..data.sources.load import find, load_dataset
from ..data.split import TEST
from ..errors import ConfigError, DataError
from ..files import of_seed, project_root, remove_litter, write_json
from ..models.base import RankingModel
from ..models.language_model import Backbone, identity, load_backbone
from ..models.registry import build_model, model_class
from ..training.evaluation import evaluate
from ..training.loop import make_accelerator, train
from .needs import lacks, sorted_out, tested_tasks
from .provenance import provenance
from .spec import RunSpec, code_of, load_profile, resolve
from .store import (
    CHECKPOINT,
    CONFIG,
    RESULT,
    Run,
    checked_name,
    held,
    is_of,
    load_run,
    save_run,
    set_aside,
)

LOG = logging.getLogger(__name__)
DEFAULT = ("pocket", "pocket", 0)  # data set, profile and seed of the committed book


@dataclass
class Workspace:
    """One data set, profile and seed: everything a chapter needs, made when first asked for.

    Args:
        dataset_name: as for `load_dataset`.
        profile_name: as for `load_profile`.
        seed: of data, weights and training.
    """

    dataset_name: str = DEFAULT[0]
    profile_name: str = DEFAULT[1]
    seed: int = DEFAULT[2]
    _runs: dict[str, Run] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _checked_seed(self.seed)

    @classmethod
    def open(cls, dataset: str, profile: str, seed: int) -> Workspace:
        """The workspace of a chapter; GENSR_DATASET and GENSR_PROFILE, if set, win."""
        dataset = os.environ.get("GENSR_DATASET", dataset)
        profile = os.environ.get("GENSR_PROFILE", profile)
        return cls(dataset, profile, seed)

    @property
    def is_default(self) -> bool:
        """Whether this is the run of the committed chapters: only there do they name numbers."""
        return (self.dataset_name, self.profile_name, self.seed) == DEFAULT

    @property
    def is_smoke(self) -> bool:
        """Whether the profile only asks if everything runs."""
        return self.profile_name == "smoke"

    @cached_property
    def profile(self) -> Profile:
        """The profile, validated; with its ``real_data`` where the data are not simulated."""
        profile = load_profile(self.profile_name)
        is_simulated = find(self.dataset_name, must_exist=False).path is None
        return profile if is_simulated else profile.on_real_data()

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, loaded once.

        Raises:
            DataError: it cannot be read, or no user did enough to be tested.
        """
        found = load_dataset(self.dataset_name, self.profile, self.seed)
        if not any(len(rows) for rows in found.rows[TEST].values()):
            raise DataError(
                f"{found.name}: no user has enough events of one behavior to hold two of them out; "
                f"give more data, or lower data.min_interactions of the profile."
            )
        return found

    @property
    def tasks(self) -> list[str]:
        """``rec``, ``src`` or both: what the chapters train and test on these data.

        Raises:
            DataError: too few test rows of each.
        """
        return tested_tasks(self.dataset)

    def has(self, *needs: str, part: str) -> bool:
        """Whether the data have what a part of a chapter needs; if not, one sentence says so.

        Args:
            needs: names of `needs.NEEDS`.
            part: what is left out without them: "the part on …".
        """
        lacking = [lack for need in needs if (lack := lacks(self.dataset, need))]
        if lacking:
            print(f"This data set has {' and '.join(lacking)}: the part on {part} is left out.")
        return not lacking

    def able(self, *models: str) -> list[str]:
        """Those of some models that these data allow; of the others a sentence says why not."""
        found, sentences = sorted_out(self.dataset, self.profile, models)
        for sentence in sentences:
            print(sentence)
        return found

    @cached_property
    def folder(self) -> Path:
        """``runs/<dataset>/<profile>``."""
        name = find(self.dataset_name, must_exist=False).name
        return project_root() / "runs" / name / self.profile_name

    @property
    def figures(self) -> Path:
        """``figures/`` for the default run (the committed ones), else a folder of the run."""
        if self.is_default:
            return project_root() / "figures"
        return of_seed(self.folder, self.seed) / "figures"

    # --- what a model is made of -------------------------------------------------------------

    def specify(self, model: str, *, seed: int | None = None, **options: Any) -> RunSpec:
        """The specification of a run; nothing is trained for it.

        Args:
            model: a name of `available_models`, or ``package.module:Class``.
            seed: of the weights and the training, if it is not the workspace's.
            options: changes to the profile's settings, e.g. ``tau=0.1`` or ``epochs=2``.

        Raises:
            ConfigError: an unknown model or option, a value out of range, or a language model that
                cannot be found.
        """
        cls = model_class(model)
        config, training = resolve(self.profile, model, **options)
        built_on = {need: self._identity(need) for need in cls.needs}
        seed = self.seed if seed is None else _checked_seed(seed)
        return RunSpec(
            model=model,
            options=config,
            training=training,
            data=self.dataset.hash,
            seed=seed,
            built_on=built_on,
            code=code_of(cls),
            processes=make_accelerator().num_processes if cls.learns() else 1,
        )

    def _identity(self, need: str) -> str:
        if need == "language_model":
            return identity(self.profile.backbone)
        return self.specify(need).alike

    def build(self, model: str | RunSpec, seed: int | None = None, **options: Any) -> RankingModel:
        """A fresh, untrained model: arguments as for `specify`, or a specification."""
        spec = model
        if not isinstance(model, RunSpec):
            spec = self.specify(model, seed=seed, **options)
        needs = {need: self._provide(need, spec) for need in spec.built_on}
        torch.manual_seed(spec.seed)  # the initial weights
        return build_model(spec.model, self.dataset, spec.options, **needs)

    def _provide(self, need: str, spec: RunSpec) -> Any:
        if need == "language_model":
            return self.language_model(spec.model, spec.seed)
        return self.fit(need).model

    def language_model(self, model: str, seed: int | None = None) -> Backbone:
        """A fresh language model for a model; pocket's tokenizer learns the catalogue's words.

        Args:
            model: whose prompts the pocket tokenizer should know.
            seed: of the pocket model's weights, if it is not the workspace's.
        """
        data = self.dataset
        prompts = list(model_class(model).prompts) * 1000  # often enough to be whole tokens
        seen = data.query_texts[data.query[data.rows_before_cut() & data.is_search]]
        texts = [*data.item_text[1:], *data.items["categories"], *sorted(set(seen)), *prompts]
        return load_backbone(self.profile.backbone, texts, self.seed if seed is None else seed)

    # --- runs --------------------------------------------------------------------------------

    def fit(
        self, model: str, variant: str | None = None, seed: int | None = None, **options: Any
    ) -> Run:
        """Train and test a model, or load the run if it is already there.

        Args:
            variant: name of the folder if it is not the model's plain run (an ablation, say).
            model, seed, options: as for `specify`.

        Raises:
            ConfigError: as `specify`; a name that no folder can have; a run that is damaged, or
                cannot be written, or that another number of processes began.
        """
        return self.run(self.specify(model, seed=seed, **options), variant)

    def run(self, spec: RunSpec, variant: str | None = None) -> Run:
        """The run of a specification; one that another process is making is waited for.

        Raises:
            ConfigError: as `fit`; a specification of other data than the workspace's, or a variant
                that is called as what its model is built on.
        """
        if spec.data != self.dataset.hash:
            message = (
                f"the specification of {spec.model} is of data {spec.data}, and this workspace has "
                f"{self.dataset.name} ({self.dataset.hash}); specify it here"
            )
            raise ConfigError(message)
        if variant in spec.built_on:
            raise ConfigError(f"variant '{variant}': {spec.model} is built on that; name it else")
        place = self.place(spec, variant)
        if place in self._runs and is_of(self._runs[place].record, spec):
            return self._runs[place]
        folder = self.folder / place
        accelerator = make_accelerator()
        # Of several processes one holds the folder and prepares it; the others wait for that.
        with held(folder, spec) if accelerator.is_main_process else contextlib.nullcontext():
            if accelerator.is_main_process:
                remove_litter(folder)
                set_aside(folder, spec)
            accelerator.wait_for_everyone()
            if (folder / RESULT).exists():
                run = self._load(folder, spec)
            else:
                run = self._make(folder, spec, accelerator)
        self._runs[place] = run
        return run

    def place(self, spec: RunSpec, variant: str | None = None) -> str:
        """Where in `folder` a run lives.

        Raises:
            ConfigError: the variant is no name that a folder can have.
        """
        name = checked_name(variant or model_class(spec.model).name)
        return f"{name}/seed-{spec.seed}"

    def forget(self) -> None:
        """Drop the models held in memory; they stay on disk and are loaded when asked for."""
        self._runs.clear()

    def record(self, chapter: str, results: dict[str, Any], seeds: Iterable[int] = ()) -> Path:
        """Write what a chapter found, with provenance, to ``chapters/<chapter>.json`` (`of_seed`).

        Args:
            seeds: of all runs or worlds that it speaks of; default: the workspace's alone.
        """
        has_read = "dataset" in vars(self)  # before this method reads it itself
        source = {"data_read": has_read, "seeds": sorted({*map(int, seeds)} or {self.seed})}
        content = {
            "chapter": chapter,
            "results": results,
            "notes": self.dataset.notes,
            "provenance": {**provenance(self.dataset, self.seed), **source},
        }
        folder = of_seed(self.folder, self.seed) / "chapters"
        return write_json(folder / f"{chapter}.json", content)

    def _load(self, folder: Path, spec: RunSpec) -> Run:
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)  # left if killed when just finished
        run = load_run(folder, self.dataset)
        by = run.record.get("processes", 1)
        if by != spec.processes:
            LOG.warning("%s: loaded; %s processes trained it, not %s", folder, by, spec.processes)
        return run

    def _make(self, folder: Path, spec: RunSpec, accelerator: Accelerator) -> Run:
        """Train, test and save; only the main of several processes writes."""
        started = time.perf_counter()
        is_main = accelerator.is_main_process
        description = {"hash": spec.hash, "alike": spec.alike, **spec.record()}
        if is_main:
            write_json(folder / CONFIG, description)
        model = self.build(spec).to(accelerator.device)
        where = {"folder": folder / CHECKPOINT, "accelerator": accelerator}
        trained = train(model, self.dataset, spec.training, seed=spec.seed, **where)
        size = spec.training.eval_batch_size
        tested = evaluate(model, self.dataset, batch_size=size, accelerator=accelerator)
        spent = time.perf_counter() - started
        seconds = {"train": trained.seconds, "test": tested.seconds, "all": spent}
        record = {
            **description,
            "name": model.name,
            "workspace": {
                "dataset_name": str(self.dataset_name),
                "profile_name": self.profile_name,
                "seed": self.seed,
            },
            "metrics": tested.metrics,
            "expected": tested.expected,
            "best_epoch": trained.best_epoch,
            "seconds": seconds,
            "resumed_at": trained.resumed_at,
            "provenance": provenance(self.dataset, spec.seed, accelerator.num_processes),
        }
        model.cpu()  # as a run that is loaded
        if is_main:
            save_run(folder, model, tested, trained, record)
            shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)  # of no use to a finished run
        accelerator.wait_for_everyone()
        return Run(folder, model, tested, trained.history, trained.gradients, record, loaded=False)


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed is {seed!r}; it must be a whole number from 0 to 2**32 - 1")
    return int(seed)
