"""Spot checks: is the evidence that is stored still what this code makes?

A cell's first epoch is trained again, under the schedule of its whole training, and held against
the line that the stored history has for it: the loss terms, and the validation metrics where that
epoch was validated. So data, LightGCN, weights, order, negatives, losses, gradients and ranking are
made again, for a third of a training or less, and nothing rests on runs that are there. A system
that is not trained is ranked whole.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ...config.study import Study, read_study
from ...errors import ConfigError
from ...files import project_root, writing
from ..parallel import Call, spread
from .cells import Cell, cells_of
from .making import study_folder, train_cell
from .stored import Stored, load_cells, means

EQUAL, WITHIN, MISS = "equal", "within the spread", "a miss"
LEAST = 0.02  # of a loss or metric: what two machines may differ by, if the store's spread is less


@dataclass(frozen=True)
class Check:
    """What a spot check found.

    Attributes:
        study, cell: which.
        verdict: `EQUAL` to the last digit, `WITHIN` the spread, or a `MISS`.
        largest: the largest difference of any value.
        value: the name of that value.
        same_machine: whether this machine and these packages round as those that made the cell.
        seconds: that it took.
    """

    study: str
    cell: str
    verdict: str
    largest: float
    value: str
    same_machine: bool
    seconds: float

    def __str__(self) -> str:
        where = "this machine rounds alike" if self.same_machine else "another machine"
        what = f"largest difference {self.largest:.2g} ({self.value})" if self.largest else ""
        notes = ", ".join(filter(None, [where, what, f"{self.seconds:.0f} s"]))
        return f"{self.study}: {self.cell}: {self.verdict} ({notes})"

    @property
    def is_good(self) -> bool:
        """Whether the store holds."""
        return self.verdict != MISS


def spot_checks(
    names: Sequence[str | Study],
    day: date | None = None,
    *,
    whole: bool = False,
    jobs: int | None = None,
) -> list[Check]:
    """`spot_check` of several studies, side by side."""
    studies = [read_study(name) for name in names]
    calls = [Call(f"study '{s.name}'", spot_check, (s, day, whole)) for s in studies]
    return spread(calls, jobs, "checks")


def spot_check(name: str | Study, day: date | None = None, whole: bool = False) -> Check:
    """Train the start of one cell of a study again, drawn by the day, and compare.

    Where the machine rounds as the one that made the cell, and packages are the same, the values
    must be equal; elsewhere they may differ by the standard deviation of the arm's values between
    seeds, or by `LEAST`.

    Args:
        name: of a declared study, or a declaration of your own.
        day: decides which cell; default: today.
        whole: train the whole cell, and compare its test metrics too.

    Raises:
        ConfigError: nothing is stored, or a cell is damaged.
    """
    study = read_study(name)
    name, folder = study.name, study_folder(study.name)
    cells = [c for c in cells_of(study) if (folder / f"{c.key}.parquet").exists()]
    if not cells:
        raise ConfigError(f"study '{name}': nothing is stored; `gensr study run {name}` makes it")
    day = day or date.today()
    cell = random.Random(f"{name} {day.isoformat()}").choice(cells)
    alike = load_cells([c for c in cells if (c.part, c.arm) == (cell.part, cell.arm)], folder)
    return check_cell(name, cell, {c.key: stored for c, stored in alike}, whole)


def check_cell(name: str, cell: Cell, alike: Mapping[str, Stored], whole: bool = False) -> Check:
    """`spot_check` of a given cell.

    Args:
        alike: by key, the stored cell and those of its arm with other seeds, which give the spread.
    """
    started = time.perf_counter()
    stored = alike[cell.key].record
    again = _made_again(cell, stored, whole)
    apart = differences(stored, again, whole)
    others = pd.DataFrame([values_of(other.record, whole) for other in alike.values()])
    spread_of = others.std().fillna(0)  # of one seed it is unknown
    allowed = spread_of.clip(lower=LEAST).reindex(apart.index)
    is_same = _rounds_alike(stored["provenance"], again["provenance"])
    if again["data_hash"] != stored["data_hash"]:
        verdict = MISS
    elif (apart == 0).all():
        verdict = EQUAL
    else:
        verdict = WITHIN if not is_same and (apart <= allowed).all() else MISS
    seconds = time.perf_counter() - started
    return Check(name, cell.name, verdict, apart.max(), apart.idxmax(), is_same, seconds)


def values_of(record: Mapping[str, Any], whole: bool = False) -> dict[str, float]:
    """What a check compares: the first line of the history; of the whole cell, or of one that is
    not trained, the test metrics.
    """
    found = {}
    if record["history"]:
        first = record["history"][0]
        apart = {"epoch", "stage", "seconds"}
        found = {f"epoch 1, {what}": value for what, value in first.items() if what not in apart}
    if whole or not found:
        found |= {f"test {task} {metric}": v for (task, metric), v in means(record).items()}
    return {what: value for what, value in found.items() if not math.isnan(value)}


def differences(
    stored: Mapping[str, Any], again: Mapping[str, Any], whole: bool = False
) -> pd.Series:
    """How far the values of two records are apart, by name; infinitely, where one is missing."""
    found = values_of(again, whole)
    return pd.Series(
        {
            what: abs(found[what] - value) if what in found else math.inf
            for what, value in values_of(stored, whole).items()
        }
    )


def _made_again(cell: Cell, stored: Mapping[str, Any], whole: bool) -> dict[str, Any]:
    """The record of the cell, or of its first epoch, trained again on one thread."""
    options = dict(cell.options)
    if stored["history"] and not whole:
        training = stored["training"]
        options |= {"epochs": 1, "decay_epochs": training["decay_epochs"] or training["epochs"]}
    again = replace(cell, options=options, measures=(), key=f"check-{cell.key}")
    place = project_root() / "runs" / "studies"
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(dir=place, prefix="check-", ignore_cleanup_errors=True)
    with folder as base:
        return train_cell(again, Path(base)).record


def _rounds_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two machines, and their packages, should end in the same last digits."""
    return all(one[name] == other[name] for name in ("digits", "versions", "device"))
