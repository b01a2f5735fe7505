"""Make cells that are missing, in processes side by side, each kept as soon as it is finished.

They can be stopped and gone on with at any time; a training that was killed goes on from its last
checkpoint. Several calls share the work of a folder. Several machines share nothing: copy their
``data/studies`` together.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from ...config.study import Study
from ...data.sources.load import find
from ...errors import ConfigError
from ...files import project_root, remove_litter, writing
from ..parallel import Call, spread
from ..store import Run, is_finished
from ..workspace import Workspace
from .cells import Cell, Home, cells_of
from .stored import KEPT, Stored, load_cell, save_cell

LITTER = 3600  # seconds after which a half-written file is nobody's


@dataclass(frozen=True)
class State:
    """How much of a study is there."""

    study: Study
    cells: int
    stored: int
    others: int  # files of other settings or another `NUMBERS`


def study_folder(name: str) -> Path:
    """Where the evidence of a declared study is kept: ``data/studies/<name>``, committed."""
    return project_root() / "data" / "studies" / name


def state(study: Study) -> State:
    """Count a study's cells; nothing is read but the names of the files."""
    folder = study_folder(study.name)
    keys = {cell.key for cell in cells_of(study)}
    there = {path.stem for path in folder.glob("*.parquet")}
    return State(study, len(keys), len(keys & there), len(there - keys))


def make_cells(
    cells: Sequence[Cell], folder: Path, *, jobs: int | None = None, anew: bool = False
) -> None:
    """Make those cells that are not in a folder; a cell of another study that is one of them is
    copied. What another process is making is left to it, and waited for at the end.

    Args:
        folder: for one file a cell.
        jobs: processes at once; default: as many as cores, GPUs and memory allow.
        anew: make also those that are there, and what their models are built on, and write over
            them.

    Raises:
        ConfigError: cells that failed (after all others), or ``jobs`` out of range.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_litter(folder, LITTER)
    if anew:
        for home in {cell.key: cell.home for cell in cells}.values():
            shutil.rmtree(_anew(home), ignore_errors=True)
        _make(cells, folder, jobs, anew=True)
        return
    todo = {}
    for cell in cells:
        if not (is_stored(cell, folder) or _copied(cell, folder)):
            todo[cell.key] = cell
    _make(todo.values(), folder, jobs)
    left = [cell for cell in todo.values() if not is_stored(cell, folder)]
    _make(left, folder, jobs, wait=True)


def _make(
    cells: Iterable[Cell],
    folder: Path,
    jobs: int | None,
    anew: bool = False,
    wait: bool = False,
) -> None:
    label = "'{}'".format
    calls = [Call(label(cell.name), _make_cell, (cell, folder, anew, wait)) for cell in cells]
    spread(calls, jobs, "cells")


def _anew(home: Home) -> Path:
    """Where runs are made that must not rest on those that are there."""
    return home.open().folder / "anew"


def is_stored(cell: Cell, folder: Path) -> bool:
    """Whether a folder has a cell, with its rows and measures. A damaged file is not one."""
    path = folder / f"{cell.key}.parquet"
    if not path.exists():
        return False
    try:
        stored = load_cell(path)
        has_rows = not cell.rows or len(stored.ranks) > 0
        return has_rows and set(cell.measures) <= stored.record["measures"].keys()
    except ConfigError:
        return False


def is_trained(cell: Cell) -> bool:
    """Whether a cell's model is there as a plain run."""
    workspace = workspace_of(cell.home)
    spec = workspace.specify(cell.model, seed=cell.seed, **cell.options)
    return is_finished(workspace.folder / workspace.place(spec), spec)


def _copied(cell: Cell, folder: Path) -> bool:
    """Whether another study beside this one has the cell; then its file is copied."""
    for other in sorted(folder.parent.glob(f"*/{cell.key}.parquet")):
        if other.parent != folder and is_stored(cell, other.parent):
            save_cell(folder, load_cell(other))
            return True
    return False


def _make_cell(cell: Cell, folder: Path, anew: bool, wait: bool) -> None:
    """Make one cell and keep it, unless another process does."""
    with _only_here(cell, wait) as is_free:
        if is_free and (anew or not is_stored(cell, folder)):
            save_cell(folder, train_cell(cell, _anew(cell.home) if anew else None))


@contextlib.contextmanager
def _only_here(cell: Cell, wait: bool) -> Iterator[bool]:
    """Whether no other process of this machine is making the cell; it is held meanwhile."""
    lock = FileLock(project_root() / "runs" / "studies" / f"{cell.key}.lock")
    with writing(Path(lock.lock_file)):
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
    try:
        yield True
    finally:
        lock.release()


def train_cell(cell: Cell, base: Path | None = None) -> Stored:
    """Train a cell's model, test it, and take its measures.

    The model is not kept, unless it is that of a plain `Workspace.fit`, whose run may be there.

    Args:
        base: the folder of the runs that it may rest on; default: that of the workspace.
    """
    workspace = workspace_of(cell.home)
    if base is not None:
        shared = workspace.dataset
        workspace = cell.home.open()
        workspace.dataset, workspace.folder = shared, base
    spec = workspace.specify(cell.model, seed=cell.seed, **cell.options)
    is_plain = spec.hash == workspace.specify(cell.model).hash
    run = workspace.run(spec, None if is_plain else f"cell-{cell.key}")
    workspace.forget()
    found = {name: measure_of(name)(run.model, workspace.dataset) for name in cell.measures}
    stored = Stored(cell.key, _record(cell, run, found), _ranks(run, cell.rows))
    if not is_plain:
        shutil.rmtree(run.folder.parent, ignore_errors=True)
    return stored


_LAST: list[tuple[Any, Workspace]] = []  # a process keeps the world that it had last


def workspace_of(home: Home) -> Workspace:
    """The workspace of a cell; those of one world follow each other and share its data.

    It is opened anew where the files of the data have changed, or those of the book are elsewhere.
    """
    source = find(home.data)
    files = source.fingerprint() if source.path else None
    at = (project_root(), home, files)
    if not (_LAST and _LAST[0][0] == at):
        _LAST[:] = [(at, home.open())]
    return _LAST[0][1]


def measure_of(name: str) -> Any:
    """The function that a study calls by ``package.module:function``.

    Raises:
        ConfigError: there is none.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"measure '{name}': {error}; name it package.module:function") from None


KEPT_OF_RUN = (
    "model",
    "options",
    "training",
    "seed",
    "metrics",
    "expected",
    "best_epoch",
    "seconds",
    "resumed_at",
)

# The data are told by their name, profile, seed and hash.
KEPT_OF_PROVENANCE = (
    "numbers",
    "code_hash",
    "git_commit",
    "python",
    "versions",
    "device",
    "machine",
    "digits",
    "peak_memory_mb",
    "finished",
)


def _record(cell: Cell, run: Run, measures: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": cell.home.data,
        "profile": cell.home.profile.name,
        "data_hash": run.record["data"],
        **{name: run.record[name] for name in KEPT_OF_RUN},
        "history": run.history.to_dict("records"),
        "parameters": run.model.trained_parameters,
        "measures": measures,
        "provenance": {name: run.record["provenance"][name] for name in KEPT_OF_PROVENANCE},
    }


def _ranks(run: Run, rows: bool) -> pd.DataFrame:
    columns = ["task", "row", "user", "item", "rank"]
    table = run.evaluation.table
    kept = table[columns + [KEPT] * (KEPT in table)]
    return kept if rows else kept.iloc[:0]
