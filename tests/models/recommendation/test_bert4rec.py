"""BERT4Rec against Hugging Face's BERT, and its cloze."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from gensr_lib.data.batches import appended
from tests.models.recommendation.sequences import (
    CANDIDATES,
    HISTORIES,
    ITEMS,
    LONGEST,
    batch_of,
    every_start_and_length,
    learn_the_cycle,
    untrained,
)

MASK = ITEMS + 1


def bert_of(model) -> BertForMaskedLM:
    """Hugging Face's BERT with the weights of ours."""
    config = BertConfig(
        vocab_size=ITEMS + 2, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        hidden_act="gelu", max_position_embeddings=LONGEST + 1, layer_norm_eps=1e-5, pad_token_id=0,
    )  # fmt: skip
    bert = BertForMaskedLM(config).eval()
    tables = bert.bert.embeddings
    tables.word_embeddings.weight.data.copy_(model.items.weight)
    tables.position_embeddings.weight.data.copy_(model.encoder.position)
    tables.token_type_embeddings.weight.data.zero_()
    tables.LayerNorm.load_state_dict(model.encoder.entry[0].state_dict())
    for theirs, ours in zip(bert.bert.encoder.layer, model.encoder.encoder.layers, strict=True):
        attention = theirs.attention
        parts = [attention.self.query, attention.self.key, attention.self.value]
        weights = ours.self_attn.in_proj_weight.chunk(3), ours.self_attn.in_proj_bias.chunk(3)
        for part, weight, bias in zip(parts, *weights, strict=True):
            part.load_state_dict({"weight": weight, "bias": bias})
        attention.output.dense.load_state_dict(ours.self_attn.out_proj.state_dict())
        attention.output.LayerNorm.load_state_dict(ours.norm1.state_dict())
        theirs.intermediate.dense.load_state_dict(ours.linear1.state_dict())
        theirs.output.dense.load_state_dict(ours.linear2.state_dict())
        theirs.output.LayerNorm.load_state_dict(ours.norm2.state_dict())
    head = bert.cls.predictions
    head.transform.dense.load_state_dict(model.head[0].state_dict())
    head.transform.LayerNorm.load_state_dict(model.head[2].state_dict())
    head.decoder.weight.data.copy_(model.items.weight)
    bias = torch.cat([model.bias.data, torch.zeros(1)])
    head.decoder.bias.data.copy_(bias)
    head.bias.data.copy_(bias)
    return bert


@torch.no_grad()
def test_scores_are_those_of_hugging_face():
    model = untrained("bert4rec")
    bert = bert_of(model)
    scores = model.score(batch_of())
    for row, history, candidates in zip(scores, HISTORIES, CANDIDATES, strict=True):
        tokens = torch.tensor([[*history, MASK]])
        expected = bert(input_ids=tokens).logits[0, -1, candidates]
        assert torch.allclose(row, expected, atol=1e-5)


@torch.no_grad()
def test_the_loss_is_that_of_hugging_face_over_the_hidden_items_alone():
    """The gaps are those of the seed; [MASK] and padding are no answers."""
    model = untrained("bert4rec", mask_ratio=0.5)
    bert = bert_of(model)
    tokens = appended(batch_of(room=LONGEST).rec_items, CANDIDATES[:, 0])
    torch.manual_seed(5)
    hidden = model.gaps(tokens)
    assert hidden[:, 0].any(), "the first item can be hidden, and is counted"
    logits = bert(input_ids=tokens.masked_fill(hidden, MASK), attention_mask=(tokens != 0).long()).logits
    found = []
    for b, t in hidden.nonzero().tolist():
        found.append(float(-logits[b, t, 1:MASK].log_softmax(0)[tokens[b, t] - 1]))
    torch.manual_seed(5)
    assert model.loss(batch_of())["cloze"].item() == pytest.approx(sum(found) / len(found), abs=1e-5)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.6, 0.99])
def test_a_share_of_the_real_items_is_hidden_and_at_least_one(share):
    model = untrained("bert4rec", mask_ratio=share, last_only=0.0)
    tokens = appended(batch_of([[], [5], [5, 6], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6]]).rec_items, 9)
    length = torch.tensor([1, 2, 3, 5, 7])
    torch.manual_seed(0)
    drawn = torch.stack([model.gaps(tokens) for _ in range(200)])  # (200, B, N)
    assert not drawn[:, tokens == 0].any()
    expected = torch.tensor([max(1, round(share * n)) for n in length.tolist()])
    assert (drawn.sum(dim=2) == expected).all()
    often = drawn.float().mean(dim=0)
    for row, n, k in zip(often, length, expected, strict=True):
        assert torch.allclose(row[:n], (k / n).expand(n), atol=0.12), "no position is preferred"


def test_some_rows_hide_the_last_item_alone():
    tokens = appended(batch_of().rec_items, 9)
    last = torch.zeros_like(tokens, dtype=torch.bool)
    last[torch.arange(5), torch.tensor([len(history) for history in HISTORIES])] = True
    torch.manual_seed(0)
    assert torch.equal(untrained("bert4rec", last_only=1.0).gaps(tokens), last)
    model = untrained("bert4rec", last_only=0.3, mask_ratio=0.99)
    is_last = torch.stack([(model.gaps(tokens) == last).all(dim=1) for _ in range(400)])
    assert is_last.float().mean(dim=0)[[0, 3, 4]].tolist() == pytest.approx([0.3] * 3, abs=0.08)


@torch.no_grad()
def test_one_mask_is_read_behind_the_last_item_when_scoring():
    model = untrained("bert4rec")
    read = []
    model.items.register_forward_pre_hook(lambda module, given: read.append(given[0]))
    model.score(batch_of())
    rows = [[*history, MASK] for history in HISTORIES]
    assert read[0].tolist() == [row + [0] * (LONGEST + 1 - len(row)) for row in rows]


@torch.no_grad()
def test_a_gap_is_read_from_both_sides():
    model = untrained("bert4rec")
    states = lambda *tokens: model.states(torch.tensor([tokens]))[0, 2]  # noqa: E731
    assert not torch.allclose(states(3, 7, MASK, 9), states(4, 7, MASK, 9), atol=1e-4)
    assert not torch.allclose(states(3, 7, MASK, 9), states(3, 7, MASK, 8), atol=1e-4)


def test_dropout_is_where_bert_has_it():
    """Behind attention and behind the feed-forward, not inside it."""
    model = untrained("bert4rec", dropout=0.5, attention_dropout=0.2)
    assert model.encoder.entry[1].p == 0.5
    for layer in model.encoder.encoder.layers:
        assert (layer.dropout.p, layer.dropout1.p, layer.dropout2.p) == (0, 0.5, 0.5)
        assert layer.self_attn.dropout == 0.2


def test_a_cycle_is_learned_to_a_small_loss():
    """A cloze is slow to learn: as many steps as this, and three rows of five as at scoring."""
    options = {"width": 32, "layers": 1, "attention_dropout": 0.0, "mask_ratio": 0.2, "last_only": 0.6}
    model, recall = learn_the_cycle("bert4rec", 300, rate=0.005, **options)
    assert recall > 0.95
    model.config = model.config.replace(last_only=1.0)
    assert model.loss(every_start_and_length())["cloze"].item() < 0.1
