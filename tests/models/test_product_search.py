"""The query's vector, and the language model of items' texts: by loops, by counting draws, and without any text."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.schema import Tables
from gensr_lib.data.words import UNKNOWN_WORD
from gensr_lib.models.layers import random_below
from gensr_lib.models.losses import negative_sampling
from gensr_lib.models.product_search import ProductQuery, WordLM, item_texts_of
from tests.worlds import TINY, catalogue, log, pocket

# Words 2 to 5; word 2 stands eight times in all, 3 once, 4 twice, 5 nowhere; items 3 and 0 have no text.
TEXTS = torch.tensor([[0, 0, 0, 0, 0], [2, 2, 2, 2, 3], [2, 2, 4, 0, 0], [0, 0, 0, 0, 0], [2, 2, 4, 0, 0]]).int()
COUNTS = {2: 8, 3: 1, 4: 2}


@torch.no_grad()
def test_a_query_is_the_tanh_of_its_mean_known_word():
    query = ProductQuery(7, 4)
    query.words.table.weight[0] = 9.0  # whatever its row holds, padding has no effect
    words = torch.tensor([[3, 5, UNKNOWN_WORD, 0], [5, 3, 0, 0], [0, 0, 0, 0], [UNKNOWN_WORD, 0, 0, 0]])
    found = query(words)
    mean = (query.words.table.weight[3] + query.words.table.weight[5]) / 2
    assert torch.allclose(found[0], torch.tanh(query.linear(mean)), atol=1e-6)
    assert torch.equal(found[0], found[1]), "neither order nor unknown words matter"
    for nothing in found[2:]:
        assert torch.allclose(nothing, torch.tanh(query.linear.bias), atol=1e-6)
    assert query(words.view(2, 2, 4)).shape == (2, 2, 4)


def test_words_are_those_of_the_text_each_as_often_as_it_stands_there():
    language = WordLM(6, TEXTS, words=5000)
    drawn = language.draw(torch.tensor([1, 2, 3, 0, 4]))
    assert drawn.shape == (5, 5000) and drawn.dtype == torch.long
    assert (drawn[2:4] == 0).all(), "no text, no words"
    for row, text in ((0, [2, 2, 2, 2, 3]), (1, [2, 2, 4]), (4, [2, 2, 4])):
        for word in range(6):
            assert (drawn[row] == word).float().mean().item() == pytest.approx(text.count(word) / len(text), abs=0.03)


def test_negatives_are_drawn_by_counts_to_the_power_of_three_quarters():
    language = WordLM(6, TEXTS, negatives=20_000)
    drawn = language.draw_negatives(torch.tensor([[2, 3]]))
    assert drawn.shape == (1, 2, 20_000)
    total = sum(count**0.75 for count in COUNTS.values())
    for word in range(6):
        expected = COUNTS.get(word, 0) ** 0.75 / total if word in COUNTS else 0
        assert (drawn == word).float().mean().item() == pytest.approx(expected, abs=0.01)
    assert not torch.isin(drawn, torch.tensor([0, 1, 5])).any()


@torch.no_grad()
def test_the_loss_of_words_by_loops():
    language, table = WordLM(6, TEXTS, negatives=3), torch.nn.Embedding(6, 4)
    language.bias.weight[:] = torch.randn(6, 1)
    x, words = torch.randn(3, 4), torch.tensor([[2, 4], [0, 0], [3, 3]])
    torch.manual_seed(5)
    found = language(x, words, table)
    torch.manual_seed(5)
    negatives, total, count = language.draw_negatives(words), 0.0, 0
    logit = lambda i, w: (x[i] @ table.weight[w] + language.bias.weight[w, 0]).item()  # noqa: E731
    sigma = lambda t: 1 / (1 + math.exp(-t))  # noqa: E731
    for i in (0, 2):
        for j, word in enumerate(words[i].tolist()):
            total -= math.log(sigma(logit(i, word)))
            total -= sum(math.log(sigma(-logit(i, other))) for other in negatives[i, j].tolist())
            count += 1
    assert count == 4 and found.item() == pytest.approx(total / 4, abs=1e-5)


@torch.no_grad()
def test_vectors_of_zeros_cost_ln_two_for_each_word_and_negative():
    language, table = WordLM(6, TEXTS, negatives=5), torch.nn.Embedding(6, 4)
    terms = language.terms(table, torch.tensor([1, 2]), a=torch.zeros(2, 4), b=torch.zeros(2, 4))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(dict.fromkeys("ab", 6 * math.log(2)))
    nothing = language.terms(table, torch.tensor([3, 0]), a=torch.randn(2, 4))
    assert nothing["a"].item() == 0, "neither item has a text"


@torch.no_grad()
def test_all_vectors_say_the_same_words(monkeypatch):
    language, table, said = WordLM(6, TEXTS), torch.nn.Embedding(6, 4), []
    monkeypatch.setattr(WordLM, "forward", lambda self, x, words, table: said.append(words) or words.sum())
    language.terms(table, torch.tensor([1, 2]), a=torch.zeros(2, 4), b=torch.zeros(2, 4))
    assert len(said) == 2 and torch.equal(*said) and (said[0] > 0).all()


def test_the_ranking_loss_sums_over_negatives():
    assert negative_sampling(torch.zeros(2, 6)).tolist() == pytest.approx([6 * math.log(2)] * 2)
    scores = torch.tensor([[[1.0, -2.0, 3.0]]])
    expected = math.log1p(math.exp(-1)) + math.log1p(math.exp(-2)) + math.log1p(math.exp(3))
    assert negative_sampling(scores).tolist() == [[pytest.approx(expected, abs=1e-6)]]


def test_random_numbers_below_n():
    drawn = random_below(torch.tensor([[0], [1], [3]]).expand(-1, 3000))
    assert (drawn[:2] == 0).all() and drawn[2].unique().tolist() == [0, 1, 2]
    assert drawn[2].float().mean().item() == pytest.approx(1, abs=0.06)


def test_texts_are_the_words_of_the_items_and_their_absence_is_said(caplog):
    texts = item_texts_of(pocket(), "qem")
    assert texts.shape[0] == pocket().n_items + 1 and not texts[0].any() and "qem" not in caplog.text
    words = [pocket().words[i] for i in texts[7].tolist() if i]
    assert words == pocket().item_text[7].lower().replace("-", " ").split()
    items = catalogue("abcdef").assign(title="", categories="")
    events = log(*(("u", item, time, "src", "cap") for time, item in enumerate("abcd")), ("v", "e", 0, "src", "cap"),
                 ("v", "f", 0, "src", "cap"))  # fmt: skip
    dataset = Dataset.from_tables(Tables(events, pd.DataFrame(items)), TINY.replace(eval_negatives=1))
    texts = item_texts_of(dataset, "qem")
    assert texts.shape == (7, 0) and "qem: no item has a text" in caplog.text
    assert WordLM(dataset.n_words, texts).terms(torch.nn.Embedding(9, 4), torch.tensor([1]), a=torch.ones(1, 4)) == {}
