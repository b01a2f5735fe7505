"""SASRec against the paper's formulas on histories padded in front, as the authors' code has them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.models.recommendation.sequences import CANDIDATES, HISTORIES, ITEMS, LONGEST, batch_of, untrained


def front_padded(model, histories: list[list[int]], heads: int) -> torch.Tensor:
    """h at each of N positions, padding in front and zeroed after each block; attention by hand."""
    d, n = model.config.width, model.config.history
    ids = torch.tensor([[0] * (n - len(history)) + history for history in histories])
    real = (ids != 0).unsqueeze(-1)
    x = (model.items.weight[ids] * math.sqrt(d) + model.encoder.position) * real
    for layer in model.encoder.encoder.layers:
        x = x + attended(layer, norm(layer.norm1, x), real[..., 0], heads)
        inner = torch.relu(norm(layer.norm2, x) @ layer.linear1.weight.T + layer.linear1.bias)
        x = x + inner @ layer.linear2.weight.T + layer.linear2.bias
        x = x * real
    return norm(model.encoder.encoder.norm, x) * real


def norm(module: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * module.weight + module.bias


def attended(layer, x: torch.Tensor, real: torch.Tensor, heads: int) -> torch.Tensor:
    """Each position reads the real ones up to itself; what padding reads is nobody's business."""
    attention, n = layer.self_attn, x.shape[1]
    q, k, v = (x @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=-1)
    allowed = torch.ones(n, n).tril().bool() & real[:, None, :]
    allowed = allowed | torch.eye(n).bool()
    out = []
    for own in zip(*(part.chunk(heads, dim=-1) for part in (q, k, v)), strict=True):
        logits = own[0] @ own[1].transpose(1, 2) / math.sqrt(x.shape[-1] / heads)
        out.append(logits.masked_fill(~allowed, -math.inf).softmax(-1) @ own[2])
    return torch.cat(out, dim=-1) @ attention.out_proj.weight.T + attention.out_proj.bias


@torch.no_grad()
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("heads", [1, 2])
def test_states_and_scores_are_those_of_the_paper(heads, mode):
    model = untrained("sasrec", heads=heads, dropout=0.0)
    getattr(model, mode)()
    expected = front_padded(model, HISTORIES, heads)
    made = batch_of()
    states = model.states(made.rec_items[:, :LONGEST])
    for ours, theirs, history in zip(states, expected, HISTORIES, strict=True):
        n = len(history)
        assert torch.allclose(ours[:n], theirs[LONGEST - n :], atol=1e-5) and (ours[n:] == 0).all()
    scores = torch.einsum("bd,bcd->bc", expected[:, -1], model.items.weight[CANDIDATES])
    assert torch.allclose(model.score(made), scores, atol=1e-5)


@torch.no_grad()
def test_a_later_item_changes_no_earlier_state():
    """Bitwise. The history is full, for padding would move what stands before it."""
    model = untrained("sasrec")
    one, two = (model.states(torch.tensor([[3, 7, 1, item, 9, 2]])) for item in (4, 5))
    assert torch.equal(one[:, :3], two[:, :3]) and not torch.allclose(one[:, 3:], two[:, 3:])


@torch.no_grad()
def test_the_loss_is_each_positions_target_against_one_negative_of_the_record():
    model = untrained("sasrec")
    states = front_padded(model, HISTORIES, heads=2)
    found = []
    for state, history, (positive, *negatives) in zip(states, HISTORIES, CANDIDATES.tolist(), strict=True):
        following = [*history[1:], positive]
        for t in range(len(history)):
            h = state[LONGEST - len(history) + t]
            right = torch.sigmoid(h @ model.items.weight[following[t]])
            wrong = torch.sigmoid(h @ model.items.weight[negatives[t % 3]])
            found.append(float(-right.log() - (1 - wrong).log()))
    assert len(found) == 14
    assert model.loss(batch_of())["next"].item() == pytest.approx(sum(found) / 14, abs=1e-5)


@torch.no_grad()
def test_the_option_ce_is_a_softmax_over_all_items():
    model = untrained("sasrec", loss="ce")
    states = front_padded(model, HISTORIES, heads=2)
    found = []
    for state, history, positive in zip(states, HISTORIES, CANDIDATES[:, 0].tolist(), strict=True):
        following = [*history[1:], positive]
        for t in range(len(history)):
            logits = model.items.weight[1 : ITEMS + 1] @ state[LONGEST - len(history) + t]
            found.append(float(-logits.log_softmax(0)[following[t] - 1]))
    assert model.loss(batch_of())["next"].item() == pytest.approx(sum(found) / 14, abs=1e-5)


@torch.no_grad()
def test_zero_scores_cost_two_ln_2():
    model = untrained("sasrec")
    model.items.weight.zero_()
    assert model.loss(batch_of())["next"].item() == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("loss", ["bce", "ce"])
def test_no_history_in_the_whole_batch_is_a_loss_of_zero(loss):
    model = untrained("sasrec", loss=loss).train()
    found = model.loss(batch_of([[], []], CANDIDATES[:2]))["next"]
    found.backward()
    assert found.item() == 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
