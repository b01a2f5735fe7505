"""Gradient conflict (paper §1 and §6.3.1): what the angles measured during a training say.

The measurements are made by `training.gradients`, every ``probe_steps`` of a training.
"""

from __future__ import annotations

import pandas as pd

from ..data.schema import REC, SRC
from ..errors import DataError
from ..training.gradients import ALL

__all__ = ["ALL", "summary"]


def summary(gradients: pd.DataFrame, by: str = "layer") -> pd.DataFrame:
    """Mean cosine and how often it is below zero, over the measurements of a run.

    Args:
        gradients: as in `TrainingRun.gradients`.
        by: ``layer`` or another column to group by.

    Returns:
        One row per group: ``cosine`` (mean), ``below zero`` (share of steps), ``between``, ``rec``,
        ``src`` (means of the half-batch cosines), ``size`` and ``steps``.

    Raises:
        DataError: no measurement in the table.
    """
    if gradients.empty:
        raise DataError("no gradients were measured: set probe_steps, and train both tasks.")
    table = gradients.assign(**{"below zero": gradients["cosine"] < 0}).groupby(by, sort=False)
    means = table[["cosine", "below zero", "between", REC, SRC]].mean()
    return means.assign(size=table["size"].first(), steps=table["step"].nunique())
