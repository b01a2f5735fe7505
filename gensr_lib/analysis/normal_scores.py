"""Columns as normal scores, so that an estimate does not depend on the scale of any of them.

Mutual information is the same whatever increasing function a column goes through; a network that
is trained for some hundred steps is not. Ranks are the same, and in Gaussian shape they are easy
to train on (van der Waerden's scores).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri


def normal_scores(columns: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
    """Gaussian quantiles of the columns' ranks among some rows, with mean 0 and sd 1 on these.

    A value that lies above a share u of the fitted rows becomes the Gaussian's quantile u; equal
    values share the middle of their ranks, and outside the fitted range all values are as one rank
    beyond it. scikit-learn's `QuantileTransformer` puts the least and the greatest value of each
    column 5.2 standard deviations out and is not used for that: both answers of a yes/no column,
    and the zeros of a rectified one, would lie there.

    Args:
        columns: (n, d) numbers.
        fitted_on: row numbers; the ranks are counted among these rows only.

    Returns:
        (n, d); 0 everywhere in a column that is constant on the fitted rows.
    """
    scores = np.empty(columns.shape)
    for c, column in enumerate(columns.T):
        scores[:, c] = _scores(column, np.sort(column[fitted_on]))
    scores -= scores[fitted_on].mean(0)
    sd = scores[fitted_on].std(0)
    varies = sd > 1e-9
    return np.where(varies, scores / np.where(varies, sd, 1), 0.0)


def _scores(column: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Quantiles (n,) of one column's mid-ranks among sorted values."""
    below = np.searchsorted(fitted, column, side="left")
    up_to = np.searchsorted(fitted, column, side="right")
    half = 0.5 / len(fitted)  # half a rank: keeps the quantiles finite
    share = (below + up_to) * half
    return ndtri(share.clip(half, 1 - half))
