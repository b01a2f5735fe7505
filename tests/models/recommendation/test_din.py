"""DIN: its attention by loops over the formula, Dice, and that the candidate decides what is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.models.attention import TargetAttention
from gensr_lib.models.recommendation.din import DIN, BatchNorm, Dice, DINConfig
from tests.models.lessons import N_ITEMS, kind_of_history, learn, reads
from tests.worlds import pocket

D = 6


def history():
    """Three rows of 4 tokens: one full, one of a single token, one empty; 5 candidates each."""
    valid = torch.arange(4) < torch.tensor([4, 1, 0])[:, None]
    return torch.randn(3, 4, D), torch.randn(3, 5, D), valid


def din(**options) -> DIN:
    torch.manual_seed(0)
    return DIN.from_dataset(pocket(), DINConfig(**{"width": 8, **options})).eval()


@pytest.mark.parametrize("normalise", [True, False])
@torch.no_grad()
def test_attention_by_loops_over_four_vectors_end_to_end(normalise):
    block = TargetAttention(D, (7, 3), normalise)
    tokens, candidates, valid = history()
    found = block(tokens, candidates, valid)
    for b in range(3):
        for c in range(5):
            v, raw = candidates[b, c], []
            for k in tokens[b][valid[b]]:
                hidden = torch.sigmoid(block.first(torch.cat([v, k, v - k, v * k])))
                raw.append(block.rest[3](torch.sigmoid(block.rest[1](hidden)))[0])
            if not raw:
                assert (found[b, c] == 0).all()
                continue
            raw = torch.stack(raw)
            weights = torch.softmax(raw / D**0.5, dim=0) if normalise else raw
            expected = sum(w * k for w, k in zip(weights, tokens[b][valid[b]], strict=True))
            assert torch.allclose(found[b, c], expected, atol=1e-5)


@torch.no_grad()
def test_a_single_token_is_the_interest_and_padding_is_not_read():
    block = TargetAttention(D)
    tokens, candidates, valid = history()
    found = block(tokens, candidates, valid)
    assert torch.allclose(found[1], tokens[1, :1].expand(5, D), atol=1e-6)
    noise = torch.where(valid[..., None], tokens, torch.randn_like(tokens))
    assert torch.equal(block(noise, candidates, valid), found)
    assert (found[0, 0] - found[0, 1]).abs().max() > 1e-5, "two candidates read one history differently"


def test_dice_by_its_formula_and_at_its_ends():
    dice, x = Dice(3), torch.randn(2, 5, 3) * 4 + 1
    dice.alpha.data = torch.tensor([0.0, 0.5, 1.0])
    rows = x.reshape(10, 3)
    p = torch.sigmoid((rows - rows.mean(dim=0)) / (rows.var(dim=0, unbiased=False) + 1e-5).sqrt())
    assert torch.allclose(dice(x), (p * rows + (1 - p) * dice.alpha * rows).view(2, 5, 3), atol=1e-5)
    dice.alpha.data.fill_(1)
    assert torch.allclose(dice(x), x, atol=1e-6)


def test_a_single_row_is_normalised_by_the_running_statistics():
    norm = BatchNorm(2)
    for _ in range(200):
        norm(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))
    before = norm.running_mean.clone()
    # Mean 2 and 7; the running variances are unbiased: 2 and 8.
    expected = torch.tensor([[[(3 - 2) / 2**0.5, (3 - 7) / 8**0.5]]])
    assert torch.allclose(norm(torch.tensor([[[3.0, 3.0]]])), expected, atol=1e-3)
    assert torch.equal(norm.running_mean, before)
    assert torch.allclose(norm.eval()(torch.tensor([[[3.0, 3.0]]])), expected, atol=1e-3)


@torch.no_grad()
def test_order_has_no_effect_and_nothing_else_is_read():
    model, made = din(), pocket().batch("test", "rec", np.arange(6))
    backwards = replace(made, rec_items=made.rec_items.flip(1))
    assert torch.allclose(model.score(backwards), model.score(made), atol=1e-6)
    assert reads(model) == {"rec_items"}


@torch.no_grad()
def test_weights_without_softmax_are_another_model_and_serve_empty_histories():
    made = pocket().batch("test", "rec", np.arange(6))
    model, paper = din(), din(normalise=False)
    paper.load_state_dict(model.state_dict(), strict=False)
    assert not torch.allclose(model.score(made), paper.score(made), atol=1e-5)
    nothing = replace(made, rec_items=torch.zeros_like(made.rec_items))
    assert torch.isfinite(paper.score(nothing)).all()
    assert torch.allclose(model.score(nothing), paper.score(nothing), atol=1e-6)


def test_it_learns_to_recommend_the_kind_of_the_history():
    torch.manual_seed(0)
    model = DIN(DINConfig(width=16), N_ITEMS)
    assert learn(model, kind_of_history, steps=150, rate=0.01) > 0.95
