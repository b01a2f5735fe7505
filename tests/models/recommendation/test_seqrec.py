"""SeqRec: tokens and targets by loops, causality, a SASRec of torch modules, and what replacement may propose."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch

from gensr_lib.data.batches import Batch, newest
from gensr_lib.data.dataset import Dataset
from gensr_lib.models.losses import softmax_over_items
from gensr_lib.models.recommendation.seqrec import SeqRec, SeqRecConfig, interleave, next_items
from tests.models.joint.unisar_cases import interleaved, without
from tests.models.lessons import N_ITEMS, N_WORDS, cycle, kind_of_last_search, learn, reads
from tests.worlds import TINY, pocket, tables

QUIET = {"replace_items": 0.0, "replace_queries": 0.0}


def seqrec(**options) -> SeqRec:
    torch.manual_seed(0)
    return SeqRec.from_dataset(pocket(), SeqRecConfig(**{"width": 8, "tokens": 40, "dropout": 0.0, **options})).eval()


@cache
def some() -> Batch:
    """Histories of every shape; the first session of each user has a query without a word."""
    made = interleaved()
    width = pocket().query_word_ids.shape[1]
    words = torch.nn.functional.pad(made.ses_words, (0, width - made.ses_words.shape[2]))
    words[:, 0] = 0
    return replace(made, ses_words=words)


def tokens(made: Batch, row: int) -> list[tuple[str, int]]:
    """All tokens of a row in order of time: ("item", id) or ("query", its session)."""
    found, r = [], made.rec_items.shape[1]
    for step in made.merge_index[row].tolist():
        if step < r:
            found.append(("item", made.rec_items[row, step].item()))
            continue
        if made.ses_words[row, step - r].any():
            found.append(("query", step - r))
        found += [("item", click) for click in made.ses_clicks[row, step - r].tolist()]
    return [token for token in found if token != ("item", 0)]


def named(made: Batch, place: int, row: int) -> tuple[str, int]:
    r, s = made.rec_items.shape[1], made.ses_words.shape[1]
    if place < r:
        return ("item", made.rec_items[row, place].item())
    return ("query", place - r) if place < r + s else ("item", made.ses_clicks[row].flatten()[place - r - s].item())


@pytest.mark.parametrize("n", [60, 9, 1])
def test_tokens_by_loops(n):
    made = without(some(), "rec", "src", rows=slice(5, 6))
    at, real = interleave(made, n)
    assert at.shape == real.shape == (6, n)
    for row in range(6):
        expected = tokens(made, row)[-n:]
        assert real[row].tolist() == [i < len(expected) for i in range(n)]
        assert [named(made, place, row) for place in at[row, : len(expected)].tolist()] == expected
    assert not real[5].any() and real[0].sum() == min(n, len(tokens(made, 0)))


def test_the_newest_of_each_row():
    real = torch.tensor([[False, True, True, False, True], [False] * 5, [True] * 5])
    at, inside = newest(real, 2)
    assert at[0].tolist() == [2, 4] and at[2].tolist() == [3, 4]
    assert inside.tolist() == [[True, True], [False, False], [True, True]]
    assert newest(real, 7)[1].sum(dim=1).tolist() == [3, 0, 5]


def test_targets_are_the_items_that_come_next_and_never_a_query():
    made = some()
    at, real = interleave(made, 60)
    target, seen = next_items(made, at, real), set()
    for row in range(6):
        mine = tokens(made, row)
        following = [*mine[1:], ("item", made.cand[row, 0].item())]
        seen |= {(a[0], b[0]) for a, b in zip(mine, following, strict=True)}
        expected = [value if kind == "item" else 0 for kind, value in following]
        assert target[row].tolist() == expected + [0] * (60 - len(expected))
    assert seen == {("item", "item"), ("item", "query"), ("query", "item")}


@torch.no_grad()
def test_the_loss_by_loops():
    model, made = seqrec(**QUIET), some()
    at, real = interleave(made, 40)
    states, total, count = model.encode(made, at, real), 0.0, 0
    for row in range(6):
        mine = tokens(made, row)[-40:]
        following = [*mine[1:], ("item", made.cand[row, 0].item())]
        for t, (kind, item) in enumerate(following):
            if kind == "item":
                logits = model.items.weight[1:] @ states[row, t]
                total, count = total + logits.logsumexp(0) - logits[item - 1], count + 1
    assert model.loss(made)["next"].item() == pytest.approx((total / count).item(), abs=1e-5)
    last = states[0, len(tokens(made, 0)) - 1]
    assert torch.allclose(model.score(made)[0], model.items.weight[made.cand[0]] @ last, atol=1e-5)
    nobody = without(made, "rec", "src")
    assert model.loss(nobody)["next"] == 0 and (model.score(nobody) == 0).all()


@torch.no_grad()
def test_a_token_is_read_by_itself_and_by_later_ones_only():
    model, made = seqrec(), some()
    at, real = interleave(made, 40)
    before = model.encode(made, at, real)
    row, session = 1, 5
    place = tokens(made, row).index(("query", session))
    assert place > 0 and tokens(made, row)[place + 1][0] == "item"
    words = made.ses_words.clone()
    words[row, session] = 1 + words[row, session].max() % 50
    after = model.encode(replace(made, ses_words=words), at, real)
    assert torch.equal(after[row, :place], before[row, :place])
    changed = (after - before).abs().amax(dim=-1) > 1e-6
    assert changed[row, place:][real[row, place:]].all() and changed.sum() == real[row, place:].sum()
    assert (before[~real] == 0).all()


@torch.no_grad()
def test_without_searches_it_is_a_causal_transformer_of_torch_modules():
    """Pre-norm layers and a last norm over items, positions and the constant type, without padding."""
    model, made = seqrec(), without(some(), "src")
    d = 8
    layer = torch.nn.TransformerEncoderLayer(d, 2, d, 0.0, batch_first=True, norm_first=True)
    reference = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(d), enable_nested_tensor=False).train()
    reference.load_state_dict(model.encoder.encoder.state_dict())
    for row in range(6):
        items = made.rec_items[row][made.rec_items[row] != 0]
        n = len(items)
        x = model.items.weight[items] + model.token_type.weight[0] + model.encoder.position[:n]
        causal = torch.nn.Transformer.generate_square_subsequent_mask(n)
        state = reference(x[None], mask=causal)[0, -1]
        expected = model.items.weight[made.cand[row]] @ state
        assert torch.allclose(model.score(made)[row], expected, atol=1e-5)


# --- replacement ------------------------------------------------------------------------------


def test_nothing_is_replaced_at_rate_zero_or_in_evaluation():
    made = some()
    for model in (seqrec(**QUIET).train(), seqrec(replace_items=1.0, replace_queries=1.0).eval()):
        for _ in range(2):
            found = model.with_replacements(made)
            for field in ("rec_items", "ses_clicks", "ses_words"):
                assert torch.equal(getattr(found, field), getattr(made, field))


def test_the_graph_proposes_what_training_searches_join_and_else_anything():
    data = pocket()
    model = seqrec(replace_items=1.0, replace_queries=1.0, by_graph=1.0).train()
    by_item, by_query = defaultdict(set), defaultdict(set)
    for event in np.flatnonzero(data.rows_before_cut() & data.is_search):
        words, item = tuple(data.query_word_ids[data.query[event]].tolist()), int(data.item[event])
        by_item[item].add(words)
        by_query[words].add(item)
    made = data.batch("train", "rec", np.arange(0, 300, 5), np.ones((60, 2), np.int64))
    found = model.with_replacements(made)
    joined = {i: set().union(*(by_query[q] for q in queries)) for i, queries in by_item.items()}
    pairs = [*zip(made.rec_items.flatten().tolist(), found.rec_items.flatten().tolist(), strict=True)]
    pairs += zip(made.ses_clicks.flatten().tolist(), found.ses_clicks.flatten().tolist(), strict=True)
    assert all(new in joined[old] for old, new in pairs if old in joined)
    assert all((old == 0) == (new == 0) for old, new in pairs)
    assert np.mean([new != old for old, new in pairs if old in joined]) > 0.05, (
        "few queries of so small a world have two items"
    )
    clicks, words = made.ses_clicks[..., 0].flatten().tolist(), found.ses_words.flatten(0, 1).tolist()
    asked = [(click, tuple(query)) for click, query in zip(clicks, words, strict=True) if click in by_item]
    assert len(asked) > 100 and all(query in by_item[click] for click, query in asked)
    anything = seqrec(replace_items=1.0, by_graph=0.0).train().with_replacements(made).rec_items
    free = [new in joined[old] for old, new in zip(made.rec_items.flatten().tolist(), anything.flatten().tolist(),
                                                   strict=True) if old in joined]  # fmt: skip
    assert np.mean(free) < 0.5 and set(anything[made.rec_items != 0].tolist()) <= set(range(1, data.n_items + 1))


def test_as_many_are_replaced_as_asked_and_targets_stay():
    model, made = seqrec(replace_items=0.25, replace_queries=0.5, by_graph=0.0).train(), some()
    real, typed = made.rec_items != 0, (made.ses_words != 0).any(dim=-1)
    items = [(model.with_replacements(made).rec_items != made.rec_items)[real].float().mean() for _ in range(100)]
    words = [(model.with_replacements(made).ses_words != made.ses_words).any(-1)[typed].float().mean()
             for _ in range(100)]  # fmt: skip
    assert np.mean(items) == pytest.approx(0.25, abs=0.03) and np.mean(words) == pytest.approx(0.5, abs=0.04)
    found = model.with_replacements(made)
    assert torch.equal((found.ses_words != 0).any(dim=-1), typed)
    assert torch.equal(interleave(found, 40)[0], interleave(made, 40)[0])


def test_data_without_searches_are_served():
    events = [(u, f"i{(t + s) % 9}", t, "rec") for s, u in enumerate("abc") for t in range(6)]
    data = Dataset.from_tables(tables(*events), TINY)
    options = SeqRecConfig(width=8, tokens=12, replace_items=1.0, replace_queries=1.0, by_graph=1.0)
    model = SeqRec.from_dataset(data, options).train()
    made = data.batch("train", "rec", np.arange(4), np.ones((4, 2), np.int64))
    assert torch.isfinite(model.loss(made)["next"])


# --- the softmax over the catalogue -----------------------------------------------------------


@torch.no_grad()
def test_the_softmax_by_loops_whole_and_sampled():
    items, states, target = torch.randn(20, 4), torch.randn(7, 4), torch.randint(20, (7,))
    full = softmax_over_items(states, target, items)
    by_hand = [(items @ s).logsumexp(0) - items[t] @ s for s, t in zip(states, target, strict=True)]
    assert full.item() == pytest.approx(torch.stack(by_hand).mean().item(), abs=1e-5)
    assert softmax_over_items(states, target, items, draws=2000).item() == pytest.approx(full.item(), abs=1e-5)
    # Equal logits: as many as there are distinct items among one target and two draws.
    same = softmax_over_items(torch.zeros(1, 4), target[:1], items, draws=2).exp().item()
    assert round(same, 4) in (1, 2, 3)


def test_a_large_catalogue_is_said_to_be_sampled(caplog):
    model = seqrec(full_softmax=50, sampled_items=20)
    assert f"seqrec: {pocket().n_items} items are more than full_softmax=50" in caplog.text and model.draws == 20
    assert torch.isfinite(model.loss(some())["next"]) and seqrec().draws is None


# --- the whole --------------------------------------------------------------------------------


def test_it_reads_both_histories_and_no_user():
    assert reads(seqrec()) == {"rec_items", "ses_words", "ses_clicks"}


def fresh(**options) -> SeqRec:
    torch.manual_seed(0)
    queries = torch.cat([torch.zeros(1).long(), torch.arange(2, N_WORDS)])[:, None]
    nothing = torch.zeros(2, 1).long()
    config = SeqRecConfig(**{"width": 16, "tokens": 12, "dropout": 0.0, **QUIET, **options})
    return SeqRec(config, N_ITEMS, N_WORDS, queries, nothing, nothing)


def test_it_learns_a_cycle_of_twenty_items():
    assert learn(fresh(), cycle, steps=100, rate=0.01) > 0.95


def test_it_learns_to_recommend_the_kind_of_the_last_search():
    assert learn(fresh(), partial(kind_of_last_search, searches=3), steps=200, rate=0.01) > 0.95
