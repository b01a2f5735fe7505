"""Losses against loops and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gensr_lib.models.losses import (
    bpr,
    contrastive,
    contrastive_released,
    instruction_tuning,
    softmax_over_items,
)


def contrastive_by_loops(cf, semantic, user, tau):
    """Eq. 10 as the paper's text describes it, one pair at a time."""
    total = 0.0
    for u in range(len(user)):
        positive = math.exp(F.cosine_similarity(cf[u], semantic[u], dim=0).item() / tau)
        below = positive
        for other in range(len(user)):
            if user[other] != user[u]:
                below += math.exp(F.cosine_similarity(cf[u], semantic[other], dim=0).item() / tau)
                below += math.exp(F.cosine_similarity(semantic[u], cf[other], dim=0).item() / tau)
        total -= math.log(positive / below)
    return total / len(user)


@pytest.mark.parametrize("users", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1], [3, 3, 3, 3, 3]])
def test_contrastive_equals_loops_over_pairs(users):
    cf, semantic = torch.randn(5, 8, dtype=torch.double), torch.randn(5, 8, dtype=torch.double)
    got = contrastive(cf, semantic, torch.tensor(users), 0.07).item()
    assert got == pytest.approx(contrastive_by_loops(cf, semantic, users, 0.07), rel=1e-9)


def test_contrastive_of_identical_vectors_and_of_one_user():
    same = torch.ones(6, 4)
    assert contrastive(same, same, torch.arange(6), 0.07).item() == pytest.approx(math.log(2 * 6 - 1), rel=1e-5)
    assert contrastive(same, same, torch.zeros(6), 0.07).item() == pytest.approx(0, abs=1e-6)
    assert contrastive(same[:0], same[:0], torch.zeros(0), 0.07).item() == 0


def test_contrastive_ignores_length_and_falls_as_views_agree():
    cf = torch.randn(16, 8)
    user = torch.arange(16)
    near, far = (
        contrastive(cf, cf + 0.1 * torch.randn(16, 8), user, 0.1),
        contrastive(cf, torch.randn(16, 8), user, 0.1),
    )
    assert near < far
    assert torch.allclose(contrastive(3 * cf, cf, user, 0.1), contrastive(cf, 7 * cf, user, 0.1), atol=1e-5)


def layer_norms(width: int) -> list[torch.nn.LayerNorm]:
    return [torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)]


def released_by_loops(cf, semantic, tau: float) -> float:
    """One row at a time: unit length, mean 0 and variance 1, inner products, two softmaxes."""

    def normed(x):
        x = x / np.linalg.norm(x)
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5)

    cf, semantic = ([normed(row) for row in view.numpy().astype(float)] for view in (cf, semantic))
    total = 0.0
    for one, other in ((cf, semantic), (semantic, cf)):
        for u in range(len(one)):
            logits = np.array([one[u] @ row / tau for row in other])
            total -= logits[u] - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    return total / (2 * len(cf))


def test_the_released_contrastive_loss_equals_loops_over_rows():
    cf, semantic = torch.randn(7, 16), torch.randn(7, 16)
    got = contrastive_released(3 * cf, semantic / 9, layer_norms(16), 0.07).item()
    assert got == pytest.approx(released_by_loops(cf, semantic, 0.07), rel=1e-4)
    assert contrastive_released(cf[:0], semantic[:0], layer_norms(16), 0.07).item() == 0


def test_its_effective_temperature_is_tau_over_the_width():
    """tau 0.07 in 768 dimensions: 9e-5. Views so alike that the loss is neither 0 nor hundreds."""
    cf = torch.randn(50, 768, dtype=torch.double)
    cf = cf - cf.mean(dim=1, keepdim=True)
    semantic = F.normalize(cf.mean(dim=0) + 0.001 * cf, dim=1)
    cosine = F.normalize(cf, dim=1) @ F.normalize(semantic, dim=1).T
    own = torch.arange(50)
    expected = (F.cross_entropy(cosine * 768 / 0.07, own) + F.cross_entropy(cosine.T * 768 / 0.07, own)) / 2
    got = contrastive_released(cf, semantic, layer_norms(768), 0.07)
    assert got.item() == pytest.approx(expected.item(), rel=0.02) and 1 < got < 1000


def test_its_size_at_random_vectors():
    """Logits have standard deviation sqrt(d') / tau, and the largest of 200 lies 2.75 of those above the own one.

    The released log begins at 855, and ln 200 is 5.3.
    """
    cf, semantic = torch.randn(200, 768), torch.randn(200, 768)
    got = contrastive_released(cf, semantic, layer_norms(768), 0.07).item()
    assert got == pytest.approx(2.75 * math.sqrt(768) / 0.07, rel=0.1)
    assert contrastive(cf, semantic, torch.arange(200), 0.07) < 8, "the paper's form: near ln 399"


def test_instruction_tuning_is_the_mean_negative_log_likelihood():
    yes = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.5]])
    log_probs = torch.stack([yes, 1 - yes], dim=-1).log()
    expected = -(math.log(0.7) + math.log(0.8) + math.log(0.9) + math.log(0.4) + 2 * math.log(0.5)) / 6
    assert instruction_tuning(log_probs).item() == pytest.approx(expected, rel=1e-6)


def test_bpr_at_zero_is_ln_two():
    assert bpr(torch.zeros(3), torch.zeros(3, 4)).item() == pytest.approx(math.log(2))
    assert bpr(torch.full((1,), 30.0), torch.zeros(1, 2)).item() < 1e-9


def softmax_by_loops(states, target, items, bias, pool: list[int]) -> float:
    """Each state's target among the items of a pool."""
    total = 0.0
    for state, right in zip(states, target.tolist(), strict=True):
        logits = {i: float(state @ items[i] + bias[i]) for i in pool}
        total += math.log(sum(math.exp(logit) for logit in logits.values())) - logits[right]
    return total / len(states)


def test_softmax_over_all_items_and_over_a_sample_equals_loops():
    """A sample has each item once: those drawn, and the targets, whose draws are no second negatives."""
    states, items, bias = torch.randn(4, 3), torch.randn(9, 3), torch.randn(9)
    target = torch.tensor([7, 2, 7, 0])
    everything = softmax_by_loops(states, target, items, bias, list(range(9)))
    assert softmax_over_items(states, target, items, bias).item() == pytest.approx(everything, abs=1e-5)
    without = softmax_by_loops(states, target, items, torch.zeros(9), list(range(9)))
    assert softmax_over_items(states, target, items).item() == pytest.approx(without, abs=1e-5)
    for seed in range(5):
        torch.manual_seed(seed)
        pool = sorted({0, 2, 7, *torch.randint(9, (4,)).tolist()})
        torch.manual_seed(seed)
        found = softmax_over_items(states, target, items, bias, draws=4).item()
        assert len(pool) < 9 and found == pytest.approx(softmax_by_loops(states, target, items, bias, pool), abs=1e-5)


def test_softmax_of_no_state_is_zero():
    nothing = torch.zeros(0, dtype=torch.long)
    for draws in (None, 2):
        assert softmax_over_items(torch.zeros(0, 3), nothing, torch.randn(9, 3), draws=draws).item() == 0
