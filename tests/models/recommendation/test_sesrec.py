"""SESRec: co-attention and prediction by loops, disentangled masks, triplets, and where gradients go."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gensr_lib.models.attention import CoAttention
from gensr_lib.models.layers import query_click_pairs
from gensr_lib.models.losses import triplet
from gensr_lib.models.recommendation.sesrec import SESRec, SESRecConfig, disentangle, interest_triplet
from tests.models.joint.unisar_cases import interleaved, without
from tests.models.lessons import N_ITEMS, N_WORDS, kind_of_last_search, learn, reads
from tests.worlds import pocket

SMALL = {"width": 16, "id_width": 8, "align_negatives": 12}


def sesrec(**options) -> SESRec:
    torch.manual_seed(0)
    return SESRec.from_dataset(pocket(), SESRecConfig(**{**SMALL, **options})).eval()


def encoded(model: SESRec, made):
    return model.encode(made, model.query(made.ses_words), model.items(made.ses_clicks))


def softmax(values: list[float]) -> list[float]:
    total = sum(map(math.exp, values))
    return [math.exp(v) / total for v in values]


@torch.no_grad()
def test_co_attention_by_loops():
    block, a, b = CoAttention(4), torch.randn(4, 5, 4), torch.randn(4, 3, 4)
    a_valid = torch.arange(5) < torch.tensor([5, 2, 3, 0])[:, None]
    b_valid = torch.arange(3) < torch.tensor([3, 1, 0, 2])[:, None]
    a, b = a * a_valid[..., None], b * b_valid[..., None]
    of_a, of_b = block(a, b, a_valid, b_valid)
    for row in range(4):
        mine, other = a[row][a_valid[row]], b[row][b_valid[row]]
        likeness = [[math.tanh(x @ block.weight @ y) for y in other] for x in mine]
        raw_a = [sum(likeness[i][j] * block.of_b(y).item() for j, y in enumerate(other)) for i in range(len(mine))]
        raw_b = [sum(likeness[i][j] * block.of_a(x).item() for i, x in enumerate(mine)) for j in range(len(other))]
        assert of_a[row, : len(mine)].tolist() == pytest.approx(softmax(raw_a), abs=1e-5)
        assert of_b[row, : len(other)].tolist() == pytest.approx(softmax(raw_b), abs=1e-5)
        assert (of_a[row, len(mine) :] == 0).all() and (of_b[row, len(other) :] == 0).all()


def test_interests_are_parted_at_one_over_n():
    valid = torch.arange(4) < torch.tensor([4, 3, 1, 0, 4])[:, None]
    weights = torch.tensor(
        [[0.4, 0.25, 0.2, 0.15], [1 / 3] * 3 + [0.0], [1.0, 0, 0, 0], [0.0] * 4, [0.7, 0.1, 0.1, 0.1]]
    )
    similar, dissimilar = disentangle(weights, valid)
    assert similar[0].tolist() == [True, True, False, False] and dissimilar[0].tolist() == [False, False, True, True]
    assert similar[4].tolist() == [True, False, False, False] and dissimilar[4].tolist() == [False, True, True, True]
    # Equal weights are all similar, and nothing is left to be dissimilar: then all are.
    for row in (1, 2, 3):
        assert torch.equal(similar[row], valid[row]) and torch.equal(dissimilar[row], valid[row])


@torch.no_grad()
def test_interests_are_disjoint_and_cover_the_history_and_all_alike_beside_an_empty_one():
    model, made = sesrec(), interleaved()
    for of in encoded(model, made):
        both, either = of.similar & of.dissimilar, of.similar | of.dissimilar
        assert torch.equal(either, of.valid)
        assert (both.any(dim=1) == (of.valid.sum(dim=1) == 1)).all(), "one token is both, for want of others"
        assert torch.allclose(of.weights.sum(dim=1), torch.ones(6))
    rec, src = encoded(model, without(made, "src"))
    assert torch.equal(rec.similar, rec.valid) and torch.equal(rec.dissimilar, rec.valid)
    assert (src.tokens == 0).all() and not src.similar.any()


def test_triplets_in_closed_form():
    a = torch.zeros(2, 2)
    p, n = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[0.0, 4.0], [0.0, 9.0]])
    assert triplet(a, p, n, 0.1).item() == pytest.approx(((5 - 4 + 0.1) + 0) / 2, abs=1e-4)
    assert triplet(a, a, n, 0.1).item() == 0, "the anchor is its positive, and the negative is far"
    assert triplet(a, a, a, 0.1).item() == pytest.approx(0.1)
    assert triplet(a[:0], a[:0], a[:0], 0.1).item() == 0


@torch.no_grad()
def test_triplets_of_interests_by_loops_and_without_histories():
    model, made = sesrec(), without(interleaved(), "src", rows=slice(2, 4))
    for of, users in zip(encoded(model, made), (6, 4), strict=True):
        total = []
        for row in of.valid.any(dim=1).nonzero()[:, 0]:
            anchor = sum(w * h for w, h in zip(of.weights[row], of.tokens[row], strict=True))
            near, far = (of.tokens[row][kind[row]].mean(dim=0) for kind in (of.similar, of.dissimilar))
            total.append(max(0.0, (anchor - near).norm().item() - (anchor - far).norm().item() + 0.1))
        assert len(total) == users
        assert interest_triplet(of, 0.1).item() == pytest.approx(np.mean(total), abs=1e-4)
    nobody = model.loss(without(made, "rec", "src"))
    assert nobody["triplet"] == 0 and nobody["query_item"] == 0


def test_masks_pass_no_gradient_and_the_anchor_does():
    model, made = sesrec(), interleaved()
    model.score(made).sum().backward()
    assert all(p.grad is None for p in model.co_attention.parameters()), "a click moves no mask"
    sum(interest_triplet(of, 5.0) for of in encoded(model, made)).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.co_attention.parameters())


@torch.no_grad()
def test_pairs_of_query_and_click_by_loops():
    made = interleaved()
    words = made.ses_words.clone()
    words[:, 0] = 0  # typed nothing that is a word
    made = made.__class__(**{**vars(made), "ses_words": words})
    b, s, k = made.ses_clicks.shape
    queries, clicks = torch.randn(b, s, 3), torch.randn(b, s, k, 3)
    found = query_click_pairs(made, queries, clicks)
    expected = [
        (queries[i, j], clicks[i, j, c])
        for i in range(b) for j in range(s) for c in range(k)
        if made.ses_clicks[i, j, c] and words[i, j].any()
    ]  # fmt: skip
    assert k == 2 and len(expected) > 20
    assert all(torch.equal(x, torch.stack(y)) for x, y in zip(found, zip(*expected, strict=True), strict=True))


@torch.no_grad()
def test_alignment_falls_as_queries_meet_their_clicks():
    model = sesrec()
    model.query_item.weight.copy_(torch.eye(16))
    q, v, random_q, random_v = (torch.randn(9, 16) for _ in range(4))
    apart, tied = model.query_item.against(q, v, random_q, random_v), model.query_item.against(q, q, random_q, random_v)
    assert tied < apart
    model.query_item.weight.zero_()
    assert model.loss(interleaved())["query_item"].item() == pytest.approx(math.log(1 + 12), abs=1e-5)


@torch.no_grad()
def test_encoding_by_torch_modules_without_padding():
    """Post-norm layers with a leaky ReLU; sessions are query, source and the mean of the clicks."""
    model, made = sesrec(), interleaved()
    for of, side in zip(encoded(model, made), ("rec", "src"), strict=True):
        layer = torch.nn.TransformerEncoderLayer(16, 4, 16, 0.0, F.leaky_relu, batch_first=True).eval()
        layer.load_state_dict(model.encoder[side].encoder.layers[0].state_dict())
        for row in range(6):
            if side == "rec":
                x = model.item_linear(model.item_id.weight[made.rec_items[row][made.rec_items[row] != 0]])
            else:
                x = torch.stack([session(model, *s) for s in zip(made.ses_words[row], made.ses_clicks[row], strict=True)
                                 if s[1].any()])  # fmt: skip
            expected = layer((x + model.encoder[side].position[: len(x)])[None])[0]
            assert torch.allclose(of.tokens[row, : len(x)], expected, atol=1e-5)
            assert (of.tokens[row, len(x) :] == 0).all()


def session(model: SESRec, words: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
    query = model.query_linear(model.words.table.weight[words[words != 0]].mean(dim=0))
    return query + model.source + model.item_linear(model.item_id.weight[clicks[clicks != 0]]).mean(dim=0)


@torch.no_grad()
def test_scores_by_loops_over_candidates():
    model, made = sesrec(), without(interleaved(), "src", rows=slice(0, 1))
    interests, scores = encoded(model, made), model.score(made)
    for row in range(6):
        for c, item in enumerate(made.cand[row]):
            candidate, parts = model.item_linear(model.item_id.weight[item]), []
            for of, side in zip(interests, ("rec", "src"), strict=True):
                for kind in (of.valid, of.similar, of.dissimilar):
                    tokens = of.tokens[row][kind[row]]
                    weights = torch.tensor(softmax([(h @ model.pool[side].weight @ candidate).item() for h in tokens]))
                    parts.append(weights @ tokens if len(tokens) else torch.zeros(16))
            x = torch.cat([*parts, model.user_id.weight[made.user[row]], candidate])
            assert scores[row, c].item() == pytest.approx(model.predict(x).item(), abs=1e-5)


def test_the_weights_of_its_losses_are_the_published_ones():
    model = sesrec()
    assert model.loss_weights == {"query_item": 0.1, "triplet": 0.001}
    assert set(model.loss(interleaved())) == {"click", "query_item", "triplet"}
    assert model.predict[0][0].in_features == 7 * 16 + 8


def test_it_reads_the_user_and_both_histories():
    assert reads(sesrec()) == {"user", "rec_items", "ses_words", "ses_clicks"}


def test_it_learns_to_recommend_the_kind_of_the_last_search():
    torch.manual_seed(0)
    queries = torch.arange(2, N_WORDS)[:, None]
    model = SESRec(SESRecConfig(**SMALL), 1, N_ITEMS, N_WORDS, history_rec=3, history_src=2, queries=queries)
    assert learn(model, partial(kind_of_last_search, searches=2), steps=200, rate=0.01) > 0.95
