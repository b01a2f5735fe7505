"""Losses against loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from gensr_lib.models.losses import bpr, contrastive, instruction_tuning


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


def test_instruction_tuning_is_the_mean_negative_log_likelihood():
    yes = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.5]])
    log_probs = torch.stack([yes, 1 - yes], dim=-1).log()
    expected = -(math.log(0.7) + math.log(0.8) + math.log(0.9) + math.log(0.4) + 2 * math.log(0.5)) / 6
    assert instruction_tuning(log_probs).item() == pytest.approx(expected, rel=1e-6)


def test_bpr_at_zero_is_ln_two():
    assert bpr(torch.zeros(3), torch.zeros(3, 4)).item() == pytest.approx(math.log(2))
    assert bpr(torch.full((1,), 30.0), torch.zeros(1, 2)).item() < 1e-9
