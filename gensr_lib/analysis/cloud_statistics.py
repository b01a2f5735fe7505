"""Statistics of two clouds of points for many labellings at once, as few matrix products.

A permutation test shuffles the labels of fixed points, so what depends on the points alone (distances, kernel,
factorised covariance) is worked out once. Everywhere ``labels`` (P, N) are booleans, one labelling a row, true where
a point is taken for the first cloud, ``rec``; results are (P,). The definitions stand in `parameter_space`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq
from scipy.linalg import eigh, solve, subspace_angles
from scipy.spatial.distance import pdist, squareform
from sklearn.covariance import ledoit_wolf_shrinkage

GRID = 192  # cells of a density along each axis
LEAST_KERNEL = 2  # variance of a kernel in cells²; a narrower one would ring on the grid
FOLDS, LEAST_SHRINKAGE = 5, 1e-6  # the latter keeps a probe solvable where columns are copies of each other
RANK_TOLERANCE = 1e-10  # of the largest variance; below it a direction is rounding


@dataclass(frozen=True)
class Pool:
    """The points of both tasks (N, d), the codes of their groups (N,), and what several statistics share."""

    points: np.ndarray
    groups: np.ndarray

    @cached_property
    def distances(self) -> np.ndarray:
        """Euclidean distances between all points (N, N)."""
        return squareform(pdist(self.points))


def silhouettes(pool: Pool, labels: np.ndarray) -> np.ndarray:
    """Mean silhouette (Rousseeuw 1987), from one matrix of Euclidean distances."""
    is_rec, n = labels.T, labels.sum(axis=1)  # (N, P), (P,)
    m = len(is_rec) - n
    to_rec = pool.distances @ is_rec.astype(float)  # (N, P) sums of distances
    to_src = pool.distances.sum(axis=1, keepdims=True) - to_rec
    own = np.where(is_rec, to_rec / (n - 1), to_src / (m - 1))
    other = np.where(is_rec, to_src / m, to_rec / n)
    larger = np.maximum(own, other)
    return np.divide(other - own, larger, out=np.zeros_like(own), where=larger > 0).mean(axis=0)


def mmds(pool: Pool, labels: np.ndarray, bandwidth: float | None = None) -> np.ndarray:
    """Unbiased squared MMD (Gretton et al. 2012, eq. 3), from one Gram matrix; bandwidth by default the median."""
    bandwidth = bandwidth or _median_distance(pool.distances)
    kernel = np.exp(-((pool.distances / bandwidth) ** 2) / 2)  # (N, N)
    rec, n, m = labels.astype(float), labels.sum(axis=1), (~labels).sum(axis=1)
    to_rec = rec @ kernel  # (P, N)
    within_rec, between = (to_rec * rec).sum(axis=1), (to_rec * (1 - rec)).sum(axis=1)
    within_src = kernel.sum() - within_rec - 2 * between
    return (within_rec - n) / (n * (n - 1)) + (within_src - m) / (m * (m - 1)) - 2 * between / (n * m)


def _median_distance(distances: np.ndarray) -> float:
    pairs = squareform(distances, checks=False)
    return float(np.median(pairs) or np.median(pairs[pairs > 0]))


def overlaps(plane: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Shared mass of the two kernel densities of points (N, 2), on a grid that does not depend on the labels."""
    round_plane = _whitened(plane)  # changes no overlap, but a grid of squares fits it
    margin = 6 * (len(plane) / 2) ** (-1 / 6)  # six kernels; densities wrap around at the edges
    low, high = round_plane.min(axis=0) - margin, round_plane.max(axis=0) + margin
    cells = (round_plane - low) / (high - low) * GRID  # (N, 2), in cells
    return np.array([np.minimum(_density(cells[rec]), _density(cells[~rec])).sum() for rec in labels])


def _whitened(points: np.ndarray) -> np.ndarray:
    """Points with the unit matrix for covariance; 0 along an axis on which they do not vary."""
    centred = points - points.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(points))
    kept = variances > RANK_TOLERANCE * variances.max()
    return centred @ axes * np.where(kept, 1 / np.sqrt(np.where(kept, variances, 1)), 0)


def _density(cells: np.ndarray) -> np.ndarray:
    """Kernel density of points (n, 2) within the grid, as probabilities of its cells (GRID, GRID)."""
    column, row = cells.astype(int).T
    counts = np.bincount(column * GRID + row, minlength=GRID**2).reshape(GRID, GRID)
    variances, axes = np.linalg.eigh(np.cov(cells.T) * len(cells) ** (-1 / 3))  # Scott's factor is n^(-1/6)
    kernel = (axes * np.maximum(variances, LEAST_KERNEL)) @ axes.T
    u, v = 2 * np.pi * fftfreq(GRID)[:, None], 2 * np.pi * rfftfreq(GRID)
    characteristic = np.exp(-(kernel[0, 0] * u**2 + 2 * kernel[0, 1] * u * v + kernel[1, 1] * v**2) / 2)
    smooth = irfft2(rfft2(counts) * characteristic, s=(GRID, GRID)).clip(min=0)
    return smooth / smooth.sum()


def probes(pool: Pool, labels: np.ndarray, seed: int) -> np.ndarray:
    """Balanced accuracy of a linear probe on held-out folds, which keep groups whole and are blind to the labels."""
    n_groups = pool.groups.max() + 1
    fold = (np.random.default_rng(seed).permutation(n_groups) % FOLDS)[pool.groups]  # (N,), blind to the tasks
    says_rec = np.empty(labels.T.shape)  # (N, P)
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        score = _discriminant(pool.points[train], labels[:, train], pool.points[test])
        says_rec[test] = np.heaviside(score, 0.5)
    found = np.where(labels.T, says_rec, 1 - says_rec)
    return sum((found * task).sum(axis=0) / task.sum(axis=0) for task in (labels.T, ~labels.T)) / 2


def _discriminant(train: np.ndarray, is_rec: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Scores (T, P) of test points (T, d), above 0 for rec: w = S⁻¹ (mean rec - mean src), 0 midway."""
    mean, spread = train.mean(axis=0), spreads(train)
    spread[spread == 0] = 1
    z = (train - mean) / spread
    shrinkage = max(LEAST_SHRINKAGE, ledoit_wolf_shrinkage(z, assume_centered=True))
    covariance = (1 - shrinkage) * (z.T @ z) / len(z)
    covariance[np.diag_indices_from(covariance)] += shrinkage * ((z**2).mean() or 1)
    means = [task @ z / np.maximum(1, task.sum(axis=1, keepdims=True)) for task in (is_rec, ~is_rec)]  # (P, d)
    weights = solve(covariance, (means[0] - means[1]).T, assume_a="pos")  # (d, P)
    return (test - mean) / spread @ weights - (weights * (means[0] + means[1]).T / 2).sum(axis=0)


def mean_angles(pool: Pool, labels: np.ndarray, components: int) -> np.ndarray:
    """Mean principal angle in degrees, NaN where a cloud is a single point.

    The points are first centred on their cloud's mean under the first labelling. Otherwise two clouds far apart
    would, shuffled, both spread along the line between them and agree in that, so that the given labels would
    look different in direction where they only differ in position.
    """
    points, given = pool.points.copy(), labels[0]
    points[given] -= points[given].mean(axis=0)
    points[~given] -= points[~given].mean(axis=0)
    found = [angles(points[rec], points[~rec], components) for rec in labels]
    return np.array([a.mean() if len(a) else np.nan for a in found])


def angles(rec: np.ndarray, src: np.ndarray, components: int) -> np.ndarray:
    """Principal angles in degrees (k,), largest first, between leading principal subspaces; (0,) without spread."""
    most = min(components, max(1, rec.shape[1] // 2))  # larger subspaces always meet
    axes = [_leading_axes(points, most) for points in (rec, src)]
    k = min(a.shape[1] for a in axes)
    return np.degrees(subspace_angles(axes[0][:, :k], axes[1][:, :k])) if k else np.empty(0)


def _leading_axes(points: np.ndarray, components: int) -> np.ndarray:
    """The principal axes (d, k) of largest variance, k <= components: none along which points do not vary."""
    d, centred = points.shape[1], points - points.mean(axis=0)
    variances, axes = eigh(centred.T @ centred, subset_by_index=(d - components, d - 1))  # ascending
    kept = (variances > RANK_TOLERANCE * variances[-1]) & spreads(points).any()
    return axes[:, kept][:, ::-1]


def principal(
    points: np.ndarray, weights: np.ndarray, components: int, scale: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates on the leading principal axes of weighted points, and the shares of variance along them."""
    weights = weights / weights.sum()
    centred = points - weights @ points
    if scale:
        spread = np.sqrt(weights @ centred**2)
        centred = centred / np.where(spreads(points) > 0, spread, 1)
    _, singular, axes = np.linalg.svd(centred * np.sqrt(weights)[:, None], full_matrices=False)
    axes, shares = axes[:components], singular**2 / (singular**2).sum()
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
    return centred @ (axes * np.sign(largest)).T, shares[:components]  # signs are free: fixed, for equal pictures


def spreads(points: np.ndarray) -> np.ndarray:
    """Standard deviation of each column (d,), exactly 0 where all its values are equal."""
    return np.where(np.ptp(points, axis=0) > 0, points.std(axis=0), 0.0)
