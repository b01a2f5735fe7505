"""What holds for all systems of product search: strange queries, empty histories, items without text, a lesson."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.schema import Tables
from gensr_lib.data.words import UNKNOWN_WORD
from gensr_lib.models import available_models, build_model
from tests.models.joint.unisar_cases import without
from tests.models.lessons import kind_of_query, learn
from tests.models.search.systems import SYSTEMS, pupil, searches, some, system
from tests.worlds import TINY, catalogue, log

by_system = pytest.mark.parametrize("name", SYSTEMS)


@by_system
@torch.no_grad()
def test_a_query_of_nothing_or_of_unknown_words_has_the_scores_of_no_query(name):
    model = system(name)
    for made in (searches(), without(searches(), "rec", "src")):
        empty = torch.zeros_like(made.query)
        scores = model.score(replace(made, query=empty))
        unknown = torch.where(torch.arange(empty.shape[1]) < 2, UNKNOWN_WORD, 0).expand_as(empty)
        assert torch.isfinite(scores).all() and scores.std() > 1e-3
        assert torch.equal(model.score(replace(made, query=unknown)), scores)
        beside = torch.where(made.query == 0, UNKNOWN_WORD, made.query)
        assert torch.allclose(model.score(replace(made, query=beside)), model.score(made), atol=1e-6)
        assert not torch.allclose(model.score(made), scores, atol=1e-3)


@by_system
@torch.no_grad()
def test_the_order_of_words_has_no_effect(name):
    model, made = system(name), searches()
    backwards = replace(made, query=made.query.flip(1), ses_words=made.ses_words.flip(2))
    assert torch.allclose(model.score(backwards), model.score(made), atol=1e-5)


@by_system
@torch.no_grad()
def test_empty_histories_are_scored_by_the_query(name):
    model, made = system(name), some()
    nobody = without(made, "rec", "src")
    same = replace(nobody, user=torch.zeros_like(made.user), query=made.query[:1].expand_as(made.query),
                   cand=made.cand[:1].expand_as(made.cand))  # fmt: skip
    scores = model.score(same)
    assert torch.isfinite(scores).all() and torch.allclose(scores, scores[:1].expand_as(scores), atol=1e-5)


@by_system
def test_the_loss_begins_at_ln_two_for_each_candidate(name):
    model, made = system(name), searches(candidates=6)
    with torch.no_grad():
        model.items.weight.zero_()
        model.bias.weight.zero_()
        model.language.bias.weight.zero_()
    terms = model.loss(made)
    assert terms["rank"].item() == pytest.approx(6 * math.log(2), abs=1e-5)
    assert terms["item_words"].item() == pytest.approx(6 * math.log(2), abs=1e-5)


@by_system
@torch.no_grad()
def test_each_item_has_a_bias(name):
    model, made = system(name), searches()
    before = model.score(made)
    model.bias.weight[made.cand[2, 3]] += 1.5
    moved = model.score(made) - before
    assert torch.allclose(moved, 1.5 * (made.cand == made.cand[2, 3]), atol=1e-5) and moved[2, 3] > 1


@by_system
def test_without_any_text_there_is_no_language_model_and_that_is_said(name, caplog, tmp_path):
    items = catalogue("abcdefgh").assign(title="", categories="")
    events = [(user, item, time, "src", f"cap {time}") for user in "uv" for time, item in enumerate("abcdef")]
    events += [("w", item, 0, "src", "cap") for item in "gh"]
    dataset = Dataset.from_tables(Tables(log(*events), items), TINY.replace(eval_negatives=1))
    model = build_model(name, dataset, available_models()[name].tiny).eval()
    assert f"{name}: no item has a text" in caplog.text
    made = dataset.batch("test", "src", torch.arange(2).numpy())
    terms = model.loss(made)
    assert not {"item_words", "user_words"} & set(terms) and torch.isfinite(sum(terms.values()))
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(type(model).from_pretrained(tmp_path).score(made), model.score(made))


@by_system
def test_a_loaded_one_can_be_trained_on(name, tmp_path):
    """The texts and the words' frequencies are on disk too."""
    model, made = system(name), searches()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    losses = []
    for each in (model, loaded):
        torch.manual_seed(3)
        losses.append({term: value.item() for term, value in each.loss(made).items()})
    assert losses[0] == losses[1] and losses[0]["item_words"] > 0


@by_system
def test_it_learns_what_a_word_asks_for(name):
    assert learn(pupil(name), kind_of_query, steps=60 if name == "copps" else 150, rate=0.02) > 0.95
