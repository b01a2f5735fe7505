"""Metrics against brute force and the numbers that can be computed by hand."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import ndcg_score

from gensr_lib.training.metrics import (
    EXPECTED,
    METRICS,
    candidate_ranks,
    check_consistency,
    expected_columns,
    metric_columns,
    ndcg_at_k,
    ranks,
    recall_at_k,
    summarise,
    summarise_expected,
)


def test_ranks_equal_a_loop_with_ties():
    scores = torch.randint(0, 6, (200, 30)).float()
    for row, rank in zip(scores.tolist(), ranks(scores).tolist(), strict=True):
        assert rank == 1 + sum(s > row[0] for s in row) + sum(s == row[0] for s in row[1:]) / 2


def test_a_constant_scorer_never_hits_and_random_scores_give_the_closed_form():
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


# --- every candidate, and the law -------------------------------------------------------------


def lists(n: int = 60, candidates: int = 20) -> tuple[torch.Tensor, np.ndarray]:
    """Scores with ties, and shares that sum to 1."""
    share = np.random.default_rng(0).dirichlet(np.ones(candidates), size=n)
    return torch.randint(0, 12, (n, candidates)).float(), share


@pytest.mark.parametrize("scores", [lists()[0], torch.rand(30, 100), torch.zeros(2, 7), torch.rand(4, 1)])
def test_the_rank_of_each_candidate_is_its_rank_as_the_positive(scores):
    found = candidate_ranks(scores)
    for column in range(scores.shape[1]):
        assert torch.equal(found[:, column], ranks(scores, column))


def test_infinities_and_signed_zeros_tie_like_other_scores():
    scores = torch.tensor([[0.0, -0.0, torch.inf, -torch.inf, -torch.inf, torch.inf]])
    assert candidate_ranks(scores).tolist() == [[3.5, 3.5, 1.5, 5.5, 5.5, 1.5]]
    scores[0, 2] = torch.nan
    with pytest.raises(ValueError, match="row 0 has a NaN score"):
        candidate_ranks(scores)


def test_expected_metrics_equal_a_loop_over_the_clicks():
    scores, share = lists()
    found = expected_columns(candidate_ranks(scores).numpy(), share)
    assert tuple(found) == EXPECTED
    for row in range(len(scores)):
        total = dict.fromkeys(METRICS, 0.0)
        for click in range(scores.shape[1]):
            for name, value in metric_columns(ranks(scores[row : row + 1], click).numpy()).items():
                total[name] += share[row, click] * value.item()
        for name, value in total.items():
            assert found[f"expected {name}"][row] == pytest.approx(value, abs=1e-12)


def test_where_the_click_is_certain_expected_is_plain():
    scores, _ = lists()
    certain = np.eye(scores.shape[1])[np.zeros(len(scores), int)]
    plain = metric_columns(ranks(scores).numpy())
    for name, value in expected_columns(candidate_ranks(scores).numpy(), certain).items():
        assert value.tolist() == plain[name.removeprefix("expected ")].tolist()


def test_expected_metrics_have_the_mean_of_plain_ones_and_less_spread():
    """20,000 clicks drawn from the shares of one list, five standard errors either side."""
    scores, share = lists(1)
    exact = expected_columns(candidate_ranks(scores).numpy(), share)
    clicks = np.random.default_rng(1).choice(share.shape[1], size=20_000, p=share[0])
    plain = metric_columns(candidate_ranks(scores)[0].numpy()[clicks])
    for name, values in plain.items():
        assert values.mean() == pytest.approx(exact[f"expected {name}"].item(), abs=5 * values.std() / 20_000**0.5)


def test_a_constant_scorer_expects_nothing_and_a_list_without_a_law_chance():
    """Ties are not broken: rank 50.5 is no hit. Equal shares: 5 of 100 candidates are among the first 5."""
    shares = np.full((1, 100), 0.01)
    constant = expected_columns(candidate_ranks(torch.zeros(1, 100)).numpy(), shares)
    assert all(value.item() == 0 for value in constant.values())
    found = expected_columns(candidate_ranks(torch.rand(1, 100)).numpy(), shares)
    assert found["expected R@5"].item() == pytest.approx(0.05)
    assert found["expected N@10"].item() == pytest.approx(sum(1 / math.log2(r + 1) for r in range(1, 11)) / 100)


def test_the_order_of_the_law_is_the_best_of_all():
    share = np.array([0.15, 0.3, 0.05, 0.25, 0.08, 0.17])
    best = expected_columns(candidate_ranks(torch.tensor(share)[None]).numpy(), share[None])
    top = sorted(share, reverse=True)
    assert best["expected N@5"].item() == pytest.approx(sum(top[r - 1] / math.log2(r + 1) for r in range(1, 6)))
    for order in permutations(range(1, 7)):
        other = expected_columns(np.array([order]), share[None])
        if (share[np.argsort(order)] != top).any():
            assert other["expected N@5"].item() < best["expected N@5"].item()
        assert other["expected R@5"].item() <= best["expected R@5"].item()


def test_expected_metrics_count_users_once():
    columns = {name: [1.0, 0.5, 0.3] for name in EXPECTED}
    found = summarise_expected(pd.DataFrame({"user": [4, 4, 6], **columns} | {"expected R@10": [1.0, 0.5, 0.3]}))
    assert found == pytest.approx(dict.fromkeys(METRICS, (0.75 + 0.3) / 2))
