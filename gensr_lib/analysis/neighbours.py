"""Mutual information by counting nearest neighbours: nothing is trained, few columns are needed.

For a continuous Y estimator 1 of Kraskov, Stögbauer and Grassberger (2004), for a discrete one that
of Ross (2014). scikit-learn has both for one column of X at a time; here X and Y may have several.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma
from sklearn.neighbors import KDTree, NearestNeighbors

NOISE = 1e-10  # standard deviations


def knn(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, k: int, repeats: int, seed: int
) -> tuple[float, np.ndarray]:
    """The estimate in nats from all rows, and those from random halves of the groups.

    Args:
        x: (n, d), standardised.
        y: (n, e), standardised, or labels (n,).
        groups: (n,) numbers from 0; a group is in a half as a whole or not at all.
        k: which neighbour's distance is taken.
        repeats: number of halves.

    Returns:
        The estimate and (repeats,) those of the halves.
    """
    rng = np.random.default_rng(seed)
    discrete = y.ndim == 1
    formula = ross if discrete else kraskov
    x = _without_ties(x, rng)
    y = y if discrete else _without_ties(y, rng)
    n_groups = groups.max() + 1
    halves = [(rng.permutation(n_groups) < n_groups / 2)[groups] for _ in range(repeats)]
    return formula(x, y, k), np.array([formula(x[half], y[half], k) for half in halves])


def _without_ties(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A little noise, as Kraskov et al. advise: equal points have no k-th distance."""
    return columns + NOISE * rng.standard_normal(columns.shape)


def kraskov(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """I(X; Y) in nats of continuous (n, d) and (n, e): Kraskov et al. 2004, their eq. 8."""
    radius = _kth_distance(np.hstack([x, y]), k)
    near_x = _within(x, radius)  # counts the point itself: n_x + 1 of the paper
    near_y = _within(y, radius)
    return float(digamma(len(x)) + digamma(k) - (digamma(near_x) + digamma(near_y)).mean())


def ross(x: np.ndarray, labels: np.ndarray, k: int) -> float:
    """I(X; Y) in nats of continuous (n, d) and labels (n,): Ross 2014, eq. 2.

    A class of one member is left out; a class with fewer than k others uses all of them.
    """
    _, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = counts[labels] > 1
    x = x[kept]
    labels = labels[kept]
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
    return np.nextafter(distance[:, -1], 0)  # so that counting up to it leaves that point out


def _within(points: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Points no farther than each point's radius, itself among them: (n,)."""
    tree = KDTree(points, metric="chebyshev")
    return tree.query_radius(points, radius, count_only=True)
