"""QEM: scores by loops, and that nobody's taste is in them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.models.lessons import reads
from tests.models.search.systems import query_vector, searches, system
from tests.worlds import pocket


@torch.no_grad()
def test_scores_are_products_with_the_query_and_a_bias():
    model, made = system("qem"), searches()
    scores = model.score(made)
    for b in range(len(made)):
        query = query_vector(model, made.query[b])
        for c, item in enumerate(made.cand[b].tolist()):
            expected = (query @ model.items.weight[item] + model.bias.weight[item, 0]).item()
            assert scores[b, c].item() == pytest.approx(expected, abs=1e-5)


def test_it_reads_the_query_alone():
    assert reads(system("qem")) == {"query"}


@torch.no_grad()
def test_a_query_that_nobody_typed_is_scored_by_its_words():
    model, made = system("qem"), searches()
    typed = {tuple(sorted(row[row > 0].tolist())) for row in torch.from_numpy(pocket().query_word_ids)}
    words = next([a, b] for a in range(2, 40) for b in range(a + 1, 40) if (a, b) not in typed)
    new = torch.zeros_like(made.query)
    new[:, :2] = torch.tensor(words)
    mean = model.query.words.table.weight[words].mean(dim=0)
    query = torch.tanh(model.query.linear(mean))
    expected = model.items(made.cand) @ query + model.bias(made.cand).squeeze(-1)
    assert torch.allclose(model.score(replace(made, query=new)), expected, atol=1e-5)
