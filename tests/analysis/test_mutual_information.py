"""Mutual information against closed forms, quadrature, loops, scikit-learn, scipy and the pocket world's truth."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import digamma, expit
from scipy.stats import entropy as scipy_entropy
from scipy.stats import norm
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.metrics import mutual_info_score

from gensr_lib.analysis.mutual_information import (
    Information,
    answer_information,
    entropy,
    estimate,
    gaussian_information,
    kraskov,
    ross,
    to_bits,
)
from gensr_lib.analysis.neural_bounds import MineLoss, _clip, donsker_varadhan, info_nce, split
from gensr_lib.analysis.neural_critics import BatchedLinear, ClassCritic, CriticConfig, InfoNCEConfig, PairCritic
from gensr_lib.data.pocket.world import PocketConfig, simulate
from gensr_lib.errors import ConfigError, DataError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def gaussians(nats: float, d: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """d pairs of Gaussians that share ``nats`` in all."""
    rho = math.sqrt(1 - math.exp(-2 * nats / d))
    x, noise = rng(seed).standard_normal((2, n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def logistic(slope: float, bias: float, n: int, columns: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian columns, the first of which decides P(Y = 1 | x) = sigmoid(slope x + bias)."""
    x = rng(seed).standard_normal((n, columns))
    return x, rng(seed + 1).random(n) < expit(slope * x[:, 0] + bias)


def binary(p: float) -> float:
    return float(scipy_entropy([p, 1 - p]))


def logistic_truth(slope: float, bias: float) -> float:
    mean = quad(lambda t: norm.pdf(t) * expit(slope * t + bias), -9, 9)[0]
    return binary(mean) - quad(lambda t: norm.pdf(t) * binary(expit(slope * t + bias)), -9, 9)[0]


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
    assert answer_information(k / 8) == pytest.approx(mutual_info_score(x, answer), abs=1e-12)
    assert answer_information([0.4, 0.4]) == pytest.approx(0, abs=1e-15)
    assert answer_information([0, 1]) == pytest.approx(math.log(2))
    for bad in ([], [0.2, 1.2], [math.nan]):
        with pytest.raises(DataError, match="p must hold"):
            answer_information(bad)


def test_gaussian_information_equals_that_of_the_covariance():
    rho, d = -0.7, 3
    joint = np.block([[np.eye(d), rho * np.eye(d)], [rho * np.eye(d), np.eye(d)]])
    assert gaussian_information(rho, d) == pytest.approx(-np.linalg.slogdet(joint)[1] / 2)
    assert to_bits([math.log(2), 0.0]).tolist() == [1, 0]
    with pytest.raises(DataError, match="rho=1"):
        gaussian_information(1.0)


# --- nearest neighbours -----------------------------------------------------------------------


def test_knn_equals_scikit_learn_in_one_dimension():
    x, y = gaussians(0.8, 1, 600)
    expected = mutual_info_regression(5 * x, y[:, 0], n_neighbors=3, random_state=0)[0]
    assert estimate(5 * x, y, "knn", repeats=1).nats == pytest.approx(expected, abs=1e-5)
    labels = np.digitize(y[:, 0], [-1, 0.3])
    expected = mutual_info_classif(x, labels, n_neighbors=5, random_state=0)[0]
    assert estimate(x, labels, "knn", repeats=1, neighbours=5).nats == pytest.approx(expected, abs=1e-5)


def test_kraskov_and_ross_equal_loops_over_all_pairs_in_several_dimensions():
    x, y = gaussians(0.6, 2, 80)
    gap = lambda a: np.abs(a[:, None] - a[None]).max(-1)  # noqa: E731 - largest coordinate
    far_x, far_y, n, k = gap(x), gap(y), 80, 4
    both, total = np.maximum(far_x, far_y), 0.0
    for i in range(n):
        radius = np.sort(np.delete(both[i], i))[k - 1]
        inside = [sum(far[i, j] < radius for j in range(n) if j != i) for far in (far_x, far_y)]
        total += sum(digamma(m + 1) for m in inside) / n
    assert kraskov(x, y, k) == pytest.approx(digamma(n) + digamma(k) - total)

    labels = np.r_[0, np.ones(4, int), np.full(75, 2)]  # one alone is left out, four have three others each
    total = 0.0
    for i in range(1, n):
        own = [j for j in range(n) if labels[j] == labels[i] and j != i]
        near = min(k, len(own))
        radius = np.sort(far_x[i, own])[near - 1]
        inside = sum(far_x[i, j] < radius for j in range(1, n) if j != i) + 1
        total += (digamma(near) - digamma(len(own) + 1) - digamma(inside)) / (n - 1)
    assert ross(x, labels, k) == pytest.approx(digamma(n - 1) + total)


def test_spread_of_knn_is_the_spread_over_samples():
    found = [estimate(*gaussians(0.5, 1, 400, seed), "knn", repeats=20) for seed in range(60)]
    over_samples = np.std([each.nats for each in found], ddof=1)
    assert np.mean([each.sd for each in found]) == pytest.approx(over_samples, rel=0.35)
    assert np.mean([each.nats for each in found]) == pytest.approx(0.5, abs=4 * over_samples / math.sqrt(60))


# --- parts of the bounds ----------------------------------------------------------------------


def test_bounds_by_hand():
    joint, mean = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 4.0]]).log()
    assert donsker_varadhan(joint, mean).item() == pytest.approx(2 - math.log(3))
    assert info_nce(joint, mean).item() == pytest.approx(2 - (math.log(2) + math.log(4)) / 2)


def test_gradient_divides_by_the_moving_average():
    """Two batches with E[e^f] 2 and 6: the second gradient is that of 6, over 0.75 * 2 + 0.25 * 6 = 3."""
    loss = MineLoss(decay=0.75)
    for value, expected in ((2.0, 1.0), (6.0, 2.0)):
        joint, log_mean = torch.zeros(1, 2, requires_grad=True), torch.full((1, 2), math.log(value), requires_grad=True)
        loss(joint, log_mean).backward()
        assert torch.allclose(joint.grad, torch.tensor([[-0.5, -0.5]]))
        assert torch.allclose(log_mean.grad, torch.tensor([[0.5, 0.5]]) * expected)


def test_pair_critic_scores_the_pairs_of_a_loop():
    x, y = torch.randn(2, 6, 3), torch.randn(2, 6, 2)
    critic = PairCritic(2, 3, 2, CriticConfig(hidden=5, embedding=4), torch.Generator().manual_seed(0))
    with torch.no_grad():
        own, log_mean = critic(x, y, [1, 4])
        score = lambda i, j: critic(x[:, [i]], y[:, [j]], [0])[0][:, 0]  # noqa: E731
        for i in range(6):
            assert torch.allclose(own[:, i], score(i, i), atol=1e-5)
            others = (score(i, (i - 1) % 6).exp() + score(i, (i - 4) % 6).exp()) / 2
            assert torch.allclose(log_mean[:, i], others.log(), atol=1e-5)


def test_class_critic_sums_over_classes_with_the_frequencies_of_the_rows():
    x, y = torch.randn(2, 8, 3), torch.eye(3)[torch.tensor([[0, 0, 1, 1, 1, 1, 2, 2], [0, 0, 0, 0, 0, 0, 1, 1]])]
    critic = ClassCritic(2, 3, 3, CriticConfig(), torch.Generator().manual_seed(0))
    with torch.no_grad():
        own, log_mean = critic(x, y, [0])
        scores = torch.stack([critic(x, torch.eye(3)[c].expand_as(y), [0])[0] for c in range(3)], -1)
    assert torch.allclose(own, (scores * y).sum(-1))
    expected = torch.stack([scores[0].exp() @ torch.tensor([2.0, 4, 2]), scores[1].exp() @ torch.tensor([6.0, 2, 0])])
    assert torch.allclose(log_mean, (expected / 8).log(), atol=1e-6)


def test_networks_side_by_side_do_not_mix():
    layer = BatchedLinear(3, 4, 2, torch.Generator().manual_seed(0))
    layer.bias.data.normal_()
    x = torch.randn(3, 5, 4)
    alone = [torch.nn.functional.linear(x[r], layer.weight[r].T, layer.bias[r, 0]) for r in range(3)]
    assert torch.allclose(layer(x), torch.stack(alone), atol=1e-6)
    parameters = list(layer.parameters())
    for p in parameters:
        p.grad = torch.ones_like(p) * torch.tensor([0.01, 1.0, 100.0]).view(3, 1, 1)
    _clip(parameters)
    norms = torch.stack([p.grad.square().sum((1, 2)) for p in parameters]).sum(0).sqrt()
    assert torch.allclose(norms, torch.tensor([0.01 * math.sqrt(10), 1, 1]))


def test_split_keeps_groups_together_and_differs_between_repeats():
    groups = rng().integers(0, 100, 1000)
    parts = split(groups, 3, rng(1))
    for r in range(3):
        rows = [part[r] for part in (parts.train, parts.valid, parts.test)]
        assert len(np.unique(np.concatenate(rows))) == sum(map(len, rows)) > 850
        assert not set(groups[rows[0]]) & set(groups[rows[1]]) and not set(groups[rows[2]]) & set(groups[rows[1]])
        assert not set(groups[rows[0]]) & set(groups[rows[2]])
    assert set(parts.test[0]) != set(parts.test[1])
    shares = [part.shape[1] / 1000 for part in (parts.train, parts.valid, parts.test)]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.06)


# --- known information ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 5, 20])
@pytest.mark.parametrize("nats", [0.5, 1.0, 2.0])
def test_mine_is_close_on_correlated_gaussians(nats, d):
    """400 cross products learned from 7,000 rows cost about 400 / 14,000 = 0.03 nats: 15 % at 0.5 nats, else 10 %."""
    found = estimate(*gaussians(nats, d, 10_000), repeats=3)
    assert (0.85 if (nats, d) == (0.5, 20) else 0.9) * nats < found.nats < 1.05 * nats and found.ceiling is None


def test_mine_finds_a_relation_without_correlation():
    """Y = |X| + noise: the truth by quadrature of the density of Y."""
    x, noise = rng().standard_normal((2, 4000))
    sigma = 0.3
    y, t = np.linspace(-1.5, 6, 1000), np.linspace(0, 8, 2000)
    density = np.trapezoid(2 * norm.pdf(t) * norm.pdf(y[:, None], t, sigma), t)
    h_y = np.trapezoid(-density * np.log(density), y)
    truth = h_y - math.log(sigma * math.sqrt(2 * math.pi * math.e))
    found = estimate(x, np.abs(x) + sigma * noise, repeats=2, steps=400)
    assert found.nats == pytest.approx(truth, rel=0.1)


def test_mine_on_five_gaussian_columns_and_none_without_relation():
    x, y = gaussians(1.0, 5, 5000)
    assert estimate(x, y, repeats=2, steps=300).nats == pytest.approx(1.0, rel=0.1)
    assert abs(estimate(x, rng(9).permutation(y), repeats=2, steps=200).nats) < 0.02


@pytest.mark.parametrize("method", ["mine", "infonce"])
def test_bernoulli_channel(method):
    """Three standard errors of a perfect critic's score on 3 * 2,000 test rows, and a little for learning."""
    bit, flip = rng().integers(0, 2, 10_000), rng(1).random(10_000) < 0.1
    x = np.c_[bit, rng(2).standard_normal((10_000, 5))]
    se = abs(math.log(0.9 / 0.1)) * math.sqrt(0.9 * 0.1 / 6000)
    found = estimate(x, bit ^ flip, method, repeats=3, steps=300)
    assert found.nats == pytest.approx(math.log(2) - binary(0.1), abs=3 * se + 0.01)
    assert found.ceiling == pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize(("slope", "bias"), [(2.0, -1.0), (4.0, 0.0)])
def test_labels_with_a_known_law(slope, bias):
    found = estimate(*logistic(slope, bias, 10_000), repeats=3, steps=300)
    assert found.nats == pytest.approx(logistic_truth(slope, bias), rel=0.08)


def test_three_classes_as_text():
    x = rng().standard_normal(6000)
    shifted = np.stack([2 * x, np.zeros(6000), -2 * x], 1)
    p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    labels = np.array(["low", "middle", "up"])[(rng(1).random((6000, 1)) > p.cumsum(1)).sum(1)]
    found = estimate(x, labels, repeats=3, steps=300)
    truth = float(scipy_entropy(p.mean(0)) - scipy_entropy(p, axis=1).mean())
    assert found.nats == pytest.approx(truth, rel=0.1)
    assert found.ceiling == pytest.approx(scipy_entropy(np.unique(labels, return_counts=True)[1]))


def test_one_column_among_many_is_found():
    """n = 2,800 training rows, 320 columns: without the group lasso less than half is recovered."""
    x, y = logistic(3.0, 0.0, 4000, columns=320)
    truth = logistic_truth(3.0, 0.0)
    found = estimate(x, y, repeats=2, penalties=(0.0, 0.4), steps=400)
    assert 0.8 * truth < found.nats < 1.1 * truth
    assert estimate(x, y, repeats=2, penalties=(0.0,), steps=200).nats < 0.5 * truth
    assert CriticConfig().levels(51) == (0.0, 0.4) and CriticConfig().levels(50) == (0.0,)
    assert [CriticConfig().decay(d) for d in (1, 10, 320)] == [0.05, 0.5, 1] and CriticConfig(weight_decay=2).decay(
        1
    ) == 2


def test_nothing_is_found_where_there_is_nothing_among_many_columns():
    values = [estimate(rng(s).standard_normal((600, 100)), rng(s + 9).integers(0, 2, 600), repeats=2, steps=100).nats
              for s in range(8)]  # fmt: skip
    assert abs(np.mean(values)) < 0.015 and max(values) < 0.05


@cache
def world():
    return simulate(PocketConfig(), seed=0)


def shown(task: str, events: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log p of one click and one uniform item for each of some events; which was clicked; the event."""
    truth, log = world().truth, world().interactions
    log = log[log.behavior == task].sample(events, random_state=0)
    rows = truth.rows(log.user_id, log.time, log.behavior)
    uniform = rng().integers(0, truth.config.n_items, events)
    items = np.stack([truth.item_index(log.item_id), uniform], 1)  # (E, 2)
    return truth.log_prob(rows, items).ravel(), np.tile([1, 0], events), np.repeat(np.arange(events), 2)


@pytest.mark.parametrize("task", ["rec", "src"])
def test_pocket_world_within_a_twentieth_of_a_bit(task):
    x, y, event = shown(task)
    truth = world().truth.information(task, 1)
    noise = np.c_[x, rng(5).standard_normal((len(x), 20))]
    for columns, method in ((x, "mine"), (noise, "mine"), (x, "knn")):
        options = {} if method == "knn" else {"steps": 300}
        found = estimate(columns, y, method, groups=event, repeats=3, **options)
        assert found.bits == pytest.approx(float(to_bits(truth)), abs=0.05)


def test_infonce_cannot_exceed_the_log_of_its_candidates():
    x = rng().standard_normal(2000)
    y = x + 0.02 * rng(1).standard_normal(2000)  # 3.9 nats
    found = estimate(x, y, "infonce", repeats=1, test_shuffles=7, steps=250)
    assert 0.8 * math.log(8) < found.nats <= math.log(8)
    more = estimate(x, y, "infonce", repeats=1, steps=250)
    assert math.log(8) < more.nats <= math.log(1 + InfoNCEConfig().test_shuffles)


# --- what must hold of every estimate ---------------------------------------------------------


def test_what_is_reported_takes_no_part_in_training_or_stopping():
    """Labels of the test rows are shuffled: the curve stays the same, the value falls to about 0."""
    x, y = logistic(4.0, 0.0, 2000)
    test = split(np.arange(2000), 1, rng(3)).test[0]
    spoilt = y.copy()
    spoilt[test] = rng(1).permutation(y[test])
    kwargs = dict(seed=3, repeats=1, steps=200, penalties=(0.0, 1.0))
    honest, changed = estimate(x, y, **kwargs), estimate(x, spoilt, **kwargs)
    assert honest.curve.equals(changed.curve)
    assert changed.nats < 0.1 < 0.3 < honest.nats


def test_rows_of_a_group_that_lie_in_several_parts_would_leak():
    """Eight copies of each x share a random label: known by heart, it is no information for a new group."""
    x, y = rng().standard_normal((150, 5)).repeat(8, axis=0), rng(1).integers(0, 2, 150).repeat(8)
    group = np.arange(150).repeat(8)
    assert estimate(x, y, repeats=3).nats > 0.15
    assert abs(estimate(x, y, repeats=3, groups=group).nats) < 0.05
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
    for other_x, other_y in ((dressed, y), (x.tolist(), y.tolist()), (torch.tensor(x), torch.tensor(y).float())):
        assert np.allclose(estimate(other_x, other_y, repeats=2, steps=40).values, plain.values, atol=1e-4)
    assert estimate(torch.tensor(x).bfloat16(), y, repeats=1, steps=20).n == 400


def test_discrete_is_seen_from_the_values_unless_said():
    x = rng().standard_normal(300)
    few, many = rng(1).integers(0, 4, 300), rng(2).integers(0, 1000, 300)
    ceiling = lambda y, **more: estimate(x, y, "knn", repeats=1, **more).ceiling  # noqa: E731
    assert ceiling(few) == ceiling(few.astype(float)) == pytest.approx(scipy_entropy(np.bincount(few)))
    assert ceiling(many) is None and ceiling(few / 3) is None and ceiling(few, discrete=False) is None
    assert ceiling(few / 3, discrete=True) == ceiling(few)


def test_result_reads_well():
    found = estimate(*logistic(3.0, 0.0, 300), repeats=3, steps=40)
    assert isinstance(found, Information) and len(found.values) == 3
    assert found.nats == pytest.approx(found.values.mean()) and found.bits == pytest.approx(found.nats / math.log(2))
    assert found.sd == pytest.approx(found.values.std(ddof=1)) and math.isnan(
        estimate([*range(100)], [*range(100)], "knn", repeats=1).sd
    )
    assert found.frame.columns.tolist() == ["repeat", "nats", "bits"]
    assert found.frame["bits"].to_numpy() == pytest.approx(found.values / math.log(2))
    assert found.curve.columns.tolist() == ["step", "repeat", "train", "valid"]
    assert found.curve["step"].tolist() == [20] * 3 + [40] * 3 and found.curve["repeat"].tolist() == [0, 1, 2] * 2
    assert re.fullmatch(
        r"Information\(mine: \S+ ± \S+ nats = \S+ bits, H\(Y\) 0\.69\d\d nats, n=300, repeats=3\)", repr(found)
    )
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
        assert found.ceiling == (None if ceiling is None else pytest.approx(ceiling))


def _bad():
    x, y = np.arange(120.0), np.arange(120) % 2
    hole = x.copy()
    hole[7] = np.nan
    endless = np.stack([x, x], 1)
    endless[5, 1] = np.inf
    return {
        "too few": (dict(x=x[:99], y=y[:99]), DataError, "99 rows.*at least 100"),
        "nan": (dict(x=hole, y=y), DataError, "x: row 7 holds NaN"),
        "inf": (dict(x=x, y=endless), DataError, "y: row 5 holds NaN or infinity"),
        "lengths": (dict(x=x, y=y[:110]), DataError, "x has 120 rows and y has 110"),
        "axes": (dict(x=x.reshape(120, 1, 1), y=y), DataError, "x must have one or two axes"),
        "text": (dict(x=y.astype(str), y=y), DataError, "x must hold numbers"),
        "text y": (dict(x=x, y=y.astype(str), discrete=False), DataError, "y must hold numbers"),
        "classes": (dict(x=x, y=np.arange(120), discrete=True), DataError, "120 distinct labels, more than 50"),
        "groups": (dict(x=x, y=y, groups=np.arange(120) % 9), DataError, "9 distinct ids.*at least 10"),
        "group ids": (dict(x=x, y=y, groups=np.arange(119)), DataError, "groups has 119 ids for 120 rows"),
        "one big": (dict(x=x, y=y, groups=np.r_[np.arange(9), np.full(111, 9)]), DataError, "groups: a part"),
        "method": (dict(x=x, y=y, method="mime"), ConfigError, "method 'mime'; did you mean 'mine'"),
        "option": (dict(x=x, y=y, hiden=3), ConfigError, "option 'hiden'; did you mean 'hidden'"),
        "other's option": (dict(x=x, y=y, method="knn", steps=3), ConfigError, "option 'steps'"),
        "range": (dict(x=x, y=y, steps=0), ConfigError, "option 'steps'.*greater than or equal to 1"),
        "repeats": (dict(x=x, y=y, repeats=0), ConfigError, "repeats=0"),
    }


@pytest.mark.parametrize("case", _bad())
def test_bad_input_is_named(case):
    arguments, error, message = _bad()[case]
    with pytest.raises(error, match=message):
        estimate(**arguments)
