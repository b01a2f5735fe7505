"""Metrics against brute force and the numbers that can be computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import ndcg_score

from gensr_lib.training.metrics import (
    METRICS,
    check_consistency,
    metric_columns,
    ndcg_at_k,
    ranks,
    recall_at_k,
    summarise,
)


def test_ranks_equal_a_loop_with_ties():
    scores = torch.randint(0, 6, (200, 30)).float()
    for row, rank in zip(scores.tolist(), ranks(scores).tolist(), strict=True):
        assert rank == 1 + sum(s > row[0] for s in row) + sum(s == row[0] for s in row[1:]) / 2


def test_constant_scorer_is_at_chance_and_random_scores_give_the_closed_form():
    assert metric_columns(ranks(torch.zeros(3, 100)).numpy())["R@10"].sum() == 0
    generator = torch.Generator().manual_seed(0)
    rank = ranks(torch.rand(40_000, 100, generator=generator)).numpy()
    exact = {"R@5": 0.05, "R@10": 0.10, "N@5": sum(1 / math.log2(r + 1) for r in range(1, 6)) / 100,
             "N@10": sum(1 / math.log2(r + 1) for r in range(1, 11)) / 100}  # fmt: skip
    for name, value in metric_columns(rank).items():
        assert value.mean() == pytest.approx(exact[name], abs=4 * value.std() / 200)  # four standard errors


def test_positive_in_another_column_and_candidate_order():
    scores = torch.rand(50, 20)
    shuffle = torch.randperm(20)
    moved = scores[:, shuffle]
    assert torch.equal(ranks(scores), ranks(moved, int((shuffle == 0).nonzero())))
    column = torch.arange(50) % 20
    own = torch.stack([ranks(scores[i : i + 1], int(c))[0] for i, c in enumerate(column)])
    assert torch.equal(ranks(scores, column), own)


def test_ndcg_equals_scikit_learn():
    scores = torch.rand(40, 100).double()
    truth = np.zeros((40, 100))
    truth[:, 0] = 1
    expected = ndcg_score(truth, scores.numpy(), k=10)
    assert ndcg_at_k(ranks(scores).numpy(), 10).mean() == pytest.approx(expected, abs=1e-12)


def test_nan_is_an_error_and_infinity_is_not():
    scores = torch.zeros(3, 4)
    scores[1, 2] = torch.nan
    with pytest.raises(ValueError, match="row 1 has a NaN score"):
        ranks(scores)
    assert ranks(torch.tensor([[-torch.inf, 0.0, 1.0]])).item() == 3


def test_users_count_once():
    table = pd.DataFrame({"user": [7, 7, 7, 9], "rank": [1.0, 1.0, 1.0, 50.0]})
    assert summarise(table)["N@10"] == pytest.approx((1 + 0) / 2)
    assert recall_at_k(np.array([5.5]), 5).item() == 0


def test_consistency_accepts_ranks_and_rejects_impossible_rows():
    rng = np.random.default_rng(0)
    for _ in range(50):
        check_consistency({k: v.mean() for k, v in metric_columns(rng.integers(2, 40, 30) / 2).items()})
    printed = dict(zip(METRICS, (0.9782, 0.9664, 0.9853, 0.9687), strict=True))  # GenSR, Amazon search, as printed
    with pytest.raises(ValueError, match="impossible"):
        check_consistency(printed)
    with pytest.raises(ValueError, match="impossible"):  # GenSR, KuaiSAR search: N@10 - N@5 is too small
        check_consistency(dict(zip(METRICS, (0.7661, 0.8372, 0.7564, 0.7655), strict=True)))
