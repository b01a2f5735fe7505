"""The numbers that decide a claim, as the small picture on its card shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from ..data.schema import TASK_LABELS

PLAIN = "oracle"  # whose colour is that of the ink: a number of no task and no system


@dataclass(frozen=True)
class Marks:
    """Numbers to be drawn.

    Attributes:
        table: a row per number, as `plots.intervals` draws it.
        xlabel: what the numbers are.
        reference: by name, what they stand beside: a number, or one for each row.
    """

    table: pd.DataFrame
    xlabel: str
    reference: Mapping[str, float | pd.Series] = field(default_factory=dict)


def differences(rows: pd.DataFrame, value: str, xlabel: str) -> Marks:
    """A column of differences beside zero, a row per task; ``low`` and ``high`` are their ends."""
    labels = [TASK_LABELS[task] for task in rows["task"]]
    return Marks(with_intervals(rows, value, labels), xlabel, {"no difference": 0.0})


def with_intervals(rows: pd.DataFrame, value: str, labels: list[str]) -> pd.DataFrame:
    """A column with the intervals of its rows, in the colours of their tasks."""
    named = {"mean": rows[value], "low": rows["low"], "high": rows["high"], "group": rows["task"]}
    return pd.DataFrame(named).set_axis(labels)


def points(values: Mapping[str, float], groups: list[str]) -> pd.DataFrame:
    """Numbers without intervals, by their labels; the group of a system has its colour."""
    at = pd.Series(values, dtype=float)
    return pd.DataFrame({"mean": at, "low": at, "high": at, "group": groups})
