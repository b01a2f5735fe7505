"""Sweeps: a model under many settings and seeds, in parallel processes, summarised in one tidy table.

A sweep is a mapping from names to options. Equal settings are one run, whatever they are called and
whichever sweep they belong to; finished runs are loaded, a killed sweep goes on, and two sweeps in one
folder share the work. For tuning, where the next trial depends on the last, use a library for search.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import Any

import pandas as pd
import psutil
import torch
from joblib import Parallel, cpu_count, delayed, parallel_config
from sklearn.model_selection import ParameterGrid
from tqdm.auto import tqdm

from ..config import ModelSettings, Profile, digest
from ..errors import ConfigError
from ..files import project_root
from ..models import model_class
from ..training.loop import readable
from .significance import seed_means
from .workspace import RANKS, RESULT, Workspace

Variants = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Sweep:
    """The results of a sweep.

    Attributes:
        runs: one row per variant and seed: ``variant, seed, run`` (folder), ``best_epoch, seconds, loaded``.
        ranks: every test row of every run: ``variant, seed, task, row, user, item, rank``.
    """

    runs: pd.DataFrame
    ranks: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """Tidy: ``variant, task, metric, seed, value``, one row per number; `significance` says what differs."""
        return seed_means(self.ranks)


def grid(**values: Sequence) -> dict[str, dict[str, Any]]:
    """All combinations of some options' values, named after them.

    >>> grid(tau=[0.05, 0.07], beta=[0.1])
    {'beta=0.1, tau=0.05': {'beta': 0.1, 'tau': 0.05}, 'beta=0.1, tau=0.07': {'beta': 0.1, 'tau': 0.07}}

    Raises:
        ConfigError: values that are no list, or an empty one.
    """
    for name, listed in values.items():
        if isinstance(listed, str) or not hasattr(listed, "__len__") or not len(listed):
            raise ConfigError(f"the values of {name} must be a list with something in it, not {listed!r}")
    return {", ".join(f"{k}={v}" for k, v in point.items()): point for point in ParameterGrid(values)}


def sweep(
    workspace: Workspace,
    variants: Variants,
    *,
    model: str = "gensr",
    seeds: Iterable[int] | None = None,
    jobs: int | None = None,
) -> Sweep:
    """Train and test every variant with every seed; what is already there is loaded.

    Each variant's options come on top of those that the profile's ``sweep.options`` hold for the model, so that all
    runs of all sweeps of a profile can be compared. The data, and what a model is built on (LightGCN), are the
    workspace's.

    Args:
        variants: options by name, as for `Workspace.fit`; `grid` makes them.
        seeds: of weights and training; default: ``sweep.seeds`` of the profile, counted from the workspace's seed.
        jobs: processes at once, each on one thread (or one GPU); default: as many as cores, GPUs and memory allow.

    Raises:
        ConfigError: an unknown option, a value out of range, no variants, or seeds or jobs that are none (before
            anything is trained); runs that failed (after all others are done).
    """
    seeds = _seeds(workspace, seeds)
    if jobs is not None and not (isinstance(jobs, Integral) and jobs >= 1):
        raise ConfigError(f"jobs is {jobs!r}; it must be a whole number from 1 on, or None for as many as fit")
    if not isinstance(variants, Mapping) or not variants:
        raise ConfigError("a sweep needs variants: a mapping with at least one name and its options, {'whole': {}}")
    shared = workspace.profile.sweep.options.get(model, {})
    wanted = {name: {**shared, **(options or {})} for name, options in variants.items()}
    settings = {name: _settings(workspace, model, name, options) for name, options in wanted.items()}
    folders = {name: f"{model}-{digest(settings[name])[:8]}" for name in wanted}  # equal settings are one run
    runs = [(name, seed, folders[name]) for name in wanted for seed in seeds]
    keys = {(folder, seed): workspace.run_hash(model, settings[name], seed) for name, seed, folder in runs}
    todo = {
        (folder, seed): wanted[name]
        for name, seed, folder in runs
        if not _finished(workspace, folder, seed, keys[folder, seed])
    }
    _run_all(workspace, model, todo, jobs)
    return _collect(workspace, runs, keys, set(todo))


def _seeds(workspace: Workspace, seeds: Iterable[int] | None) -> list[int]:
    if seeds is None:
        return list(range(workspace.seed, workspace.seed + workspace.profile.sweep.seeds))
    listed = list(dict.fromkeys(seeds)) if isinstance(seeds, Iterable) else []
    if not listed or not all(isinstance(seed, Integral) and seed >= 0 for seed in listed):
        raise ConfigError(f"seeds is {seeds!r}; it must list whole numbers from 0 on, at least one")
    return [int(seed) for seed in listed]


def _settings(workspace: Workspace, model: str, name: str, options: Mapping[str, Any]) -> ModelSettings:
    """The settings of a variant with all defaults filled in; an error names the variant."""
    try:
        settings = workspace.settings(model, **options)
    except ConfigError as error:
        raise ConfigError(f"variant '{name}': {error}") from None
    return settings.replace(model=model_class(model).Config.parse(settings.model).model_dump())


def _finished(workspace: Workspace, folder: str, seed: int, key: str) -> bool:
    path = workspace.folder / folder / f"seed-{seed}" / RESULT
    return path.exists() and readable(path, lambda p: json.loads(p.read_text())["hash"]) == key


def _run_all(workspace: Workspace, model: str, todo: Mapping[tuple[str, int], dict], jobs: int | None) -> None:
    """Make the runs that are missing; one that fails does not stop the others.

    Raises:
        ConfigError: naming the runs that failed, or if a process died.
    """
    jobs, gpus = min(jobs or _most_jobs(), max(1, len(todo))), torch.cuda.device_count()
    where = str(project_root()), workspace.dataset_name, workspace.profile_name, workspace.seed
    where = *where, workspace.profile.model_dump_json()
    tasks = [(model, folder, seed, options, n % gpus if gpus else None)
             for n, ((folder, seed), options) in enumerate(todo.items())]  # fmt: skip
    if jobs == 1:
        results = (_run(workspace, *task) for task in tasks)
    else:
        with parallel_config("loky", inner_max_num_threads=1):
            results = Parallel(n_jobs=jobs, return_as="generator_unordered")(
                delayed(_run_elsewhere)(where, *task) for task in tasks
            )
    try:
        failed = [e for e in tqdm(results, f"runs of {model}", len(tasks), leave=False, disable=None) if e]
    except BrokenExecutor:
        raise ConfigError(
            f"a process of the sweep died, perhaps for want of memory; what is finished is kept: run it again with "
            f"jobs={jobs - 1 or 1}."
        ) from None
    if failed:
        raise ConfigError(f"{len(failed)} of {len(tasks)} runs failed, the others are kept:\n" + "\n".join(failed))


def _most_jobs() -> int:
    """One process per GPU; without, one per core, as long as each finds as much memory as this process takes."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    fitting = psutil.virtual_memory().available // (2 * psutil.Process().memory_info().rss)
    return max(1, min(cpu_count(), fitting))


def _run_elsewhere(where: tuple[str, str, str, int, str], *task) -> str | None:
    """`_run` in a process of its own, without bars: they would write over each other."""
    os.environ["GENSR_HOME"] = where[0]  # the process may be left from a sweep elsewhere
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        return _run(_workspace(*where), *task)


@lru_cache(maxsize=1)
def _workspace(home: str, dataset: str, name: str, seed: int, profile: str) -> Workspace:
    """One data set for all runs of a process; the profile is the one that the sweep began with, as JSON."""
    workspace = Workspace(dataset, name, seed)
    workspace.profile = Profile.model_validate_json(profile)
    return workspace


def _run(workspace: Workspace, model: str, folder: str, seed: int, options: dict, gpu: int | None) -> str | None:
    """Make one run; returns what went wrong, if anything did.

    On a CPU always on one thread: several such processes are faster than one on several threads, and the
    numbers do not depend on how many processes there were.
    """
    threads = torch.get_num_threads()
    try:
        if gpu is None:
            torch.set_num_threads(1)
        else:
            torch.cuda.set_device(gpu)
        workspace.fit(model, variant=folder, seed=seed, **options)
        workspace.forget()
    except Exception as error:  # whatever it is, the other runs go on
        return f"{folder}, seed {seed}, {options}: {type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(threads)


def _collect(
    workspace: Workspace,
    wanted: list[tuple[str, int, str]],
    keys: Mapping[tuple[str, int], str],
    made: set[tuple[str, int]],
) -> Sweep:
    runs, ranks = [], []
    for name, seed, folder in wanted:
        at = workspace.folder / folder / f"seed-{seed}"
        record = readable(at / RESULT, lambda p: json.loads(p.read_text()))
        if record["hash"] != keys[folder, seed]:
            raise ConfigError(
                f"{at}: this run was replaced during the sweep; run it again, and change no code meanwhile"
            )
        runs.append({"variant": name, "seed": seed, "run": folder, "best_epoch": record["best_epoch"],
                     "seconds": record["seconds"]["all"], "loaded": (folder, seed) not in made})  # fmt: skip
        ranks.append(readable(at / RANKS, pd.read_parquet).assign(variant=name, seed=seed))
    columns = ["variant", "seed", "task", "row", "user", "item", "rank"]
    return Sweep(pd.DataFrame(runs), pd.concat(ranks, ignore_index=True)[columns])
