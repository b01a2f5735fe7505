"""HEM: scores by loops in both forms, λ at its ends and learned, and what teaches the user's vector."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gensr_lib.data.batches import Batch
from tests.models.lessons import KINDS, kind_of_clicks, learn, reads
from tests.models.search.systems import pupil, query_vector, searches, system


@pytest.mark.parametrize("similarity", ["product", "cosine"])
@torch.no_grad()
def test_scores_by_loops(similarity):
    model, made = system("hem", query_weight=0.3, similarity=similarity), searches()
    scores = model.score(made)
    unit = lambda v: v / v.norm() if similarity == "cosine" else v  # noqa: E731
    for b in range(len(made)):
        query, user = query_vector(model, made.query[b]), model.users.weight[made.user[b]]
        x = 0.3 * unit(query) + 0.7 * unit(user)
        for c, item in enumerate(made.cand[b].tolist()):
            expected = (x @ unit(model.items.weight[item]) + model.bias.weight[item, 0]).item()
            assert scores[b, c].item() == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_all_weight_on_the_query_is_qem_and_none_ignores_it():
    made, qem, hem = searches(), system("qem"), system("hem", query_weight=1.0)
    hem.load_state_dict(qem.state_dict(), strict=False)
    assert torch.allclose(hem.score(made), qem.score(made), atol=1e-6)
    assert reads(hem) == {"query"}
    assert reads(system("hem", query_weight=0.0)) == {"user"}
    assert reads(system("hem")) == {"user", "query"}


def test_a_learned_weight_begins_in_the_middle_and_is_a_share():
    made, fixed, learned = searches(), system("hem"), system("hem", query_weight=None)
    learned.load_state_dict(fixed.state_dict(), strict=False)
    learned.mix.data.zero_()
    assert torch.allclose(learned.score(made), fixed.score(made), atol=1e-6)
    learned.loss(made)["rank"].backward()
    assert learned.mix.grad.abs() > 0
    learned.mix.data.fill_(2.0)
    assert learned.query_weight.item() == pytest.approx(0.880797, abs=1e-5)
    assert not any(name == "mix" for name, _ in fixed.named_parameters())


@torch.no_grad()
def test_a_cosine_does_not_see_how_long_vectors_are():
    model, product, made = system("hem", similarity="cosine"), system("hem"), searches()
    before = [each.score(made) for each in (model, product)]
    for each in (model, product):
        each.items.weight *= 3
        each.users.weight *= 5
    assert torch.allclose(model.score(made), before[0], atol=1e-5)
    assert not torch.allclose(product.score(made), before[1], atol=1e-2)


def test_a_user_learns_from_clicks_and_from_texts():
    model, made = system("hem"), searches()
    terms = model.loss(made)
    assert set(terms) == {"rank", "item_words", "user_words"}
    taught = {}
    for name, term in terms.items():
        (gradient,) = torch.autograd.grad(term, model.users.weight, allow_unused=True, retain_graph=True)
        taught[name] = gradient is not None and set(gradient.abs().sum(dim=1).nonzero().flatten().tolist())
    assert taught == {"rank": set(made.user.tolist()), "user_words": set(made.user.tolist()), "item_words": False}


def test_it_learns_what_each_user_wants():
    """Five users, each with a kind of their own, and searches without words."""

    def kind_of_user(n: int, g: torch.Generator) -> Batch:
        made = kind_of_clicks(n, g)
        return replace(made, user=(made.cand[:, 0] - 1) // 4)

    model = pupil("hem")
    assert model.users.num_embeddings == KINDS
    assert learn(model, kind_of_user, steps=150, rate=0.02) > 0.95
