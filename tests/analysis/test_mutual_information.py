"""Mutual information against closed forms, quadrature and the pocket world's truth."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import entropy as scipy_entropy
from scipy.stats import norm
from sklearn.metrics import mutual_info_score

from gensr_lib.analysis.bounds import Critics, split
from gensr_lib.analysis.critics import InfoNCEConfig
from gensr_lib.analysis.mutual_information import (
    answer_information,
    entropy,
    estimate,
    gaussian_information,
)
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError, DataError
from tests.analysis.samples import binary, gaussians, logistic, logistic_truth, rng

approx = pytest.approx

# --- closed forms -----------------------------------------------------------------------------


def test_entropy_equals_scipy_and_is_over_the_last_axis():
    p = rng().dirichlet(np.ones(5), size=(3, 4))
    assert np.allclose(entropy(p), scipy_entropy(p, axis=-1)) and entropy(p).shape == (3, 4)
    assert entropy([0.0, 1.0]) == 0
    for bad in ([0.3, 0.3], [1.5, -0.5]):
        with pytest.raises(DataError, match="sum to 1"):
            entropy(bad)


def test_answer_information_equals_that_of_a_table_with_these_frequencies():
    """p = k/8 is k yes and 8 - k no: counting them gives the same information."""
    k = np.array([0, 1, 3, 7, 8])
    x, answer = np.repeat(np.arange(5), 8), np.concatenate([np.arange(8) < each for each in k])
    assert answer_information(k / 8) == approx(mutual_info_score(x, answer), abs=1e-12)
    assert answer_information([0.4, 0.4]) == approx(0, abs=1e-15)
    assert answer_information([0, 1]) == approx(math.log(2))
    for bad in ([], [0.2, 1.2], [math.nan]):
        with pytest.raises(DataError, match="p must hold"):
            answer_information(bad)


def test_gaussian_information_equals_that_of_the_covariance():
    rho, d = -0.7, 3
    joint = np.block([[np.eye(d), rho * np.eye(d)], [rho * np.eye(d), np.eye(d)]])
    assert gaussian_information(rho, d) == approx(-np.linalg.slogdet(joint)[1] / 2)
    with pytest.raises(DataError, match="rho=1"):
        gaussian_information(1.0)


# --- known information ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("nats", "d"), [(0.5, 1), (2.0, 2), (0.5, 20), (1.0, 20), (2.0, 20)])
def test_mine_is_close_on_correlated_gaussians(nats, d):
    """400 cross products learned from 7,000 rows cost about 400 / 14,000 = 0.03 nats."""
    found = estimate(*gaussians(nats, d, 10_000), repeats=3)
    least = 0.85 if (nats, d) == (0.5, 20) else 0.9
    assert least * nats < found.nats < 1.05 * nats
    assert found.ceiling is None


def test_mine_finds_a_relation_without_correlation():
    """Y = |X| + noise: the truth by quadrature of the density of Y."""
    x, noise = rng().standard_normal((2, 4000))
    sigma = 0.3
    y, t = np.linspace(-1.5, 6, 1000), np.linspace(0, 8, 2000)
    density = np.trapezoid(2 * norm.pdf(t) * norm.pdf(y[:, None], t, sigma), t)
    h_y = np.trapezoid(-density * np.log(density), y)
    truth = h_y - math.log(sigma * math.sqrt(2 * math.pi * math.e))
    found = estimate(x, np.abs(x) + sigma * noise, repeats=2, steps=400)
    assert found.nats == approx(truth, rel=0.1)


def test_mine_on_five_gaussian_columns_and_none_without_relation():
    x, y = gaussians(1.0, 5, 5000)
    assert estimate(x, y, repeats=2, steps=300).nats == approx(1.0, rel=0.1)
    assert abs(estimate(x, rng(9).permutation(y), repeats=2, steps=200).nats) < 0.02


@pytest.mark.parametrize("method", ["mine", "infonce"])
def test_bernoulli_channel(method):
    """Three standard errors of a perfect critic's score on 6,000 test rows, and a little more."""
    bit, flip = rng().integers(0, 2, 10_000), rng(1).random(10_000) < 0.1
    x = np.c_[bit, rng(2).standard_normal((10_000, 5))]
    se = abs(math.log(0.9 / 0.1)) * math.sqrt(0.9 * 0.1 / 6000)
    found = estimate(x, bit ^ flip, method, repeats=3, steps=300)
    assert found.nats == approx(math.log(2) - binary(0.1), abs=3 * se + 0.01)
    assert found.ceiling == approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize(("slope", "bias"), [(2.0, -1.0), (4.0, 0.0)])
def test_labels_with_a_known_law(slope, bias):
    found = estimate(*logistic(slope, bias, 10_000), repeats=3, steps=300)
    assert found.nats == approx(logistic_truth(slope, bias), rel=0.08)


def test_three_classes_as_text():
    x = rng().standard_normal(6000)
    shifted = np.stack([2 * x, np.zeros(6000), -2 * x], 1)
    p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    labels = np.array(["low", "middle", "up"])[(rng(1).random((6000, 1)) > p.cumsum(1)).sum(1)]
    found = estimate(x, labels, repeats=3, steps=300)
    truth = float(scipy_entropy(p.mean(0)) - scipy_entropy(p, axis=1).mean())
    assert found.nats == approx(truth, rel=0.1)
    assert found.ceiling == approx(scipy_entropy(np.unique(labels, return_counts=True)[1]))


def test_one_column_among_many_is_found():
    """n = 2,800 training rows, 320 columns: without the group lasso less than half is recovered."""
    x, y = logistic(3.0, 0.0, 4000, columns=320)
    truth = logistic_truth(3.0, 0.0)
    found = estimate(x, y, repeats=2, steps=400)
    assert 0.8 * truth < found.nats < 1.1 * truth
    assert estimate(x, y, repeats=2, penalties=(0.0,), steps=200).nats < 0.5 * truth


def test_a_change_of_scale_of_each_column_leaves_the_estimate_as_it_is():
    x, y = gaussians(1.0, 3, 600)
    bent = np.c_[np.sinh(3 * x[:, 0]), x[:, 1] ** 3, np.exp(x[:, 2])]
    options = dict(repeats=2, steps=40, groups=np.arange(600) // 2)
    for target, other in ((y, np.sinh(2 * y)), (y[:, 0] > 0, y[:, 0] > 0)):
        plain = estimate(x, target, **options)
        assert np.array_equal(estimate(bent, other, **options).values, plain.values)
        assert abs(plain.nats) > 0.01


@pytest.mark.parametrize(("d", "rho"), [(3, 0.8), (8, 0.5)])
def test_gaussians_behind_sinh(d, rho):
    truth = gaussian_information(rho, d)
    x, y = gaussians(truth, d, 6000, seed=1)
    assert estimate(np.sinh(x), y, repeats=2).nats == approx(truth, rel=0.1)


@pytest.mark.parametrize("products", [True, False])
def test_a_product_of_hidden_columns(products, monkeypatch):
    """q.i of two Gaussian pairs is Laplace: the truth is one integral of the law over its size."""
    columns = rng().standard_normal((4000, 128))
    product = (columns[:, :2] * columns[:, 64:66]).sum(1)
    y = rng(1).random(4000) < expit(2 * product)
    truth = math.log(2) - quad(lambda t: math.exp(-t) * binary(expit(2 * t)), 0, 40)[0]
    if not products:  # as it was without them
        monkeypatch.setattr(Critics, "start", lambda self, rows: None)
    share = estimate(columns, y, repeats=1, steps=400).nats / truth
    assert (0.8 < share < 1.1) if products else share < 0.3


def test_nothing_is_found_where_there_is_nothing_among_many_columns():
    draws = [(rng(s).standard_normal((600, 100)), rng(s + 9).integers(0, 2, 600)) for s in range(8)]
    values = [estimate(x, y, repeats=2, steps=100).nats for x, y in draws]
    assert abs(np.mean(values)) < 0.015
    assert max(values) < 0.05


@cache
def world():
    return simulate(PocketConfig(), seed=0)


def shown(task: str, events: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log p of a click and a uniform item for some events; which was clicked; the event."""
    truth, log = world().truth, world().interactions
    log = log[log.behavior == task].sample(events, random_state=0)
    rows = truth.rows(log.user_id, log.time, log.behavior)
    uniform = rng().integers(0, truth.config.n_items, events)
    items = np.stack([truth.item_index(log.item_id), uniform], 1)  # (E, 2)
    return (
        truth.log_prob(rows, items).ravel(),
        np.tile([1, 0], events),
        np.repeat(np.arange(events), 2),
    )


@pytest.mark.parametrize("task", ["rec", "src"])
def test_pocket_world_within_a_twentieth_of_a_bit(task):
    x, y, event = shown(task)
    truth = world().truth.information(task, 1)
    noise = np.c_[x, rng(5).standard_normal((len(x), 20))]
    for columns, method in ((x, "mine"), (noise, "mine"), (x, "knn")):
        options = {} if method == "knn" else {"steps": 300}
        found = estimate(columns, y, method, groups=event, repeats=3, **options)
        assert found.bits == approx(truth / math.log(2), abs=0.05)


def test_infonce_cannot_exceed_the_log_of_its_candidates():
    x = rng().standard_normal(2000)
    y = x + 0.02 * rng(1).standard_normal(2000)  # 3.9 nats
    found = estimate(x, y, "infonce", repeats=1, test_shuffles=7, steps=250)
    assert 0.8 * math.log(8) < found.nats <= math.log(8)
    more = estimate(x, y, "infonce", repeats=1, steps=250)
    assert math.log(8) < more.nats <= math.log(1 + InfoNCEConfig().test_shuffles)


# --- what must hold of every estimate ---------------------------------------------------------


def test_what_is_reported_takes_no_part_in_training_or_stopping():
    """Labels of the test rows are shuffled: the curve stays, the value falls to about 0."""
    x, y = logistic(4.0, 0.0, 2000)
    test = split(np.arange(2000), 1, rng(3))[2][0]
    spoilt = y.copy()
    spoilt[test] = rng(1).permutation(y[test])
    kwargs = dict(seed=3, repeats=1, steps=200, penalties=(0.0, 1.0))
    honest, changed = estimate(x, y, **kwargs), estimate(x, spoilt, **kwargs)
    assert honest.curve.equals(changed.curve)
    assert changed.nats < 0.1 < 0.3 < honest.nats


def test_rows_of_a_group_that_lie_in_several_parts_would_leak():
    """Eight copies of each x share a random label: known by heart, it says nothing of others."""
    # Enough groups to choose by when to stop: of few, what is learned by heart costs held-out nats.
    x, y = rng().standard_normal((800, 5)).repeat(8, axis=0), rng(1).integers(0, 2, 800).repeat(8)
    group = np.arange(800).repeat(8)
    assert estimate(x, y, repeats=3).nats > 0.15
    assert abs(estimate(x, y, repeats=3, groups=group).nats) < 0.05
    x, y, group = x[:1200], y[:1200], group[:1200]
    halves = estimate(x, y, "knn", groups=group)  # a half has all eight copies or none
    assert halves.values.min() > 0.6 > estimate(x, y, "knn").values.max()


@pytest.mark.parametrize("kind", ["pairs", "classes"])
def test_same_seed_same_value_on_two_threads(kind):
    torch.set_num_threads(2)
    x, y = gaussians(1.0, 3, 800) if kind == "pairs" else logistic(4.0, 0.0, 800, columns=60)
    options = dict(repeats=2, steps=8, eval_every=4, learning_rate=0.02)
    first, second, other = (estimate(x, y, seed=s, **options) for s in (1, 1, 2))
    assert (first.values == second.values).all() and first.curve.equals(second.curve)
    assert (first.values != other.values).all() and (first.values[0] != first.values[1])


def test_units_of_columns_constant_columns_and_containers_do_not_matter():
    x, y = logistic(3.0, 0.0, 400, columns=3)
    plain = estimate(x, y, repeats=2, steps=40)
    dressed = np.c_[np.full(400, 7.0), 1000 * x + 5]
    for other_x, other_y in (
        (dressed, y),
        (x.tolist(), y.tolist()),
        (torch.tensor(x), torch.tensor(y).float()),
    ):
        assert np.allclose(estimate(other_x, other_y, repeats=2, steps=40).values, plain.values, atol=1e-4)
    assert estimate(torch.tensor(x).bfloat16(), y, repeats=1, steps=20).n == 400


def test_discrete_is_seen_from_the_values_unless_said():
    x = rng().standard_normal(300)
    few, many = rng(1).integers(0, 4, 300), rng(2).integers(0, 1000, 300)
    ceiling = lambda y, **more: estimate(x, y, "knn", repeats=1, **more).ceiling  # noqa: E731
    assert ceiling(few) == ceiling(few.astype(float)) == approx(scipy_entropy(np.bincount(few)))
    assert ceiling(many) is None and ceiling(few / 3) is None and ceiling(few, discrete=False) is None
    assert ceiling(few / 3, discrete=True) == ceiling(few)


def test_result_reads_well():
    found = estimate(*logistic(3.0, 0.0, 300), repeats=3, steps=40)
    assert len(found.values) == 3
    assert found.nats == approx(found.values.mean())
    assert found.bits == approx(found.nats / math.log(2))
    assert found.sd == approx(found.values.std(ddof=1))
    assert math.isnan(estimate(range(100), range(100), "knn", repeats=1).sd)
    assert found.curve.columns.tolist() == ["step", "repeat", "train", "valid"]
    assert found.curve["step"].tolist() == [20] * 3 + [40] * 3
    assert found.curve["repeat"].tolist() == [0, 1, 2] * 2
    assert all(word in repr(found) for word in ("mine", "nats", "bits", "H(Y)", "n=300"))
    assert estimate(rng().random(200), rng(1).random(200), "knn").curve.empty


@pytest.mark.parametrize("method", ["mine", "infonce", "knn"])
def test_constants_carry_exactly_no_information(method):
    x, labels = rng().standard_normal((100, 2)), rng(1).integers(0, 2, 100)
    for a, b, ceiling in (
        (np.ones((100, 2)), labels, binary(labels.mean())),
        (x, np.full(100, 0.1), None),
        (x, np.ones(100, int), 0.0),
    ):
        found = estimate(a, b, method)
        assert found.nats == 0 and found.values.tolist() == [0] * 5 and found.curve.empty
        assert found.ceiling == (None if ceiling is None else approx(ceiling))


X = np.arange(120.0)
Y = np.arange(120) % 2
HOLE = np.where(X == 7, np.nan, X)
ENDLESS = np.stack([X, np.where(X == 5, np.inf, X)], 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(x=X[:99], y=Y[:99]), DataError, "99 rows.*100"),
        (dict(x=[], y=[]), DataError, "0 rows"),
        (dict(x=HOLE, y=Y), DataError, "x: row 7"),
        (dict(x=X, y=ENDLESS), DataError, "y: row 5"),
        (dict(x=X, y=Y[:110]), DataError, "120 rows and y has 110"),
        (dict(x=X.reshape(120, 1, 1), y=Y), DataError, "x must have one or two axes"),
        (dict(x=Y.astype(str), y=Y), DataError, "x must hold numbers"),
        (dict(x=X, y=Y.astype(str), discrete=False), DataError, "y must hold numbers"),
        (dict(x=X, y=np.arange(120), discrete=True), DataError, "120 labels.*50"),
        (dict(x=X, y=Y, groups=np.arange(120) % 9), DataError, "9 distinct ids.*10"),
        (dict(x=X, y=Y, groups=np.arange(119)), DataError, "119 ids for 120 rows"),
        (dict(x=X, y=Y, groups=np.minimum(np.arange(120), 9)), DataError, "groups.*part"),
        (dict(x=X, y=Y, method="mime"), ConfigError, "'mine'"),
        (dict(x=X, y=Y, hiden=3), ConfigError, "'hidden'"),
        (dict(x=X, y=Y, method="knn", steps=3), ConfigError, "'steps'"),
        (dict(x=X, y=Y, steps=0), ConfigError, "'steps'"),
        (dict(x=X, y=Y, repeats=0), ConfigError, "repeats=0"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        estimate(**arguments)
