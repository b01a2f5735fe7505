"""Sweeps: a model under many settings and seeds, in parallel processes, as one tidy table.

A sweep is a mapping from names to options. Equal settings are one run, whatever they are called and
whichever sweep they belong to; finished runs are loaded, a killed sweep goes on, and two sweeps in
one folder share the work. For tuning, where the next trial depends on the last, use a library for
search.

Seeds vary the training in one world, which `significance.compare` tests; or, of a simulated data
set, the world as well (``worlds=True``), which `worlds.compare_worlds` tests.
"""

from __future__ import annotations

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

from ..config import Profile, digest
from ..errors import ConfigError
from ..files import project_root, read_json, read_or_refuse
from ..training.metrics import EXPECTED
from .significance import COLUMNS, metrics_of, seed_means
from .spec import RunSpec
from .store import RANKS, RESULT, is_finished, is_of
from .workspace import Workspace

Variants = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Sweep:
    """The results of a sweep.

    Attributes:
        runs: one row per variant and seed: ``variant, seed, run`` (folder), ``best_epoch, seconds,
            loaded``.
        ranks: every test row of every run: ``variant, seed, task, row, user, item, rank``, and on a
            simulated world the expected metrics, `metrics.EXPECTED`.
    """

    runs: pd.DataFrame
    ranks: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """Tidy: ``variant, task, metric, seed, value``, a row per number."""
        return seed_means(self.ranks, metrics_of(self.ranks))


@dataclass(frozen=True)
class _Task:
    """A run of a sweep: its specification, the name of its folder, and who asked for it."""

    variant: str
    folder: str
    spec: RunSpec


def grid(**values: Sequence) -> dict[str, dict[str, Any]]:
    """All combinations of some options' values, named after them.

    >>> list(grid(tau=[0.05, 0.07], beta=[0.1]))
    ['beta=0.1, tau=0.05', 'beta=0.1, tau=0.07']
    >>> grid(tau=[0.05])
    {'tau=0.05': {'tau': 0.05}}

    Raises:
        ConfigError: values that are no list, or an empty one.
    """
    for name, listed in values.items():
        if isinstance(listed, str) or not hasattr(listed, "__len__") or not len(listed):
            raise ConfigError(
                f"the values of {name} must be a list with something in it, not {listed!r}"
            )
    points = ParameterGrid(values)
    return {", ".join(f"{k}={v}" for k, v in point.items()): point for point in points}


def sweep(
    workspace: Workspace,
    variants: Variants,
    *,
    model: str = "gensr",
    seeds: Iterable[int] | None = None,
    jobs: int | None = None,
    worlds: bool = False,
) -> Sweep:
    """Train and test every variant with every seed; what is already there is loaded.

    Each variant's options come on top of those that the profile's ``sweep.options`` hold for the
    model, so that all runs of all sweeps of a profile can be compared. The data, and what a model
    is built on (LightGCN), are the workspace's.

    Args:
        variants: options by name, as for `Workspace.specify`; `grid` makes them.
        seeds: of weights and training; default: ``sweep.seeds`` of the profile, counted from the
            workspace's seed.
        jobs: processes at once, each on one thread (or one GPU); default: as many as cores, GPUs
            and memory allow.
        worlds: each seed is a workspace of its own: it draws the world, the stored negatives and
            LightGCN too. The variants of a seed share them; LightGCN is trained once for each.

    Raises:
        ConfigError: an unknown option, a value out of range, no variants, seeds or jobs that are
            not numbers as above, or worlds of a data set that is not simulated (before anything is
            trained); runs that failed (after all others).
    """
    if jobs is not None and not (isinstance(jobs, Integral) and jobs >= 1):
        raise ConfigError(
            f"jobs is {jobs!r}; it must be a whole number from 1 on, or None for as many as fit"
        )
    if not isinstance(variants, Mapping) or not variants:
        raise ConfigError(
            "a sweep needs variants: a mapping of at least one name to options, {'whole': {}}"
        )
    listed = _seeds(workspace, seeds)
    homes = _worlds(workspace, listed) if worlds else dict.fromkeys(listed, workspace)
    tasks = _tasks(workspace, homes, model, variants)
    todo = {(task.folder, task.spec.seed): task for task in tasks if not _is_done(workspace, task)}
    _run_all(homes, list(todo.values()), jobs)
    return _collect(workspace, tasks, set(todo))


def _seeds(workspace: Workspace, seeds: Iterable[int] | None) -> list[int]:
    if seeds is None:
        return list(range(workspace.seed, workspace.seed + workspace.profile.sweep.seeds))
    listed = list(dict.fromkeys(seeds)) if isinstance(seeds, Iterable) else []
    if not listed or not all(isinstance(seed, Integral) and seed >= 0 for seed in listed):
        raise ConfigError(f"seeds is {seeds!r}; it must list whole numbers from 0 on, at least one")
    return [int(seed) for seed in listed]


def _worlds(workspace: Workspace, seeds: list[int]) -> dict[int, Workspace]:
    """A workspace with a world of its own for each seed; they share the profile."""
    if workspace.dataset.truth is None:
        raise ConfigError(
            f"{workspace.dataset.name} is not simulated: its events cannot be drawn anew for each "
            f"seed; sweep it without worlds=True"
        )
    homes = {}
    for seed in seeds:
        homes[seed] = workspace
        if seed != workspace.seed:
            homes[seed] = Workspace(workspace.dataset_name, workspace.profile_name, seed)
            homes[seed].profile = workspace.profile
    return homes


def _tasks(
    workspace: Workspace, homes: dict[int, Workspace], model: str, variants: Variants
) -> list[_Task]:
    """One task per variant and seed, in the seed's workspace; an error names the variant."""
    shared = workspace.profile.sweep.options.get(model, {})
    tasks = []
    for name, options in variants.items():
        try:
            specs = [
                home.specify(model, seed=seed, **{**shared, **(options or {})})
                for seed, home in homes.items()
            ]
        except ConfigError as error:
            raise ConfigError(f"variant '{name}': {error}") from None
        # The folder is named after the settings, not after the variant: another sweep that calls
        # the same settings otherwise finds the run.
        same = digest(specs[0].options, specs[0].training)[:8]  # equal settings are one run
        for spec, home in zip(specs, homes.values(), strict=True):
            # A world of the seed's own has its own folder: there this seed is also a training in
            # the workspace's world.
            suffix = "" if home is workspace else "-worlds"
            tasks.append(_Task(name, f"{model}-{same}{suffix}", spec))
    return tasks


def _folder(workspace: Workspace, task: _Task):
    return workspace.folder / workspace.place(task.spec, task.folder)


def _is_done(workspace: Workspace, task: _Task) -> bool:
    return is_finished(_folder(workspace, task), task.spec)


def _run_all(homes: dict[int, Workspace], tasks: list[_Task], jobs: int | None) -> None:
    """Make the runs that are missing; one that fails does not stop the others.

    Args:
        homes: the workspace of each run by its seed.

    Raises:
        ConfigError: naming the runs that failed, or if a process died.
    """
    jobs = min(jobs or _most_jobs(), max(1, len(tasks)))
    gpus = torch.cuda.device_count()
    # World by world: a process holds one at a time.
    tasks = sorted(tasks, key=lambda task: homes[task.spec.seed].seed)
    placed = [(task, number % gpus if gpus else None) for number, task in enumerate(tasks)]
    for task in tasks:
        for need in task.spec.built_on.keys() - {"language_model"}:
            homes[task.spec.seed].fit(need)  # here, once: the processes would wait for each other
    if jobs == 1:
        results = (_run(homes[task.spec.seed], task, gpu) for task, gpu in placed)
    else:
        with parallel_config("loky", inner_max_num_threads=1):
            results = Parallel(n_jobs=jobs, return_as="generator_unordered")(
                delayed(_run_elsewhere)(_address(homes[task.spec.seed]), task, gpu)
                for task, gpu in placed
            )
    try:
        bar = tqdm(results, "runs of the sweep", len(tasks), leave=False, disable=None)
        failed = [error for error in bar if error]
    except BrokenExecutor:
        raise ConfigError(
            f"a process of the sweep died, perhaps for want of memory; what is finished is kept: "
            f"run it again with jobs={jobs - 1 or 1}."
        ) from None
    if failed:
        what = "\n".join(failed)
        raise ConfigError(
            f"{len(failed)} of {len(tasks)} runs failed, the others are kept:\n{what}"
        )


def _most_jobs() -> int:
    """One process per GPU; without, one per core, as far as the memory goes."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    fitting = psutil.virtual_memory().available // (2 * psutil.Process().memory_info().rss)
    return max(1, min(cpu_count(), fitting))


def _address(workspace: Workspace) -> tuple[str, str, str, int, str]:
    """What another process needs to open the workspace; the profile may not be its file's."""
    where = (workspace.dataset_name, workspace.profile_name, workspace.seed)
    return (str(project_root()), *where, workspace.profile.model_dump_json())


def _run_elsewhere(home: tuple[str, str, str, int, str], *task) -> str | None:
    """`_run` in a process of its own, without bars: they would write over each other."""
    os.environ["GENSR_HOME"] = home[0]  # the process may be left from a sweep elsewhere
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        return _run(_workspace(*home), *task)


@lru_cache(maxsize=1)
def _workspace(home: str, dataset: str, name: str, seed: int, profile: str) -> Workspace:
    """One data set for all runs of a process; the profile is the one that the sweep began with."""
    workspace = Workspace(dataset, name, seed)
    workspace.profile = Profile.model_validate_json(profile)
    return workspace


def _run(workspace: Workspace, task: _Task, gpu: int | None) -> str | None:
    """Make one run; returns what went wrong, if anything did.

    On a CPU always on one thread: several such processes are faster than one on several threads,
    and the numbers do not depend on how many processes there were.
    """
    threads = torch.get_num_threads()
    try:
        if gpu is None:
            torch.set_num_threads(1)
        else:
            torch.cuda.set_device(gpu)
        workspace.run(task.spec, variant=task.folder)
        workspace.forget()
    except Exception as error:  # whatever it is, the other runs go on
        named = f"variant '{task.variant}', seed {task.spec.seed} ({task.folder})"
        return f"{named}: {type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(threads)


def _collect(workspace: Workspace, tasks: list[_Task], made: set[tuple[str, int]]) -> Sweep:
    runs = []
    ranks = []
    for task in tasks:
        at = _folder(workspace, task)
        seed = task.spec.seed
        record = read_json(at / RESULT)
        if not is_of(record, task.spec):
            raise ConfigError(f"{at}: this run was replaced during the sweep; run it again")
        row = {"variant": task.variant, "seed": seed, "run": task.folder}
        row |= {"best_epoch": record["best_epoch"], "seconds": record["seconds"]["all"]}
        runs.append({**row, "loaded": (task.folder, seed) not in made})
        table = read_or_refuse(at / RANKS, pd.read_parquet)
        ranks.append(table.assign(variant=task.variant, seed=seed))
    table = pd.concat(ranks, ignore_index=True)
    columns = [*COLUMNS, *(name for name in EXPECTED if name in table)]
    return Sweep(pd.DataFrame(runs), table[columns])
