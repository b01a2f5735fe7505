"""Make a declared study whole, or make it anew and say what has changed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...config.study import Study, read_study
from ...errors import ConfigError
from .cells import Cell, cells_of
from .checks import differences, values_of
from .making import is_stored, make_cells, state, study_folder
from .page import write_page
from .stored import load_cells


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
    before = load_cells([c for c in cells if is_stored(c, folder)], folder) if anew else []
    try:
        make_cells(cells, folder, jobs=jobs, anew=anew)
    finally:
        write_page(study)
    after = load_cells([cell for cell, _ in before], folder)
    now = {cell.key: stored.record for cell, stored in after}
    pairs = [(cell, old.record, now[cell.key]) for cell, old in before]
    changed = [_change(*pair) for pair in pairs if differences(*pair[1:], whole=True).any()]
    there = state(study)
    return Made(there.cells, there.stored, changed)


def _change(cell: Cell, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """In a sentence, what changed most."""
    what = differences(old, new, whole=True).idxmax()
    was, now = (values_of(record, whole=True).get(what, math.nan) for record in (old, new))
    return f"{cell.name}: {what} was {was:.4f}, is {now:.4f}"
