"""Sweeps: a model under many settings and seeds, in parallel processes, as one tidy table.

A sweep is a mapping from names to options. Equal settings are one run, whatever they are called and
whichever sweep they belong to; finished runs are loaded, a killed sweep goes on, and two sweeps in
one folder share the work. For tuning, where the next trial depends on the last, use a library for
search.

Seeds vary the training in one world, which `significance.compare` tests; or, of a simulated data
set, the world as well (``worlds=True``), which `worlds.compare_worlds` tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.model_selection import ParameterGrid

from ..config import digest
from ..errors import ConfigError
from ..files import read_json, read_or_refuse
from ..training.metrics import EXPECTED
from .parallel import Job, make
from .significance import COLUMNS, metrics_of, seed_means
from .store import RANKS, RESULT, is_of
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

    Each variant's options come on top of those that the profile's ``studies.options`` hold for the
    model, so that all runs of all sweeps of a profile can be compared. The data, and what a model
    is built on (LightGCN), are the workspace's.

    Args:
        variants: options by name, as for `Workspace.specify`; `grid` makes them.
        seeds: of weights and training; default: ``studies.seeds`` of the profile, counted from the
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
    if not isinstance(variants, Mapping) or not variants:
        raise ConfigError(
            "a sweep needs variants: a mapping of at least one name to options, {'whole': {}}"
        )
    listed = _seeds(workspace, seeds)
    homes = _worlds(workspace, listed) if worlds else dict.fromkeys(listed, workspace)
    planned = _planned(workspace, homes, model, variants)
    made = {job.folder for job in planned if not job.is_done}
    make(planned, jobs)
    return _collect(planned, made)


def _seeds(workspace: Workspace, seeds: Iterable[int] | None) -> list[int]:
    if seeds is None:
        return list(range(workspace.seed, workspace.seed + workspace.profile.studies.seeds))
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


def _planned(
    workspace: Workspace, homes: dict[int, Workspace], model: str, variants: Variants
) -> list[Job]:
    """One job per variant and seed, in the seed's workspace; an error names the variant."""
    shared = workspace.profile.studies.options.get(model, {})
    planned = []
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
            planned.append(Job(name, home, f"{model}-{same}{suffix}", spec))
    return planned


def _collect(planned: list[Job], made: set[Path]) -> Sweep:
    runs = []
    ranks = []
    for job in planned:
        record = read_json(job.folder / RESULT)
        if not is_of(record, job.spec):
            raise ConfigError(f"{job.folder}: this run was replaced during the sweep; run it again")
        row = {"variant": job.name, "seed": job.spec.seed, "run": job.variant}
        row |= {"best_epoch": record["best_epoch"], "seconds": record["seconds"]["all"]}
        runs.append({**row, "loaded": job.folder not in made})
        table = read_or_refuse(job.folder / RANKS, pd.read_parquet)
        ranks.append(table.assign(variant=job.name, seed=job.spec.seed))
    table = pd.concat(ranks, ignore_index=True)
    columns = [*COLUMNS, *(name for name in EXPECTED if name in table)]
    return Sweep(pd.DataFrame(runs), table[columns])
