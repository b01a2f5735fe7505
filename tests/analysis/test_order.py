"""What moves when a click changes, and what stays when all of them move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.analysis import reach, reordered
from gensr_lib.training.evaluation import evaluate
from tests.models.test_contract import make
from tests.worlds import pocket


class Sums:
    """The state at a position is the sum of the items up to it; or of all but the first."""

    def __init__(self, causal: bool):
        self.causal = causal

    def states(self, items: torch.Tensor) -> torch.Tensor:
        summed = items.cumsum(dim=1) if self.causal else items[:, 1:].sum(dim=1, keepdim=True).expand(items.shape)
        return summed.float().unsqueeze(-1)


def test_reach_is_the_move_of_each_state_as_a_share_of_the_most():
    clicks = torch.tensor([[3, 1, 7]])  # another item, 9, moves them by 6, 8 and 2
    found = reach(Sums(causal=True), clicks, other=9)
    assert found == pytest.approx(np.array([[6, 0, 0], [6, 8, 0], [6, 8, 2]]) / 8)
    assert reach(Sums(causal=False), clicks, other=9) == pytest.approx(np.array([[0, 8, 2]] * 3) / 8)


@pytest.mark.parametrize("order", ["shuffled", "backwards"])
def test_clicks_move_and_nothing_else_does(order):
    batch = pocket().batch("test", "rec", range(8))
    found = reordered(batch, order, torch.Generator().manual_seed(0))
    for old, new in zip(batch.rec_items.tolist(), found.rec_items.tolist(), strict=True):
        n = sum(item != 0 for item in old)
        assert sorted(new[:n]) == sorted(old[:n]) and new[n:] == old[n:]
        if order == "backwards":
            assert new[:n] == old[:n][::-1]
    assert not torch.equal(found.rec_items, batch.rec_items)
    assert replace(found, rec_items=batch.rec_items) == batch


def test_shuffles_are_drawn_from_the_generator():
    batch = pocket().batch("test", "rec", range(8))
    one, same, other = (
        reordered(batch, "shuffled", torch.Generator().manual_seed(seed)).rec_items for seed in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_model_without_positions_ranks_reordered_histories_alike_and_one_with_them_does_not():
    data = pocket()
    for name, equal in {"din": True, "sasrec": False}.items():
        model = make(name).eval()
        plain = evaluate(model, data).table["rank"]
        turned = evaluate(model, data, change=lambda batch: reordered(batch, "backwards")).table
        assert (plain == turned["rank"]).all() == equal
        assert turned["item"].equals(evaluate(model, data).table["item"])
