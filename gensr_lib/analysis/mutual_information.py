"""Mutual information of two samples, in nats and bits: MINE, InfoNCE and nearest neighbours.

`estimate` is what the book uses for Table 1 of the paper (§5, eq. 12). The plain functions below it are
closed forms that it is checked with. MINE and InfoNCE are lower bounds on held-out rows, so what they
report for independent variables lies around 0, often slightly below; no value is clamped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from scipy.special import digamma
from sklearn.neighbors import KDTree, NearestNeighbors

from ..config import Config
from ..errors import ConfigError, DataError, unknown
from .neural_bounds import fit
from .neural_critics import InfoNCEConfig, MineConfig

MIN_ROWS, MIN_GROUPS, MAX_CLASSES = 100, 10, 50
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
        return float(to_bits(self.nats))

    @property
    def sd(self) -> float:
        """Standard deviation of ``values`` in nats, NaN for one repeat.

        MINE and InfoNCE: over splits and initial weights, of *one* repeat; repeats share rows, so it
        does not fall with their number. knn: over random halves, which estimates the standard error
        of the estimate from all rows (the delete-half jackknife).
        """
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan

    @property
    def frame(self) -> pd.DataFrame:
        """One row per repeat, with columns repeat, nats and bits."""
        return pd.DataFrame({"repeat": range(len(self.values)), "nats": self.values, "bits": to_bits(self.values)})

    def __repr__(self) -> str:
        ceiling = "" if self.ceiling is None else f", H(Y) {self.ceiling:.4f} nats"
        spread = f"{self.nats:.4f} ± {self.sd:.4f} nats = {self.bits:.4f} bits"
        return f"Information({self.method}: {spread}{ceiling}, n={self.n}, repeats={len(self.values)})"


def estimate(
    x, y, method: str = "mine", *, seed: int = 0, repeats: int = 5, groups=None, discrete: bool | None = None, **options
) -> Information:
    """Estimate I(X; Y) from n joint samples.

    - ``mine``: the Donsker-Varadhan bound (paper eq. 12). In each repeat a random 70 % of the rows train
      the critic, 10 % stop it, and the value comes from the last 20 %. A repeat in which no critic beats
      the constant one on the 10 % for stopping is exactly 0.
    - ``infonce``: the same critics and splits; the bound is at most ln(1 + ``test_shuffles``) for a
      continuous Y, and less noisy than MINE's.
    - ``knn``: Kraskov et al. 2004, estimator 1, for a continuous Y; Ross 2014 for a discrete one. Far too
      low with many columns. Not a bound.

    Args:
        x: (n, d) or (n,) numbers. Columns are standardised; constant ones are dropped.
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
    x, y = _matrix(x, "x"), _matrix(y, "y", labels=discrete is not False)
    groups = _groups(groups, len(x))
    _check_rows(x, y)
    labels = _labels(y, discrete)
    x = _standardise(x)
    ceiling = None if labels is None else float(entropy(np.bincount(labels) / len(labels)))
    y = _standardise(y) if labels is None else np.eye(labels.max() + 1)[labels]  # (n, e) or (n, C)
    if x.shape[1] == 0 or y.shape[1] == 0 or ceiling == 0:
        return Information(method, 0.0, np.zeros(repeats), len(x), ceiling, pd.DataFrame(columns=CURVE))
    if method == "knn":
        nats, values = _knn(x, y if labels is None else labels, groups, config.neighbours, repeats, seed)
        return Information(method, nats, values, len(x), ceiling, pd.DataFrame(columns=CURVE))
    values, curve = fit(x, y, labels is not None, groups, config, repeats, seed)
    return Information(method, float(values.mean()), values, len(x), ceiling, curve)


# --- closed forms -----------------------------------------------------------------------------


def to_bits(nats) -> Any:
    """Nats to bits: divide by ln 2.

    >>> float(to_bits(math.log(8)))
    3.0
    """
    return np.asarray(nats, dtype=float) / math.log(2)


def entropy(p) -> np.ndarray:
    """Entropy in nats of probability vectors: (..., C), each summing to 1 over the last axis, to (...).

    >>> float(entropy([0.25, 0.25, 0.5])) == 1.5 * math.log(2)
    True

    Raises:
        DataError: negative numbers, or vectors that do not sum to 1.
    """
    p = np.asarray(p, dtype=float)
    if not ((p >= 0).all() and np.allclose(p.sum(-1), 1, atol=1e-6)):
        raise DataError("p must be probabilities that sum to 1 over the last axis; for yes/no pass [1 - p, p].")
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(-1) + 0.0  # + 0.0: no minus zero


def answer_information(p) -> float:
    """Exact I(X; answer) in nats where the answer is yes with probability p(x): h(mean p) - mean h(p).

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
    """I(X; Y) = -d/2 ln(1 - rho^2) in nats of Gaussians whose d components correlate by rho, pair by pair.

    Raises:
        DataError: |rho| is not below 1.
    """
    if not abs(rho) < 1:
        raise DataError(f"rho={rho} must lie between -1 and 1; at the ends the information is infinite.")
    return -d / 2 * math.log1p(-(rho**2))


# --- checks -----------------------------------------------------------------------------------


def _matrix(values, name: str, labels: bool = False) -> np.ndarray:
    """An array (n, columns), of float64 or, where labels are allowed, of text."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values  # numpy has no bfloat16
    array = np.asarray(values)
    if array.ndim not in (1, 2):
        raise DataError(f"{name} must have one or two axes (rows, columns), not the shape {array.shape}.")
    array = array.reshape(len(array), -1)
    if array.dtype.kind not in "biuf":
        if not labels:
            raise DataError(f"{name} must hold numbers, not values of type {array.dtype}.")
        return array.astype(str)
    array = array.astype(float)
    if not np.isfinite(array).all():
        row = int((~np.isfinite(array)).any(axis=1).argmax())
        raise DataError(f"{name}: row {row} holds NaN or infinity; drop such rows from x and y.")
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
        raise DataError(f"groups has {len(names)} distinct ids; a split needs at least {MIN_GROUPS}.")
    return codes


def _labels(y: np.ndarray, discrete: bool | None) -> np.ndarray | None:
    """Class numbers (n,) where y is discrete, else None."""
    if discrete is False or (discrete is None and y.dtype.kind == "f" and (y != np.round(y)).any()):
        return None
    names, labels = np.unique(y, axis=0, return_inverse=True)
    if len(names) <= MAX_CLASSES:
        return labels.ravel()
    if discrete or y.dtype.kind != "f":
        raise DataError(f"y has {len(names)} distinct labels, more than {MAX_CLASSES}; merge the rare ones.")
    return None


def _standardise(columns: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1; constant columns are dropped, (n, d) to (n, at most d)."""
    columns = columns[:, np.ptp(columns, axis=0) > 0]
    centred = columns - columns.mean(0)
    return centred / centred.std(0)


# --- nearest neighbours -----------------------------------------------------------------------


def _knn(x: np.ndarray, y: np.ndarray, groups: np.ndarray, k: int, repeats: int, seed: int) -> tuple[float, np.ndarray]:
    """The estimate from all rows, and those from random halves of the groups: (repeats,)."""
    rng = np.random.default_rng(seed)
    formula = ross if y.ndim == 1 else kraskov
    x, y = _without_ties(x, rng), y if y.ndim == 1 else _without_ties(y, rng)
    n_groups = groups.max() + 1
    halves = [(rng.permutation(n_groups) < n_groups / 2)[groups] for _ in range(repeats)]
    return formula(x, y, k), np.array([formula(x[half], y[half], k) for half in halves])


def _without_ties(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of 1e-10 standard deviations, as Kraskov et al. advise: equal points have no k-th distance."""
    return columns + 1e-10 * rng.standard_normal(columns.shape)


def kraskov(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """I(X; Y) in nats of continuous (n, d) and (n, e): estimator 1 of Kraskov et al. 2004, their eq. 8."""
    radius = _kth_distance(np.hstack([x, y]), k)
    near_x, near_y = _within(x, radius), _within(y, radius)  # with the point itself: n_x + 1 of the paper
    return float(digamma(len(x)) + digamma(k) - (digamma(near_x) + digamma(near_y)).mean())


def ross(x: np.ndarray, labels: np.ndarray, k: int) -> float:
    """I(X; Y) in nats of continuous (n, d) and labels (n,): Ross 2014, eq. 2.

    A class of one member is left out; a class with fewer than k others uses all of them.
    """
    _, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = counts[labels] > 1
    x, labels = x[kept], labels[kept]
    size = counts[labels]  # (n,)
    radius = np.empty(len(x))
    for label in np.unique(labels):
        own = labels == label
        radius[own] = _kth_distance(x[own], min(k, own.sum() - 1))
    others = digamma(np.minimum(k, size - 1))
    return float(digamma(len(x)) + (others - digamma(size) - digamma(_within(x, radius))).mean())


def _kth_distance(points: np.ndarray, k: int) -> np.ndarray:
    """Just below the largest-coordinate distance to the k-th other point: (n,)."""
    distance, _ = NearestNeighbors(n_neighbors=k, metric="chebyshev").fit(points).kneighbors()
    return np.nextafter(distance[:, -1], 0)


def _within(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Points no farther than each point's radius, itself among them: (n,)."""
    return KDTree(points, metric="chebyshev").query_radius(points, radius, count_only=True)
