"""`evidence`: what a chapter reads of a study, as tables.

For the data, profile and seeds that a study is declared for, its stored cells are read, and nothing
is trained; missing ones are an error that names the command. For others, and so in the profile
``smoke``, the arms are trained on the spot, and kept with the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ...config.study import Study, read_study
from ...data.split import TEST
from ...errors import ConfigError, known
from ...training.evaluation import StoredEvaluation
from ..store import Run, checked_name
from ..workspace import Workspace
from .cells import Cell, cells_here, cells_of
from .making import is_stored, is_trained, make_cells, study_folder
from .stored import Stored, load_cells, means

CELL = ["part", "variant", "seed"]


@dataclass(frozen=True)
class Evidence:
    """The finished cells of a study, or of some of its parts.

    Attributes:
        study: its declaration.
        folder: where the cells lie.
        cells: part, arm and what is stored of each.
        is_stored: whether it is the committed evidence, and not short trainings made on the spot.
    """

    study: Study
    folder: Path
    cells: list[tuple[Cell, Stored]] = field(repr=False)
    is_stored: bool

    @property
    def table(self) -> pd.DataFrame:
        """Test metrics, tidy: ``part, variant, task, metric, seed, value``, a row per number.

        Under a known law the expected metrics too, by the names of `EXPECTED`.
        """
        rows = [
            [cell.part, cell.arm, task, metric, cell.seed, value]
            for cell, stored in self.cells
            for (task, metric), value in means(stored.record).items()
        ]
        return pd.DataFrame(rows, columns=["part", "variant", "task", "metric", "seed", "value"])

    @property
    def ranks(self) -> pd.DataFrame:
        """Every test row of every cell, as `significance` takes them, with the ``part``."""
        tables = [
            stored.ranks.assign(part=cell.part, variant=cell.arm, seed=cell.seed)
            for cell, stored in self.cells
        ]
        return pd.concat(tables, ignore_index=True)

    @property
    def trainings(self) -> pd.DataFrame:
        """A row per cell: ``part, variant, seed, key``, ``epochs, best_epoch``, ``gain`` (what the
        last fifth of the epochs added to the best validation N@5, mean over tasks; NaN where
        nothing was validated), ``seconds`` of training and test, ``finished``.
        """
        return pd.DataFrame([run_row(cell, stored) for cell, stored in self.cells])

    def as_runs(self, seed: int | None = None) -> dict[str, Run]:
        """The cells of one seed, by arm, as runs without a model: what tables and tests take.

        Args:
            seed: default: the first one.
        """
        if seed is None:
            seed = min((cell.seed for cell, _ in self.cells), default=0)
        return {
            cell.arm: stored_run(self.folder, stored)
            for cell, stored in self.cells
            if cell.seed == seed
        }

    @property
    def measures(self) -> pd.DataFrame:
        """What was measured of the models: ``part, variant, seed, measure, name, value``."""
        rows = [
            [cell.part, cell.arm, cell.seed, measure.rpartition(":")[2], name, value]
            for cell, stored in self.cells
            for measure, values in stored.record["measures"].items()
            for name, value in values.items()
        ]
        return pd.DataFrame(rows, columns=[*CELL, "measure", "name", "value"])

    def part(self, *names: str) -> Evidence:
        """The evidence of some parts alone.

        Raises:
            ConfigError: an unknown part.
        """
        for name in names:
            known("part of the study", name, {cell.part for cell, _ in self.cells})
        chosen = [(cell, stored) for cell, stored in self.cells if cell.part in names]
        return Evidence(self.study, self.folder, chosen, self.is_stored)

    def arms(self, *names: str) -> Evidence:
        """The evidence of some arms alone, in the order named.

        Raises:
            ConfigError: an unknown arm.
        """
        for name in names:
            known("arm of the study", name, {cell.arm for cell, _ in self.cells})
        chosen = [pair for name in names for pair in self.cells if pair[0].arm == name]
        return Evidence(self.study, self.folder, chosen, self.is_stored)


def evidence(
    workspace: Workspace,
    name: str | Study,
    *,
    part: str | None = None,
    arms: Iterable[str] = (),
    missing: Literal["make", "skip"] = "make",
    jobs: int | None = None,
) -> Evidence:
    """The evidence of a study for a chapter.

    Args:
        workspace: the chapter's.
        name: of a declared study, or a declaration of your own.
        part: the part whose arms are trained where the workspace's data are others than the
            study's; default: the first one.
        arms: only these, where something has to be trained; default: all of the part.
        missing: of other data, ``skip`` trains nothing, and has what was trained before: in full,
            as by ``gensr compare``, or, where nothing was, short.
        jobs: processes for training.

    Raises:
        ConfigError: a stored cell is missing, damaged, or made with other settings or another
            version of the numbers; the message has the command that makes it.
    """
    study = read_study(name)
    if _is_declared_for(study, workspace):
        return _read(study, study_folder(study.name), cells_of(study), is_stored=True)
    part = known("part of the study", part or next(iter(study.parts)), study.parts)
    folder = workspace.folder / "studies" / checked_name(study.name)
    chosen = set(arms) or study.arms.keys()

    def planned(whole: bool = False) -> list[Cell]:
        cells = cells_here(study, workspace, part, whole)
        return [cell for cell in cells if cell.arm in chosen]

    def finished(cells: list[Cell]) -> list[Cell]:
        return [cell for cell in cells if is_stored(cell, folder) or is_trained(cell)]

    if known("way with what is missing", missing, ("make", "skip")) == "skip":
        full, cells = finished(planned(whole=True)), finished(planned())
        if {cell.key for cell in full} - {cell.key for cell in cells}:
            cells = full
    else:
        cells = planned()
    make_cells(cells, folder, jobs=jobs)
    return _read(study, folder, cells, is_stored=False)


def _is_declared_for(study: Study, workspace: Workspace) -> bool:
    """Whether the workspace is a world of the part that a chapter stands in: the first one whose
    dials nobody has turned."""
    plain = [(name, part) for name, part in study.parts.items() if not part.dials]
    if not plain:
        return False
    name, first = plain[0]
    where = (str(workspace.dataset_name), workspace.profile_name)
    return where == (first.data, study.profile) and workspace.seed in study.seeds_of(name)


def _read(study: Study, folder: Path, cells: Sequence[Cell], is_stored: bool) -> Evidence:
    found = load_cells(cells, folder)
    there = {cell.key for cell, _ in found}
    if missing := [cell for cell in cells if cell.key not in there]:
        said = f"{len(missing)} of {len(cells)} cells are not in {folder}"
        raise ConfigError(
            f"study '{study.name}': {said} (first: {missing[0].name}); settings or numbers may "
            f"have changed since they were made. `gensr study run {study.name}` makes them"
        )
    for cell, stored in found:
        lacking = set(cell.measures) - stored.record["measures"].keys()
        if lacking:
            raise ConfigError(
                f"study '{study.name}', {cell.name}: not measured: {', '.join(sorted(lacking))}; "
                f"`gensr study run {study.name}` trains it again for that"
            )
    _check_worlds(study, found)
    return Evidence(study, folder, found, is_stored)


def _check_worlds(study: Study, found: Sequence[tuple[Cell, Stored]]) -> None:
    """Cells of one world must have been made with the same data: a simulation can change."""
    hashes: dict[tuple, tuple[str, str]] = {}
    for cell, stored in found:
        world = (cell.home.data, cell.home.profile.name, cell.home.seed)
        first, name = hashes.setdefault(world, (stored.record["data_hash"], cell.name))
        if first != stored.record["data_hash"]:
            raise ConfigError(
                f"study '{study.name}': {cell.name} and {name} are of one world and were made with "
                f"different data; `gensr study run {study.name} --anew` makes all of them again"
            )


def stored_run(folder: Path, stored: Stored) -> Run:
    """A cell as a run: its ranks, metrics, history and record are there, its model is not."""
    record = stored.record
    tested = StoredEvaluation(
        model=record["model"],
        split=TEST,
        table=stored.ranks,
        seconds=record["seconds"]["test"],
        means=record["expected"],
    )
    return Run(
        folder=folder / f"{stored.key}.parquet",
        model=None,
        evaluation=tested,
        history=pd.DataFrame(record["history"]),
        gradients=pd.DataFrame(),
        record={**record, "data": record["data_hash"], "hash": stored.key},
        loaded=True,
    )


def run_row(cell: Cell, stored: Stored) -> dict[str, Any]:
    """A row of `Evidence.trainings`."""
    record = stored.record
    return {
        "part": cell.part,
        "variant": cell.arm,
        "seed": cell.seed,
        "key": cell.key,
        "epochs": len(record["history"]),
        "best_epoch": record["best_epoch"],
        "gain": gain(pd.DataFrame(record["history"])),
        "seconds": record["seconds"]["all"],
        "finished": record["provenance"]["finished"],
    }


def gain(history: pd.DataFrame) -> float:
    """What the last fifth of the epochs, one at least, added to the best validation N@5 before it.

    The mean over tasks; NaN of fewer than two epochs, or without validation. At a plateau it is
    zero or less.
    """
    valid = history.filter(regex=r"^valid \w+ N@5$").mean(axis=1).dropna()
    last = max(1, round(len(valid) / 5))
    if len(valid) <= last:
        return float("nan")
    return float(valid.iloc[-last:].max() - valid.iloc[:-last].max())
