"""GRU4Rec against a recurrent cell that is applied item by item."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models.recommendation.sequences import CANDIDATES, HISTORIES, ITEMS, batch_of, untrained


def cell_states(model, history: list[int]) -> list[torch.Tensor]:
    """The state after each item, by `nn.GRUCell` with the model's weights."""
    cell = nn.GRUCell(8, 8)
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in model.gru.state_dict().items()})
    states = [torch.zeros(8)]
    for item in history:
        states.append(cell(model.items.weight[item], states[-1]))
    return states


@torch.no_grad()
def test_scores_are_those_of_a_cell_applied_item_by_item():
    model = untrained("gru4rec")
    scores = model.score(batch_of())
    for row, history, candidates in zip(scores, HISTORIES, CANDIDATES, strict=True):
        expected = model.items.weight[candidates] @ cell_states(model, history)[-1] + model.bias[candidates]
        assert torch.allclose(row, expected, atol=1e-5)


@torch.no_grad()
def test_without_a_history_the_score_is_the_bias():
    model = untrained("gru4rec")
    assert torch.equal(model.score(batch_of())[1], model.bias[CANDIDATES[1]])


@torch.no_grad()
def test_the_loss_is_over_every_position_with_a_target():
    model = untrained("gru4rec")
    found = []
    for history, candidates in zip(HISTORIES, CANDIDATES, strict=True):
        following = [*history[1:], int(candidates[0])]
        for state, target in zip(cell_states(model, history)[1:], following, strict=bool(history)):
            logits = torch.stack([state @ model.items.weight[i] + model.bias[i] for i in range(1, ITEMS + 1)])
            found.append(-logits.log_softmax(0)[target - 1])
    assert len(found) == sum(map(len, HISTORIES)) == 14
    assert model.loss(batch_of())["next"].item() == pytest.approx(float(sum(found) / 14), abs=1e-5)


@torch.no_grad()
def test_negatives_of_the_batch_do_not_enter_the_loss():
    model = untrained("gru4rec")
    other = CANDIDATES.clone()
    other[:, 1:] = 19
    assert torch.equal(model.loss(batch_of())["next"], model.loss(batch_of(candidates=other))["next"])


@torch.no_grad()
def test_a_later_item_changes_no_earlier_state():
    model = untrained("gru4rec")
    one, two = (model.states(torch.tensor([[3, 7, 1, item, 9]])) for item in (4, 5))
    assert torch.equal(one[:, :3], two[:, :3]) and not torch.allclose(one[:, 3:], two[:, 3:])


def test_no_history_in_the_whole_batch_is_a_loss_of_zero():
    model = untrained("gru4rec").train()
    loss = model.loss(batch_of([[], []], CANDIDATES[:2]))["next"]
    loss.backward()
    assert loss.item() == 0
