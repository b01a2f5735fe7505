"""Statistics of two clouds against closed forms, loops, scipy, scikit-learn and chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import trapezoid
from scipy.linalg import subspace_angles
from scipy.stats import gaussian_kde, norm
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

approx = pytest.approx

NAMES = list(space.STATISTICS)


def two(n: int = 60, m: int = 40, d: int = 6, shift: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian clouds with unequal columns, the second shifted along all of them."""
    rng = np.random.default_rng(seed)
    widths = np.linspace(0.5, 2, d)
    return rng.normal(size=(n, d)) * widths, (rng.normal(size=(m, d)) + shift) * widths


def pooled(rec: np.ndarray, src: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([rec, src]), np.repeat([True, False], [len(rec), len(src)])


def value(statistic, rec: np.ndarray, src: np.ndarray, groups=None) -> float:
    """A statistic of `cloud_statistics` for the tasks as they are."""
    points, task = pooled(rec, src)
    codes = np.arange(len(points)) if groups is None else np.concatenate(groups)
    return statistic(clouds.Pool(points, codes), task[None])[0]


# ---- each statistic ----------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0.0, 1.0, 9.0])
def test_silhouette_equals_scikit_learn(shift):
    rec, src = two(shift=shift)
    assert value(clouds.silhouettes, rec, src) == approx(silhouette_score(*pooled(rec, src)), abs=1e-12)


def test_mmd_equals_a_double_loop_with_the_median_distance():
    rec, src = two(14, 11, 3)
    points, _ = pooled(rec, src)
    b = np.median([np.linalg.norm(p - q) for i, p in enumerate(points) for q in points[:i]])

    def mean(a, c, same):
        pairs = [(p, q) for i, p in enumerate(a) for j, q in enumerate(c) if not (same and i == j)]
        return np.mean([np.exp(-((p - q) ** 2).sum() / (2 * b**2)) for p, q in pairs])

    expected = mean(rec, rec, True) + mean(src, src, True) - 2 * mean(rec, src, False)
    assert value(clouds.mmds, rec, src) == approx(expected, abs=1e-12)


def test_mmd_of_points_that_mostly_coincide_uses_the_positive_distances():
    rec = np.repeat([[0.0, 0.0]], 12, axis=0)
    src = rec.copy()
    src[0, 0] = 2.0  # the only positive distance, hence the bandwidth
    far = np.exp(-0.5)
    within_src = (10 * 11 + 2 * 11 * far) / 132
    expected = 1 + within_src - 2 * (11 + far) / 12
    assert value(clouds.mmds, rec, src) == approx(expected)


@pytest.mark.parametrize("delta", [0.0, 1.0, 2.0, 4.0])
def test_kde_overlap_is_near_the_closed_form_for_two_gaussians(delta):
    rng = np.random.default_rng(1)
    rec, src = rng.normal(size=(3000, 2)), rng.normal([0, delta], size=(3000, 2))
    assert space.kde_overlap(rec, src) == approx(2 * norm.cdf(-delta / 2), abs=0.05)


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
    assert space.kde_overlap(rec, src) == approx(expected, abs=0.004)
    assert space.kde_overlap(src * [1e-6, 1e3], rec * [1e-6, 1e3]) == approx(expected, abs=0.004)


@pytest.mark.parametrize("direction", [[1.0, 0.0], [1.0, 1.0], [1.0, -3.0]])
def test_kde_overlap_of_points_on_lines(direction):
    along = np.linspace(-1, 1, 50)[:, None] * direction
    assert space.kde_overlap(along, along) == approx(1)
    assert space.kde_overlap(along, along + 9) == approx(0, abs=1e-4)
    assert space.kde_overlap(along, along + np.array([0, 0.5])) == approx(0, abs=1e-4)
    assert space.kde_overlap(along, along * 0) < 0.5  # all of one task in one place


def test_kde_overlap_needs_the_plane():
    with pytest.raises(DataError, match="6 columns"):
        space.kde_overlap(*two())


def spread_in_plane(basis: np.ndarray, n: int = 200) -> np.ndarray:
    weights = np.random.default_rng(n).normal(size=(n, basis.shape[1])) * [3.0, 2.0]
    return weights @ basis.T


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0])
def test_principal_angles_of_planes_that_share_a_line(angle):
    t = np.radians(angle)
    first = np.eye(4)[:, :2]
    second = np.array([[1, 0], [0, np.cos(t)], [0, np.sin(t)], [0, 0]])
    found = clouds.angles(spread_in_plane(first), spread_in_plane(second, 150) + 100, components=2)
    assert found == approx([angle, 0], abs=1e-5)


def test_principal_angles_equal_those_of_scikit_learns_components():
    rec, src = two(80, 50, 9, seed=4)
    axes = [PCA(3, svd_solver="full").fit(x).components_.T for x in (rec, src)]
    assert clouds.angles(rec, src, 3) == approx(np.degrees(subspace_angles(*axes)), abs=1e-6)


def test_principal_angles_use_no_more_dimensions_than_make_sense():
    rec, src = two(d=6)
    flat = spread_in_plane(np.eye(6)[:, :2])
    assert clouds.angles(rec, src).shape == (3,)  # half of six columns
    assert clouds.angles(flat, src).shape == (2,)
    assert clouds.angles(rec, np.full((10, 6), 0.1)).shape == (0,)


def test_probe_is_fishers_discriminant():
    """With hardly a penalty and equal counts, against scikit-learn's on the same folds."""
    points, task = pooled(*two(60, 60, 8, shift=0.4))
    lda = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5])
    said = cross_val_predict(lda, points, task, groups=np.arange(120), cv=GroupKFold(5))
    expected = balanced_accuracy_score(task, said)
    assert 0.6 < expected < 0.95
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clouds, "PENALTIES", (1e-9,))
        assert value(clouds.probes, points[task], points[~task]) == approx(expected, abs=0.02)


def test_probe_judges_each_labelling_as_if_it_were_alone():
    points, task = pooled(*two(60, 40, shift=0.3))
    labels = np.stack([task, *np.random.default_rng(0).permuted(np.tile(task, (5, 1)), axis=1)])
    pool = clouds.Pool(points, np.arange(100))
    alone = [clouds.probes(pool, labels[[k]])[0] for k in range(6)]
    assert clouds.probes(pool, labels) == approx(np.array(alone), abs=1e-12)


@pytest.mark.parametrize("shift", [0.2, 0.6])
def test_probe_does_about_as_well_as_logistic_regression(shift):
    rec, src = two(600, 300, 10, shift=shift)
    points, task = pooled(rec, src)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    expected = balanced_accuracy_score(task, cross_val_predict(model, points, task, cv=5))
    assert value(clouds.probes, rec, src) == approx(expected, abs=0.03)


def test_probe_does_not_see_a_users_rows_in_training_and_test():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(30), 8)
    points = rng.normal(size=(30, 25))[users] * 5 + rng.normal(size=(240, 25))  # a user can be recognised
    task = users % 2 == 0
    rec, src, groups = points[task], points[~task], (users[task], users[~task])
    folds = GroupKFold(5).split(points, task, users)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    honest = balanced_accuracy_score(task, cross_val_predict(model, points, task, cv=folds))
    assert value(clouds.probes, rec, src) > 0.95
    assert value(clouds.probes, rec, src, groups=groups) == approx(honest, abs=0.2)
    assert value(clouds.probes, rec, src, groups=groups) < 0.7


def test_probe_ignores_columns_that_are_constant_or_copies_and_the_units():
    rec, src = two()
    accuracy = value(clouds.probes, rec, src)
    assert value(clouds.probes, rec * 1000 + 5, src * 1000 + 5) == approx(accuracy)
    wide = [np.hstack([x, np.full((len(x), 2), 0.1), x[:, :1]]) for x in (rec, src)]
    assert value(clouds.probes, *wide) == approx(accuracy, abs=0.1)


# ---- pictures ----------------------------------------------------------------------------------


def test_pca_equals_scikit_learns_for_equal_counts():
    rec, src = two(50, 50)
    reference = PCA(3, svd_solver="full")
    expected = reference.fit_transform(np.concatenate([rec, src]))
    found = space.pca(rec, src, 3)
    assert np.concatenate([found.rec, found.src]) == approx(expected, abs=1e-9)
    assert found.explained == approx(reference.explained_variance_ratio_, abs=1e-12)


def test_pca_weighs_both_tasks_alike():
    rec, src = two(60, 40)
    once, often = space.pca(rec, src), space.pca(rec, np.tile(src, (7, 1)))
    assert often.rec == approx(once.rec, abs=1e-9)
    assert often.explained == approx(once.explained, abs=1e-12)
    assert once.rec.mean(axis=0) + once.src.mean(axis=0) == approx([0, 0], abs=1e-12)
    with pytest.raises(DataError, match="components=7"):
        space.pca(rec, src, 7)


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
        (np.eye(59), 20, "at least 60 points, not 59"),
        (np.eye(59), 0, "perplexity 0"),
        (np.hstack([np.eye(60)[:, :1], np.ones((60, 3))]), 20, "1 of 4 columns vary"),
        (np.where(np.eye(60) > 0, np.nan, 0), 20, "60 points are not finite, first in row 0"),
        (np.ones(5), 1, r"shape \(5,\)"),
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
    assert [s[:, 0].mean() for s in swaps] == approx([0.5, 0.5], abs=0.05)
    assert (drawn[:, 5] == drawn[:, 6]).all()
    single = drawn[:, [5, 7, 8]]
    assert (single.sum(axis=1) == 1).all()  # one of the three groups with one task is rec
    assert single.mean(axis=0) == approx([1 / 3] * 3, abs=0.05)
    assert abs(np.corrcoef(swaps[0][:, 0], swaps[1][:, 0])[0, 1]) < 0.1


# ---- separation --------------------------------------------------------------------------------


def explicit(name: str, points: np.ndarray, rec: np.ndarray, given: np.ndarray) -> float:
    if name == "silhouette":
        return silhouette_score(points, rec)
    if name == "KDE overlap":
        plane = PCA(2, svd_solver="full").fit_transform(points)
        return space.kde_overlap(plane[rec], plane[~rec])
    if name == "principal angle":
        means = points[given].mean(axis=0), points[~given].mean(axis=0)
        centred = points - np.where(given[:, None], *means)
        return clouds.angles(centred[rec], centred[~rec]).mean()
    function = clouds.mmds if name == "MMD²" else clouds.probes
    return function(clouds.Pool(points, np.arange(len(points))), rec[None])[0]


@pytest.mark.parametrize("name", NAMES)
def test_separation_equals_a_loop_over_relabellings(name):
    rec, src = two(30, 20, shift=0.1)
    points, task = pooled(rec, src)
    caught, original = [], space.relabel
    with pytest.MonkeyPatch.context() as patch:  # the relabellings, caught on their way
        patch.setattr(space, "relabel", lambda *a: caught.append(original(*a)) or caught[-1])
        table = space.separation(rec, src, permutations=60, seed=5, statistics=[name])
    row = table.loc[name]
    drawn = caught[0][: int(row["permutations"])]
    value = explicit(name, points, task, task)
    shuffled = np.array([explicit(name, points, labels, task) for labels in drawn])
    further = shuffled <= value if row["apart"] == "low" else shuffled >= value
    assert row["value"] == approx(value, abs=1e-9)
    assert row["permuted mean"] == approx(shuffled.mean(), abs=1e-9)
    assert row["permuted sd"] == approx(shuffled.std(), abs=1e-9)
    sign = -1 if name == "KDE overlap" else 1
    assert row["z"] == approx(sign * (value - shuffled.mean()) / shuffled.std(), abs=1e-6)
    assert row["p"] == approx((1 + further.sum()) / (1 + len(shuffled)))


def test_separation_of_far_clouds_has_the_least_p_and_equal_directions():
    rec, src = two(120, 120, shift=8)
    table = space.separation(rec, src, permutations=99)
    position = table.drop("principal angle")
    assert (position["p"] == 1 / 100).all()
    assert (position["z"] > 5).all()
    assert table["value"][["probe accuracy", "KDE overlap"]].tolist() == approx([1, 0], abs=1e-3)
    assert table.loc["principal angle", "p"] > 0.05  # far apart, but spread alike
    assert table["permutations"].tolist() == [99, 99, 99, 99, 50]


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
    task = np.tile([True, True, False, False], 50)
    rows = space._thinned(task, users, 20, np.random.default_rng(0))
    of_rec, of_src = users[rows[task[rows]]], users[rows[~task[rows]]]
    assert len(set(of_rec)) == len(of_rec) == 20
    assert set(of_rec) == set(of_src)
    more = space._thinned(task, users, 70, np.random.default_rng(0))
    counts = np.bincount(users[more[task[more]]])
    assert counts.tolist().count(2) == 20  # 50 firsts, 20 seconds
    everything = space._thinned(task, users, 1000, np.random.default_rng(0))
    assert everything.tolist() == list(range(200))


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


@pytest.mark.parametrize("function", [space.kde_overlap, space.pca, space.separation])
@pytest.mark.parametrize(
    ("rec", "src", "message"),
    [
        (GOOD[:9], GOOD, "rec has 9 points"),
        (GOOD, GOOD[:, :2], "rec has 3 columns, src 2"),
        (GOOD, BAD, "src: 1 .* row 5"),
        (GOOD[:, 0], GOOD, r"rec has shape \(12,\)"),
        (GOOD, GOOD[:0], r"src has shape \(0, 3\)"),
        (np.ones((10, 2)), np.ones((11, 2)), "collapsed"),
    ],
)
def test_bad_clouds(function, rec, src, message):
    with pytest.raises(DataError, match=message):
        function(rec, src)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"statistics": ["silhouete"]}, ConfigError, "'silhouette'"),
        ({"permutations": 0}, ConfigError, "permutations=0"),
        ({"max_points": 9}, ConfigError, "max_points"),
        ({"groups": (np.arange(12), np.arange(11))}, DataError, "groups.* 12 and 12"),
        ({"groups": (np.arange(12), np.arange(12) // 2)}, DataError, "src has 6"),
    ],
)
def test_bad_options(changes, error, message):
    with pytest.raises(error, match=message):
        space.separation(GOOD, GOOD + 1, **changes)
