"""Chapter 10's quantities against closed forms, quadrature, scikit-learn and published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB

from gensr_lib.analysis import theory
from gensr_lib.analysis.theory import POOLINGS, WORLDS, TwoClasses, world
from gensr_lib.errors import ConfigError, DataError

approx = pytest.approx

SPREAD = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
W = np.array([1.0, -2.0, 0.5])


def one_gaussian_each(gap: np.ndarray, covariance: np.ndarray) -> TwoClasses:
    return TwoClasses(np.ones((2, 1)), np.stack([[-gap / 2], [gap / 2]]), np.stack([[covariance]] * 2))


def sample(n: int = 60, d: int = 3, repetitions: int = 4) -> tuple[np.ndarray, np.ndarray]:
    return world("correlated", d, distance=1.5).draw(n, repetitions, seed=3)


# --- the Gaussian channel ---------------------------------------------------------------------


def test_channel_by_hand():
    assert theory.channel_information(2.0) == approx(math.log(5) / 2)
    assert theory.channel_information(-2.0, sd_x=3.0, sd_noise=0.5) == approx(math.log(1 + 4 * 9 / 0.25) / 2)
    assert theory.printed_information(2.0) == approx(math.log(3) / 2)
    assert theory.printed_information(-1.0, sd_x=1.0, sd_noise=2.0) == approx(math.log(3 / 4) / 2)


def test_printed_formula_agrees_at_zero_and_one_only_and_is_undefined_below():
    w = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
    printed, right = theory.printed_information(w), theory.channel_information(w)
    assert np.isnan(printed).tolist() == [True, True, False, False, False, False, False]
    assert np.isclose(printed, right).tolist() == [False, False, False, True, False, True, False]


def test_channel_equals_the_integral_of_its_densities():
    """I(X; Y) = h(Y) - h(Y | X), the first by numeric integration."""
    sd_y = math.sqrt(1.5**2 * 0.7**2 + 0.4**2)
    entropy = quad(lambda y: -norm.pdf(y, 0, sd_y) * norm.logpdf(y, 0, sd_y), -12, 12)[0]
    assert theory.channel_information(1.5, 0.7, 0.4) == approx(entropy - norm(0, 0.4).entropy())


def test_vector_channel_equals_the_entropies_of_scipy():
    joint = np.block([[SPREAD, (SPREAD @ W)[:, None]], [W @ SPREAD, np.array(W @ SPREAD @ W + 0.49)]])
    entropies = [multivariate_normal(cov=c).entropy() for c in (SPREAD, joint[3:, 3:], joint)]
    assert theory.vector_information(W, SPREAD, 0.7) == approx(entropies[0] + entropies[1] - entropies[2])
    assert theory.vector_information(np.stack([W, 0 * W]), SPREAD).tolist()[1] == 0


# --- the information that a score carries -----------------------------------------------------


def test_score_information_is_bounded_by_the_channel_and_depends_on_direction_only():
    most = theory.vector_information(W, SPREAD, 0.7)
    others = np.random.default_rng(0).standard_normal((50, 3))
    found = theory.score_information(others, W, SPREAD, 0.7)
    assert theory.score_information(np.stack([W, 0.1 * W, -9 * W]), W, SPREAD, 0.7) == approx([most] * 3)
    assert (found < most).all() and theory.score_information(-3 * others, W, SPREAD, 0.7) == approx(found)
    assert theory.score_information(np.zeros(3), W, SPREAD) == 0


def test_score_information_by_hand_and_for_a_scalar():
    """X ~ N(0, I), w = (1, 0), noise 1, ŵ 60 degrees off: r² = cos²(60°) / 2 = 1/8."""
    tilted = np.array([math.cos(math.pi / 3), math.sin(math.pi / 3)])
    found = theory.score_information(tilted, np.array([1.0, 0.0]), np.eye(2))
    assert found == approx(-math.log(1 - 1 / 8) / 2)
    scalars = theory.score_information(np.array([[0.01], [1.0], [50.0]]), np.array([2.0]), np.eye(1))
    assert scalars == approx([math.log(5) / 2] * 3)


def reference_information(gap: float) -> float:
    """Two unit Gaussians ``gap`` apart: H(Y) - E[H(Y | s)], the posterior being logistic."""

    def conditional(s):
        p = 1 / (1 + math.exp(-gap * s))
        density = (norm.pdf(s, -gap / 2) + norm.pdf(s, gap / 2)) / 2
        return -density * (p * math.log(p) + (1 - p) * math.log1p(-p)) if 0 < p < 1 else 0.0

    return math.log(2) - quad(conditional, -15, 15, points=[0], limit=200)[0]


@pytest.mark.parametrize("gap", [0.3, 1.0, 2.0, 4.0])
def test_class_information_equals_quadrature_of_scipy(gap):
    law = one_gaussian_each(np.array([gap, 0.0, 0.0]), np.eye(3))
    assert law.information(np.array([1.0, 0, 0])) == approx(reference_information(gap), abs=1e-9)
    off = np.array([1.0, math.sqrt(3), 0])  # 60 degrees off: half of the gap is left
    assert law.information(off) == approx(reference_information(gap / 2), abs=1e-9)


def test_class_information_limits_and_invariance():
    assert one_gaussian_each(np.array([40.0, 0.0]), np.eye(2)).information(np.eye(2)[0]) == approx(math.log(2))
    for name in WORLDS:
        law = world(name, d=3)
        vectors = np.random.default_rng(1).standard_normal((4, 3))
        found = law.information(vectors)
        assert law.information(-7 * vectors) == approx(found, abs=1e-10)
        assert law.information(vectors[2]) == approx(found[2]) and law.information(np.zeros(3)) == 0
        assert ((found > 0) & (found < math.log(2))).all()


def test_class_information_of_a_mixture_equals_a_histogram():
    law, direction = world("clusters", d=3), np.array([1.0, 0.5, -0.2])
    x, y = law.draw(400_000, 1, seed=0)
    s = x[0] @ direction
    counts = np.stack([np.histogram(s[y == c], bins=200, range=(s.min(), s.max()))[0] for c in (0, 1)]) / len(s)
    expected = (counts * np.log(np.maximum(counts, 1e-12) / np.maximum(counts.sum(axis=0) / 2, 1e-12))).sum()
    assert law.information(direction) == approx(expected, abs=0.003)


# --- two classes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WORLDS if name != "unequal spread"])
def test_log_odds_are_exactly_linear(name):
    law = world(name, d=4, distance=1.3)
    x = 2 * np.random.default_rng(0).standard_normal((30, 4))
    density = [
        sum(w * multivariate_normal(m, s).pdf(x) for w, m, s in zip(*parts, strict=True))
        for parts in zip(law.weights, law.means, law.covariances, strict=True)
    ]
    rest = np.log(density[1] / density[0]) - x @ law.separator
    assert np.ptp(rest) < 1e-9 and np.ptp(x @ law.separator) > 1
    assert (law.separator != 0).tolist() == [True, True, False, False]


@pytest.mark.parametrize("name", ["gaussian", "correlated"])
def test_gaussian_worlds_have_the_distance_asked_for(name):
    law = world(name, d=5, distance=1.7)
    gap = law.means[1, 0] - law.means[0, 0]
    assert gap @ np.linalg.solve(law.covariances[0, 0], gap) == approx(1.7**2)
    assert law.covariances[0, 0, 0, 2] == approx(0.8**2 if name == "correlated" else 0)
    assert law.information(law.separator) == approx(reference_information(1.7))


@pytest.mark.parametrize("name", WORLDS)
def test_draws_have_the_moments_of_the_law_and_estimates_converge_to_the_limits(name):
    law = world(name, d=3)
    x, y = law.draw(200_001, 1, seed=5)
    assert x.shape == (1, 200_001, 3) and y.sum() == 100_000
    for c in (0, 1):
        mean = law.weights[c] @ law.means[c]
        assert x[0, y == c].mean(axis=0) == approx(mean, abs=6 * x[0, y == c].std() / math.sqrt(1e5))
    for estimator, covariance in (("LDA", "full"), ("naive Bayes", "diagonal")):
        assert theory.estimate(estimator, x, y)[0][0] == approx(law.generative_limit(covariance), abs=0.06)
    if law.separator is not None:
        assert theory.estimate("logistic", x, y)[0][0] == approx(law.separator, abs=0.06)


# --- estimates against scikit-learn -----------------------------------------------------------


def test_lda_equals_scikit_learn():
    x, y = sample()
    scale = (len(y) - 2) / len(y)  # it divides the pooled covariance by n
    for rows, found in zip(x, theory.lda(x, y), strict=True):
        reference = LinearDiscriminantAnalysis(solver="lsqr").fit(rows, y)
        assert found == approx(scale * reference.coef_[0])


def test_naive_bayes_equals_scikit_learn_with_its_variances_pooled():
    x, y = sample()
    for rows, found in zip(x, theory.lda(x, y, "diagonal"), strict=True):
        reference = GaussianNB(var_smoothing=0).fit(rows, y)
        pooled = reference.var_.mean(axis=0) * len(y) / (len(y) - 2)
        assert found == approx((reference.theta_[1] - reference.theta_[0]) / pooled)


@pytest.mark.parametrize("c", [0.1, 10.0, 1e6])
def test_logistic_equals_scikit_learn(c):
    x, y = sample()
    for rows, found in zip(x, theory.logistic(x, y, 1 / c), strict=True):
        rows = np.c_[rows, np.ones(len(rows))]
        reference = LogisticRegression(C=c, fit_intercept=False, tol=1e-10, max_iter=2000).fit(rows, y)
        assert found == approx(reference.coef_[0], abs=1e-4)


def test_logistic_of_a_separable_sample_has_no_estimate_but_the_direction_of_the_widest_margin():
    x = np.array([[[2.0, 1.0], [3.0, -4.0], [-2.0, 1.0], [-2.0, 3.0]]])
    y = np.array([1, 1, 0, 0])
    found, separable = theory.estimate("logistic", x, y)
    assert separable.tolist() == [True] and np.linalg.norm(found) > 5
    assert found[0] / np.linalg.norm(found) == approx([1, 0], abs=0.1)  # the margin runs along the first axis
    penalised, exists = theory.estimate("logistic L2", x, y)
    assert exists.tolist() == [False] and np.linalg.norm(penalised) < 2
    x[0, 1] = x[0, 2]  # one place with both labels
    assert theory.estimate("logistic", x, y)[1].tolist() == [False]


def test_newton_reaches_the_optimum_where_full_steps_diverge():
    """An undamped Newton step from 0 overshoots, and the next ones never return."""
    x = [
        *[[-0.1, 0.5, 0.1], [-1.7, 1.2, 4.2], [8.9, -6.6, -11.9], [-0.1, 0.0, -0.4]],
        *[[-2.1, -12.1, -7.1], [-4.1, -2.4, 3.1], [3.4, -0.4, 4.4], [-1.0, 0.5, 1.3]],
        *[[0.1, -0.5, -0.6], [-4.1, 2.0, -9.0], [-4.0, -3.0, 10.2], [3.2, 5.3, -9.8]],
    ]
    x, y = np.array(x), np.arange(12) % 2
    w = theory.logistic(x[None], y)[0]
    rows = np.c_[x, np.ones(12)]
    slope = rows.T @ (expit(rows @ w) - y) + theory.NO_PENALTY * w  # 0 at the optimum, which is unique
    assert np.abs(slope).max() < 1e-6 and np.linalg.norm(w) < 1000


def test_curves_say_what_was_estimated():
    law = world("gaussian", d=3)
    table = theory.estimation_curves(law, [10, 400], ("LDA", "logistic"), repetitions=6, seed=2)
    assert len(table) == 2 * 2 * 6 and list(table["n"].unique()) == [10, 400]
    x, y = law.draw(400, 6, seed=2)
    own = table.query("n == 400 and estimator == 'LDA'")
    found = theory.lda(x, y)
    assert own["error"].to_numpy() == approx(np.sqrt(((found - law.separator) ** 2).sum(axis=1)))
    cosine = found @ law.separator / np.linalg.norm(found, axis=1) / np.linalg.norm(law.separator)
    assert np.cos(np.radians(own["angle"])).to_numpy() == approx(cosine)
    assert own["information"].to_numpy() == approx(law.information(found))
    assert np.isinf(table["error"]).equals(table["separable"]) and 0 < table["separable"].sum() < 6


def test_without_a_separator_there_is_no_error_but_information():
    table = theory.estimation_curves(world("unequal spread", d=3), [100], ("LDA",), repetitions=3)
    assert table["error"].isna().all() and table["angle"].isna().all() and (table["information"] > 0).all()


# --- Efron (1975) -----------------------------------------------------------------------------


def test_efficiency_equals_the_published_table():
    distances = np.arange(0, 4.5, 0.5)
    published = [1.000, 1.000, 0.995, 0.968, 0.899, 0.786, 0.641, 0.486, 0.343]
    found = [theory.efron_efficiency(distance) for distance in distances]
    assert found == approx(published, abs=6e-4)
    assert theory.efron_efficiency(2.0, prior=0.2) == approx(theory.efron_efficiency(2.0, prior=0.8))
    assert theory.efron_efficiency(1e-9, prior=0.3) == approx(1)


def test_simulated_efficiency_agrees():
    law = world("gaussian", d=10, distance=3.0)
    table = theory.estimation_curves(law, [2000], ("LDA", "logistic"), repetitions=150, seed=1)
    across = (np.sin(np.radians(table["angle"])) ** 2).groupby(table["estimator"]).mean()
    assert across["LDA"] / across["logistic"] == approx(theory.efron_efficiency(3.0), rel=0.1)


# --- two tasks --------------------------------------------------------------------------------


def test_task_pair_has_its_angle_and_length():
    a, b = theory.task_pair(60.0, d=4, length=2.0)
    assert a @ b == approx(4 * math.cos(math.pi / 3)) and a @ a == approx(4) == approx(b @ b)


def test_fits_equal_scikit_learn():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 30, 3)), theory.task_pair(50, d=3)
    noise = 0.5 * rng.standard_normal((2, 30))
    y = np.einsum("tnd,td->tn", x, w) + noise
    gram, cross = (x.swapaxes(1, 2) @ x)[None], np.einsum("tnd,tn->td", x, noise)[None]
    fits = {pooling: theory.fit_tasks(pooling, w, gram, cross, 0.5)[0] for pooling in POOLINGS}
    shared = LinearRegression(fit_intercept=False).fit(x.reshape(-1, 3), y.ravel()).coef_
    own = [LinearRegression(fit_intercept=False).fit(x[t], y[t]).coef_ for t in (0, 1)]
    assert fits["shared"] == approx(np.stack([shared, shared])) and fits["partitioned"] == approx(np.stack(own))
    chance = 0.25 * sum(np.trace(np.linalg.inv(x[t].T @ x[t])) for t in (0, 1))
    ridge = 0.25 / ((((own[0] - own[1]) ** 2).sum() - chance) / (4 * 3))  # noise² / τ²
    for t in (0, 1):
        towards = Ridge(alpha=ridge, fit_intercept=False, tol=1e-12).fit(x[t], y[t] - x[t] @ shared).coef_ + shared
        assert fits["partial"][t] == approx(towards)


def test_drawn_sums_have_the_moments_of_least_squares():
    """Partitioned: E ||ŵ - w||² = noise² d / (n - d - 1), the mean of an inverse Wishart matrix."""
    gram, cross = theory.draw_tasks(20, 4, 4000, seed=0, sd_noise=1.5)
    w = theory.task_pair(40, d=4)
    error = ((theory.fit_tasks("partitioned", w, gram, cross, 1.5) - w) ** 2).sum(axis=2)  # (R, 2)
    assert error.mean() == approx(1.5**2 * 4 / (20 - 4 - 1), rel=0.05)
    assert gram.mean(axis=(0, 1)) == approx(20 * np.eye(4), abs=0.5)


def test_gradients_of_the_tasks_cancel_at_the_shared_optimum():
    gram, cross = theory.draw_tasks(30, 4, 5, seed=0)
    w = theory.task_pair(70, d=4)
    fit = theory.fit_tasks("shared", w, gram, cross)
    gradient = np.einsum("rtij,rtj->rti", gram, fit - w) - cross
    assert np.abs(gradient.sum(axis=1)).max() < 1e-10 < np.abs(gradient).min()


@pytest.mark.parametrize(("n", "d", "length", "noise"), [(100, 10, 1.0, 1.0), (400, 6, 2.0, 3.0)])
def test_boundary_is_where_the_simulated_gain_changes_sign(n, d, length, noise):
    gram, cross = theory.draw_tasks(n, d, 800, seed=1, sd_noise=noise)
    boundary = theory.sharing_boundary(n, d, length, noise)

    def gain(angle):
        w = theory.task_pair(angle, d, length)
        fits = (theory.fit_tasks(pooling, w, gram, cross, noise) for pooling in ("partitioned", "shared"))
        own, shared = (theory.score_information(fit, w, np.eye(d), noise).mean() for fit in fits)
        return own - shared

    assert gain(0.85 * boundary) < 0 < gain(1.15 * boundary)


# --- the expansion ----------------------------------------------------------------------------


def test_taylor_terms_by_hand_with_an_intercept_alone():
    """A feature of zeros leaves the intercept: its estimate is the log-odds of the labels."""
    x, y = (
        1e-9 * np.random.default_rng(0).standard_normal((1, 30, 1)),
        (np.arange(30) < 20).astype(int),
    )
    assert theory.logistic(x, y)[0, 1] == approx(math.log(2), abs=1e-6)
    x, y = (
        np.tile([[-1.0], [1.0]], (15, 1))[None],
        (np.arange(30) % 3 > 0).astype(int),
    )  # balanced within each x
    terms = theory.taylor_terms(x, y, np.zeros(2)).iloc[0]
    assert terms["error"] == approx(math.log(2), abs=1e-5)
    gradient = (30 / 2 - 20) / (30 / 4)  # H^-1 times the gradient at 0: (sum of 1/2 - y) / (n / 4)
    assert terms["gradient"] == approx(abs(gradient))
    assert terms["remainder"] == approx(math.log(2) - abs(gradient), abs=1e-5)


def test_taylor_terms_have_their_orders():
    law, sizes = world("gaussian", d=3, distance=1.5), [300, 1200, 4800]
    medians = [theory.taylor_terms(*law.draw(n, 100, seed=4), np.r_[law.separator, 0.0]).median() for n in sizes]
    slopes = {name: np.polyfit(np.log(sizes), np.log([m[name] for m in medians]), 1)[0] for name in medians[0].index}
    assert slopes["error"] == approx(-0.5, abs=0.06) and slopes["gradient"] == approx(-0.5, abs=0.06)
    assert slopes["remainder"] == approx(-1, abs=0.1)


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: theory.channel_information(1.0, sd_x=-1.0), ConfigError, "sd_x"),
        (lambda: theory.printed_information(1.0, sd_noise=0.0), ConfigError, "sd_noise"),
        (lambda: theory.score_information(W, W, SPREAD, math.nan), ConfigError, "sd_noise"),
        (lambda: world("gausian"), ConfigError, "'gaussian'"),
        (lambda: world("gaussian", d=1), ConfigError, "d is 1"),
        (lambda: world("gaussian", distance=0.0), ConfigError, "distance"),
        (lambda: theory.estimate("logistics", *sample()), ConfigError, "'logistics'"),
        (lambda: theory.lda(*sample(), covariance="diag"), ConfigError, "'diag'"),
        (lambda: theory.lda(*sample(n=4)), DataError, "n = 4 .* = 5"),
        (lambda: theory.logistic(*sample(n=4)), DataError, "n = 4"),
        (lambda: theory.lda(sample()[0], np.ones(60, dtype=int)), DataError, "one class"),
        (lambda: theory.draw_tasks(5, 4, 2, seed=0), DataError, "n = 5"),
        (lambda: theory.fit_tasks("share", W[None], SPREAD, W), ConfigError, "'share'"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_smallest_samples_are_served():
    assert theory.lda(*sample(n=5)).shape == (4, 3)
    assert theory.draw_tasks(6, 4, 2, seed=0)[0].shape == (2, 2, 4, 4)
