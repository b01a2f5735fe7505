"""ZAM: what its zero vector takes, that it is truly zero, and that it shields a search from a history beside the point.

Its attention and AEM's are tested by loops in `test_aem`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.models.attention import QueryAttention
from tests.models.joint.unisar_cases import without
from tests.models.lessons import N_ITEMS, kind_of_clicks, kind_of_query, learn, reads
from tests.models.search.systems import pupil, query_vector, some, system


@torch.no_grad()
def test_a_history_that_does_not_suit_weighs_nothing():
    block, query = QueryAttention(4, 3, zero=True), torch.randn(1, 4)
    wanted = block.mix(torch.tanh(block.project(query)).view(1, 4, 3)).squeeze(-1)  # f = x · wanted
    valid = torch.ones(1, 2, dtype=torch.bool)
    for f, expected in ((-80.0, 0.0), (0.0, 2 / 3), (3.0, 2 * np.e**3 / (1 + 2 * np.e**3)), (200.0, 1.0)):
        x = (f * wanted / wanted.square().sum()).expand(1, 2, 4)
        weights = block.weights(query, x, valid)
        assert weights.sum().item() == pytest.approx(expected, abs=1e-5)
        pooled = block(query, x, valid)
        assert torch.allclose(pooled, expected * x[:, 0], rtol=1e-4, atol=1e-5), "the zero vector adds nothing"


@torch.no_grad()
def test_attention_to_the_history_is_below_one_and_none_is_exactly_the_query():
    model, made = system("zam"), some()
    clicks = made.ses_clicks.flatten(1)
    sums = model.attention.weights(model.query(made.query), model.items(clicks), clicks != 0).sum(dim=1)
    assert (sums < 1).all() and (sums[:3] > 0).all() and sums[3] == 0
    query = torch.stack([query_vector(model, words) for words in made.query])
    found = model.intent(without(made, "src"))
    assert torch.equal(found, 0.5 * model.query(made.query)) and torch.allclose(found, 0.5 * query, atol=1e-6)


@torch.no_grad()
def test_it_has_the_weights_of_aem_and_another_intent():
    aem, zam, made = system("aem"), system("zam"), some()
    assert zam.load_state_dict(aem.state_dict()) and type(zam).zero and not type(aem).zero
    own, other = zam.intent(made), aem.intent(made)
    assert not torch.allclose(own[0], other[0], atol=1e-3) and torch.equal(own[3], other[3])
    assert reads(zam) == {"ses_clicks", "query"}
    backwards = replace(made, ses_clicks=made.ses_clicks.flip(1))
    assert torch.allclose(zam.score(backwards), zam.score(made), atol=1e-5)


def test_it_learns_to_go_on_with_what_was_clicked():
    assert learn(pupil("zam"), kind_of_clicks, steps=150, rate=0.02) > 0.95


def test_taught_that_histories_tell_nothing_it_is_moved_by_them_less_than_aem():
    moved = {}
    for name in ("aem", "zam"):
        model = pupil(name)
        assert learn(model, kind_of_query, steps=300, rate=0.02) > 0.95
        with torch.no_grad():
            made = kind_of_query(200, torch.Generator().manual_seed(7))
            another = 1 + torch.randint(N_ITEMS, (200, 1, 1), generator=torch.Generator().manual_seed(8))
            before = model.intent(made)
            after = model.intent(replace(made, ses_clicks=torch.cat([made.ses_clicks[:, 1:], another], dim=1)))
        moved[name] = ((after - before).norm(dim=1) / before.norm(dim=1)).mean().item()
    assert moved["zam"] < 0.5 * moved["aem"], moved
