"""Ranking metrics for one positive among C candidates, plain and expected under a known click law.

Per user first, mean second: a user with many test rows counts once.

Ties share their mean rank, so that no scorer gains by tying. A constant scorer has the *rank* of
chance, (1 + C) / 2, and only that: no candidate of it is among the first ten of 100, and its R@10
and N@10 are 0, where those of random scores are .10 and .045.

On a simulated world it is known with which probability w_j each candidate j of a list was the
click. Then the expectation of a metric over the click, given the list, takes the place of its value
at the one click that was drawn::

    expected M@K  =  sum_j w_j M@K(rank of j in the list)

It has the same mean over clicks and a smaller variance (Rao-Blackwell). It does not average over
orders of ties: the expected metrics of a constant scorer are 0 like its plain ones.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

CUTOFFS = (5, 10)
METRICS = tuple(f"{name}@{k}" for name in ("R", "N") for k in CUTOFFS)  # R@5 R@10 N@5 N@10
EXPECTED = tuple(f"expected {name}" for name in METRICS)  # columns of a simulated world


def ranks(scores: Tensor, positive: int | Tensor = 0) -> Tensor:
    """Rank of the positive: 1 + candidates that score better + half of those that tie.

    Args:
        scores: (B, C), higher is better.
        positive: column of the positive, one for all rows or (B,).

    Returns:
        (B,) float64 ranks, in steps of one half.

    Raises:
        ValueError: a score is NaN (comparisons with NaN are all false: it would get rank 1).

    Two better, one tie: 1 + 2 + 1/2.

    >>> ranks(torch.tensor([[0.5, 0.9, 0.7, 0.5, 0.1]]))
    tensor([3.5000], dtype=torch.float64)

    A constant scorer over 100 candidates is in the middle: 1 + 99/2.

    >>> ranks(torch.zeros(1, 100)).item() == 1 + 99 / 2
    True
    """
    check_scores(scores)
    column = torch.as_tensor(positive, device=scores.device).expand(len(scores)).unsqueeze(1)
    # Counting is enough for one positive, and unlike a sort it does not favor any side of a tie.
    own = scores.gather(1, column)
    better = (scores > own).sum(dim=1)
    ties = (scores == own).sum(dim=1) - 1
    return 1 + better.double() + ties.double() / 2


def candidate_ranks(scores: Tensor) -> Tensor:
    """Rank of every candidate in its list, by the rule of `ranks`: (B, C) to (B, C) float64.

    Raises:
        ValueError: a score is NaN.

    >>> candidate_ranks(torch.tensor([[0.5, 0.9, 0.7, 0.5, 0.1]]))
    tensor([[3.5000, 1.0000, 2.0000, 3.5000, 5.0000]], dtype=torch.float64)
    """
    check_scores(scores)
    # Two binary searches in the sorted list find a score's first and last place among its ties:
    # (B, C) of memory, where comparing all pairs takes (B, C, C).
    ascending = scores.sort(dim=1).values
    worse = torch.searchsorted(ascending, scores.contiguous())
    not_better = torch.searchsorted(ascending, scores.contiguous(), right=True)
    ties = not_better - worse - 1
    return 1 + (scores.shape[1] - not_better).double() + ties.double() / 2


def check_scores(scores: Tensor) -> None:
    """Raise ValueError for a NaN among scores (B, C), naming its row."""
    if torch.isnan(scores).any():
        row = int(torch.isnan(scores).any(dim=1).nonzero()[0])
        raise ValueError(
            f"row {row} has a NaN score; the model diverged or an input is not finite."
        )


def recall_at_k(rank: np.ndarray, k: int) -> np.ndarray:
    """1 where the positive is among the first k, else 0 (one relevant item: recall = hit rate).

    >>> recall_at_k(np.array([1, 5, 6]), k=5)
    array([1., 1., 0.])
    """
    return (np.asarray(rank) <= k).astype(float)


def ndcg_at_k(rank: np.ndarray, k: int) -> np.ndarray:
    """1 / log2(rank + 1) where the positive is among the first k, else 0; the ideal DCG is 1.

    >>> import math
    >>> expected = [1, 1 / math.log2(3), 1 / math.log2(6), 0]
    >>> ndcg_at_k(np.array([1, 2, 5, 6]), k=5).tolist() == expected
    True
    """
    rank = np.asarray(rank, dtype=float)
    return np.where(rank <= k, 1 / np.log2(rank + 1), 0.0)


def metric_columns(rank: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of `METRICS` for each row."""
    functions = {"R": recall_at_k, "N": ndcg_at_k}
    return {name: functions[name[0]](rank, int(name[2:])) for name in METRICS}


def expected_columns(rank: np.ndarray, share: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of `EXPECTED` for each list: the mean over its candidates, weighted by share.

    Args:
        rank: (B, C) of every candidate, as `candidate_ranks` gives them.
        share: (B, C) the probability that each was the click; rows sum to 1.

    Two thirds of the clicks would be at rank 1, one third at rank 2:

    >>> import math
    >>> found = expected_columns(np.array([[1, 2]]), np.array([[2 / 3, 1 / 3]]))
    >>> found["expected N@5"].item() == 2 / 3 + 1 / 3 / math.log2(3)
    True
    """
    values = metric_columns(rank)
    return {f"expected {name}": (values[name] * share).sum(axis=-1) for name in METRICS}


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Mean over users of each user's mean: ``table`` has columns ``user`` and ``rank``.

    User 0 has ranks 1 and 6 (R@5 = 1/2), user 1 has rank 2 (R@5 = 1): the mean is 3/4.

    >>> summarise(pd.DataFrame({"user": [0, 0, 1], "rank": [1, 6, 2]}))["R@5"] == (1 / 2 + 1) / 2
    True
    """
    return _user_mean(table["user"], metric_columns(table["rank"].to_numpy()))


def summarise_expected(table: pd.DataFrame) -> dict[str, float]:
    """The same of the columns `EXPECTED`, under the plain names ``R@5``...; they must be there."""
    columns = zip(METRICS, EXPECTED, strict=True)
    return _user_mean(table["user"], {plain: table[name].to_numpy() for plain, name in columns})


def _user_mean(user: pd.Series, values: dict[str, np.ndarray]) -> dict[str, float]:
    rows = pd.DataFrame({"user": user.to_numpy(), **values})
    means = rows.groupby("user").mean().mean()
    result = {name: float(means[name]) for name in METRICS}
    check_consistency(result)
    return result


def check_consistency(values: dict[str, float], tolerance: float = 1e-9) -> None:
    """Inequalities that hold for one positive per list; four printed rows of the paper break them.

    ``R@5 / log2(6) <= N@5 <= R@5``, and with ``more = R@10 - R@5``
    ``more / log2(11) <= N@10 - N@5 <= more / log2(6.5)``:
    a hit between 6 and 10 is discounted by at least 1/log2(11) and, with half ranks from 5.5 on, at
    most 1/log2(6.5).

    Raises:
        ValueError: the values cannot come from ranks with one positive.
    """
    hits = values["R@5"]
    more = values["R@10"] - values["R@5"]
    gain = values["N@10"] - values["N@5"]
    low = 1 / np.log2(11)
    high = 1 / np.log2(6.5)
    first = hits / np.log2(6) - tolerance <= values["N@5"] <= hits + tolerance
    second = low * more - tolerance <= gain <= high * more + tolerance
    if not (first and second):
        raise ValueError(f"impossible with one positive per list: {values}")
