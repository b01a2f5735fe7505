"""TEM: scores by torch modules row by row, its positions, and how much of a search the history is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gensr_lib.errors import ConfigError
from gensr_lib.models.encoders import sinusoids
from tests.models.joint.unisar_cases import without
from tests.models.lessons import kind_of_clicks, learn, reads
from tests.models.search.systems import clicks_of, pupil, query_vector, searches, some, system


def test_positions_are_sines_and_cosines_in_turn():
    found = sinusoids(5, 6)
    for place in range(5):
        for i in range(3):
            angle = place / 10_000 ** (2 * i / 6)
            assert found[place, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[place, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)
    assert sinusoids(3, 5).shape == (3, 5)
    model = system("tem", history=4)
    assert torch.equal(model.encoder.position, sinusoids(5, 8)) and not model.encoder.position.requires_grad


@torch.no_grad()
def test_scores_are_those_of_torch_modules_row_by_row():
    """Pre-norm layers and a last norm over the query and the history, without padding."""
    model, made = system("tem", layers=2, history=7), some()
    layer = torch.nn.TransformerEncoderLayer(8, 4, 256, 0.0, "gelu", batch_first=True, norm_first=True)
    reference = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(8), enable_nested_tensor=False).train()
    reference.load_state_dict(model.encoder.encoder.state_dict())
    scores = model.score(made)
    for b in range(len(made)):
        items = [model.items.weight[i] for i in clicks_of(made, b)[-7:]]
        tokens = math.sqrt(8) * torch.stack([query_vector(model, made.query[b]), *items])
        x = reference((tokens + sinusoids(len(tokens), 8))[None])[0, 0]
        expected = model.items.weight[made.cand[b]] @ x + model.bias.weight[made.cand[b], 0]
        assert torch.allclose(scores[b], expected, atol=1e-4)


@torch.no_grad()
def test_a_transformer_that_adds_nothing_leaves_the_query_normed():
    model, made = system("tem"), searches()
    for layer in model.encoder.encoder.layers:
        for part in (layer.self_attn.out_proj, layer.linear2):
            part.weight.zero_()
            part.bias.zero_()
    query = torch.stack([query_vector(model, words) for words in made.query])
    expected = model.encoder.encoder.norm(math.sqrt(8) * query + sinusoids(1, 8))
    assert torch.allclose(model.intent(made), expected, atol=1e-5)


def test_the_history_has_a_say_and_none_leaves_the_query():
    model, made = system("tem"), some()
    nobody = without(made, "src")
    same = replace(nobody, query=made.query[:1].expand_as(made.query))
    found = model.intent(same)
    assert torch.allclose(found, found[:1].expand_as(found), atol=1e-6)
    clicked = torch.tensor([0, 1, 2, 4, 5])  # row 3 has no session
    apart = (model.intent(made) - model.intent(nobody)).abs().amax(dim=1)
    assert (apart[clicked] > 1e-3).all() and apart[3] < 1e-6
    model.intent(made).square().sum().backward()
    reached = set(model.items.weight.grad.abs().sum(dim=1).nonzero().flatten().tolist())
    assert reached == {item for row in range(6) for item in clicks_of(made, row)}


@torch.no_grad()
def test_it_reads_the_query_and_clicks_after_searches_in_their_order():
    model, made = system("tem"), some()
    assert reads(model) == {"ses_clicks", "query"}
    assert reads(system("tem", history_of="both")) == {"rec_items", "ses_clicks", "query"}
    order = made.ses_clicks[1:2, :12].flip(1)  # twelve sessions, no padding among them
    backwards = replace(made.rows(torch.tensor([1])), ses_clicks=order)
    assert not torch.allclose(model.score(backwards), model.score(made)[1:2], atol=1e-3)


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="width 8 is not a multiple of heads 3"):
        system("tem", heads=3)


def test_it_learns_to_go_on_with_what_was_clicked():
    assert learn(pupil("tem"), kind_of_clicks, steps=150, rate=0.01) > 0.95
