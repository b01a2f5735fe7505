"""Bounds from a score against quadrature, simulation and the pocket world's exact truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from gensr_lib.analysis.score_information import (
    CALIBRATIONS,
    ScoreBound,
    calibrated_bound,
    information_of_ndcg,
    normal_score_information,
    normal_score_ndcg,
    user_interval,
)
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError, DataError
from gensr_lib.training.metrics import ndcg_at_k
from tests.analysis.samples import binary, rng

approx = pytest.approx


def normal_scores(d: float, users: int, rows: int, seed: int = 0, user_sd: float = 0.0):
    """Scores N(d, 1) and N(0, 1), half each; a user's positives share a shift."""
    r = rng(seed)
    user = np.repeat(np.arange(users), rows)
    label = np.tile(np.arange(rows) % 2, users)
    shift = user_sd * r.standard_normal(users)[user]
    return r.standard_normal(len(user)) + label * (d + shift), label, user


@pytest.mark.parametrize("base_rate", [0.5, 0.2])
def test_normal_score_information_is_the_difference_of_two_entropies(base_rate):
    """I = h(score) - h(score | label), by the mixture's density and the Gaussian's entropy."""
    d = 1.7

    def integrand(s: float) -> float:
        density = base_rate * norm.pdf(s, d) + (1 - base_rate) * norm.pdf(s)
        return -density * math.log(density)

    truth = quad(integrand, -12, 14)[0] - math.log(2 * math.pi * math.e) / 2
    assert normal_score_information(d, base_rate) == approx(truth, abs=1e-7)
    assert normal_score_information(0.0, base_rate) == approx(0, abs=1e-9)
    assert normal_score_information(12.0, base_rate) == approx(binary(base_rate), abs=1e-6)


def test_normal_score_ndcg_is_that_of_drawn_lists():
    d, lists = 1.5, 40_000
    positive = d + rng().standard_normal(lists)
    above = (rng(1).standard_normal((lists, 99)) > positive[:, None]).sum(1)
    gains = ndcg_at_k(1 + above, 10)
    error = 4 * gains.std() / math.sqrt(lists)
    assert normal_score_ndcg(d) == approx(gains.mean(), abs=error)
    chance = sum(1 / math.log2(1 + r) for r in range(1, 11)) / 100
    assert normal_score_ndcg(0.0) == approx(chance, abs=1e-6)


def test_ndcg_to_bits_and_back():
    """The information of drawn scores that have this NDCG, measured by the calibrated bound."""
    d = 2.0
    bits = information_of_ndcg(normal_score_ndcg(d))
    assert bits == approx(normal_score_information(d) / math.log(2), abs=1e-6)
    found = calibrated_bound(*normal_scores(d, 4000, 4))
    assert found.bits == approx(bits, abs=4 * found.se / math.log(2))
    assert information_of_ndcg(0.5, base_rate=0.2) < bits
    for bad in (0.01, 1.1):
        with pytest.raises(ConfigError, match=f"{bad}"):
            information_of_ndcg(bad)
    with pytest.raises(ConfigError, match="base_rate=1"):
        information_of_ndcg(0.5, base_rate=1)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_bound_reaches_the_truth_whatever_the_units_of_the_score(method):
    score, label, user = normal_scores(1.5, 3000, 4)
    truth = normal_score_information(1.5)
    found = calibrated_bound(score, label, user, method=method)
    assert truth - 4 * found.se - 0.01 < found.nats < truth + 4 * found.se
    other = calibrated_bound(7 + 300 * score, label, user, method=method)
    assert other.nats == approx(found.nats, abs=1e-6)
    assert found.ceiling == approx(math.log(2))


def test_only_isotonic_is_indifferent_to_the_shape_of_the_score():
    score, label, user = normal_scores(1.5, 2000, 4)
    bent = np.sign(score) * np.abs(score) ** 5
    plain, curved = (calibrated_bound(s, label, user, method="isotonic") for s in (score, bent))
    assert curved.nats == approx(plain.nats, abs=1e-5)
    platt = calibrated_bound(bent, label, user)
    assert platt.nats < plain.nats - 3 * plain.se  # a bound all the same


def test_no_user_is_fitted_and_measured_at_once(monkeypatch):
    seen = []

    def spy(score, label, new):
        seen.append((set(score), set(new)))
        return np.full(len(new), label.mean())

    monkeypatch.setitem(CALIBRATIONS, "spy", spy)
    user = np.arange(100).repeat(4)
    found = calibrated_bound(user, np.tile([0, 1], 200), user, method="spy")
    assert all(not fitted & measured for fitted, measured in seen)
    assert set.union(*(measured for _, measured in seen)) == set(range(100))
    assert found.nats == approx(0, abs=1e-12)  # the base rate tells nothing


def test_standard_error_by_users_is_the_spread_over_samples():
    found = [calibrated_bound(*normal_scores(1.0, 200, 8, seed, user_sd=1.5)) for seed in range(60)]
    over_samples = np.std([each.nats for each in found], ddof=1)
    assert np.mean([each.se for each in found]) == approx(over_samples, rel=0.3)
    by_row = []
    for seed in range(10):
        score, label, _ = normal_scores(1.0, 200, 8, seed, user_sd=1.5)
        by_row.append(calibrated_bound(score, label, np.arange(1600)).se)
    assert np.mean(by_row) < 0.8 * over_samples  # rows of a user are not independent


def test_bootstrap_interval_of_a_paired_difference_is_that_of_the_clustered_error():
    score, label, user = normal_scores(1.5, 1000, 4, user_sd=1.0)
    noisier = score + 0.5 * rng(5).standard_normal(len(score))
    first, second = (calibrated_bound(s, label, user) for s in (score, noisier))
    both = ScoreBound(first.gain - second.gain, first.user, 0.0)
    order = rng(6).permutation(len(user))  # rows of a user need not be neighbours
    low, high = user_interval(lambda rows: both.gain[order][rows].mean(), user[order])
    assert (low + high) / 2 == approx(both.nats, abs=0.3 * both.se)
    assert (high - low) / 2 == approx(1.96 * both.se, rel=0.15)
    assert both.se < 0.7 * math.hypot(first.se, second.se)


@pytest.mark.parametrize("task", ["rec", "src"])
def test_bound_of_the_law_itself_is_the_exact_truth_of_the_pocket_world(task):
    world = simulate(PocketConfig(), seed=0)
    log = world.interactions[world.interactions.behavior == task].sample(4000, random_state=0)
    uniform = rng().integers(0, world.truth.config.n_items, 4000)
    items = np.stack([world.truth.item_index(log.item_id), uniform], 1)
    rows = world.truth.rows(log.user_id, log.time, log.behavior)
    score = world.truth.log_prob(rows, items).ravel()
    users = np.repeat(log.user_id.to_numpy(), 2)
    found = calibrated_bound(score, np.tile([1, 0], 4000), users, method="isotonic")
    truth = world.truth.information(task, 1)
    assert truth - 4 * found.se - 0.02 < found.nats < truth + 4 * found.se


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(score=[1.0]), DataError, "score has 1 values.*label has 400"),
        (dict(score=np.full(400, np.nan)), DataError, "finite"),
        (dict(label=np.ones(400)), DataError, r"holds \[1\]"),
        (dict(users=np.arange(400) % 9), DataError, "9 distinct"),
        (dict(users=np.arange(399)), DataError, "399 ids"),
        (dict(method="plat"), ConfigError, "'platt'"),
    ],
)
def test_bad_input_is_named(change, error, message):
    score, label, users = normal_scores(1.0, 100, 4)
    arguments = dict(score=score, label=label, users=users) | change
    with pytest.raises(error, match=message):
        calibrated_bound(**arguments)
