"""CoPPS: TEM where it adds nothing, tokens and losses by loops, and what other histories may and may not change."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.data.batches import merged_steps
from gensr_lib.models.encoders import Encoder
from gensr_lib.models.graph import search_graph
from gensr_lib.models.losses import attraction
from gensr_lib.models.search.copps import views_agree
from tests.models.joint.unisar_cases import without
from tests.models.lessons import kind_of_clicks, kind_of_last_search, learn, reads
from tests.models.search.systems import pupil, query_vector, searches, some, system
from tests.worlds import pocket

CONTRAST = ("knowledge", "within", "between")


def test_without_queries_and_kinds_it_is_tem():
    """The same weights from the same seed, the same scores, and at beta 0 the same loss."""
    tem, copps = system("tem"), system("copps", history=30, beta=0.0)
    copps.kind.weight.data.zero_()
    assert not copps.load_state_dict(tem.state_dict(), strict=False).unexpected_keys
    made = some()
    made = replace(made, ses_words=torch.zeros_like(made.ses_words))
    with torch.no_grad():
        assert torch.allclose(copps.score(made), tem.score(made), atol=1e-5)
    totals = []
    for model in (tem.train(), copps.train()):
        torch.manual_seed(4)
        terms = model.loss(made)
        totals.append(sum(model.loss_weights.get(name, 1.0) * term for name, term in terms.items()).item())
    assert totals[0] == pytest.approx(totals[1], abs=1e-4) and set(terms) > set(CONTRAST)
    assert system("copps").loss_weights == dict.fromkeys(CONTRAST, 0.05)


@pytest.mark.parametrize("history", [60, 5])
@torch.no_grad()
def test_states_are_those_of_torch_modules_row_by_row(history):
    model, made = system("copps", history=history), some()
    layer = torch.nn.TransformerEncoderLayer(8, 4, 256, 0.0, "gelu", batch_first=True, norm_first=True)
    reference = torch.nn.TransformerEncoder(layer, 1, torch.nn.LayerNorm(8), enable_nested_tensor=False).train()
    reference.load_state_dict(model.encoder.encoder.state_dict())
    found, r = model.intent(made), made.rec_items.shape[1]
    of_query, of_click, _ = model.kind.weight
    for b in range(len(made)):
        tokens = []
        for step in [step - r for step in made.merge_index[b].tolist() if step >= r]:
            words, clicks = made.ses_words[b, step], made.ses_clicks[b, step]
            tokens += [query_vector(model, words) + of_query] * int(words.any())
            tokens += [model.items.weight[click] + of_click for click in clicks.tolist() if click]
        tokens = torch.stack([query_vector(model, made.query[b]) + of_query, *tokens[-history:]])
        x = math.sqrt(8) * tokens + model.encoder.position[: len(tokens)]
        assert torch.allclose(found[b], reference(x[None])[0, 0], atol=1e-4)


def test_it_reads_the_query_and_search_sessions():
    assert reads(system("copps")) == {"ses_words", "ses_clicks", "query"}
    assert reads(system("copps", history_of="both")) == {"rec_items", "ses_words", "ses_clicks", "query"}


# --- other histories --------------------------------------------------------------------------


def test_the_current_query_is_the_same_in_all_views(monkeypatch):
    model, made = system("copps", substitute=1.0), searches()
    entered = []
    monkeypatch.setattr(Encoder, "forward", lambda self, x, valid, *_: entered.append(x) or x)
    model.loss(made)
    query = torch.stack([query_vector(model, words) for words in made.query]) + model.kind.weight[0]
    assert len(entered) == 4 and all(torch.allclose(x[:, 0], math.sqrt(8) * query, atol=1e-5) for x in entered)
    others = [x for x in entered[1:] if x.shape != entered[0].shape or not torch.allclose(x, entered[0], atol=1e-3)]
    assert len(others) == 3, "and each view has another history"


def test_edges_are_the_training_searches_and_no_others():
    data, graph = pocket(), search_graph(pocket())
    joined = {(0, (0,) * graph["queries"].shape[1])}
    for user in range(data.n_users):
        for event in np.flatnonzero((data.user == user) & data.is_search):
            words = tuple(data.query_word_ids[data.query[event]].tolist())
            if event < data.split.cut_valid[user] and any(words):
                joined.add((int(data.item[event]), words))
    queries = [tuple(words) for words in graph["queries"].tolist()]
    assert {(item, queries[query]) for item, query in graph["by_item"].T.tolist()} == joined
    assert {(item, queries[query]) for query, item in graph["by_query"].T.tolist()} == joined
    assert all((edges[0].diff() >= 0).all() for edges in (graph["by_item"], graph["by_query"]))


def test_substitutes_are_items_clicked_after_a_same_training_query():
    data, model = pocket(), system("copps", substitute=1.0)
    by_item, by_query = defaultdict(set), defaultdict(set)
    for event in np.flatnonzero(data.rows_before_cut() & data.is_search):
        query, item = int(data.query[event]), int(data.item[event])
        by_item[item].add(query)
        by_query[query].add(item)
    clicks = torch.arange(data.n_items + 1).view(1, -1, 1).repeat(40, 1, 1)
    found = model.substituted(clicks)
    assert found.shape == clicks.shape and (found[:, 0] == 0).all()
    for item in range(1, data.n_items + 1):
        related = set().union(*(by_query[query] for query in by_item[item])) or {item}
        assert set(found[:, item].flatten().tolist()) <= related
    changed = (found != clicks).float().mean()
    assert changed > 0.02, "few queries of so small a world have two items"
    some_only = system("copps", substitute=0.3).substituted(clicks)
    assert ((some_only != clicks).float().mean() / changed).item() == pytest.approx(0.3, abs=0.05)


NOT_AT_ALL = {"crop": 1.0, "reorder": 0.0, "mask": 0.0}
PARTLY = {"crop": 0.5, "reorder": 0.9, "mask": 0.5}


@pytest.mark.parametrize("way", PARTLY)
def test_a_disturbed_history_has_steps_of_the_first_and_no_others(way):
    model, seen = system("copps", **{**NOT_AT_ALL, way: PARTLY[way]}), []
    words, clicks = merged_steps(some())
    whole = steps(words, clicks)
    for _ in range(60):
        *made, hidden = model.disturbed(words, clicks)
        for row, (before, after) in enumerate(zip(whole, steps(*made), strict=True)):
            n, n_clicks, n_hidden = len(before), int((clicks[row] != 0).sum()), int(hidden[row].sum())
            if after != before and way == "reorder":
                assert sorted(after) == sorted(before)
            elif after != before and way == "crop":
                start = before.index(after[0])
                assert len(after) == max(n // 2, 1) and after == before[start : start + len(after)]
            else:
                assert after == before and n_hidden in ({0, n_clicks // 2} if way == "mask" else {0})
            assert not hidden[row][made[1][row] == 0].any()
            if after != before or n_hidden:
                seen.append(row)
    least = 3 if way == "reorder" else 2  # steps; half of two is one, and 0.9 of two are one, which has no other order
    assert set(seen) == {row for row, each in enumerate(whole) if len(each) >= least}
    assert seen.count(1) / 60 == pytest.approx(1 / 3, abs=0.2), "the other two ways leave it as it is here"


def steps(words: torch.Tensor, clicks: torch.Tensor) -> list[list[tuple]]:
    """The steps of each row, as plain values."""
    return [
        [(tuple(w), tuple(c)) for w, c in zip(words[row].tolist(), clicks[row].tolist(), strict=True) if any(c)]
        for row in range(len(words))
    ]


@torch.no_grad()
def test_a_hidden_click_is_one_vector_whatever_the_item_was():
    model = system("copps")
    words, clicks = merged_steps(some())
    hidden = torch.zeros_like(clicks, dtype=torch.bool)
    hidden[0, 0, 0] = True
    others = clicks.clone()
    others[0, 0, 0] = 1 + clicks[0, 0, 0] % 200
    (x, inside), (y, _) = model.tokens(words, clicks, hidden), model.tokens(words, others, hidden)
    assert torch.equal(x, y) and not torch.equal(model.tokens(words, clicks)[0], model.tokens(words, others)[0])
    shown = (x - model.tokens(words, clicks)[0]).abs().amax(dim=-1) > 0
    assert shown.sum() == 1 and inside[shown].all()
    assert torch.allclose(x[shown][0], model.kind.weight[2], atol=1e-6)


# --- contrastive losses -----------------------------------------------------------------------


def by_loops(z, positives: dict[int, list[int]], negatives: dict[int, list[int]], tau: float) -> float:
    """Mean over rows with a positive of the mean over its positives."""
    z = torch.nn.functional.normalize(z, dim=1)
    rows = []
    for i, partners in positives.items():
        if not partners:
            continue
        each = []
        for p in partners:
            against = math.exp(z[i] @ z[p] / tau)
            each.append(-math.log(against / (against + sum(math.exp(z[i] @ z[j] / tau) for j in negatives[i]))))
        rows.append(sum(each) / len(each))
    return sum(rows) / len(rows)


@torch.no_grad()
def test_losses_by_loops_with_and_without_partners():
    made = searches(rows=7)
    user, item = torch.tensor([0, 0, 1, 2, 3, 4, 5]), torch.tensor([7, 8, 7, 9, 7, 9, 3])
    query = torch.zeros_like(made.query)
    query[:, 0] = torch.tensor([5, 5, 6, 5, 0, 0, 0])  # three without words, which are no same query
    made = replace(made, user=user, query=query, cand=torch.cat([item[:, None], made.cand[:, 1:]], dim=1))
    same = {i: {j for j in range(7) if item[i] == item[j] or (query[i, 0] == query[j, 0] != 0)} for i in range(7)}
    assert same[4] == {0, 2, 4} and same[1] == {0, 1, 3} and same[6] == {6}
    positives = {i: [j for j in same[i] if user[j] != user[i]] for i in range(7)}
    negatives = {i: [j for j in range(7) if j not in same[i] and user[j] != user[i]] for i in range(7)}
    alike = (user[:, None] == user) | (item[:, None] == item)
    partner = {i: [(i + 7) % 14] for i in range(14)}
    repel = {i: [j for j in range(14) if not alike[i % 7, j % 7]] for i in range(14)}
    a, b = torch.randn(7, 8), torch.randn(7, 8)
    expected = by_loops(torch.cat([a, b]), partner, repel, 0.2)
    assert views_agree(a, b, alike, 0.2).item() == pytest.approx(expected, abs=1e-4)

    # One of the two kinds of views is left as it is.
    for kept, changed, options in (
        ("within", "knowledge", {"substitute": 1.0, **NOT_AT_ALL}),
        ("knowledge", "within", {"substitute": 0.0}),
    ):
        model = system("copps", **options)
        z, terms = model.intent(made), model.loss(made)
        assert terms["between"].item() == pytest.approx(by_loops(z, positives, negatives, 0.2), abs=1e-4)
        expected = by_loops(torch.cat([z, z]), partner, repel, 0.2)
        assert terms[kept].item() == pytest.approx(expected, abs=1e-4)
        assert terms[changed].item() != pytest.approx(expected, abs=1e-3)


def test_searches_that_have_nothing_in_common_contribute_nothing_between_users():
    model, made = system("copps"), searches(rows=3)
    cand = torch.tensor([[1, 9], [2, 9], [3, 9]])
    query = torch.zeros_like(made.query)
    query[:, 0] = torch.tensor([5, 6, 0])
    made = replace(made, user=torch.arange(3), cand=cand, query=query)
    assert model.loss(made)["between"].item() == 0
    alone = replace(made, user=torch.zeros(3).long(), cand=cand * 0 + 4)
    terms = model.loss(alone)
    assert terms["between"].item() == 0 and terms["within"].item() == pytest.approx(0, abs=1e-6)


def test_equal_views_with_orthogonal_negatives_reach_the_least_loss():
    z = torch.eye(5)
    alike = torch.eye(5, dtype=torch.bool)
    expected = math.log(1 + 8 * math.exp(-1 / 0.1))  # one partner at cosine 1, 2B - 2 negatives at 0
    assert views_agree(z, z, alike, 0.1).item() == pytest.approx(expected, abs=1e-6)
    assert views_agree(z, z.roll(1, dims=0), alike, 0.1).item() > 5
    same = torch.ones(4, 6)  # all vectors alike: ln of 1 + the number of negatives
    assert views_agree(same, same, torch.eye(4, dtype=torch.bool), 0.1).item() == pytest.approx(math.log(7), abs=1e-5)


def test_gradients_are_finite_for_rows_without_partners_or_negatives():
    z = torch.randn(4, 3, requires_grad=True)
    none, all_ = torch.zeros(4, 4, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool)
    for positive, negative in ((none, all_), (none, none), (all_, none)):
        loss = attraction(z, positive, negative, 0.1)
        (gradient,) = torch.autograd.grad(loss, z)
        assert loss.item() == 0 and torch.isfinite(gradient).all()


# --- the whole --------------------------------------------------------------------------------


def test_empty_histories_have_finite_losses():
    terms = system("copps").train().loss(without(some(), "rec", "src"))
    assert all(torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize("lesson", [kind_of_clicks, kind_of_last_search])
def test_it_learns_to_go_on_with_what_was_clicked_or_typed(lesson):
    assert learn(pupil("copps"), lesson, steps=80, rate=0.01) > 0.95
