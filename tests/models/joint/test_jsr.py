"""JSR: both heads by loops, who trains what, and the language model of items against a full softmax."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.schema import Tables
from gensr_lib.data.words import Words
from gensr_lib.errors import ConfigError
from gensr_lib.models import build_model
from gensr_lib.models.joint import jsr as module
from gensr_lib.models.joint.jsr import JSR, JSRConfig
from tests.models.joint.unisar_cases import batch, without
from tests.models.lessons import (
    KINDS,
    N_ITEMS,
    N_WORDS,
    OF_KIND,
    USERS,
    kind_of_query,
    kind_of_user,
    learn,
    reads,
)
from tests.worlds import TINY, log, pocket

SMALL = {"width": 8, "hidden": (8, 4)}
BY_TEXT = {"search_from": "texts"}


def jsr(**options) -> JSR:
    torch.manual_seed(0)
    model = JSR.from_dataset(pocket(), JSRConfig(**{**SMALL, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the small start, so that differences show
            parameter.add_(0.5 * torch.randn_like(parameter))
        for table in (model.items, model.words):
            table.weight[0] = 0
    return model


# --- 2018 -------------------------------------------------------------------------------------


@torch.no_grad()
def test_scores_by_loops():
    """Products with the user's vector or the query's, through the head of the task."""
    model = jsr()
    for task in ("rec", "src"):
        made = batch(task)
        for b, row in enumerate(model.score(made)):
            asks = model.users.weight[made.user[b]]
            if task == "src":
                words = made.query[b][made.query[b] != 0]
                raw = [math.exp(model.importance.weight[w].item()) for w in words]
                asks = sum(r / sum(raw) * model.words.weight[w] for r, w in zip(raw, words, strict=True))
            for c, item in enumerate(made.cand[b]):
                x = asks * model.items.weight[item]
                for layer in (model.predict[task][0][0], model.predict[task][0][3]):
                    x = (layer.weight @ x + layer.bias).clamp(min=0)
                last = model.predict[task][1]
                assert row[c].item() == pytest.approx((last.weight @ x + last.bias).item(), abs=1e-5)


def test_only_the_items_learn_from_both_tasks():
    own = {"rec": {"users.weight"}, "src": {"words.weight", "importance.weight"}}
    for task in ("rec", "src"):
        model = jsr()
        model.loss(batch(task))["click"].backward()
        trained = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        head = {name for name, _ in model.named_parameters() if name.startswith(f"predict.{task}.")}
        assert trained == own[task] | head | {"items.weight"}


def test_each_task_reads_its_own_question_and_no_history():
    for options in ({}, BY_TEXT):
        assert reads(jsr(**options), "rec") == {"user"} and reads(jsr(**options), "src") == {"query"}


@torch.no_grad()
def test_the_importance_of_words_sums_to_one_however_often_one_is_typed():
    model = jsr()
    weights = model.word_weights(torch.tensor([[5, 7, 0, 0], [5, 7, 7, 0], [0, 0, 0, 0]]))
    assert torch.allclose(weights.sum(dim=1), torch.tensor([1.0, 1.0, 0.0]))
    assert (weights[:, 3] == 0).all() and weights[1, 1] == weights[1, 2]
    assert weights[1, 1] / weights[1, 0] == pytest.approx((weights[0, 1] / weights[0, 0]).item())
    assert weights[1, 0] < weights[0, 0]


@pytest.mark.parametrize("options", [{}, BY_TEXT])
@torch.no_grad()
def test_without_a_word_all_items_score_the_same(options):
    made = batch("src")
    scores = jsr(**options).score(replace(made, query=torch.zeros_like(made.query)))
    assert torch.isfinite(scores).all() and torch.allclose(scores, scores[:1, :1].expand_as(scores), atol=1e-6)


# --- 2020 -------------------------------------------------------------------------------------


@torch.no_grad()
def test_likelihoods_are_those_of_a_softmax_over_all_words(monkeypatch):
    monkeypatch.setattr(module, "ITEMS_AT_ONCE", 3)
    model, made = jsr(**BY_TEXT), batch("src")
    log_p = (model.items.weight @ model.words.weight[1:].T).log_softmax(dim=1)  # word 1 is the first
    for b, row in enumerate(model.score(made)):
        for c, item in enumerate(made.cand[b]):
            expected = sum(log_p[item, w - 1] for w in made.query[b] if w)
            assert row[c].item() == pytest.approx(expected.item(), abs=1e-4)
    every_word = torch.arange(1, pocket().n_words)[:, None]
    alone = model.log_likelihood(every_word, torch.full_like(every_word, 9))
    assert alone.exp().sum().item() == pytest.approx(1, abs=1e-4)


@torch.no_grad()
def test_the_loss_of_texts_by_loops():
    model, made = jsr(**BY_TEXT, alpha=0.3), batch("rec")
    quiet = made.cand[0, 0]
    model.texts[quiet] = 0  # an item without a text
    log_p = (model.items.weight @ model.words.weight[1:].T).log_softmax(dim=1)
    total = []
    for item in set(made.cand.flatten().tolist()) - {quiet.item()}:
        words = [w for w in model.texts[item].tolist() if w]
        total.append(-sum(words.count(w) / len(words) * log_p[item, w - 1].item() for w in set(words)))
    terms = model.loss(made)
    assert terms["text"].item() == pytest.approx(np.mean(total), abs=1e-4)
    assert model.loss_weights == {"text": 0.3} and set(terms) == {"click", "text"}
    model.texts.zero_()
    assert model.loss(made)["text"] == 0


def test_texts_are_the_words_of_the_items_in_their_order():
    words = Words(np.array(pocket().item_text, dtype=object))
    model = jsr(**BY_TEXT, text_words=3)
    assert model.texts.shape == (pocket().n_items + 1, 3) and (model.texts[0] == 0).all()
    for item in (1, 50, pocket().n_items):
        own = words.distinct[words.code[words.text == item]][:3]
        assert [pocket().words[w] for w in model.texts[item].tolist() if w] == own.tolist()


def test_searches_teach_it_no_click():
    """The loss of search rows does not know which candidate was clicked, and has no head to train."""
    model, made = jsr(**BY_TEXT), batch("src")
    terms, other = model.loss(made), model.loss(made.with_candidates(made.cand.flip(1)))
    assert set(terms) == {"text"} and terms["text"].item() == pytest.approx(other["text"].item(), abs=1e-6)
    assert set(model.predict) == {"rec"} and not hasattr(model, "importance")


def test_at_alpha_zero_it_is_recommendation_alone():
    model, plain = jsr(**BY_TEXT, alpha=0.0), jsr()
    plain.load_state_dict(model.state_dict(), strict=False)
    made, total = batch("rec"), 0
    for task in ("rec", "src"):
        terms = model.loss(batch(task))
        total = total + sum(model.loss_weights.get(name, 1.0) * term for name, term in terms.items())
    assert total.item() == pytest.approx(plain.loss(made)["click"].item(), abs=1e-6)
    total.backward()
    assert model.words.weight.grad.abs().sum() == 0 and model.items.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_the_second_variant_is_saved_with_its_texts(tmp_path):
    model, made = jsr(**BY_TEXT), batch("src")
    model.save_pretrained(tmp_path)
    assert torch.equal(JSR.from_pretrained(tmp_path).score(made), model.score(made))


def test_items_without_any_text_are_an_obstacle_to_the_second_variant_only():
    events = [("u", f"i{t}", t, "src" if t % 2 else "rec", "red shoe" if t % 2 else "", t) for t in range(8)]
    crowd = [("~", f"~{i}", 0, "rec") for i in range(20)]
    interactions = log(*events, *crowd)
    items = sorted(interactions["item_id"].unique())
    blank = dict.fromkeys(("title", "text", "categories"), "")
    catalogue = pocket().items.iloc[: len(items)].assign(item_id=items, **blank)
    data = Dataset.from_tables(Tables(interactions, catalogue), TINY)
    with pytest.raises(ConfigError, match=r"'jsr' cannot be made.*no item has one"):
        build_model("jsr", data, BY_TEXT)
    assert build_model("jsr", data, SMALL).tasks == {"rec", "src"}


def test_a_user_without_history_is_no_other_case():
    made = batch("rec")
    assert torch.equal(jsr().score(made), jsr().score(without(made, "rec", "src")))


# --- learning ---------------------------------------------------------------------------------


def test_it_learns_what_each_user_wants_and_what_each_query_asks_for():
    torch.manual_seed(0)
    config = JSRConfig(width=16, hidden=(16, 8), dropout=0.0)
    assert learn(JSR(config, USERS, N_ITEMS, N_WORDS), kind_of_user, steps=200, rate=0.02) > 0.95
    assert learn(JSR(config, USERS, N_ITEMS, N_WORDS), kind_of_query, steps=200, rate=0.02) > 0.95


def test_it_learns_search_from_texts_alone():
    torch.manual_seed(0)
    texts = torch.cat([torch.zeros(1), 2 + torch.arange(KINDS).repeat_interleave(OF_KIND)]).long()[:, None]
    model = JSR(JSRConfig(**SMALL, **BY_TEXT), USERS, N_ITEMS, N_WORDS, texts)
    assert learn(model, kind_of_query, steps=60, rate=0.05) > 0.95
