"""NRHUB: additive pooling by loops, the whole model assembled row by row, and what its views weigh."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.models.attention import AdditivePool
from gensr_lib.models.layers import QueryEncoder
from gensr_lib.models.recommendation.nrhub import NRHUB, VIEWS, NRHUBConfig
from tests.models.joint.unisar_cases import interleaved, without
from tests.models.lessons import N_ITEMS, N_WORDS, kind_of_last_search, learn, reads
from tests.worlds import pocket


def nrhub() -> NRHUB:
    torch.manual_seed(0)
    model = NRHUB.from_dataset(pocket(), NRHUBConfig(width=8, attention=6)).eval()
    for parameter in model.parameters():  # far from the small start, so that differences show
        parameter.data += 0.5 * torch.randn_like(parameter)
    return model


def pooled(block: AdditivePool, vectors: torch.Tensor) -> torch.Tensor:
    """One history (N, d) without padding: softmax of wᵀ tanh(W x + b), token by token."""
    raw = [block.weigh.weight[0] @ torch.tanh(block.project.weight @ x + block.project.bias) for x in vectors]
    total = sum(math.exp(r) for r in raw)
    return sum(math.exp(r) / total * x for r, x in zip(raw, vectors, strict=True))


@torch.no_grad()
def test_additive_pooling_by_loops():
    block, x = AdditivePool(5, 4), torch.randn(4, 6, 5)
    valid = torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]
    found = block(x, valid)
    for b in range(3):
        assert torch.allclose(found[b], pooled(block, x[b][valid[b]]), atol=1e-6)
    assert (found[3] == 0).all()
    assert torch.allclose(block.weights(x, valid).sum(dim=1), torch.tensor([1.0, 1.0, 1.0, 0.0]))


@torch.no_grad()
def test_a_query_is_the_mean_of_its_words():
    encoder = QueryEncoder(9, 4)
    encoder.table.weight[0] = 7.0  # whatever its row holds, padding has no effect
    found = encoder(torch.tensor([[[3, 5, 0], [0, 0, 0]]]))
    assert torch.allclose(found[0, 0], (encoder.table.weight[3] + encoder.table.weight[5]) / 2)
    assert (found[0, 1] == 0).all()


@torch.no_grad()
def test_scores_are_those_of_torch_modules_assembled_row_by_row():
    model, made = nrhub(), without(interleaved(), "src", rows=slice(0, 1))
    linear, scores = torch.nn.functional.linear, model.score(made)
    for b in range(len(made)):
        words = [w[w != 0] for w in made.ses_words[b]]
        sources = {
            "browsed": model.items.weight[made.rec_items[b][made.rec_items[b] != 0]],
            "queries": [model.words.table.weight[w].mean(dim=0) for w in words if len(w)],
            "clicks": model.items.weight[made.ses_clicks[b][made.ses_clicks[b] != 0]],
        }
        views = [pooled(model.pool[name], vectors) for name, vectors in sources.items() if len(vectors)]
        assert len(views) == (1 if b == 0 else 3)
        views = [torch.tanh(linear(v, model.view_linear.weight, model.view_linear.bias)) for v in views]
        user = pooled(model.pool_views, torch.stack(views))
        for c, item in enumerate(made.cand[b]):
            candidate = linear(model.items.weight[item], model.item_linear.weight, model.item_linear.bias)
            assert scores[b, c].item() == pytest.approx((user @ torch.tanh(candidate)).item(), abs=1e-5)


@torch.no_grad()
def test_order_has_no_effect_in_any_view():
    model, made = nrhub(), interleaved()
    scores = model.score(made)
    for field, of in (("rec_items", made.rec_items), ("ses_words", made.ses_words), ("ses_clicks", made.ses_clicks)):
        assert torch.allclose(model.score(replace(made, **{field: of.flip(1)})), scores, atol=1e-5)


@torch.no_grad()
def test_weights_of_views_sum_to_one_over_those_that_are_not_empty():
    model, made = nrhub(), interleaved()
    weigh = lambda batch: model.pool_views.weights(*model.views(batch))  # noqa: E731
    full, no_clicks = weigh(made), weigh(replace(made, ses_clicks=torch.zeros_like(made.ses_clicks)))
    assert torch.allclose(full.sum(dim=1), torch.ones(6)) and (full > 0).all()
    kept = full * torch.tensor([1.0, 1.0, 0.0])  # the others' shares stay as they were to each other
    assert torch.allclose(no_clicks, kept / kept.sum(dim=1, keepdim=True), atol=1e-6)
    assert torch.allclose(weigh(without(made, "src")), torch.tensor([1.0, 0.0, 0.0]).expand(6, 3))
    nobody = without(made, "rec", "src")
    assert (weigh(nobody) == 0).all() and (model.score(nobody) == 0).all()
    assert model.loss(nobody)["softmax"].item() == pytest.approx(math.log(5), abs=1e-6)


@torch.no_grad()
def test_each_view_has_a_pooling_of_its_own():
    model, made = nrhub(), interleaved()
    before = model.score(made)
    for one, other in zip(VIEWS, (*VIEWS[1:], VIEWS[0]), strict=True):
        pools = model.pool
        pools[one], pools[other] = pools[other], pools[one]
        assert not torch.allclose(model.score(made), before, atol=1e-4)
        pools[one], pools[other] = pools[other], pools[one]
    assert torch.equal(model.score(made), before)


def test_it_reads_both_histories_and_no_user():
    assert reads(nrhub()) == {"rec_items", "ses_words", "ses_clicks"}
    batch = pocket().batch("test", "rec", np.arange(4))
    assert set(nrhub().loss(batch)) == {"softmax"}


def test_it_learns_to_recommend_the_kind_of_the_search():
    torch.manual_seed(0)
    model = NRHUB(NRHUBConfig(width=16, attention=16), N_ITEMS, N_WORDS)
    assert learn(model, kind_of_last_search, steps=150, rate=0.02) > 0.95
