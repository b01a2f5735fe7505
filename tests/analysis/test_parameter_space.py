"""Statistics of two clouds against closed forms, loops, scipy and scikit-learn, and p-values against chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import trapezoid
from scipy.linalg import subspace_angles
from scipy.stats import gaussian_kde, norm
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, silhouette_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from gensr_lib.analysis import cloud_statistics as clouds
from gensr_lib.analysis import parameter_space as space
from gensr_lib.errors import ConfigError, DataError

NAMES = ["silhouette", "probe accuracy", "MMD²", "KDE overlap", "principal angle"]


def two(n: int = 60, m: int = 40, d: int = 6, shift: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian clouds with unequal columns, the second shifted along all of them."""
    rng = np.random.default_rng(seed)
    widths = np.linspace(0.5, 2, d)
    return rng.normal(size=(n, d)) * widths, (rng.normal(size=(m, d)) + shift) * widths


def pooled(rec: np.ndarray, src: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([rec, src]), np.repeat([True, False], [len(rec), len(src)])


# ---- each statistic ----------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, 1.0, 9.0])
def test_silhouette_equals_scikit_learn(shift):
    rec, src = two(shift=shift)
    assert space.silhouette(rec, src) == pytest.approx(silhouette_score(*pooled(rec, src)), abs=1e-12)


def test_silhouette_of_two_single_places_is_one_and_of_one_cloud_twice_is_below_zero():
    a, b = np.zeros((10, 2)), np.ones((12, 2))
    assert space.silhouette(a, b) == pytest.approx(1)
    cloud = two()[0]
    assert -0.1 < space.silhouette(cloud, cloud) < 0  # the other task holds the point itself, one's own does not


def loop_mmd(x: np.ndarray, y: np.ndarray, bandwidth: float) -> float:
    def mean(a, b, same):
        kernel = [
            np.exp(-((p - q) ** 2).sum() / (2 * bandwidth**2))
            for i, p in enumerate(a)
            for j, q in enumerate(b)
            if not (same and i == j)
        ]
        return sum(kernel) / len(kernel)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def test_mmd_equals_a_double_loop_with_a_given_bandwidth_and_with_the_median_distance():
    rec, src = two(14, 11, 3)
    points, _ = pooled(rec, src)
    gaps = [np.linalg.norm(p - q) for i, p in enumerate(points) for q in points[:i]]
    assert space.mmd(rec, src, bandwidth=0.8) == pytest.approx(loop_mmd(rec, src, 0.8), abs=1e-12)
    assert space.mmd(rec, src) == pytest.approx(loop_mmd(rec, src, float(np.median(gaps))), abs=1e-12)


def test_mmd_is_near_the_closed_form_for_two_gaussians():
    # E exp(-(x-y)²/2b²) for x - y ~ N(delta, 2) is b / sqrt(b² + 2) exp(-delta² / 2(b² + 2)) in each dimension
    rng, delta, b, n = np.random.default_rng(0), 1.5, 1.2, 1500
    rec, src = rng.normal(size=(n, 2)), rng.normal([delta, 0], size=(n, 2))
    same = (b / np.sqrt(b**2 + 2)) ** 2
    expected = 2 * same * (1 - np.exp(-(delta**2) / (2 * (b**2 + 2))))
    assert space.mmd(rec, src, bandwidth=b) == pytest.approx(expected, rel=0.06)


def test_mmd_of_points_that_mostly_coincide_uses_the_positive_distances():
    rec = np.repeat([[0.0, 0.0]], 12, axis=0)
    src = rec.copy()
    src[0, 0] = 2.0  # the only positive distance, hence the bandwidth
    far = np.exp(-0.5)
    assert space.mmd(rec, src) == pytest.approx(1 + (1 + (10 * 11 + 2 * 11 * far) / 132 - 1) - 2 * (11 + far) / 12)


@pytest.mark.parametrize("delta", [0.0, 1.0, 2.0, 4.0])
def test_kde_overlap_is_near_the_closed_form_for_two_gaussians(delta):
    rng = np.random.default_rng(1)
    rec, src = rng.normal(size=(3000, 2)), rng.normal([0, delta], size=(3000, 2))
    assert space.kde_overlap(rec, src) == pytest.approx(2 * norm.cdf(-delta / 2), abs=0.05)


@pytest.mark.parametrize(("seed", "n", "m"), [(0, 80, 200), (2, 80, 200), (5, 80, 200), (8, 10, 11)])
def test_kde_overlap_equals_the_integral_of_scipys_densities(seed, n, m):
    rng = np.random.default_rng(seed)
    rec = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 2))
    src = rng.normal(size=(m, 2)) @ rng.normal(size=(2, 2)) + rng.normal(size=2)
    points, _ = pooled(rec, src)
    axes = [np.linspace(c.min() - np.ptp(c), c.max() + np.ptp(c), 300) for c in points.T]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    least = np.minimum(*(gaussian_kde(x.T)(grid.reshape(2, -1)) for x in (rec, src))).reshape(300, 300)
    expected = trapezoid(trapezoid(least, axes[1], axis=1), axes[0])
    assert space.kde_overlap(rec, src) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("direction", [[1.0, 0.0], [1.0, 1.0], [1.0, -3.0]])
def test_kde_overlap_of_points_on_lines(direction):
    along = np.linspace(-1, 1, 50)[:, None] * direction
    assert space.kde_overlap(along, along) == pytest.approx(1)
    assert space.kde_overlap(along, along + 9) == pytest.approx(0, abs=1e-4)
    assert space.kde_overlap(along, along * 0) < 0.5  # all of one task in one place


def test_kde_overlap_needs_the_plane():
    with pytest.raises(DataError, match=r"points in the plane, \(n, 2\), not 6 columns; see pca"):
        space.kde_overlap(*two())


def spread_in_plane(basis: np.ndarray, n: int = 200) -> np.ndarray:
    weights = np.random.default_rng(n).normal(size=(n, basis.shape[1])) * [3.0, 2.0]
    return weights @ basis.T


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0])
def test_principal_angles_of_planes_that_share_a_line(angle):
    t = np.radians(angle)
    first = np.eye(4)[:, :2]
    second = np.array([[1, 0], [0, np.cos(t)], [0, np.sin(t)], [0, 0]])
    found = space.principal_angles(spread_in_plane(first), spread_in_plane(second, 150) + 100, components=2)
    assert found == pytest.approx([angle, 0], abs=1e-5)


def test_principal_angles_equal_those_of_scikit_learns_components():
    rec, src = two(80, 50, 9, seed=4)
    axes = [PCA(3, svd_solver="full").fit(x).components_.T for x in (rec, src)]
    assert space.principal_angles(rec, src, 3) == pytest.approx(np.degrees(subspace_angles(*axes)), abs=1e-6)


def test_principal_angles_use_no_more_dimensions_than_make_sense():
    rec, src = two(d=6)
    assert space.principal_angles(rec, src).shape == (3,)  # half of six columns
    assert space.principal_angles(spread_in_plane(np.eye(9)[:, :2]), two(d=9)[1]).shape == (2,)  # rec is flat
    with pytest.raises(DataError, match="all points of src are equal, so they spread in no direction"):
        space.principal_angles(rec, np.full((10, 6), 0.1))
    with pytest.raises(ConfigError, match="components=0 must be at least 1"):
        space.principal_angles(rec, src, 0)


def test_probe_equals_scikit_learns_discriminant_on_the_same_folds():
    rec, src = two(85, 35, 8, shift=0.4)
    points, task = pooled(rec, src)
    fold = np.random.default_rng(3).permutation(120) % clouds.FOLDS
    pool = clouds.Pool(points, np.arange(120))
    answers = np.empty(120, dtype=bool)
    for k in range(clouds.FOLDS):
        train, test = fold != k, fold == k
        z = StandardScaler().fit(points[train])
        covariance, _ = ledoit_wolf(z.transform(points[train]), assume_centered=True)
        given = type("Given", (), {"fit": lambda self, x, c=covariance: setattr(self, "covariance_", c) or self})()
        lda = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=given, priors=[0.5, 0.5])
        lda.fit(z.transform(points[train]), task[train])
        answers[test] = lda.predict(z.transform(points[test]))
    expected = balanced_accuracy_score(task, answers)
    assert 0.6 < expected < 0.95
    assert clouds.probes(pool, task[None], seed=3)[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [0.2, 0.6])
def test_probe_does_about_as_well_as_logistic_regression(shift):
    rec, src = two(600, 300, 10, shift=shift)
    points, task = pooled(rec, src)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    expected = balanced_accuracy_score(task, cross_val_predict(model, points, task, cv=5))
    assert space.probe_accuracy(rec, src) == pytest.approx(expected, abs=0.03)


def test_probe_does_not_see_a_users_rows_in_training_and_test():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(30), 8)
    points = rng.normal(size=(30, 25))[users] * 5 + rng.normal(size=(240, 25))  # a user can be recognised
    task = users % 2 == 0
    rec, src, groups = points[task], points[~task], (users[task], users[~task])
    folds = GroupKFold(5).split(points, task, users)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    honest = balanced_accuracy_score(task, cross_val_predict(model, points, task, cv=folds))
    assert space.probe_accuracy(rec, src) > 0.95
    assert space.probe_accuracy(rec, src, groups=groups) == pytest.approx(honest, abs=0.2)
    assert space.probe_accuracy(rec, src, groups=groups) < 0.7


def test_probe_ignores_columns_that_are_constant_or_copies_and_the_units():
    rec, src = two()
    value = space.probe_accuracy(rec, src)
    assert space.probe_accuracy(rec * 1000 + 5, src * 1000 + 5) == value
    wide = [np.hstack([x, np.full((len(x), 2), 0.1), x[:, :1]]) for x in (rec, src)]
    assert abs(space.probe_accuracy(*wide) - value) < 0.1
    assert space.probe_accuracy(np.zeros((10, 1)), np.eye(10)[:, :1] * 1e-3) == pytest.approx(0.5, abs=0.1)


# ---- pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [False, True])
def test_pca_equals_scikit_learns_for_equal_counts(scale):
    rec, src = two(50, 50)
    points, _ = pooled(rec, src)
    reference = PCA(3, svd_solver="full")
    expected = reference.fit_transform(StandardScaler().fit_transform(points) if scale else points)
    found = space.pca(rec, src, 3, scale=scale)
    both = np.concatenate([found.rec, found.src])
    assert np.abs(both) == pytest.approx(np.abs(expected), abs=1e-9)
    assert found.explained == pytest.approx(reference.explained_variance_ratio_, abs=1e-12)


def test_pca_weighs_both_tasks_alike():
    rec, src = two(60, 40)
    once, often = space.pca(rec, src), space.pca(rec, np.tile(src, (7, 1)))
    assert often.rec == pytest.approx(once.rec, abs=1e-9)
    assert often.explained == pytest.approx(once.explained, abs=1e-12)
    assert once.rec.mean(axis=0) + once.src.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    with pytest.raises(DataError, match="components=7 must lie in 1 to 6"):
        space.pca(rec, src, 7)


def test_pca_has_fixed_signs():
    rec, src = two()
    points, _ = pooled(rec, src)
    found, _ = pooled(space.pca(rec, src, 6).rec, space.pca(rec, src, 6).src)
    middle = (rec.mean(axis=0) + src.mean(axis=0)) / 2
    axes = np.linalg.lstsq(points - middle, found, rcond=None)[0]  # (d, k)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0) > 0).all()


def test_tsne_keeps_neighbours_and_is_the_same_for_a_seed():
    rec, src = two(60, 60, 5, shift=6)
    points, task = pooled(rec, src)
    found = space.tsne(points, perplexity=15, seed=1)
    assert found.shape == (120, 2)
    assert silhouette_score(found, task) > 0.5
    with threadpool_limits(limits=2):
        constant = np.hstack([points, np.ones((120, 1))])
        assert np.array_equal(space.tsne(constant, perplexity=15, seed=1), found)


def test_tsne_standardises_columns():
    points = two(45, 45, 4)[0]
    rescaled = points * [4, 0.25, 1024, 1]  # powers of two: no rounding
    assert np.array_equal(space.tsne(points, perplexity=10), space.tsne(rescaled, perplexity=10))


@pytest.mark.parametrize(
    ("points", "perplexity", "message"),
    [
        (np.eye(59), 20, "perplexity 20 needs at least 60 points, there are 59; .* at most 19.7"),
        (np.eye(59), 0, "perplexity 0 needs"),
        (np.hstack([np.eye(60)[:, :1], np.ones((60, 3))]), 20, "1 of 4 columns vary"),
        (np.where(np.eye(60) > 0, np.nan, 0), 20, "points: 60 of 60 points are not finite, first in row 0"),
        (np.ones(5), 1, r"points has shape \(5,\)"),
    ],
)
def test_tsne_refuses(points, perplexity, message):
    with pytest.raises(DataError, match=message):
        space.tsne(points, perplexity=perplexity)


# ---- relabelling -------------------------------------------------------------------------------


def test_relabelling_single_points_is_the_plain_shuffle():
    task = np.repeat([True, False], [3, 2])
    drawn = space.relabel(task, np.arange(5), 4000, np.random.default_rng(0))
    assert (drawn.sum(axis=1) == 3).all()
    labellings, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(labellings) == 10  # 5 choose 3
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400)


def test_relabelling_swaps_whole_groups_with_both_tasks_and_exchanges_the_others():
    groups = np.array(["a", "a", "a", "b", "b", "c", "c", "d", "e"])
    task = np.array([True, True, False, True, False, True, True, False, False])
    drawn = space.relabel(task, groups, 3000, np.random.default_rng(0))
    swaps = [(drawn[:, groups == g] != task[groups == g]) for g in "ab"]
    assert all((s == s[:, :1]).all() for s in swaps)
    assert [s[:, 0].mean() for s in swaps] == pytest.approx([0.5, 0.5], abs=0.05)
    assert (drawn[:, 5] == drawn[:, 6]).all()
    single = drawn[:, [5, 7, 8]]
    assert (single.sum(axis=1) == 1).all()  # one of the three groups with one task is rec
    assert single.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.05)
    assert abs(np.corrcoef(swaps[0][:, 0], swaps[1][:, 0])[0, 1]) < 0.1


# ---- separation --------------------------------------------------------------------------------


def explicit(name: str, points: np.ndarray, rec: np.ndarray, given: np.ndarray) -> float:
    if name == "silhouette":
        return silhouette_score(points, rec)
    if name == "MMD²":
        return space.mmd(points[rec], points[~rec])
    if name == "KDE overlap":
        plane = PCA(2, svd_solver="full").fit_transform(points)
        return space.kde_overlap(plane[rec], plane[~rec])
    if name == "principal angle":
        centred = points - np.where(given[:, None], points[given].mean(axis=0), points[~given].mean(axis=0))
        return space.principal_angles(centred[rec], centred[~rec]).mean()
    return clouds.probes(clouds.Pool(points, np.arange(len(points))), rec[None], seed=5)[0]


@pytest.mark.parametrize("name", NAMES)
def test_separation_equals_a_loop_over_relabellings(name):
    rec, src = two(30, 20, shift=0.1)
    points, task = pooled(rec, src)
    row = space.separation(rec, src, permutations=60, seed=5, statistics=[name]).loc[name]
    drawn = drawn_by_separation(rec, src, 60, 5)
    values = [explicit(name, points, labels, task) for labels in [task, *drawn[: int(row["permutations"])]]]
    value, shuffled = values[0], np.array(values[1:])
    further = shuffled <= value if row["apart"] == "low" else shuffled >= value
    assert row["value"] == pytest.approx(value, abs=1e-9)
    assert row["permuted mean"] == pytest.approx(shuffled.mean(), abs=1e-9)
    assert row["permuted sd"] == pytest.approx(shuffled.std(), abs=1e-9)
    sign = -1 if name == "KDE overlap" else 1
    assert row["z"] == pytest.approx(sign * (value - shuffled.mean()) / shuffled.std(), abs=1e-6)
    assert row["p"] == pytest.approx((1 + further.sum()) / (1 + len(shuffled)))


def drawn_by_separation(rec, src, permutations, seed) -> np.ndarray:
    """The relabellings that `separation` uses, caught on their way."""
    caught, original = [], space.relabel
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "relabel", lambda *given: caught.append(original(*given)) or caught[-1])
        space.separation(rec, src, permutations=permutations, seed=seed, statistics=["silhouette"])
    return caught[0]


def test_separation_gives_the_values_of_the_functions():
    rec, src = two(50, 50, shift=0.5)
    table = space.separation(rec, src, permutations=5, seed=2)
    assert table.index.tolist() == NAMES
    plane = space.pca(rec, src)
    expected = {
        "silhouette": space.silhouette(rec, src),
        "probe accuracy": space.probe_accuracy(rec, src, seed=2),
        "MMD²": space.mmd(rec, src),
        "KDE overlap": space.kde_overlap(plane.rec, plane.src),
        "principal angle": space.principal_angles(rec, src).mean(),
    }
    assert table["value"].to_dict() == pytest.approx(expected, abs=1e-9)


def test_separation_of_far_clouds_has_the_least_p_and_equal_directions():
    rec, src = two(120, 120, shift=8)
    table = space.separation(rec, src, permutations=99)
    position = table.drop("principal angle")
    assert (position["p"] == 1 / 100).all()
    assert (position["z"] > 5).all()
    assert table["value"][["probe accuracy", "KDE overlap"]].tolist() == pytest.approx([1, 0], abs=1e-3)
    assert table.loc["principal angle", "p"] > 0.05  # far apart, but spread alike
    assert table.loc["principal angle", "permutations"] == space.ANGLE_PERMUTATIONS


def test_separation_of_concentric_clouds_sees_the_directions():
    rng = np.random.default_rng(0)
    widths = np.array([5.0, 4, 1, 1])
    rec, src = rng.normal(size=(150, 4)) * widths, rng.normal(size=(150, 4)) * widths[::-1]
    table = space.separation(rec, src, permutations=99)
    assert table.loc["principal angle", "p"] == 1 / 51
    assert table.loc["principal angle", "value"] > 80


@pytest.mark.parametrize("kind", ["points", "pairs", "users"])
def test_p_values_of_equal_distributions_are_uniform(kind):
    def draw(rng):
        if kind == "points":
            return (*two(40, 25, shift=0, seed=int(rng.integers(1e9))), None)
        users = rng.normal(size=(30, 5)) * 3
        of_rec, of_src = (np.arange(30),) * 2 if kind == "pairs" else (np.arange(60) % 15, 15 + np.arange(45) % 15)
        near = [users[g] + rng.normal(size=(len(g), 5)) for g in (of_rec, of_src)]
        return (*near, (of_rec, of_src))

    found, names = [], NAMES if kind == "points" else ["silhouette", "probe accuracy", "MMD²"]
    for seed in range(20):
        rec, src, groups = draw(np.random.default_rng(seed))
        table = space.separation(rec, src, permutations=29, seed=seed, groups=groups, statistics=names)
        found.append(table["p"])
    p = pd.DataFrame(found)
    assert p.mean().between(0.3, 0.7).all()  # 0.5 +- 3 standard errors of 0.065
    assert (p <= 0.1).mean().max() < 0.37  # 0.1 + 4 standard errors


def test_without_groups_users_with_several_points_seem_separate():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(20), 10)
    points = rng.normal(size=(20, 6))[users] * 3 + rng.normal(size=(200, 6))
    task = users < 10
    given = points[task], points[~task]
    table = space.separation(*given, permutations=39, statistics=["MMD²"])
    honest = space.separation(*given, permutations=39, statistics=["MMD²"], groups=(users[task], users[~task]))
    assert table.loc["MMD²", "p"] == 1 / 40
    assert honest.loc["MMD²", "p"] > 0.1
    assert honest.loc["MMD²", "value"] == table.loc["MMD²", "value"]


def test_thinning_keeps_pairs_and_takes_a_point_of_each_group_first():
    users = np.repeat(np.arange(50), 4)
    pool = clouds.Pool(np.arange(200.0)[:, None], users)
    task = np.tile([True, True, False, False], 50)
    thin, labels = space._thinned(pool, task[None], 20, np.random.default_rng(0))
    of_rec, of_src = (users[thin.points[side, 0].astype(int)] for side in (labels[0], ~labels[0]))
    assert len(set(of_rec)) == 20
    assert set(of_rec) == set(of_src)
    assert thin.groups.max() + 1 == 20
    more, labels = space._thinned(pool, task[None], 70, np.random.default_rng(0))
    assert np.bincount(users[more.points[labels[0], 0].astype(int)]).tolist().count(2) == 20  # 50 firsts, 20 seconds
    everything, same = space._thinned(pool, task[None], 1000, np.random.default_rng(0))
    assert np.array_equal(everything.points, pool.points) and np.array_equal(same[0], task)


def test_separation_is_the_same_for_a_seed_and_thread_count():
    rec, src = two(80, 90, 12, shift=0.3)
    table = space.separation(rec, src, permutations=20, seed=1, max_points=50)
    with threadpool_limits(limits=2):
        again = space.separation(rec, src, permutations=20, seed=1, max_points=50)
    pd.testing.assert_frame_equal(table, again, atol=1e-9)
    other = space.separation(rec, src, permutations=20, seed=2, max_points=50)
    assert (table["value"] != other["value"]).all()


def test_separation_where_one_task_is_a_single_point():
    rec, src = two(30, 30, shift=3)
    table = space.separation(rec, np.full_like(src, 0.1), permutations=9)
    assert table.loc["principal angle", ["value", "p"]].isna().all()
    assert table.drop("principal angle")[["value", "p"]].notna().all(axis=None)


# ---- what is refused ---------------------------------------------------------------------------

GOOD = np.random.default_rng(0).normal(size=(12, 3))
BAD = np.where(np.arange(36).reshape(12, 3) == 17, np.inf, GOOD)
FUNCTIONS = [space.silhouette, space.mmd, space.kde_overlap, space.probe_accuracy,
             space.principal_angles, space.pca, space.separation]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("rec", "src", "message"),
    [
        (GOOD[:9], GOOD, "rec has 9 points; at least 10"),
        (GOOD, GOOD[:, :2], "rec has 3 columns, src 2"),
        (GOOD, BAD, "src: 1 of 12 points are not finite, first in row 5"),
        (GOOD[:, 0], GOOD, r"rec has shape \(12,\)"),
        (GOOD, GOOD[:0], r"src has shape \(0, 3\)"),
        (np.ones((10, 2)), np.ones((11, 2)), "all 21 points of both tasks are equal: has the model collapsed"),
    ],
)
def test_bad_clouds(function, rec, src, message):
    with pytest.raises(DataError, match=message):
        function(rec, src)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"statistics": ["silhouete"]}, ConfigError, "unknown statistic 'silhouete'; did you mean 'silhouette'"),
        ({"permutations": 0}, ConfigError, "permutations=0 must be at least 1"),
        ({"max_points": 9}, ConfigError, "max_points at least 10"),
        ({"groups": (np.arange(12), np.arange(11))}, DataError, "groups must be two, of 12 and 12 entries"),
        ({"groups": (np.arange(12), np.arange(12) // 2)}, DataError, "src has 6 groups, fewer than 10"),
    ],
)
def test_bad_options(changes, error, message):
    with pytest.raises(error, match=message):
        space.separation(GOOD, GOOD + 1, **changes)


def test_mmd_refuses_a_bandwidth_of_zero():
    with pytest.raises(ConfigError, match="bandwidth=0 must be above 0"):
        space.mmd(GOOD, GOOD, bandwidth=0)
