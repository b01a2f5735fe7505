"""Many runs at once: those that are missing are made in parallel processes, one thread or GPU each.

Finished runs are left as they are, a killed call goes on, and two calls in one folder share the
work. Several processes on one thread each are faster than one on several threads, and what a run
ends in does not depend on how many there were.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any

import psutil
import torch
from joblib import Parallel, cpu_count, delayed, parallel_config
from tqdm.auto import tqdm

from ..config import Profile
from ..errors import ConfigError
from ..files import project_root
from .spec import RunSpec
from .store import Run, is_finished
from .workspace import Workspace

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A run to be made.

    Attributes:
        name: what an error calls it.
        home: the workspace it is made in.
        variant: name of its folder, as for `Workspace.run`.
        spec: what it is.
    """

    name: str
    home: Workspace
    variant: str | None
    spec: RunSpec

    @property
    def folder(self) -> Path:
        """Where the run lives."""
        return self.home.folder / self.home.place(self.spec, self.variant)

    @property
    def is_done(self) -> bool:
        """Whether it is already there."""
        return is_finished(self.folder, self.spec)


def fit_all(
    workspace: Workspace,
    runs: Iterable[str] | Mapping[str, Mapping[str, Any]],
    *,
    jobs: int | None = None,
) -> dict[str, Run]:
    """`Workspace.fit` for many systems, in parallel processes.

    Args:
        runs: names of models; or a mapping from names of folders to options, the ``model`` among
            them. They are begun in this order: name the long ones first.
        jobs: processes at once; default: as many as cores, GPUs and memory allow.

    Returns:
        The runs by name, in the order of ``runs``.

    Raises:
        ConfigError: as `Workspace.fit`, before anything is trained; ``jobs`` that is no number from
            1 on; runs that failed (after all others).
    """
    planned = _planned(workspace, runs)
    make(list(planned.values()), jobs)
    return {name: workspace.run(job.spec, job.variant) for name, job in planned.items()}


def finished(
    workspace: Workspace, runs: Iterable[str] | Mapping[str, Mapping[str, Any]]
) -> dict[str, Run]:
    """Those of the runs of `fit_all` that are there; nothing is trained.

    Raises:
        ConfigError: as `fit_all`, but for runs that fail; a run that is damaged.
    """
    done = {name: job for name, job in _planned(workspace, runs).items() if job.is_done}
    return {name: workspace.run(job.spec, job.variant) for name, job in done.items()}


def _planned(
    workspace: Workspace, runs: Iterable[str] | Mapping[str, Mapping[str, Any]]
) -> dict[str, Job]:
    listed = runs.items() if isinstance(runs, Mapping) else ((name, {}) for name in runs)
    planned = {}
    for name, options in listed:
        spec = workspace.specify(**{"model": name, **options})
        planned[name] = Job(name, workspace, name if options else None, spec)
    return planned


def make(planned: list[Job], jobs: int | None = None) -> None:
    """Make those runs that are missing; one that fails does not stop the others.

    Warnings of the other processes come into this one's log, each once.

    Raises:
        ConfigError: naming the runs that failed, or if a process died; ``jobs`` out of range.
    """
    todo = {job.folder: job for job in planned if not job.is_done}
    todo = sorted(todo.values(), key=lambda job: job.home.seed)  # a process holds one world at once
    jobs = processes(jobs, len(todo))
    for job in todo:
        for need in job.spec.built_on.keys() - {"language_model"}:
            job.home.fit(need)  # here, once: the processes would wait for each other
    if jobs == 1:
        calls = [Call(_label(job), _run, (job.home, job.variant, job.spec)) for job in todo]
    else:
        calls = [
            Call(_label(job), _run_at, (_address(job.home), job.variant, job.spec)) for job in todo
        ]
    spread(calls, jobs)


def _label(job: Job) -> str:
    return f"'{job.name}' ({job.home.place(job.spec, job.variant)})"


@dataclass(frozen=True)
class Call:
    """A function to be called, perhaps in another process.

    Attributes:
        label: what an error calls it.
        function, arguments: picklable, if there are several processes.
    """

    label: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def spread(calls: Sequence[Call], jobs: int | None = None, what: str = "runs") -> list[Any]:
    """Call functions side by side, each on one thread or GPU; one that fails stops no other.

    Args:
        jobs: processes at once; default: as many as cores, GPUs and memory allow.
        what: name of the calls, in the bar and in errors.

    Returns:
        What each call returned.

    Raises:
        ConfigError: naming the calls that failed, or if a process died; ``jobs`` out of range.
    """
    jobs = processes(jobs, len(calls))
    gpus = torch.cuda.device_count()
    placed = [(number, call, number % gpus if gpus else None) for number, call in enumerate(calls)]
    if jobs == 1:
        outcomes = (_called(*place) for place in placed)
    else:
        root = str(project_root())
        with parallel_config("loky", inner_max_num_threads=1):
            outcomes = Parallel(n_jobs=jobs, return_as="generator_unordered")(
                delayed(_called_elsewhere)(root, *place) for place in placed
            )
    results = [None] * len(calls)
    failed = []
    told = set()
    try:
        for outcome in tqdm(outcomes, what, len(calls), leave=False, disable=None):
            results[outcome.number] = outcome.result
            failed += [outcome.error] if outcome.error else []
            for warning in outcome.warnings:
                if warning not in told:
                    LOG.warning("%s", warning)
            told |= {*outcome.warnings}
    except BrokenExecutor:
        raise ConfigError(
            f"a process died, perhaps for want of memory; what is finished is kept: run it again "
            f"with jobs={jobs - 1 or 1}."
        ) from None
    if failed:
        listed = "\n".join(failed)
        raise ConfigError(
            f"{len(failed)} of {len(calls)} {what} failed, the others are kept:\n{listed}"
        )
    return results


def processes(jobs: int | None, calls: int) -> int:
    """How many processes to start for some calls; `ConfigError` if ``jobs`` is out of range."""
    if jobs is not None and not (isinstance(jobs, Integral) and jobs >= 1):
        raise ConfigError(
            f"jobs is {jobs!r}; it must be a whole number from 1 on, or None for as many as fit"
        )
    return min(jobs or _most_jobs(), max(1, calls))


def _most_jobs() -> int:
    """One process per GPU; without, one per core, as far as the memory goes."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    fitting = psutil.virtual_memory().available // (2 * psutil.Process().memory_info().rss)
    return max(1, min(cpu_count(), fitting))


def _address(workspace: Workspace) -> tuple[str, str, str, int, str, str]:
    """What another process needs to open the workspace; the profile may not be its file's.

    What the profile leaves open stays open, for the protocol of a data source to say. The hash of
    the data is there for a process that has read the files before they were changed.
    """
    where = (workspace.dataset_name, workspace.profile_name, workspace.seed)
    profile = workspace.profile.model_dump_json(exclude_unset=True)
    return (str(project_root()), *where, profile, workspace.dataset.hash)


@dataclass(frozen=True)
class _Outcome:
    """Of a call: its number, what it returned, what went wrong, and warnings not yet shown."""

    number: int
    result: Any = None
    error: str = ""
    warnings: list[str] = field(default_factory=list)


class _Kept(logging.Handler):
    """Warnings as texts, for another process to show."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a warning says."""
        self.texts.append(record.getMessage())


def _called_elsewhere(root: str, number: int, call: Call, gpu: int | None) -> _Outcome:
    """`_called` in a process of its own, without bars: they would write over each other."""
    os.environ["GENSR_HOME"] = root  # the process may be left from a call elsewhere
    log = logging.getLogger(__name__.partition(".")[0])
    kept = _Kept()
    log.addHandler(kept)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            return replace(_called(number, call, gpu), warnings=kept.texts)
    finally:
        log.removeHandler(kept)


def _called(number: int, call: Call, gpu: int | None) -> _Outcome:
    """Call it, on a CPU always on one thread."""
    threads = torch.get_num_threads()
    try:
        if gpu is None:
            torch.set_num_threads(1)
        else:
            torch.cuda.set_device(gpu)
        return _Outcome(number, result=call.function(*call.arguments))
    except Exception as error:  # whatever it is, the other calls go on
        return _Outcome(number, error=f"{call.label}: {type(error).__name__}: {error}")
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _workspace(
    home: str, dataset: str, name: str, seed: int, profile: str, data_hash: str
) -> Workspace:
    """One data set for all runs of a process; profile and data are those that the caller has."""
    workspace = Workspace(dataset, name, seed)
    workspace.profile = Profile.model_validate_json(profile)
    return workspace


def _run_at(home: tuple[str, str, str, int, str, str], variant: str | None, spec: RunSpec) -> None:
    """`_run` in a process that has only the workspace's address."""
    _run(_workspace(*home), variant, spec)


def _run(workspace: Workspace, variant: str | None, spec: RunSpec) -> None:
    """Make one run; its model is not held in memory."""
    workspace.run(spec, variant=variant)
    workspace.forget()
