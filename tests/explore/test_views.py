"""Around a ranker: side by side, overlap, bars, form; against lists asked one by one."""

from __future__ import annotations

import re
from functools import cache
from html import unescape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gensr_lib.errors import ConfigError
from gensr_lib.explore import views
from gensr_lib.explore.ranker import Ranker
from gensr_lib.explore.views import NOT_SERVED, contribution_bars, overlap, side_by_side
from tests.models.test_contract import make
from tests.worlds import pocket


@cache
def rankers() -> dict[str, Ranker]:
    """The one whose prompt has slots is not the first, and another one serves no search."""
    names = ("lightgcn", "gensr", "popularity")
    return {name: Ranker(make(name).eval(), pocket()) for name in names}


def gensr() -> Ranker:
    return rankers()["gensr"]


def texts(page: str) -> list[str]:
    """The texts of a page's cells and headings."""
    return [unescape(text) for text in re.findall(r">([^<>\n]+)<", page)]


def test_side_by_side_are_the_systems_own_lists():
    table = side_by_side(rankers(), 3, k=4)
    assert list(table.index) == [1, 2, 3, 4]
    for name, ranker in rankers().items():
        assert list(table[name]) == list(ranker.recommend(3, 4)["title"])
    ordered = {"gensr": gensr(), **rankers()}
    searched = side_by_side(ordered, 3, "marble kennel", 4)
    assert list(searched["gensr"]) == list(gensr().search(3, "marble kennel", 4)["title"])
    assert list(searched["lightgcn"]) == [NOT_SERVED] * 4, "it does not serve search"
    assert list(side_by_side(ordered, [1, 2], k=2)["lightgcn"]) == [NOT_SERVED] * 2, "new users"


@pytest.mark.parametrize(("user", "k"), [("nobody-like-this", 3), (["no item"], 3), (0, 0)])
def test_a_wrong_question_is_not_hidden_by_dashes(user, k):
    with pytest.raises(ConfigError, match=r"unknown|k is 0"):
        side_by_side(rankers(), user, k=k)


def fixed(*lists: str) -> SimpleNamespace:
    """A system that has one list of one-letter items per user, and another one per query."""
    answers = [pd.DataFrame({"item_id": list(letters)}) for letters in lists]
    return SimpleNamespace(
        recommend=lambda user, k: answers[user].head(k),
        search=lambda user, query, k: answers[int(query)].head(k),
    )


def test_overlap_by_hand():
    systems = {"a": fixed("abcd", "abcd"), "b": fixed("abxy", "wxyz"), "c": fixed("dcba", "bcde")}
    shares = overlap(systems, [0, 1], k=4)
    assert shares.loc["a"].to_dict() == {"a": 1, "b": (2 / 4 + 0) / 2, "c": (4 / 4 + 3 / 4) / 2}
    assert shares.loc["b", "c"] == shares.loc["c", "b"] == (2 / 4 + 0) / 2
    assert overlap(systems, [0, 1], ["1", "1"], k=4).loc["a", "c"] == 3 / 4


@pytest.mark.parametrize("parts", [["cf", "semantic", "history"], ["semantic", "history"]])
def test_bars_have_the_lengths_of_the_contributions(parts):
    found = gensr().explain(3, "marble kennel", [1, 2, 3])
    table = found.contributions[["title", *parts]].assign(title="one title for all")
    (ax,) = contribution_bars(views.Explanation(found.history, {}, table), "a title").axes
    widths = [[bar.get_width() for bar in group] for group in ax.containers]
    assert np.allclose(widths, table[parts].T)
    middles = [[bar.get_y() + bar.get_height() / 2 for bar in group] for group in ax.containers]
    assert np.allclose(np.mean(middles, axis=0), [0, 1, 2]) and ax.yaxis_inverted()
    assert [t.get_text() for t in ax.get_yticklabels()] == list(table["title"])
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert labels == [views.PART_NAMES[part] for part in parts] and ax.get_title() == "a title"


def test_the_answer_shows_lists_parts_and_the_weights_over_the_most_recent_history(monkeypatch):
    monkeypatch.setattr(views, "SHOWN", 4)
    page = views.answer(rankers(), 3, "marble kennel", 5)
    listed, rest, history = (texts(f"<h4>{part}") for part in page.split("<h4>")[1:])
    best = gensr().search(3, "marble kennel", 5)["title"]
    assert listed[0] == "Search: marble kennel" and set(best) <= set(listed)
    assert set(best[:3]) <= set(rest) and best[3] not in rest
    found = gensr().explain(3, "marble kennel", gensr().search(3, "marble kennel", 1)["item_id"])
    for view in ("cf", "semantic"):
        assert f"{found.weights[view][0, -1]:.3f}" in history
    assert f"{found.contributions['history'][0]:.3f}" in rest
    assert set(history) >= set(found.history["title"][-4:])
    assert found.history["title"].iloc[-5] not in history


def test_the_form_answers_at_once_and_after_each_change():
    box = views.form(rankers(), list(pocket().user_ids[:5]), "marble kennel", k=3)
    user, items, query, k, page = box.children
    assert set(gensr().search(pocket().user_ids[0], "marble kennel", 3)["title"]) <= set(texts(page.value))
    user.value, query.value, k.value = pocket().user_ids[2], " ", 4
    for ranker in rankers().values():
        assert set(ranker.recommend(pocket().user_ids[2], 4)["title"]) <= set(texts(page.value))
    first, second = pocket().item_ids[[3, 4]]
    items.value = f" {first},{second} "
    assert {pocket().item_title[3], NOT_SERVED} <= set(texts(page.value)), "LightGCN: no new users"
    items.value = "no-such-item"
    assert "unknown item 'no-such-item'" in texts(page.value)[0], "in place of the answer"
    items.value, query.value = "", "<script>alert(1)</script>"
    assert "<script>" not in page.value
    assert texts(page.value)[0] == "Search: <script>alert(1)</script>"


def test_an_answer_without_a_prompt_to_look_into_says_so():
    assert "slots" in views.answer({"popularity": rankers()["popularity"]}, 0)
