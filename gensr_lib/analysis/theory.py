"""The claims behind Lemma 5.1, each as a quantity that can be computed, for chapter 10.

Estimates of one separator follow Efron (JASA 1975) and Ng and Jordan (NIPS 2001). All information
is in nats, and repetitions are the first axis R of every array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import toeplitz
from scipy.special import expit, logit, softmax, xlogy
from scipy.stats import norm
from tqdm.auto import tqdm

from ..errors import ConfigError, DataError, unknown

ESTIMATORS = ("LDA", "naive Bayes", "logistic", "logistic L2")
POOLINGS = ("shared", "partitioned", "partial")
WORLDS = ("gaussian", "correlated", "heavy tails", "clusters", "unequal spread")
NO_PENALTY = 1e-6  # keeps the optimum finite where a sample is separable; far below the noise
STEPS = 2.0 ** -np.arange(6)  # lengths tried along a Newton step
GRID = 801  # points of a 1-D quadrature; the trapezoid rule converges exponentially on Gaussians
Array = np.ndarray


def channel_information(w: Array, sd_x: float = 1.0, sd_noise: float = 1.0) -> Array:
    """I(X; wX + b + noise) = 1/2 ln(1 + w² sd_x² / sd_noise²) in nats, for weights of any shape."""
    return np.log1p(np.square(w) * _signal_to_noise(sd_x, sd_noise)) / 2


def printed_information(w: Array, sd_x: float = 1.0, sd_noise: float = 1.0) -> Array:
    """Eq. 14 as printed, with w for w²: NaN for w <= -sd_noise² / sd_x², where it is undefined."""
    signal = np.asarray(w, dtype=float) * _signal_to_noise(sd_x, sd_noise)
    return np.log1p(np.where(signal > -1, signal, np.nan)) / 2


def vector_information(w: Array, covariance: Array, sd_noise: float = 1.0) -> Array:
    """I(X; w'X + b + noise) = 1/2 ln(1 + w'Σw / sd_noise²) in nats: w (..., d), Σ (d, d)."""
    return channel_information(np.sqrt(_quadratic(w, covariance)), 1.0, sd_noise)


def score_information(estimate: Array, w: Array, covariance: Array, sd_noise: float = 1) -> Array:
    """I(ŵ'X; Y) = -1/2 ln(1 - r²) in nats for Y = w'X + b + noise, r the correlation of the two.

    At most `vector_information` of w, reached by every multiple of w; 0 for ŵ = 0. ``estimate`` ŵ
    and the true weights w (..., d) broadcast to (...); ``covariance`` (d, d) is that of X.
    """
    _signal_to_noise(1.0, sd_noise)
    shared = np.square(np.einsum("...i,ij,...j->...", estimate, covariance, w))
    total = _quadratic(estimate, covariance) * (_quadratic(w, covariance) + sd_noise**2)
    return -np.log1p(-shared / np.where(total > 0, total, 1)) / 2


def _signal_to_noise(sd_x: float, sd_noise: float) -> float:
    for name, value in (("sd_x", sd_x), ("sd_noise", sd_noise)):
        if not value > 0:
            raise ConfigError(f"{name} is {value}; a standard deviation must be positive.")
    return sd_x**2 / sd_noise**2


def _quadratic(w: Array, matrix: Array) -> Array:
    return np.einsum("...i,ij,...j->...", w, matrix, w)


def _solve(matrix: Array, vector: Array) -> Array:
    return np.linalg.solve(matrix, vector[..., None])[..., 0]


@dataclass(frozen=True)
class TwoClasses:
    """Two equally likely classes, each a mixture of K Gaussians; linear scores have exact laws.

    Attributes:
        weights: (2, K) shares of the components in each class.
        means, covariances: (2, K, d) and (2, K, d, d).
        separator: w* (d,) if ln P(1|x) / P(0|x) is exactly w*'x + c, else None.
    """

    weights: Array
    means: Array
    covariances: Array
    separator: Array | None = None

    def draw(self, n: int, repetitions: int, seed: int) -> tuple[Array, Array]:
        """Rows x (R, n, d) and labels y (n,), alternately 0 and 1: the shares do not matter."""
        rng = np.random.default_rng(seed)
        y = np.arange(n) % 2
        x = rng.standard_normal((repetitions, n, self.means.shape[-1]))
        u = rng.random((repetitions, n, 1))
        for c in (0, 1):
            part = (u[:, y == c] > self.weights[c].cumsum()[:-1]).sum(axis=-1)  # (R, n/2)
            own = x[:, y == c]
            for k, root in enumerate(np.linalg.cholesky(self.covariances[c])):
                own[part == k] = own[part == k] @ root.T + self.means[c, k]
            x[:, y == c] = own
        return x, y

    def information(self, estimate: Array) -> Array:
        """I(ŵ'X; Y) in nats by quadrature: ŵ (..., d) to (...). It depends on the direction only.

        Within a class the score is a mixture of K scalar Gaussians; ŵ = 0 has no information.
        """
        estimate = np.asarray(estimate, dtype=float)
        length = np.linalg.norm(estimate, axis=-1, keepdims=True)
        unit = np.where(length > 0, estimate / np.where(length > 0, length, 1), 1.0)  # (..., d)
        centre = np.einsum("...i,cki->...ck", unit, self.means)
        sd = np.sqrt(np.einsum("...i,ckij,...j->...ck", unit, self.covariances, unit))
        low = (centre - 9 * sd).min(axis=(-1, -2))
        high = (centre + 9 * sd).max(axis=(-1, -2))
        s = np.moveaxis(np.linspace(low, high, GRID), 0, -1)  # (..., G)
        z = (s[..., None, None, :] - centre[..., None]) / sd[..., None]  # (..., 2, K, G)
        peak = (self.weights / (sd * np.sqrt(2 * np.pi)))[..., None]
        density = (np.exp(-(z**2) / 2) * peak).sum(axis=-2)
        either = density.mean(axis=-2)
        gain = xlogy(density, density).mean(axis=-2) - xlogy(either, either)
        return np.where(length[..., 0] > 0, np.trapezoid(gain, s, axis=-1), 0.0)

    def generative_limit(self, covariance: str = "full") -> Array:
        """(d,) where LDA (``diagonal``: naive Bayes) ends: Σ^-1 (μ1 - μ0) with true moments."""
        mean = np.einsum("ck,cki->ci", self.weights, self.means)
        away = self.means - mean[:, None]
        within = self.covariances + away[..., :, None] * away[..., None, :]
        pooled = np.einsum("ck,ckij->ij", self.weights, within) / 2
        return _plug_in(mean[1] - mean[0], pooled, covariance)


def logistic_law(weights, centres: Array, covariances: Array, separator: Array) -> TwoClasses:
    """Classes whose log-odds are exactly separator'x + c, though x is a mixture of Gaussians.

    Class 1 is class 0 tilted by exp(w'x). A component of share ``weights`` (K,), centre m (K, d)
    and covariance S (K, d, d) becomes N(m -+ Sw/2, S) in the two, and its share shifts with w'm.
    """
    centres = np.asarray(centres, dtype=float)
    covariances = np.asarray(covariances, dtype=float)
    sign = np.array([-0.5, 0.5])[:, None]  # class 0, class 1
    shares = softmax(np.log(weights) + sign * (centres @ separator), axis=1)  # (2, K)
    means = centres + sign[..., None] * (covariances @ separator)
    both = np.stack([covariances, covariances])
    return TwoClasses(shares, means, both, np.asarray(separator, dtype=float))


def world(name: str, d: int = 10, distance: float = 2.0) -> TwoClasses:
    """Two classes, a Mahalanobis ``distance`` apart in their main part; half of w* is zero.

    ``gaussian``: every estimator is right. ``correlated``: naive Bayes is wrong. ``heavy tails`` (a
    tenth with four times the spread) and ``clusters`` (a fourth of the rows elsewhere): linear
    log-odds, but no class is Gaussian. ``unequal spread``: no linear score is exact.
    """
    if name not in WORLDS:
        raise unknown("world", name, WORLDS)
    if d < 2 or not distance > 0:
        raise ConfigError(f"d is {d} and distance {distance}; take d >= 2, a positive distance.")
    eye = np.eye(d)
    spread = toeplitz(0.8 ** np.arange(d)) if name == "correlated" else eye
    w = (np.arange(d) < (d + 1) // 2).astype(float)
    w *= distance / np.sqrt(_quadratic(w, spread))
    if name == "heavy tails":
        return logistic_law([0.9, 0.1], [0 * eye[0]] * 2, [eye, 16 * eye], w)
    if name == "clusters":
        return logistic_law([0.75, 0.25], [0 * eye[0], 3 * eye[0] - 3 * eye[-1]], [eye, eye], w)
    if name == "unequal spread":
        along = eye[0] + eye[1] + eye[-1]
        spreads = np.stack([[eye], [eye + 6 * np.outer(along, along)]])
        return TwoClasses(np.ones((2, 1)), np.stack([[-w / 2], [w / 2]]), spreads)
    return logistic_law([1.0], [0 * eye[0]], [spread], w)


def lda(x: Array, y: Array, covariance: str = "full") -> Array:
    """Generative estimate ŵ = Σ^-1 (μ1 - μ0): x (R, n, d), y (n,) in {0, 1} to (R, d).

    Σ is the covariance of both classes, pooled with divisor n - 2: ``full``, or ``diagonal`` (naive
    Bayes). Raises `DataError` for fewer than d + 2 rows, or a class without rows.
    """
    _check(*x.shape[1:], y)
    means = np.stack([x[:, y == c].mean(axis=1) for c in (0, 1)], axis=1)  # (R, 2, d)
    within = x - means[:, y]
    pooled = within.swapaxes(1, 2) @ within / (len(y) - 2)  # (R, d, d)
    return _plug_in(means[:, 1] - means[:, 0], pooled, covariance)


def _plug_in(gap: Array, pooled: Array, covariance: str) -> Array:
    if covariance not in ("full", "diagonal"):
        raise unknown("covariance", covariance, ["full", "diagonal"])
    if covariance == "diagonal":
        return gap / np.diagonal(pooled, axis1=-2, axis2=-1)
    return _solve(pooled, gap)


def logistic(x: Array, y: Array, l2: float = NO_PENALTY) -> Array:
    """Discriminative estimate: x (R, n, d), y (n,) in {0, 1} to (R, d + 1), the intercept last.

    Least sum of log-losses + l2/2 ||w||² by Newton's method, the intercept counted in w; errors as
    of `lda`. With the default it is the maximum likelihood where there is one; a separable sample
    has none, and the result is long and points about along the widest margin.
    """
    _check(*x.shape[1:], y)
    x = _with_intercept(x)
    eye = np.eye(x.shape[2])
    found = np.zeros((len(x), len(eye)))
    todo = np.arange(len(x))
    for _ in range(100):
        w = found[todo]
        gradient, hessian = log_loss_derivatives(x[todo], y, w)
        gradient = gradient + l2 * w
        step = -_solve(hessian + l2 * eye, gradient)
        tried = w + STEPS[:, None, None] * step  # (T, R, d + 1)
        margin = (x[todo] @ tried[..., None])[..., 0]  # (T, R, n)
        loss = (np.logaddexp(0, margin) - y * margin).sum(axis=-1)
        best = (loss + l2 / 2 * (tried**2).sum(axis=-1)).argmin(axis=0)
        found[todo] = tried[best, np.arange(len(todo))]
        todo = todo[-(gradient * step).sum(axis=1) > 1e-14 * len(y)]
        if not len(todo):
            break
    return found


def log_loss_derivatives(x: Array, y: Array, w: Array) -> tuple[Array, Array]:
    """Gradient (R, p) and Hessian (R, p, p) of the log-loss of x (R, n, p), y (n,) at w (R, p)."""
    p = expit((x @ w[..., None])[..., 0])  # (R, n)
    gradient = ((p - y)[:, None] @ x)[:, 0]
    return gradient, x.swapaxes(1, 2) @ (x * (p * (1 - p))[..., None])


def _with_intercept(x: Array) -> Array:
    return np.concatenate([x, np.ones((*x.shape[:2], 1))], axis=2)


def _check(n: int, d: int, y: Sequence[int] = (0, 1)) -> None:
    if n < d + 2:
        raise DataError(f"n = {n} rows for d = {d} features; give at least d + 2 = {d + 2}.")
    if not {0, 1} <= set(y):
        raise DataError("y has rows of one class only; give both labels, 0 and 1.")


def estimate(name: str, x: Array, y: Array, l2: float = 1.0) -> tuple[Array, Array]:
    """One of `ESTIMATORS`: ŵ (R, d), and (R,) where it does not exist, the rows being separable."""
    if name not in ESTIMATORS:
        raise unknown("estimator", name, ESTIMATORS)
    if not name.startswith("logistic"):
        return lda(x, y, "full" if name == "LDA" else "diagonal"), np.zeros(len(x), dtype=bool)
    w = logistic(x, y, l2 if name == "logistic L2" else NO_PENALTY)
    right = (_with_intercept(x) @ w[..., None])[..., 0] * (2 * y - 1) > 0  # (R, n)
    return w[:, :-1], right.all(axis=1) & (name == "logistic")


def estimation_curves(
    law: TwoClasses, sizes: Sequence[int], estimators=ESTIMATORS, repetitions=50, seed: int = 0
) -> pd.DataFrame:
    """Separators found in samples of each size; all estimators see the same samples.

    One row per ``n``, ``estimator`` and ``repetition``, with ``error`` ||ŵ - w*|| (infinite if
    ``separable``, NaN without a w*), ``angle`` to w* in degrees and ``information`` of ŵ'X about Y.
    """
    w = np.full(law.means.shape[-1], np.nan) if law.separator is None else law.separator
    tables = []
    for n in tqdm(sizes, "sample sizes", leave=False, disable=None):
        x, y = law.draw(n, repetitions, seed)
        for name in estimators:
            found, separable = estimate(name, x, y)
            cosine = found @ w / np.linalg.norm(found, axis=1) / np.linalg.norm(w)
            table = pd.DataFrame({"n": n, "estimator": name, "repetition": np.arange(repetitions)})
            table["error"] = np.where(separable, np.inf, np.linalg.norm(found - w, axis=1))
            table["angle"] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
            table["information"] = law.information(found)
            table["separable"] = separable
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def efron_efficiency(distance: float, prior: float = 0.5) -> float:
    """Asymptotic efficiency of logistic regression against LDA where LDA is right (Efron 1975).

    Ratio of the variances of ŵ across w*, for many features: (1 / (π1 π0) + Δ²) E[p (1 - p)].
    """
    s = np.linspace(-9 - distance / 2, 9 + distance / 2, GRID)
    density = (1 - prior) * norm.pdf(s, -distance / 2) + prior * norm.pdf(s, distance / 2)
    p = expit(distance * s + logit(prior))  # of class 1 at the score s
    curvature = np.trapezoid(density * p * (1 - p), s)
    return float((1 / (prior * (1 - prior)) + distance**2) * curvature)


def task_pair(angle: float, d: int = 10, length: float = 1.0) -> Array:
    """(2, d) weights w_S and w_R of equal length, ``angle`` degrees apart."""
    turn = np.radians(angle) * np.array([-0.5, 0.5])
    return length * np.stack([np.cos(turn), np.sin(turn)], axis=1) @ np.eye(2, d)


def draw_tasks(n: int, d: int, repetitions: int, seed: int, sd_noise=1.0) -> tuple[Array, Array]:
    """X'X (R, 2, d, d) and X'noise (R, 2, d) of n rows per task, X ~ N(0, I)."""
    _check(n, d)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((repetitions, 2, n, d))
    noise = sd_noise * rng.standard_normal((repetitions, 2, n, 1))
    return x.swapaxes(2, 3) @ x, (x.swapaxes(2, 3) @ noise)[..., 0]


def fit_tasks(pooling: str, w: Array, gram: Array, cross: Array, sd_noise=1.0) -> Array:
    """Least squares for two tasks, (R, 2, d), from `draw_tasks` and the true weights w (2, d).

    ``shared``: one ŵ for both. ``partitioned``: one per task. ``partial``: one per task, by ridge
    towards the shared one, of strength noise² / τ² with τ² by the method of moments.
    """
    if pooling not in POOLINGS:
        raise unknown("pooling", pooling, POOLINGS)
    target = (gram @ w[..., None])[..., 0] + cross  # X'y
    shared = _solve(gram.sum(axis=1), target.sum(axis=1))[:, None]  # (R, 1, d)
    if pooling == "shared":
        return np.repeat(shared, 2, axis=1)
    own = _solve(gram, target)
    if pooling == "partitioned":
        return own
    by_chance = sd_noise**2 * np.trace(np.linalg.inv(gram), axis1=2, axis2=3).sum(axis=1)
    apart = ((own[:, 0] - own[:, 1]) ** 2).sum(axis=1) - by_chance  # estimates ||w_S - w_R||²
    d = w.shape[1]
    ridge = sd_noise**2 * 4 * d / np.maximum(apart, 1e-6)[:, None, None]  # (R, 1, 1)
    return _solve(gram + ridge[..., None] * np.eye(d), target + ridge * shared)


def sharing_boundary(n: Array, d: int = 10, length: float = 1.0, sd_noise: float = 1.0) -> Array:
    """The angle in degrees between w_S and w_R below which sharing gives more information.

    To first order in 1/n: off each task's direction, sharing has bias sin(θ/2) and variance q/2,
    partitioning variance q = (d - 1) noise² / (n length²): equal at sin²(θ/2) = q / (2 (1 + q)).
    """
    q = (d - 1) * sd_noise**2 / (np.asarray(n, dtype=float) * length**2)
    return 2 * np.degrees(np.arcsin(np.sqrt(q / (2 * (1 + q)))))


def taylor_terms(x: Array, y: Array, separator: Array) -> pd.DataFrame:
    """The terms of ∇L(w*) + HΔ + R = 0 for logistic regression, as lengths in units of w.

    For x (R, n, d), y (n,) and ``separator``, w* with its intercept (d + 1,), a row per repetition:
    ``error`` ||Δ||, ``gradient`` ||H^-1 ∇L(w*)||, ``remainder`` ||H^-1 R||.
    """
    error = logistic(x, y) - separator  # (R, d + 1)
    truth = np.broadcast_to(separator, error.shape)
    gradient, hessian = log_loss_derivatives(_with_intercept(x), y, truth)
    linear = _solve(hessian, gradient)
    terms = {"error": error, "gradient": linear, "remainder": -error - linear}
    return pd.DataFrame({name: np.linalg.norm(value, axis=1) for name, value in terms.items()})
