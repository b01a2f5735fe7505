"""Gradient conflict (paper §1 and §6.3.1): what the angles measured during a training say.

The measurements are made by `training.gradients`, every ``probe_steps`` of a training.
"""

from __future__ import annotations

import pandas as pd

from ..data.schema import REC, SRC
from ..errors import DataError
from ..training.gradients import ALL, disattenuate

__all__ = ["ALL", "disattenuate", "summary"]


def summary(gradients: pd.DataFrame, by: str = "layer") -> pd.DataFrame:
    """Mean cosine and how often it is below zero, over the measurements of a run.

    A mean over many measurements knows a reliability that a single one cannot tell from zero, so
    ``disattenuated`` is made of the means, and is not the mean of what single measurements gave.
    The standard error of a reliability is that over the steps, each a mean over its layers.

    Args:
        gradients: as in `TrainingRun.gradients`.
        by: ``layer`` or another column to group by.

    Returns:
        One row per group: ``cosine`` (mean), ``below zero`` (share of the rows), ``between``,
        ``rec``, ``src`` (means of the half-batch cosines), ``disattenuated`` and ``noise`` as
        `disattenuate` gives them, ``size`` and ``steps``.

    Raises:
        DataError: no measurement in the table.
    """
    if gradients.empty:
        raise DataError("no gradients were measured: set probe_steps, and train both tasks.")
    columns = ["cosine", "below zero", "between", REC, SRC]
    table = gradients.assign(**{"below zero": (gradients["cosine"] < 0).astype(float)})
    means = table.groupby(by, sort=False)[columns].mean()
    step_means = table.groupby(list({by: None, "step": None}), sort=False)[[REC, SRC]].mean()
    errors = step_means.groupby(level=by, sort=False).sem().fillna(0.0)  # of one step: not known
    corrected = [
        disattenuate(mean["between"], mean, errors.loc[group]) for group, mean in means.iterrows()
    ]
    means[["disattenuated", "noise"]] = pd.DataFrame(corrected, index=means.index)
    first = table.groupby(by, sort=False)
    return means.assign(size=first["size"].first(), steps=first["step"].nunique())
