"""Information about a label in one number, the model's own score: bounds and closed forms.

`calibrated_bound` needs no network and treats all systems alike: it is a lower bound of what the
input, or any state before the score, knows of the label. `information_of_ndcg` turns a ranking
metric that is printed in a paper into bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import logit
from scipy.stats import binom, norm
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ..errors import ConfigError, DataError, unknown

FOLDS = 5
MIN_USERS = 20  # as many test rows as a task needs to be shown in the chapters
LARGEST_D = 12.0  # standard deviations between positives and negatives


@dataclass(frozen=True, eq=False)
class ScoreBound:
    """A lower bound of I(X; label) in nats, from a calibrated score.

    Attributes:
        gain: (n,) H(label) + ln q(label | score) of each row, q fitted without the row's user.
        user: (n,) the row's user, numbered from 0.
        ceiling: H(label) in nats.
    """

    gain: np.ndarray
    user: np.ndarray
    ceiling: float

    @property
    def nats(self) -> float:
        """The bound; below 0 where the calibrated score is worse than the base rate."""
        return float(self.gain.mean())

    @property
    def bits(self) -> float:
        """The bound in bits."""
        return self.nats / math.log(2)

    @property
    def se(self) -> float:
        """Standard error of ``nats`` by users: rows of one user are not independent."""
        deviation = np.bincount(self.user, self.gain - self.gain.mean())
        n = len(deviation)
        return float(np.sqrt(n / (n - 1) * (deviation**2).sum()) / len(self.gain))


def calibrated_bound(score, label, users, *, method: str = "platt", seed: int = 0) -> ScoreBound:
    """I(X; label) >= I(score; label) >= H(label) - E[-ln q(label | score)], in nats.

    The first step is the data-processing inequality for a score computed from X; the second holds
    for every q, as ``E[-ln q] = H(label | score) + KL(p || q)``. q is fitted on four fifths of the
    users and measured on the last fifth, five times, so each row is measured by a q that has seen
    none of its user.

    Args:
        score: (n,) log-odds or any other score.
        label: (n,) 0 or 1.
        users: (n,) ids; rows of one user are never on both sides.
        method: "platt", a logistic curve of the score, or "isotonic", any increasing function.
        seed: of the split of users; the same users and seed give the same split for all systems.

    Raises:
        DataError: arrays that do not fit or are not finite, one label only, or too few users.
        ConfigError: an unknown method.
    """
    if method not in CALIBRATIONS:
        raise unknown("method", method, CALIBRATIONS)
    score, label = _checked(score, label)
    names, user = np.unique(np.asarray(users).ravel(), return_inverse=True)
    if len(user) != len(label) or len(names) < MIN_USERS:
        have = f"{len(user)} ids, {len(names)} distinct, for {len(label)} rows"
        raise DataError(f"users has {have}; give one id per row, of at least {MIN_USERS} users.")
    fold = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[user]
    ln_q = np.empty(len(label))
    for f in range(FOLDS):
        held = fold == f
        p = CALIBRATIONS[method](score[~held], label[~held], score[held])
        ln_q[held] = np.log(np.where(label[held] == 1, p, 1 - p))
    base = label.mean()
    ceiling = -(base * math.log(base) + (1 - base) * math.log(1 - base))
    return ScoreBound(ceiling + ln_q, user, ceiling)


def user_interval(
    statistic: Callable[[np.ndarray], float], users, *, draws: int = 500, seed: int = 0
) -> tuple[float, float]:
    """The middle 95 % of a statistic over bootstrap samples of users.

    Args:
        statistic: a number from row numbers, which repeat where a user was drawn several times.
            For a difference of two systems it takes the same rows of both.
        users: (n,) the user of each row.
        draws: bootstrap samples.
        seed: of the draws.
    """
    _, user, counts = np.unique(users, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(user, kind="stable"), np.cumsum(counts)[:-1])
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        drawn = rng.integers(len(rows), size=len(rows))
        values.append(statistic(np.concatenate([rows[u] for u in drawn])))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _checked(score, label) -> tuple[np.ndarray, np.ndarray]:
    score = np.asarray(score, dtype=float).ravel()
    label = np.asarray(label).ravel().astype(int)
    if len(score) != len(label) or not np.isfinite(score).all():
        raise DataError(f"score has {len(score)} values, all finite? label has {len(label)}.")
    if set(np.unique(label)) != {0, 1}:
        raise DataError(f"label must hold both 0 and 1; it holds {np.unique(label)[:5].tolist()}.")
    return score, label


def _platt(score: np.ndarray, label: np.ndarray, new: np.ndarray) -> np.ndarray:
    """P(label = 1) of new scores by a logistic curve (Platt 1999)."""
    mean = score.mean()
    scale = score.std() or 1.0
    curve = LogisticRegression(C=1e6).fit((score[:, None] - mean) / scale, label)
    p = curve.predict_proba((new[:, None] - mean) / scale)[:, 1]
    return p.clip(1e-9, 1 - 1e-9)


def _isotonic(score: np.ndarray, label: np.ndarray, new: np.ndarray) -> np.ndarray:
    """P(label = 1) by an increasing step function, kept away from 0 and 1 by half a row."""
    half = 0.5 / len(score)
    curve = IsotonicRegression(y_min=half, y_max=1 - half, out_of_bounds="clip")
    return curve.fit(score, label).predict(new)


CALIBRATIONS = {"platt": _platt, "isotonic": _isotonic}


# --- normal scores with equal variances ---------------------------------------------------------


def normal_score_information(d: float, base_rate: float = 0.5) -> float:
    """I(score; label) in nats if scores are N(d, 1) for label 1 and N(0, 1) for label 0.

    P(1 | s) is the logistic function of ``d s - d^2/2 + logit(base_rate)``; the conditional entropy
    is one integral over s for each label.
    """
    if not 0 < base_rate < 1:
        raise ConfigError(f"base_rate={base_rate} must lie between 0 and 1.")
    shift = logit(base_rate) - d * d / 2

    def left(s: float) -> float:
        log_odds = d * s + shift
        cost_yes = base_rate * norm.pdf(s - d) * np.logaddexp(0, -log_odds)
        return cost_yes + (1 - base_rate) * norm.pdf(s) * np.logaddexp(0, log_odds)

    uncertainty = quad(left, -9, d + 9, limit=200)[0]
    ceiling = -(base_rate * math.log(base_rate) + (1 - base_rate) * math.log(1 - base_rate))
    return ceiling - uncertainty


def normal_score_ndcg(d: float, k: int = 10, candidates: int = 100) -> float:
    """Expected NDCG@k of one N(d, 1) among ``candidates`` - 1 of N(0, 1).

    Given the positive's score s the number of negatives above it is binomial; the gain of rank r is
    1/log2(1 + r) up to k.
    """
    ranks = np.arange(1, k + 1)
    gains = 1 / np.log2(1 + ranks)

    def gain(s: float) -> float:
        above = norm.sf(s)
        return norm.pdf(s - d) * float(gains @ binom.pmf(ranks - 1, candidates - 1, above))

    return quad(gain, d - 8, d + 8, limit=200)[0]


@cache
def information_of_ndcg(
    ndcg: float, *, base_rate: float = 0.5, k: int = 10, candidates: int = 100
) -> float:
    """The information about a label, in bits, of normal scores that reach this NDCG@k.

    NDCG@k of one positive among ``candidates`` fixes the distance d between positives and
    negatives, and d fixes I(score; label) at a base rate: 0.5 for one click against one random
    item, 0.2 for one against four.

    Raises:
        ConfigError: a value that normal scores with d from 0 (chance) to 12 do not reach.
    """
    reached = [normal_score_ndcg(d, k, candidates) for d in (0.0, LARGEST_D)]
    if not reached[0] <= ndcg <= reached[1]:
        raise ConfigError(f"NDCG@{k}={ndcg} must lie between {reached[0]:.4f} (chance) and 1.")
    d = brentq(lambda each: normal_score_ndcg(each, k, candidates) - ndcg, 0.0, LARGEST_D)
    return normal_score_information(d, base_rate) / math.log(2)
