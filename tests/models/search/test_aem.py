"""AEM: its attention and its scores by loops over the formula; weights that always sum to 1."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gensr_lib.models.attention import QueryAttention
from tests.models.joint.unisar_cases import without
from tests.models.lessons import kind_of_clicks, learn, reads
from tests.models.search.systems import clicks_of, pupil, query_vector, some, system

D = 5


def attend(block: QueryAttention, query: torch.Tensor, items: list[torch.Tensor]) -> list[float]:
    """e^f of each item, head by head, f = (x · tanh(W q + b)) · w_h."""
    raw = torch.tanh(block.project.weight @ query + block.project.bias).view(len(query), -1)  # (d, m)
    found = []
    for x in items:
        heads = [sum(x[i] * raw[i, m] for i in range(len(x))) for m in range(raw.shape[1])]
        found.append(math.exp(sum(h * w for h, w in zip(heads, block.mix.weight[0], strict=True))))
    return found


@pytest.mark.parametrize("zero", [False, True])
@torch.no_grad()
def test_attention_by_loops(zero):
    block, query, x = QueryAttention(D, 3, zero), torch.randn(4, D), torch.randn(4, 6, D)
    valid = torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]
    weights, pooled = block.weights(query, x, valid), block(query, x, valid)
    for b in range(4):
        items = [*x[b][valid[b]]]
        shares = attend(block, query[b], items)
        total = sum(shares) + zero
        expected = [share / total for share in shares]
        assert weights[b, : len(items)].tolist() == pytest.approx(expected, abs=1e-5)
        assert (weights[b, len(items) :] == 0).all()
        by_hand = sum((w * item for w, item in zip(expected, items, strict=True)), torch.zeros(D))
        assert torch.allclose(pooled[b], by_hand, atol=1e-5)
    noise = torch.where(valid[..., None], x, 1e3 * torch.randn_like(x))
    assert torch.equal(block(query, noise, valid), pooled), "padding is not read"


@torch.no_grad()
def test_weights_sum_to_one_or_to_nothing():
    block, valid = QueryAttention(D, 3, zero=False), torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]
    for scale in (1, 100):  # where an exponential overflows, too
        sums = block.weights(torch.randn(4, D) * scale, torch.randn(4, 6, D) * scale, valid).sum(dim=1)
        assert torch.allclose(sums, torch.tensor([1.0, 1.0, 1.0, 0.0]))


@torch.no_grad()
def test_scores_by_loops():
    model, made = system("aem", query_weight=0.3, history=7), some()
    scores = model.score(made)
    for b in range(len(made)):
        query = query_vector(model, made.query[b])
        items = [model.items.weight[i] for i in clicks_of(made, b)[-7:]]
        shares = attend(model.attention, query, items)
        x = 0.3 * query
        for share, item in zip(shares, items, strict=True):
            x = x + 0.7 * share / sum(shares) * item
        for c, item in enumerate(made.cand[b].tolist()):
            expected = (x @ model.items.weight[item] + model.bias.weight[item, 0]).item()
            assert scores[b, c].item() == pytest.approx(expected, abs=1e-4)


@torch.no_grad()
def test_it_reads_the_query_and_clicks_after_searches_in_any_order():
    model, made = system("aem"), some()
    assert reads(model) == {"ses_clicks", "query"}
    assert reads(system("aem", history_of="both")) == {"rec_items", "ses_clicks", "query"}
    assert reads(system("aem", history_of="rec")) == {"rec_items", "query"}
    backwards = replace(made, ses_clicks=made.ses_clicks.flip(1))
    assert torch.allclose(model.score(backwards), model.score(made), atol=1e-5)
    nobody = without(made, "src")
    query = torch.stack([query_vector(model, words) for words in made.query])
    assert torch.allclose(model.intent(nobody), 0.5 * query, atol=1e-6)


def test_it_learns_to_go_on_with_what_was_clicked():
    assert learn(pupil("aem"), kind_of_clicks, steps=150, rate=0.02) > 0.95
