"""Bounds, critics, gradients and splits of MINE by hand and against loops over pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gensr_lib.analysis.bounds import Critics, fit, split
from gensr_lib.analysis.critics import (
    BatchedLinear,
    ClassCritic,
    CriticConfig,
    MineConfig,
    MineLoss,
    PairCritic,
    donsker_varadhan,
    info_nce,
    product_directions,
)
from tests.analysis.samples import logistic, rng


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_bounds_by_hand():
    joint = torch.tensor([[1.0, 3.0]])
    log_mean = torch.tensor([[2.0, 4.0]]).log()
    assert donsker_varadhan(joint, log_mean).item() == pytest.approx(2 - math.log(3))
    assert info_nce(joint, log_mean).item() == pytest.approx(2 - (math.log(2) + math.log(4)) / 2)


@pytest.mark.parametrize(("decay", "second"), [(0.75, 6 / (0.75 * 2 + 0.25 * 6)), (0.0, 1.0)])
def test_gradient_divides_by_the_moving_average(decay, second):
    """Two batches with E[e^f] 2 and 6: the second gradient is that of 6, over the average."""
    loss = MineLoss(decay)
    for value, expected in ((2.0, 1.0), (6.0, second)):
        joint = torch.zeros(1, 2, requires_grad=True)
        log_mean = torch.full((1, 2), math.log(value), requires_grad=True)
        loss(joint, log_mean).sum().backward()
        assert torch.allclose(joint.grad, torch.tensor([[-0.5, -0.5]]))
        assert torch.allclose(log_mean.grad, torch.tensor([[0.5, 0.5]]) * expected)


def test_pair_critic_scores_the_pairs_of_a_loop():
    x, y = torch.randn(2, 6, 3), torch.randn(2, 6, 2)
    critic = PairCritic(2, 3, 2, CriticConfig(hidden=5, embedding=4), generator())
    with torch.no_grad():
        own, log_mean = critic(x, y, [1, 4])
        score = lambda i, j: critic(x[:, [i]], y[:, [j]], [0])[0][:, 0]  # noqa: E731
        for i in range(6):
            assert torch.allclose(own[:, i], score(i, i), atol=1e-5)
            others = (score(i, (i - 1) % 6).exp() + score(i, (i - 4) % 6).exp()) / 2
            assert torch.allclose(log_mean[:, i], others.log(), atol=1e-5)


def test_no_pair_is_scored_above_the_most():
    x, y = torch.randn(2, 6, 3), torch.randn(2, 6, 2)
    critic = PairCritic(2, 3, 2, CriticConfig(hidden=5, embedding=4), generator())
    with torch.no_grad():
        own, other = critic(x, y, [1])
        most = torch.tensor([own[0].median(), own[1].max()])
        critic.most = most
        own_cut, other_cut = critic(x, y, [1])
    assert torch.equal(own_cut, torch.minimum(own, most[:, None]))
    assert torch.equal(other_cut, torch.minimum(other, most[:, None]))
    assert (own_cut[0] < own[0]).sum() == 3 and torch.equal(own_cut[1], own[1])


def test_no_reported_pair_is_scored_above_the_rows_that_chose_the_weights():
    x = rng().standard_normal((400, 1))
    y = x + 0.5 * rng(1).standard_normal((400, 1))
    by_size = np.abs(x[:, 0]).argsort()  # own pairs score higher the further out they are
    valid, trained, reported = by_size[None, :300:4], by_size[None], by_size[None, 300:]
    critics = Critics(x[None], y[None], MineConfig(penalties=(0.0,)), repeats=1, seed=0)
    for _ in range(60):
        critics.step(trained)
    critics.improves(valid)
    highest = critics.bound(valid, 64)[1]
    assert critics.bound(reported, 64)[1] > highest
    critics.result(reported)
    assert torch.equal(critics.network.most, highest)
    assert critics.bound(reported, 64)[1] == highest


def test_class_critic_sums_over_classes_with_the_frequencies_of_the_rows():
    x = torch.randn(2, 8, 3)
    y = torch.eye(3)[torch.tensor([[0, 0, 1, 1, 1, 1, 2, 2], [0, 0, 0, 0, 0, 0, 1, 1]])]
    critic = ClassCritic(2, 3, 3, CriticConfig(), generator())
    with torch.no_grad():
        own, log_mean = critic(x, y, [0])
        classes = [torch.eye(3)[c].expand_as(y) for c in range(3)]
        scores = torch.stack([critic(x, c, [0])[0] for c in classes], -1)
    assert torch.allclose(own, (scores * y).sum(-1))
    counts = torch.tensor([[2.0, 4, 2], [6.0, 2, 0]])
    expected = (scores.exp() * counts[:, None]).sum(-1) / 8
    assert torch.allclose(log_mean, expected.log(), atol=1e-6)


def test_networks_side_by_side_do_not_mix():
    layer = BatchedLinear(3, 4, 2, generator())
    layer.bias.data.normal_()
    x = torch.randn(3, 5, 4)
    linear = torch.nn.functional.linear
    alone = [linear(x[r], layer.weight[r].T, layer.bias[r, 0]) for r in range(3)]
    assert torch.allclose(layer(x), torch.stack(alone), atol=1e-6)


@pytest.mark.parametrize("kind", ["pairs", "classes"])
def test_a_repeat_learns_the_same_beside_others(kind):
    """Gradients, their clipping and the lasso are by network: rows of one do not move another."""
    x, y = logistic(3.0, 0.0, 300, columns=4)
    y = y.astype(int) if kind == "classes" else x[None, :, :2] + rng(2).standard_normal((2, 300, 2))
    config = MineConfig(penalties=(0.0, 0.1), learning_rate=0.05)
    rows = rng(1).permuted(np.tile(np.arange(300), (2, 1)), axis=1)[:, :50]
    other = rows.copy()
    other[1] = other[1, ::-1] // 2
    after = []
    for batch in (rows, other):
        critics = Critics(np.stack([x, x]), y, config, repeats=2, seed=0)
        for _ in range(3):
            critics.step(batch)
        after.append([p.detach() for p in critics.network.parameters()])
    for p, q in zip(*after, strict=True):  # networks 0 and 2 are those of the first repeat
        assert torch.allclose(p[[0, 2]], q[[0, 2]], atol=1e-6)
    assert not torch.allclose(after[0][0][1], after[1][0][1], atol=1e-3)


def test_a_large_penalty_drops_every_column_and_none_drops_nothing():
    x, y = logistic(3.0, 0.0, 300, columns=4)
    critics = Critics(x[None], y.astype(int), MineConfig(penalties=(0.0, 50.0)), 1, seed=0)
    for _ in range(20):
        critics.step(np.arange(300)[None])
    first = critics.network.column_weights[0]
    assert (first[1] == 0).all()
    assert (first[0] != 0).all()


def test_product_directions_are_those_of_the_products_that_decide():
    """y = sign of x0 x1 + x2 x3: the moments are 0.5 at these four pairs and noise elsewhere."""
    x = rng().standard_normal((4000, 40))
    y = (x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3] > 0).astype(int)
    both = torch.eye(2)[y]
    a, b = product_directions(torch.from_numpy(x).float(), both, 8)
    assert a.shape == b.shape == (40, 8)
    size = (a.norm(dim=0) * b.norm(dim=0)).numpy()
    assert np.allclose(size, np.round(size), atol=1e-5)  # found, or zero
    assert 4 <= size.sum() <= 6
    assert (a[4:, :4].abs() < 0.2).all()
    # With one more class, which says nothing, the same four directions span the products.
    three = torch.eye(3)[np.where(rng(1).random(4000) < 0.2, 2, y)]
    c, _ = product_directions(torch.from_numpy(x).float(), three, 8)
    assert torch.linalg.matrix_norm(c[:4], 2) > 0.99
    assert (
        product_directions(torch.from_numpy(x).float(), torch.eye(2)[rng(2).integers(0, 2, 4000)], 8)[0] == 0
    ).float().mean() > 0.7


def test_split_keeps_groups_together_and_differs_between_repeats():
    groups = rng().integers(0, 100, 1000)
    parts = split(groups, 3, rng(1))
    for r in range(3):
        rows = [part[r] for part in parts]
        assert len(np.unique(np.concatenate(rows))) == sum(map(len, rows)) > 850
        train, valid, test = (set(groups[own]) for own in rows)
        assert not train & valid
        assert not train & test
        assert not valid & test
    assert set(parts[2][0]) != set(parts[2][1])
    shares = [part.shape[1] / 1000 for part in parts]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.06)


def test_training_stops_when_nothing_gets_better():
    x, y = logistic(3.0, 0.0, 400)
    config = MineConfig(steps=400, eval_every=10, patience=3, learning_rate=1e-12)
    _, curve = fit(x, y.astype(int), np.arange(400), config, repeats=2, seed=0)
    assert curve["step"].max() in (30, 40)  # the start may be better than nothing, once
