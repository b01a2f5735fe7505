"""Mutual information of two samples in nats: MINE, InfoNCE and nearest neighbours.

`estimate` is what the book uses for Table 1 of the paper (§5, eq. 12); the plain functions below it
are closed forms to check it with. MINE here is MINE plus normal scores, a group lasso on the
columns of X (`bounds`) and, for a discrete Y, products of columns (`critics`); for a continuous one
no pair is scored above the own pairs of the rows that stopped the training. MINE and InfoNCE are
lower bounds on held-out rows, so what they report for independent variables lies around 0, often
slightly below; no value is clamped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from ..config import Config
from ..errors import ConfigError, DataError, unknown
from .bounds import fit
from .critics import InfoNCEConfig, MineConfig
from .neighbours import knn

MIN_ROWS = 100
MIN_GROUPS = 10
MAX_CLASSES = 50
CURVE = ["step", "repeat", "train", "valid"]


class KnnConfig(Config):
    """Options of the nearest-neighbour estimates."""

    neighbours: int = Field(3, ge=1, description="k; a small k has little bias and much variance")


METHODS: dict[str, type[Config]] = {"mine": MineConfig, "infonce": InfoNCEConfig, "knn": KnnConfig}


@dataclass(frozen=True, repr=False, eq=False)
class Information:
    """An estimate of I(X; Y).

    Attributes:
        method: "mine", "infonce" or "knn".
        nats: the estimate: the mean of ``values``, for knn the estimate from all rows.
        values: (repeats,) in nats, one per repeat; for knn one per random half of the rows.
        n: rows.
        ceiling: H(Y) in nats where Y is discrete, else None; no I(X; Y) is above it.
        curve: bounds in nats while training, with columns step, repeat, train (means over single
            batches) and valid (rows held out for early stopping); empty for knn.
    """

    method: str
    nats: float
    values: np.ndarray
    n: int
    ceiling: float | None
    curve: pd.DataFrame

    @property
    def bits(self) -> float:
        """The estimate in bits."""
        return self.nats / math.log(2)

    @property
    def sd(self) -> float:
        """Standard deviation of ``values`` in nats, NaN for one repeat.

        MINE and InfoNCE: over splits and initial weights, of *one* repeat; repeats share rows, so
        it does not fall with their number. knn: over random halves, which estimates the standard
        error of the estimate from all rows (the delete-half jackknife).
        """
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    def __repr__(self) -> str:
        ceiling = "" if self.ceiling is None else f", H(Y) {self.ceiling:.4f} nats"
        spread = f"{self.nats:.4f} ± {self.sd:.4f} nats = {self.bits:.4f} bits"
        return f"Information({self.method}: {spread}{ceiling}, n={self.n})"


def estimate(
    x,
    y,
    method: str = "mine",
    *,
    seed: int = 0,
    repeats: int = 5,
    groups=None,
    discrete: bool | None = None,
    **options,
) -> Information:
    """Estimate I(X; Y) from n joint samples.

    - ``mine``: the Donsker-Varadhan bound (paper eq. 12). In each repeat a random 70 % of the rows
      train the critic, 10 % stop it, and the value comes from the last 20 %. A repeat in which no
      critic beats the constant one on the 10 % for stopping is 0.
    - ``infonce``: the same critics and splits; the bound is at most ln(1 + ``test_shuffles``) for a
      continuous Y, and less noisy than MINE's.
    - ``knn``: Kraskov et al. 2004, estimator 1, for a continuous Y; Ross 2014 for a discrete one.
      Far too low with many columns. Not a bound.

    Args:
        x: (n, d) or (n,) numbers. Constant columns are dropped; MINE and InfoNCE see normal scores
            (`normal_scores`), so an increasing function of a column changes nothing, knn sees
            standardised columns.
        y: (n, e) or (n,) numbers, or labels.
        seed: of splits, weights and shuffles; the same seed gives the same values.
        repeats: number of splits and networks, trained at once (knn: of random halves).
        groups: (n,) ids; rows with one id are never in different parts of a split (knn: halves).
        discrete: whether rows of y are labels of classes; None: if they have at most 50 distinct
            values, all of them whole numbers, booleans or text.
        options: fields of `MineConfig`, `InfoNCEConfig` or `KnnConfig`.

    Returns:
        The estimate; exactly 0 where X or Y is constant. It may be slightly negative.

    Raises:
        DataError: arrays that do not fit, NaN or infinity, fewer than 100 rows or 10 groups.
        ConfigError: an unknown method or option, or one out of range.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    config = METHODS[method].parse(options, where=f"method '{method}'")
    if repeats < 1:
        raise ConfigError(f"repeats={repeats} must be at least 1.")
    x = _matrix(x, "x")
    y = _matrix(y, "y", labels=discrete is not False)
    groups = _groups(groups, len(x))
    _check_rows(x, y)
    x = _standardise(x)
    y, ceiling = _target(y, discrete)
    curve = pd.DataFrame(columns=CURVE)
    if x.shape[1] == 0 or y.size == 0 or ceiling == 0:
        return Information(method, 0.0, np.zeros(repeats), len(x), ceiling, curve)
    if method == "knn":
        nats, values = knn(x, y, groups, config.neighbours, repeats, seed)
    else:
        values, curve = fit(x, y, groups, config, repeats, seed)
        nats = float(values.mean())
    return Information(method, nats, values, len(x), ceiling, curve)


# --- closed forms -------------------------------------------------------------------------------


def entropy(p) -> np.ndarray:
    """Entropy in nats of probability vectors (..., C), over the last axis: (...).

    >>> float(entropy([0.25, 0.25, 0.5])) == 1.5 * math.log(2)
    True

    Raises:
        DataError: negative numbers, or vectors that do not sum to 1.
    """
    p = np.asarray(p, dtype=float)
    if not ((p >= 0).all() and np.allclose(p.sum(-1), 1, atol=1e-6)):
        raise DataError("p must be probabilities that sum to 1; for yes/no pass [1 - p, p].")
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(-1) + 0.0  # no minus zero


def answer_information(p) -> float:
    """Exact I(X; answer) in nats if yes has probability p(x): h(mean p) - mean h(p).

    Over the rows given, each x as likely as any other; h is the entropy of a yes/no answer.

    Args:
        p: (n,) probabilities, e.g. the P(Yes) of a model on its test rows.

    Raises:
        DataError: no rows, or a number outside 0..1.
    """
    p = np.asarray(p, dtype=float).ravel()
    if len(p) == 0 or not ((p >= 0) & (p <= 1)).all():
        raise DataError("p must hold at least one probability, each between 0 and 1.")
    both = np.stack([1 - p, p], axis=-1)  # (n, 2)
    return float(entropy(both.mean(0)) - entropy(both).mean())


def gaussian_information(rho: float, d: int = 1) -> float:
    """I(X; Y) = -d/2 ln(1 - rho^2) in nats of d pairs of Gaussians with the correlation rho.

    Raises:
        DataError: |rho| is not below 1.
    """
    if not abs(rho) < 1:
        raise DataError(f"rho={rho} must lie between -1 and 1; there the information is infinite.")
    return -d / 2 * math.log1p(-(rho**2))


# --- checks -------------------------------------------------------------------------------------


def _matrix(values, name: str, labels: bool = False) -> np.ndarray:
    """An array (n, columns), of float64 or, where labels are allowed, of text."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values  # not in numpy
    array = np.asarray(values)
    if array.ndim not in (1, 2):
        raise DataError(f"{name} must have one or two axes, not the shape {array.shape}.")
    array = array.reshape(len(array), array.size // max(1, len(array)))
    if array.dtype.kind not in "biuf":
        if not labels:
            raise DataError(f"{name} must hold numbers, not values of type {array.dtype}.")
        return array.astype(str)
    array = array.astype(float)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise DataError(f"{name}: row {bad.argmax()} holds NaN or infinity; drop it from x and y.")
    return array


def _check_rows(x: np.ndarray, y: np.ndarray) -> None:
    if len(x) != len(y):
        raise DataError(f"x has {len(x)} rows and y has {len(y)}; they must be the same samples.")
    if len(x) < MIN_ROWS:
        raise DataError(f"x and y have {len(x)} rows; an estimate needs at least {MIN_ROWS}.")


def _groups(groups, n: int) -> np.ndarray:
    """Group numbers (n,) from 0; without groups each row is its own."""
    if groups is None:
        return np.arange(n)
    names, codes = np.unique(np.asarray(groups).ravel(), return_inverse=True)
    if len(codes) != n:
        raise DataError(f"groups has {len(codes)} ids for {n} rows of x; give one id per row.")
    if len(names) < MIN_GROUPS:
        raise DataError(f"groups has {len(names)} distinct ids; a split needs {MIN_GROUPS}.")
    return codes


def _target(y: np.ndarray, discrete: bool | None) -> tuple[np.ndarray, float | None]:
    """Y as numbers of classes (n,) and H(Y) in nats, or standardised (n, e) and None."""
    labels = _labels(y, discrete)
    if labels is None:
        return _standardise(y), None
    return labels, float(entropy(np.bincount(labels) / len(labels)))


def _labels(y: np.ndarray, discrete: bool | None) -> np.ndarray | None:
    """Class numbers (n,) where y is discrete, else None."""
    numbers = y.dtype.kind == "f"
    if discrete is False or (discrete is None and numbers and (y != np.round(y)).any()):
        return None
    names, labels = np.unique(y, axis=0, return_inverse=True)
    if len(names) <= MAX_CLASSES:
        return labels.ravel()
    if discrete or not numbers:
        raise DataError(f"y has {len(names)} labels, more than {MAX_CLASSES}; merge the rare ones.")
    return None


def _standardise(columns: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1; constant columns are dropped, (n, d) to (n, at most d)."""
    columns = columns[:, np.ptp(columns, axis=0) > 0]
    centred = columns - columns.mean(0)
    return centred / centred.std(0)
