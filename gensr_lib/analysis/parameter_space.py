"""Do the points of two tasks lie apart? Pictures of two clouds (§6.3.1, figure 3) and numbers beside them.

A picture shows two colours apart or mixed; how far that is from chance it does not say. `separation` gives
five statistics, each with its value for shuffled tasks, and `tsne` and `pca` the coordinates of the pictures.

Everywhere ``rec`` (n, d) and ``src`` (m, d) are the points of the two tasks, such as a model's hidden states.
They must be finite, of one width, at least 10 of each and not all equal: otherwise a `DataError`.
With ``groups`` = (n,), (m,), such as the user of each point, points of one group are not independent: there must
be at least 10 groups of each task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from ..data.schema import REC, SRC
from ..errors import ConfigError, DataError, unknown
from .cloud_statistics import Pool, angles, mean_angles, mmds, overlaps, principal, probes, silhouettes, spreads

LEAST = 10  # points, and groups, of each task
TSNE_COLUMNS = 50  # van der Maaten and Hinton (2008) reduce to 30 to 50 columns first
COMPONENTS = 10  # dimensions of the subspaces whose angles are taken
ANGLE_PERMUTATIONS = 50  # each takes two eigendecompositions of a (d, d) matrix
Groups = tuple[Sequence, Sequence] | None


@dataclass(frozen=True)
class Projection:
    """Points on common principal axes: ``rec`` (n, k), ``src`` (m, k), ``explained`` (k,) shares of variance."""

    rec: np.ndarray
    src: np.ndarray
    explained: np.ndarray


def tsne(points: np.ndarray, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Coordinates (n, 2) of points (n, d) by t-SNE (van der Maaten and Hinton 2008).

    Columns are standardised, constant ones dropped, and reduced to 50 by PCA; PCA also gives the first layout.
    It runs on one thread, so that a seed gives the same coordinates whatever the number of cores (scikit-learn's
    ``n_jobs`` only reaches the search for neighbours). 2,000 points take some 10 seconds. Read distances between
    clusters, and their sizes, with care: t-SNE keeps neither.

    Raises:
        DataError: fewer points than 3 x perplexity, a value that is not finite, or fewer than two varying columns.
    """
    points = _finite("points", points)
    if not 0 < 3 * perplexity <= len(points):
        raise DataError(
            f"t-SNE: perplexity {perplexity:g} needs at least {3 * perplexity:g} points, there are {len(points)}; "
            f"give more points or a perplexity of at most {len(points) / 3:.3g} (and above 0)."
        )
    varying = points[:, spreads(points) > 0]
    if varying.shape[1] < 2:
        raise DataError(f"t-SNE: {varying.shape[1]} of {points.shape[1]} columns vary; at least two must.")
    with threadpool_limits(limits=1):
        reduced, _ = principal(varying, np.ones(len(points)), TSNE_COLUMNS, scale=True)
        return TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(reduced)


def pca(rec: np.ndarray, src: np.ndarray, components: int = 2, scale: bool = False) -> Projection:
    """One PCA of both tasks; each weighs one half, so that the more frequent one does not tilt the axes.

    Args:
        components: number of axes, at most d.
        scale: divide columns by their standard deviation first.
    """
    rec, src = _clouds(rec, src)
    most = min(rec.shape[1], len(rec) + len(src))
    if not 1 <= components <= most:
        raise DataError(f"pca: components={components} must lie in 1 to {most}, the smaller of columns and points.")
    weights = np.repeat([1 / len(rec), 1 / len(src)], [len(rec), len(src)])
    both, shares = principal(np.concatenate([rec, src]), weights, components, scale)
    return Projection(both[: len(rec)], both[len(rec) :], shares)


def silhouette(rec: np.ndarray, src: np.ndarray) -> float:
    """Mean over points of (b - a) / max(a, b): a, b the mean Euclidean distance to own and other task's points.

    1 far apart, 0 mixed (Rousseeuw 1987). It asks for two compact clouds: rings inside each other get about 0.
    """
    return float(silhouettes(*_pooled(rec, src))[0])


def mmd(rec: np.ndarray, src: np.ndarray, bandwidth: float | None = None) -> float:
    """Squared maximum mean discrepancy, kernel exp(-r² / 2 bandwidth²): 0 on average for equal distributions.

    The unbiased estimate of Gretton et al. (2012, eq. 3), which can be a little below 0. The default bandwidth
    is the median distance between pooled points (of the positive distances, where that is 0).
    """
    if bandwidth is not None and not bandwidth > 0:
        raise ConfigError(f"mmd: bandwidth={bandwidth} must be above 0, or None for the median distance.")
    return float(mmds(*_pooled(rec, src), bandwidth)[0])


def kde_overlap(rec2d: np.ndarray, src2d: np.ndarray) -> float:
    """Integral of min(p, q), the densities of the tasks in the plane: 1 the same, 0 apart.

    Gaussian kernels with Scott's bandwidth, as `scipy.stats.gaussian_kde` has them, on a common grid of 192 x 192
    and summed by fast Fourier transforms. A kernel is at least 1.4 cells wide: points on a line have a density too,
    and what is finer than about a hundredth of the picture counts as that wide.
    """
    pool, labels = _pooled(rec2d, src2d)
    if pool.points.shape[1] != 2:
        raise DataError(f"kde_overlap: needs points in the plane, (n, 2), not {pool.points.shape[1]} columns; see pca.")
    return float(overlaps(pool.points, labels)[0])


def probe_accuracy(rec: np.ndarray, src: np.ndarray, *, groups: Groups = None, seed: int = 0) -> float:
    """Balanced accuracy of a linear probe for the task on held-out points: 1 can be told apart, 0.5 chance.

    Five-fold cross-validation; a group is never in training and test at once. The probe is Fisher's linear
    discriminant on standardised columns with a shrunk covariance (Ledoit and Wolf 2004) and the threshold
    midway between the tasks' means: a closed form, so that hundreds of shuffled tasks cost one factorisation.
    """
    return float(probes(*_pooled(rec, src, groups), seed)[0])


def principal_angles(rec: np.ndarray, src: np.ndarray, components: int = COMPONENTS) -> np.ndarray:
    """Angles in degrees, largest first, between the leading principal subspaces of the two tasks.

    Each task is centred on its own mean: this compares the directions in which the tasks spread, not where they
    lie. Two equal clouds far apart have angles 0, and two clouds around one centre can be at right angles.

    Args:
        components: dimensions of each subspace; at most d / 2 are used (larger ones always meet) and
            no more than either task spreads over, so the result has (k,) angles, k <= components.

    Raises:
        DataError: all points of one task are equal, so it has no directions.
    """
    rec, src = _clouds(rec, src)
    if components < 1:
        raise ConfigError(f"principal_angles: components={components} must be at least 1.")
    for name, points in ((REC, rec), (SRC, src)):
        if not spreads(points).any():
            raise DataError(f"principal_angles: all points of {name} are equal, so they spread in no direction.")
    return angles(rec, src, components)


def relabel(is_rec: np.ndarray, groups: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Tasks (permutations, N) that would be as likely as the given ones (N,) if the task did not matter.

    Points of one group and task stay together, since they depend on each other. A group with points of both
    tasks swaps them, or not, by a fair coin: this keeps what its points have in common. Groups with points of one
    task exchange their tasks among themselves. With each point a group of its own it is the plain shuffle.
    """
    _, code = np.unique(groups, return_inverse=True)
    with_rec, with_src = (np.bincount(code, weights=task) > 0 for task in (is_rec, ~is_rec))
    both = with_rec & with_src
    swap = rng.random((permutations, len(both))) < 0.5
    task = np.tile(with_rec, (permutations, 1))  # of the groups
    task[:, ~both] = rng.permuted(task[:, ~both], axis=1)
    return np.where(both[code], is_rec ^ swap[:, code], task[:, code])


def separation(
    rec: np.ndarray,
    src: np.ndarray,
    *,
    permutations: int = 200,
    seed: int = 0,
    groups: Groups = None,
    max_points: int = 1000,
    statistics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """How far two clouds lie apart, and how far they would if the tasks were shuffled by `relabel`.

    Args:
        permutations: shuffles; the angle, which is slow, gets at most 50.
        groups: such as the users of the points of both tasks; without them all points count as independent.
        max_points: of each task, drawn by the seed; with groups one point of each, then a second, and so on,
            in one order for both tasks, so that users with points of both keep both.
        statistics: some of ``silhouette``, ``probe accuracy``, ``MMD²``, ``KDE overlap`` (in the plane of an
            unweighted PCA, which cannot see the tasks; the one of `pca` for equal counts) and
            ``principal angle`` (mean in degrees); default all.

    Returns:
        One row per statistic: ``value``, ``permuted mean`` and ``permuted sd``, ``z`` (standard deviations by
        which the tasks are further apart than shuffled ones), ``p`` = (1 + shuffles at least as far apart) /
        (1 + permutations), ``permutations``, and ``apart``, whether high or low values mean apart. A statistic
        that is not defined, such as angles where a task is a single point, is NaN.
    """
    if permutations < 1 or max_points < LEAST:
        raise ConfigError(f"separation: permutations={permutations} must be at least 1, max_points at least {LEAST}.")
    chosen = list(_APART) if statistics is None else list(statistics)
    for name in chosen:
        if name not in _APART:
            raise unknown("statistic", name, _APART)
    rng = np.random.default_rng(seed)
    pool, observed = _thinned(*_pooled(rec, src, groups), max_points, rng)
    labels = np.concatenate([observed, relabel(observed[0], pool.groups, permutations, rng)])  # (1 + P, N)
    with tqdm(chosen, "shuffle the tasks", leave=False, disable=None) as names:
        rows = {name: _row(_values(name, pool, labels, seed), _APART[name]) for name in names}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("statistic")


_APART = {
    "silhouette": "high", "probe accuracy": "high", "MMD²": "high", "KDE overlap": "low", "principal angle": "high",
}  # fmt: skip


def _values(name: str, pool: Pool, labels: np.ndarray, seed: int) -> np.ndarray:
    """A statistic for each row of labels (P, N), true where a point is taken for rec."""
    if name == "silhouette":
        return silhouettes(pool, labels)
    if name == "probe accuracy":
        return probes(pool, labels, seed)
    if name == "MMD²":
        return mmds(pool, labels)
    if name == "KDE overlap":
        return overlaps(principal(pool.points, np.ones(len(pool.points)), 2)[0], labels)
    return mean_angles(pool, labels[: 1 + ANGLE_PERMUTATIONS], COMPONENTS)


def _row(values: np.ndarray, apart: str) -> dict[str, object]:
    value, shuffled = values[0], values[1:]
    sign, sd = (1 if apart == "high" else -1), np.std(shuffled)
    slack = 1e-9 * max(1e-9, np.abs(values).max())  # a shuffle can be the given tasks again, summed in another order
    further = int((sign * (shuffled - value) >= -slack).sum())
    return {
        "value": value,
        "permuted mean": shuffled.mean(),
        "permuted sd": sd,
        "z": sign * (value - shuffled.mean()) / sd if sd > 0 else np.nan,
        "p": (1 + further) / (1 + len(shuffled)) if np.isfinite(value) else np.nan,
        "permutations": len(shuffled),
        "apart": apart,
    }


def _pooled(rec: np.ndarray, src: np.ndarray, groups: Groups = None) -> tuple[Pool, np.ndarray]:
    """Checked points of both tasks and their labels (1, N)."""
    rec, src = _clouds(rec, src)
    n, points = len(rec), np.concatenate([rec, src])
    return Pool(points, _group_codes(groups, n, len(src))), (np.arange(len(points)) < n)[None]


def _group_codes(groups: Groups, n: int, m: int) -> np.ndarray:
    if groups is None:
        return np.arange(n + m)
    given = [np.asarray(group) for group in groups]
    if [group.shape for group in given] != [(n,), (m,)]:
        raise DataError(f"groups must be two, of {n} and {m} entries, one per point of rec and of src.")
    for name, group in zip((REC, SRC), given, strict=True):
        if len(np.unique(group)) < LEAST:
            raise DataError(f"groups: {name} has {len(np.unique(group))} groups, fewer than {LEAST}; add more users.")
    return np.unique(np.concatenate(given), return_inverse=True)[1]


def _thinned(pool: Pool, labels: np.ndarray, most: int, rng: np.random.Generator) -> tuple[Pool, np.ndarray]:
    """At most so many points of each task: a first one of each group, in a drawn order, then a second."""
    order = rng.permutation(pool.groups.max() + 1)[pool.groups]  # (N,)
    drawn = pd.DataFrame({"task": labels[0], "order": order}).sample(frac=1, random_state=rng)
    drawn["turn"] = drawn.groupby(["task", "order"]).cumcount()
    rows = np.sort(drawn.sort_values(["turn", "order"]).groupby("task").head(most).index)
    codes = np.unique(pool.groups[rows], return_inverse=True)[1]
    return Pool(pool.points[rows], codes), labels[:, rows]


def _clouds(rec: np.ndarray, src: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rec, src = _finite(REC, rec), _finite(SRC, src)
    if rec.shape[1] != src.shape[1]:
        raise DataError(f"rec has {rec.shape[1]} columns, src {src.shape[1]}; both need points of one space.")
    for name, points in ((REC, rec), (SRC, src)):
        if len(points) < LEAST:
            raise DataError(f"{name} has {len(points)} points; at least {LEAST} are needed.")
    if (rec == rec[0]).all() and (src == rec[0]).all():
        raise DataError(f"all {len(rec) + len(src)} points of both tasks are equal: has the model collapsed?")
    return rec, src


def _finite(name: str, points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or not points.size:
        raise DataError(f"{name} has shape {points.shape}; it must be (points, columns) and not empty.")
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise DataError(f"{name}: {bad.sum()} of {len(points)} points are not finite, first in row {bad.argmax()}.")
    return points
