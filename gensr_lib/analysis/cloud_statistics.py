"""Five statistics of how far two clouds of points lie apart, each for many labellings at once.

A permutation test shuffles the labels of fixed points, so what depends on the points alone
(distances, kernel, folds) is worked out once. Everywhere ``labels`` (P, N) are booleans, one
labelling a row, true where a point is taken for the first cloud, ``rec``; results are (P,).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh, subspace_angles
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import pdist, squareform
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

GRID = 192  # cells of a density along each axis
LEAST_KERNEL = 1.0  # cells
FOLDS = 5
PENALTIES = (1e-4, 1e-2, 1.0)  # of the probe, per point; the best in the training folds counts
COMPONENTS = 10  # dimensions of the subspaces whose angles are taken
ANGLE_PERMUTATIONS = 50  # each takes two eigendecompositions of a (d, d) matrix
NO_SPREAD = 1e-10  # of the largest variance; below it a direction is rounding


@dataclass(frozen=True)
class Pool:
    """The points of both tasks (N, d) and the codes of their groups (N,), from 0."""

    points: np.ndarray
    groups: np.ndarray

    @cached_property
    def distances(self) -> np.ndarray:
        """Euclidean distances between all points (N, N)."""
        return squareform(pdist(self.points))


def silhouettes(pool: Pool, labels: np.ndarray) -> np.ndarray:
    """Mean over points of (b - a) / max(a, b), a and b the mean distances to own and other cloud.

    1 far apart, 0 mixed (Rousseeuw 1987). It asks for two compact clouds: rings inside each other
    get about 0.
    """
    is_rec = labels.T  # (N, P)
    n = labels.sum(axis=1)  # (P,)
    m = len(is_rec) - n
    to_rec = pool.distances @ is_rec.astype(float)  # (N, P) sums of distances
    to_src = pool.distances.sum(axis=1, keepdims=True) - to_rec
    own = np.where(is_rec, to_rec / (n - 1), to_src / (m - 1))
    other = np.where(is_rec, to_src / m, to_rec / n)
    larger = np.maximum(own, other)
    return np.divide(other - own, larger, out=np.zeros_like(own), where=larger > 0).mean(axis=0)


def mmds(pool: Pool, labels: np.ndarray) -> np.ndarray:
    """Squared maximum mean discrepancy: 0 on average for equal distributions, or a little below.

    The unbiased estimate of Gretton et al. (2012, eq. 3). The kernel is exp(-r² / 2 b²) with b the
    median distance between pooled points (of the positive distances, where that is 0).
    """
    pairs = squareform(pool.distances, checks=False)
    bandwidth = np.median(pairs) or np.median(pairs[pairs > 0])
    kernel = np.exp(-((pool.distances / bandwidth) ** 2) / 2)  # (N, N)
    rec = labels.astype(float)
    n = labels.sum(axis=1)
    m = len(kernel) - n
    to_rec = rec @ kernel  # (P, N)
    within_rec = (to_rec * rec).sum(axis=1)
    between = (to_rec * (1 - rec)).sum(axis=1)
    within_src = kernel.sum() - within_rec - 2 * between
    # A point's kernel with itself is 1 and does not count.
    same = (within_rec - n) / (n * (n - 1)) + (within_src - m) / (m * (m - 1))
    return same - 2 * between / (n * m)


def overlaps(pool: Pool, labels: np.ndarray) -> np.ndarray:
    """`overlap` in the plane of one PCA without weights, which cannot see the labels."""
    plane = PCA(2, svd_solver="full").fit_transform(pool.points)
    return np.array([overlap(plane[rec], plane[~rec]) for rec in labels])


def overlap(rec: np.ndarray, src: np.ndarray) -> float:
    """Integral of min(p, q) for the kernel densities of (n, 2) and (m, 2): 1 the same, 0 apart.

    Gaussian kernels with Scott's bandwidth, as `scipy.stats.gaussian_kde` has them, but on a
    histogram of 192 x 192 cells. A kernel is at least a cell wide: points on a line have a density
    too, and what is finer than about a hundredth of the picture counts as that wide.
    """
    # The integral is the same in any coordinates. In these both covariances are diagonal, and with
    # them both kernels, as the filter needs it.
    scale = np.concatenate([rec, src]).std(axis=0)
    scale[scale == 0] = 1
    first, second = (np.cov((x / scale).T) + NO_SPREAD * np.eye(2) for x in (rec, src))
    _, axes = eigh(first, first + second)
    clouds = [x / scale @ axes for x in (rec, src)]
    widths = [x.std(axis=0, ddof=1) * len(x) ** (-1 / 6) for x in clouds]
    margin = 4 * np.maximum(*widths) + 1e-6
    low = np.minimum(*(x.min(axis=0) for x in clouds)) - margin
    high = np.maximum(*(x.max(axis=0) for x in clouds)) + margin
    densities = [_density(x, w, low, high) for x, w in zip(clouds, widths, strict=True)]
    return float(np.minimum(*densities).sum())


def _density(points: np.ndarray, width: np.ndarray, low: np.ndarray, high: np.ndarray):
    """Kernel density of points (n, 2) between two corners, as probabilities (GRID, GRID)."""
    counts, _, _ = np.histogram2d(*points.T, bins=GRID, range=np.stack([low, high], axis=1))
    cell = (high - low) / GRID
    density = gaussian_filter(counts, np.maximum(width / cell, LEAST_KERNEL), mode="constant")
    return density / density.sum()


def probes(pool: Pool, labels: np.ndarray) -> np.ndarray:
    """Balanced accuracy of a linear probe on held-out points: 1 can be told apart, 0.5 chance.

    Five-fold cross-validation that keeps groups whole. The probe is a ridge regression of the
    label, which for two classes is Fisher's discriminant with a shrunk covariance; as regressions
    on the same points, those of hundreds of labellings cost one factorisation a fold.
    """
    penalties = len(pool.points) * np.array(PENALTIES)
    # Without an intercept a score is 0 in the middle of the training points, whatever the shares.
    ridge = RidgeCV(penalties, fit_intercept=False, alpha_per_target=True)
    probe = make_pipeline(StandardScaler(), ridge)
    sign = np.where(labels.T, 1.0, -1.0)  # (N, P)
    score = cross_val_predict(probe, pool.points, sign, groups=pool.groups, cv=GroupKFold(FOLDS))
    right = np.heaviside(score.reshape(sign.shape) * sign, 0.5)
    return (_mean_where(labels.T, right) + _mean_where(~labels.T, right)) / 2


def _mean_where(chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    return (chosen * values).sum(axis=0) / chosen.sum(axis=0)


def mean_angles(pool: Pool, labels: np.ndarray) -> np.ndarray:
    """Mean of `angles` for the first 51 labellings, NaN where a cloud is a single point.

    The points are first centred on their cloud's mean under the first labelling. Otherwise two
    clouds far apart would, shuffled, both spread along the line between them and agree in that, so
    that the given labels would look different in direction where they only differ in position.
    """
    points = pool.points.copy()
    for cloud in (labels[0], ~labels[0]):
        points[cloud] -= points[cloud].mean(axis=0)
    found = [angles(points[rec], points[~rec]) for rec in labels[: 1 + ANGLE_PERMUTATIONS]]
    return np.array([a.mean() if len(a) else np.nan for a in found])


def angles(rec: np.ndarray, src: np.ndarray, components: int = COMPONENTS) -> np.ndarray:
    """Angles in degrees (k,), largest first, between the leading principal subspaces.

    Each cloud is centred on its own mean: this compares the directions in which the clouds spread,
    not where they lie. At most d / 2 dimensions are used (larger subspaces always meet), and no
    more than either cloud spreads over: none, (0,), where all its points are equal.
    """
    most = min(components, max(1, rec.shape[1] // 2))
    axes = [_leading_axes(points, most) for points in (rec, src)]
    k = min(a.shape[1] for a in axes)
    return np.degrees(subspace_angles(axes[0][:, :k], axes[1][:, :k])) if k else np.empty(0)


def _leading_axes(points: np.ndarray, components: int) -> np.ndarray:
    """The principal axes (d, k) of largest variance, k <= components: none without spread."""
    d = points.shape[1]
    centred = points - points.mean(axis=0)
    variances, axes = eigh(centred.T @ centred, subset_by_index=(d - components, d - 1))
    kept = (variances > NO_SPREAD * variances[-1]) & np.ptp(points, axis=0).any()
    return axes[:, kept][:, ::-1]  # eigh has the largest last
