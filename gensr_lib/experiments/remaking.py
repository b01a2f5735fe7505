"""Make a declared study whole, or make it anew and say what has changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..config.study import Study, read_study
from ..errors import ConfigError
from .cells import cells_of
from .checks import values_of
from .stored import load_cell
from .studies import make_cells, state, study_folder
from .study_page import write_page


@dataclass(frozen=True)
class Made:
    """What a study has after `make_study`.

    Attributes:
        cells, stored: declared, and here.
        changed: in a sentence each, the cells that were made anew and came out otherwise.
    """

    cells: int
    stored: int
    changed: list[str] = field(default_factory=list)


def make_study(
    name: str | Study,
    *,
    jobs: int | None = None,
    worlds: Iterable[int] | None = None,
    anew: bool = False,
) -> Made:
    """Make the missing cells of a study, and the page of its folder.

    Args:
        name: of a declared study, or a declaration of your own.
        jobs: processes at once; default: as many as cores, GPUs and memory allow.
        worlds: only cells of these seeds; default: all.
        anew: make all, write over what is there, and compare.

    Raises:
        ConfigError: an unknown study, a world that it does not have, or cells that failed (after
            all others; the page has what is there).
    """
    study = read_study(name)
    cells = cells_of(study)
    seeds = {cell.seed for cell in cells}
    wanted = seeds if worlds is None else set(worlds)
    if wanted - seeds:
        raise ConfigError(
            f"study '{study.name}' has the worlds {sorted(seeds)}, and not {sorted(wanted - seeds)}"
        )
    cells = [cell for cell in cells if cell.seed in wanted]
    folder = study_folder(study.name)
    paths = {cell.name: folder / f"{cell.key}.parquet" for cell in cells}
    before = {}
    if anew:
        before = {cell: load_cell(path) for cell, path in paths.items() if path.exists()}
    try:
        make_cells(cells, folder, jobs=jobs, anew=anew)
    finally:
        write_page(study)
    changed = []
    for cell, old in before.items():
        one, other = (
            values_of(old.record, whole=True),
            values_of(load_cell(paths[cell]).record, True),
        )
        apart = {what: abs(other.get(what, float("nan")) - value) for what, value in one.items()}
        largest = max(apart, key=apart.get)
        if apart[largest] != 0:
            changed.append(f"{cell}: {largest} was {one[largest]:.4f}, is {other[largest]:.4f}")
    now = state(study)
    return Made(now.cells, now.stored, changed)
