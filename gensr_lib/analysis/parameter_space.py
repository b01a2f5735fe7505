"""Do the points of two tasks lie apart? Pictures of two clouds (§6.3.1, figure 3), and numbers.

A picture shows two colours apart or mixed; how far that is from chance it does not say.
`separation` gives five statistics (`cloud_statistics`), each with its value for shuffled tasks;
`tsne` and `pca` give the coordinates of the pictures.

Everywhere ``rec`` (n, d) and ``src`` (m, d) are the points of the two tasks, such as a model's
hidden states. They must be finite, of one width, at least 10 of each and not all equal: otherwise
a `DataError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from sklearn.utils.extmath import svd_flip
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from ..data.schema import REC, SRC
from ..errors import ConfigError, DataError, unknown
from . import cloud_statistics as clouds

LEAST = 10  # points, and groups, of each task
TSNE_COLUMNS = 50  # van der Maaten and Hinton (2008) reduce to 30 to 50 columns first
STATISTICS = {  # and whether high or low values mean apart
    "silhouette": (clouds.silhouettes, "high"),
    "probe accuracy": (clouds.probes, "high"),
    "MMD²": (clouds.mmds, "high"),
    "KDE overlap": (clouds.overlaps, "low"),
    "principal angle": (clouds.mean_angles, "high"),
}
Groups = tuple[Sequence, Sequence] | None


@dataclass(frozen=True)
class Projection:
    """Points on common axes, ``rec`` (n, k) and ``src`` (m, k); ``explained`` (k,) of variance."""

    rec: np.ndarray
    src: np.ndarray
    explained: np.ndarray


def tsne(points: np.ndarray, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Coordinates (n, 2) of points (n, d) by t-SNE (van der Maaten and Hinton 2008).

    Columns are standardised and reduced to 50 by PCA, which also gives the first layout. It runs on
    one thread, so that a seed gives the same coordinates whatever the number of cores
    (scikit-learn's ``n_jobs`` only reaches the search for neighbours). 2,000 points take some 10
    seconds. Distances between clusters, and their sizes, are not kept.

    Raises:
        DataError: fewer than 3 x perplexity points or two varying columns, a value not finite.
    """
    points = _finite("points", points)
    n = len(points)
    if not 0 < 3 * perplexity <= n:
        raise DataError(
            f"t-SNE: perplexity {perplexity:g} needs at least {3 * perplexity:g} points, not {n}; "
            f"give more points or a perplexity of at most {n / 3:.3g} (and above 0)."
        )
    varying = points[:, np.ptp(points, axis=0) > 0]
    columns = varying.shape[1]
    if columns < 2:
        raise DataError(f"t-SNE: {columns} of {points.shape[1]} columns vary; at least two must.")
    with threadpool_limits(limits=1):
        reduce = PCA(min(TSNE_COLUMNS, columns, n), svd_solver="full")
        reduced = reduce.fit_transform(StandardScaler().fit_transform(varying))
        layout = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
        return layout.fit_transform(reduced)


def pca(rec: np.ndarray, src: np.ndarray, components: int = 2) -> Projection:
    """One PCA of both tasks on ``components`` axes, at most d.

    Each task weighs one half, so that the more frequent one does not tilt the axes.
    """
    rec, src = _clouds(rec, src)
    n = len(rec)
    both = np.concatenate([rec, src])
    if not 1 <= components <= min(both.shape):
        raise DataError(f"pca: components={components} must lie in 1 to {min(both.shape)}.")
    weights = np.repeat([0.5 / n, 0.5 / len(src)], [n, len(src)])
    both = both - weights @ both
    u, singular, axes = np.linalg.svd(both * np.sqrt(weights)[:, None], full_matrices=False)
    _, axes = svd_flip(u, axes, u_based_decision=False)  # equal signs for equal pictures
    both = both @ axes[:components].T
    explained = singular**2 / (singular**2).sum()
    return Projection(both[:n], both[n:], explained[:components])


def kde_overlap(rec2d: np.ndarray, src2d: np.ndarray) -> float:
    """Area that the densities of the tasks share in the plane: `cloud_statistics.overlap`."""
    rec, src = _clouds(rec2d, src2d)
    if rec.shape[1] != 2:
        raise DataError(f"kde_overlap: needs points (n, 2), not {rec.shape[1]} columns; see pca.")
    return clouds.overlap(rec, src)


def relabel(
    is_rec: np.ndarray, groups: np.ndarray, permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """Tasks (permutations, N) as likely as the given ones (N,) if the task did not matter.

    Points of one group and task stay together, since they depend on each other. A group with points
    of both tasks swaps them, or not, by a fair coin: this keeps what its points have in common.
    Groups with points of one task exchange their tasks among themselves. With each point a group of
    its own it is the plain shuffle.
    """
    _, code = np.unique(groups, return_inverse=True)
    with_rec = np.bincount(code, weights=is_rec) > 0
    with_src = np.bincount(code, weights=~is_rec) > 0
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
    statistics: Sequence[str] = tuple(STATISTICS),
) -> pd.DataFrame:
    """How far two clouds lie apart, and how far they would if the tasks were shuffled by `relabel`.

    Args:
        permutations: shuffles; the angle, which is slow, gets at most 50.
        groups: (n,) and (m,), such as the user of each point; without them all points count as
            independent. At least 10 for each task.
        max_points: of each task, drawn by the seed; with groups one point of each, then a second,
            and so on, in one order for both tasks, so that users with points of both keep both.
        statistics: some of ``silhouette``, ``probe accuracy``, ``MMD²``, ``KDE overlap`` (in the
            plane of a PCA without weights) and ``principal angle`` (mean in degrees).

    Returns:
        One row per statistic: ``value``, ``permuted mean`` and ``permuted sd``, ``z`` (standard
        deviations by which the tasks are further apart than shuffled ones), ``p`` = (1 + shuffles
        at least as far apart) / (1 + permutations), ``permutations``, and ``apart``, whether high
        or low values mean apart. A statistic that is not defined, such as angles where a task is a
        single point, is NaN.
    """
    if permutations < 1 or max_points < LEAST:
        raise ConfigError(f"permutations={permutations} must be 1, max_points {LEAST} at least.")
    for name in statistics:
        if name not in STATISTICS:
            raise unknown("statistic", name, STATISTICS)
    rec, src = _clouds(rec, src)
    rng = np.random.default_rng(seed)
    is_rec = np.arange(len(rec) + len(src)) < len(rec)
    codes = _group_codes(groups, len(rec), len(src))
    rows = _thinned(is_rec, codes, max_points, rng)
    is_rec = is_rec[rows]
    codes = np.unique(codes[rows], return_inverse=True)[1]
    pool = clouds.Pool(np.concatenate([rec, src])[rows], codes)
    labels = np.vstack([is_rec, relabel(is_rec, codes, permutations, rng)])  # (1 + P, N)
    table = {}
    for name in tqdm(statistics, "shuffle the tasks", leave=False, disable=None):
        function, apart = STATISTICS[name]
        table[name] = _row(function(pool, labels), apart)
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("statistic")


def _row(values: np.ndarray, apart: str) -> dict[str, object]:
    """What `separation` says of a statistic with these values, the first for the given tasks."""
    value = values[0]
    shuffled = values[1:]
    sign = 1 if apart == "high" else -1
    sd = np.std(shuffled)
    # A shuffle can be the given tasks again, summed in another order.
    slack = 1e-9 * max(1e-9, np.abs(values).max())
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


def _thinned(
    is_rec: np.ndarray, groups: np.ndarray, most: int, rng: np.random.Generator
) -> np.ndarray:
    """At most so many rows of each task: one of each group in drawn order, then a second."""
    order = rng.permutation(groups.max() + 1)[groups]  # (N,)
    drawn = pd.DataFrame({"task": is_rec, "order": order}).sample(frac=1, random_state=rng)
    drawn["turn"] = drawn.groupby(["task", "order"]).cumcount()
    return np.sort(drawn.sort_values(["turn", "order"]).groupby("task").head(most).index)


def _group_codes(groups: Groups, n: int, m: int) -> np.ndarray:
    """Group numbers (n + m,) from 0; without groups each point is its own."""
    if groups is None:
        return np.arange(n + m)
    given = [np.asarray(group) for group in groups]
    if [group.shape for group in given] != [(n,), (m,)]:
        raise DataError(f"groups must be two, of {n} and {m} entries, one per point.")
    for name, group in zip((REC, SRC), given, strict=True):
        count = len(np.unique(group))
        if count < LEAST:
            raise DataError(f"groups: {name} has {count}, fewer than {LEAST}; add more users.")
    return np.unique(np.concatenate(given), return_inverse=True)[1]


def _clouds(rec: np.ndarray, src: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rec = _finite(REC, rec)
    src = _finite(SRC, src)
    if rec.shape[1] != src.shape[1]:
        raise DataError(f"rec has {rec.shape[1]} columns, src {src.shape[1]}; give one space.")
    for name, points in ((REC, rec), (SRC, src)):
        if len(points) < LEAST:
            raise DataError(f"{name} has {len(points)} points; at least {LEAST} are needed.")
    if (rec == rec[0]).all() and (src == rec[0]).all():
        raise DataError("all points of both tasks are equal: has the model collapsed?")
    return rec, src


def _finite(name: str, points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or not points.size:
        raise DataError(f"{name} has shape {points.shape}; it must be (points, columns).")
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise DataError(f"{name}: {bad.sum()} points are not finite, first in row {bad.argmax()}.")
    return points
