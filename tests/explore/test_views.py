"""What stands around a ranker: side by side, overlap, bars and the form, against lists asked one by one."""

from __future__ import annotations

import sys
from functools import cache
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from gensr_lib.errors import ConfigError
from gensr_lib.explore import views as explore
from gensr_lib.explore.ranker import Ranker, p_yes
from gensr_lib.explore.views import NOT_SERVED, contribution_bars, form, overlap, side_by_side
from tests.models.test_contract import make
from tests.worlds import pocket


@cache
def rankers() -> dict[str, Ranker]:
    return {name: Ranker(make(name).eval(), pocket()) for name in ("gensr", "lightgcn", "popularity")}


class Cells(HTMLParser):
    """The texts of a page's cells and headings."""

    def __init__(self, page: str):
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.texts += [data.strip()] * bool(data.strip())


def cells(page: str) -> list[str]:
    return Cells(page).texts


def fixed(*lists: str) -> SimpleNamespace:
    """A system that has one list of one-letter items per user."""
    answers = [pd.DataFrame({"item_id": list(letters), "title": list(letters)}) for letters in lists]
    return SimpleNamespace(recommend=lambda user, k: answers[user].head(k), search=lambda user, query, k: answers[user])


def test_p_yes_is_the_sigmoid_also_far_out():
    logits = torch.tensor([-800.0, -2.5, 0.0, 3.0, 800.0], dtype=torch.float64)
    assert np.allclose(p_yes(logits.numpy()), logits.sigmoid().numpy(), atol=1e-15)


# --- several systems ----------------------------------------------------------------------------


def test_side_by_side_are_the_systems_own_lists():
    table = side_by_side(rankers(), 3, k=4)
    assert list(table.index) == [1, 2, 3, 4] and list(table) == ["gensr", "lightgcn", "popularity"]
    for name, ranker in rankers().items():
        assert list(table[name]) == list(ranker.recommend(3, 4)["title"])
    searched = side_by_side(rankers(), 3, "marble kennel", 4)
    assert list(searched["gensr"]) == list(rankers()["gensr"].search(3, "marble kennel", 4)["title"])
    assert list(searched["lightgcn"]) == [NOT_SERVED] * 4, "it does not serve search"
    assert list(side_by_side(rankers(), [1, 2], k=2)["lightgcn"]) == [NOT_SERVED] * 2, "nor new users"


def test_side_by_side_of_whole_catalogues():
    table = side_by_side(rankers(), [1, 2], "kennel", k=None)
    assert list(table.index) == list(range(1, pocket().n_items - 1)), "all but the two that she has"
    assert list(table["gensr"]) == list(rankers()["gensr"].search([1, 2], "kennel", None)["title"])
    assert set(table["lightgcn"]) == {NOT_SERVED}


def test_several_systems_are_asked_about_one_iterator():
    systems = {name: rankers()[name] for name in ("gensr", "popularity")}
    events = [(item, "src", "dog") for item in systems["popularity"].search(None, "dog", 4)["item_id"]]
    assert side_by_side(systems, iter(events), k=4).equals(side_by_side(systems, events, k=4))
    assert overlap(systems, iter([iter(events)]), iter(["dog"]), 100).equals(overlap(systems, [events], ["dog"], 100))
    assert explore.answer(systems, iter(events), " dog ", 4) == explore.answer(systems, events, "dog", 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: overlap(rankers(), [0, 1], ["a"]), "there are 1 queries for 2 users; give one per user"),
        (lambda: overlap(rankers(), []), "users is empty"),
        (lambda: overlap(rankers(), 3), "users 3 is no list of users"),
        (lambda: overlap(rankers(), "u00001"), "users 'u00001' is no list of users"),
        (lambda: overlap(rankers(), [0], "a"), "queries 'a' is no list of one query per user"),
        (lambda: overlap(rankers(), [0], k=None), "k is None; a list has 1 item or more"),
        (lambda: side_by_side(rankers(), 0, 5), "query is 5; give text"),
        (lambda: explore.answer({"popularity": rankers()["popularity"]}, 0), "rankers has no 'gensr', only popularity"),
        (lambda: explore.answer({}, 0), "rankers has no 'gensr', only nothing"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


@pytest.mark.parametrize("question", [("nobody-like-this", ""), (["no item"], ""), (0, "")])
def test_a_wrong_question_is_not_hidden_by_dashes(question):
    with pytest.raises(ConfigError, match=r"unknown|k is 0"):
        side_by_side(rankers(), *question, k=0 if question[0] == 0 else 3)


def test_overlap_by_hand():
    systems = {"a": fixed("abcd", "abcd"), "b": fixed("abxy", "wxyz"), "c": fixed("dcba", "bcde")}
    shares = overlap(systems, [0, 1], k=4)
    assert shares.loc["a"].to_dict() == {"a": 1, "b": (2 / 4 + 0) / 2, "c": (4 / 4 + 3 / 4) / 2}
    assert shares.loc["b", "c"] == shares.loc["c", "b"] == (2 / 4 + 0) / 2


def test_overlap_of_searches_asks_each_user_the_own_query():
    asked = []
    lists = fixed("ab", "ab")
    spy = SimpleNamespace(search=lambda user, query, k: asked.append((user, query)) or lists.search(user, query, k))
    overlap({"a": spy}, [0, 1], ["x", "y"], k=2)
    assert asked == [(0, "x"), (1, "y")]


def test_bars_have_the_lengths_of_the_contributions():
    explanation = rankers()["gensr"].explain(3, "marble kennel", [1, 2, 3])
    (ax,) = contribution_bars(explanation, "a title").axes
    widths = [[bar.get_width() for bar in group] for group in ax.containers]
    assert np.allclose(widths, explanation.contributions[["cf", "semantic", "history"]].T)
    middles = np.array([[bar.get_y() + bar.get_height() / 2 for bar in group] for group in ax.containers])
    assert np.allclose(middles.mean(axis=0), [0, 1, 2]) and ax.get_ylim() == (2.5, -0.5)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(explanation.contributions["title"])
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert labels == ["CF view", "semantic view", "user's history"] and ax.get_title() == "a title"


def test_bars_of_a_model_with_one_view():
    explanation = rankers()["gensr"].explain(3, "", [1, 2])
    one = explore.Explanation(explanation.history, {}, explanation.contributions.drop(columns="cf"))
    assert len(contribution_bars(one).axes[0].containers) == 2


# --- the form -----------------------------------------------------------------------------------


@pytest.fixture
def opened():
    """The form with its fields by name."""
    box = form(rankers(), list(pocket().user_ids[:5]), "marble kennel", k=3)
    names = ("user", "items", "query", "k", "page")
    return SimpleNamespace(**dict(zip(names, box.children, strict=True)))


def test_the_form_answers_at_once_and_after_each_change(opened):
    texts = cells(opened.page.value)
    assert texts[0] == "Search: marble kennel"
    for title in rankers()["gensr"].search(pocket().user_ids[0], "marble kennel", 3)["title"]:
        assert title in texts
    opened.user.value = pocket().user_ids[2]
    opened.query.value = ""
    opened.k.value = 4
    texts = cells(opened.page.value)
    assert texts[0] == "Recommendation"
    for name, ranker in rankers().items():
        missing = set(ranker.recommend(pocket().user_ids[2], 4)["title"]) - set(texts)
        assert not missing, name


def test_typed_items_make_a_new_user(opened):
    first, second = pocket().item_ids[[3, 4]]
    opened.items.value = f" {first},{second} "
    opened.query.value = " "
    texts = cells(opened.page.value)
    new = [first, second]
    assert not set(rankers()["gensr"].recommend(new, 3)["title"]) - set(texts) and NOT_SERVED in texts
    assert pocket().item_title[3] in texts, "the history is hers"
    opened.items.value = ""
    assert NOT_SERVED not in cells(opened.page.value), "the chosen user again, whom LightGCN knows"


def test_what_is_wrong_is_said_in_place_of_the_answer(opened):
    opened.items.value = "no-such-item"
    assert opened.page.value.startswith("<p><b>unknown item &#x27;no-such-item&#x27;")
    opened.items.value = ""
    assert opened.page.value.startswith("<h4>Search")


def test_nonsense_and_markup_are_shown_as_typed(opened):
    opened.query.value = "<script>alert(1)</script> ??"
    assert "<script>" not in opened.page.value
    assert cells(opened.page.value)[0] == "Search: <script>alert(1)</script> ??"


def test_the_answer_shows_the_weights_over_the_most_recent_history():
    page = explore.answer(rankers(), 3, "", 5)
    found = rankers()["gensr"].explain(3, "", rankers()["gensr"].recommend(3, 1)["item_id"])
    texts = cells(page)
    assert f"{found.weights['cf'][0, -1]:.3f}" in texts and f"{found.weights['semantic'][0, -1]:.3f}" in texts
    assert f"{found.contributions['history'][0]:.3f}" in texts


def test_the_answer_looks_into_the_best_three_items_and_the_last_of_the_history(monkeypatch):
    monkeypatch.setattr(explore, "SHOWN", 4)
    for k, explained in ((5, 3), (2, 2)):
        listed, rest_on, history = explore.answer(rankers(), 3, "marble kennel", k).split("<h4>")[1:]
        assert [part.count("<tr") - 1 for part in (listed, rest_on, history)] == [k, explained, 4]
        best = rankers()["gensr"].search(3, "marble kennel", k)["title"]
        assert not set(best[:explained]) - set(cells(rest_on))
        assert not set(rankers()["gensr"].history(3)["title"][-4:]) - set(cells(history))


def test_the_answer_does_not_depend_on_which_system_is_named_first():
    turned = {name: rankers()[name] for name in ("lightgcn", "popularity", "gensr")}  # the first serves no search
    assert explore.answer(turned, 3, "marble kennel", 3) == explore.answer(rankers(), 3, "marble kennel", 3)


def test_the_answer_may_be_whole_catalogues():
    listed, rest_on, _ = explore.answer(rankers(), 3, "kennel", None).split("<h4>")[1:]
    lists = rankers()["gensr"].search(3, "kennel", None)
    assert listed.count("<tr") - 1 == len(lists) and rest_on.count("<tr") - 1 == 3


def test_a_user_without_a_history_gets_an_answer():
    texts = cells(explore.answer(rankers(), None, "", 3))
    assert rankers()["gensr"].recommend(None, 1)["title"][0] in texts


def test_the_form_needs_gensr_and_a_user():
    for systems, users in (({"popularity": rankers()["popularity"]}, ["a"]), (rankers(), [])):
        with pytest.raises(ConfigError, match="ranker named 'gensr' and at least one user"):
            form(systems, users)


def test_only_the_form_needs_widgets(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert "Recommendation" in explore.answer(rankers(), 3, "", 2)
    with pytest.raises(ImportError):
        form(rankers(), ["a"])
