"""UnifiedSSR: attention by lists of what may be read, no leak from later items, windows and losses by loops."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gensr_lib.models.joint.unifiedssr import (
    UnifiedSSR,
    UnifiedSSRConfig,
    session_correlation,
    sinusoids,
    windows,
    with_sessions,
)
from tests.models.joint.unisar_cases import batch, interleaved, without
from tests.models.lessons import (
    N_ITEMS,
    N_WORDS,
    USERS,
    cycle,
    kind_of_query,
    kind_of_user,
    learn,
    reads,
)
from tests.worlds import pocket

SMALL = {"width": 8, "inner": 12, "heads": 2, "dropout": 0.0}
TASKS = pytest.mark.parametrize("task", ["rec", "src"])


def unifiedssr(**options) -> UnifiedSSR:
    torch.manual_seed(0)
    model = UnifiedSSR.from_dataset(pocket(), UnifiedSSRConfig(**{**SMALL, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the small start, so that differences show
            parameter.add_(0.3 * torch.randn_like(parameter))
        model.items.weight[0] = 0
    return model


def some(task: str):
    """Histories of every shape, one of them empty."""
    return without(replace(interleaved(), task=task), "rec", "src", rows=slice(5, 6))


# --- encoding ---------------------------------------------------------------------------------


def own_history(made, row: int) -> tuple[list[int], list[torch.Tensor]]:
    """Items of the task's history, and the words of its queries with the current one behind them."""
    if made.task == "rec":
        return [i for i in made.rec_items[row].tolist() if i], []
    items = [i for i in made.ses_clicks[row, :, 0].tolist() if i]
    return items, [*made.ses_words[row, : len(items)], made.query[row]]


def inputs(model: UnifiedSSR, made, row: int) -> list[list[torch.Tensor]]:
    """One list of vectors for each branch: the user alone, then the items; and the queries."""
    items, queries = own_history(made, row)
    who, scale = model.users.weight[made.user[row]], math.sqrt(model.config.width)
    position = [
        torch.tensor([f(t / 10_000 ** (2 * i / 8)) for i in range(4) for f in (math.sin, math.cos)])
        for t in range(len(items) + 1)
    ]
    branches = [[torch.zeros(8), *(model.items.weight[i] for i in items)]]
    if made.task == "src":
        branches.append([model.words.table.weight[w[w != 0]].mean(dim=0) for w in queries])
    return [[(x + who) * scale + p for x, p in zip(b, position, strict=True)] for b in branches]


def read(attention: torch.nn.MultiheadAttention, x: torch.Tensor, keys: list[torch.Tensor]) -> torch.Tensor:
    keys = torch.stack(keys)[None]
    return attention(x[None, None], keys, keys)[0][0, 0]


def siamese(model: UnifiedSSR, own: list[torch.Tensor], other: list[torch.Tensor]) -> list[torch.Tensor]:
    """Each position with the list of those that it may read: its own and earlier ones, of either branch."""
    x = own
    for layer in model.encoder.decoder.layers:
        normed = [layer.norm1(v) for v in x]
        x = [v + read(layer.self_attn, normed[t], normed[: t + 1]) for t, v in enumerate(x)]
        x = [v + read(layer.multihead_attn, layer.norm2(v), other[: t + 1]) for t, v in enumerate(x)]
        x = [v + layer.linear2(layer.linear1(layer.norm3(v)).relu()) for v in x]
    return [model.encoder.decoder.norm(v) for v in x]


@TASKS
@torch.no_grad()
def test_states_by_loops_over_positions(task):
    model, made = unifiedssr(), some(task)
    states, valid = model.encode(made)
    assert len(states) == (1 if task == "rec" else 2)
    for row in range(len(made)):
        parts = inputs(model, made, row)
        assert valid[row].sum() == len(parts[0]) and valid[row, : len(parts[0])].all()
        for x, own, other in zip(states, parts, parts[::-1], strict=True):
            expected = torch.stack(siamese(model, own, other))
            assert torch.allclose(x[row, : len(own)], expected, atol=1e-4), row
            assert (x[row, len(own) :] == 0).all(), "padding"


@TASKS
@torch.no_grad()
def test_no_position_knows_the_item_that_it_has_to_name_or_a_later_one(task):
    """In the authors' code the last item changes all outputs. Position t names item t."""
    model, made = unifiedssr(), replace(interleaved(), task=task).rows(torch.tensor([task == "src"]).long())
    (before, valid), t = model.encode(made), 8
    inside = windows(valid, 2)
    assert inside[0, 1, t : t + 2].all(), "a window holds the position and the next one, which knows the item"
    items, clicks = made.rec_items.clone(), made.ses_clicks.clone()
    items[0, t], clicks[0, t, 0] = 201, 202
    after, _ = model.encode(replace(made, rec_items=items, ses_clicks=clicks))
    for x, y in zip(before, after, strict=True):
        x, y = with_sessions(x, inside)[0], with_sessions(y, inside)[0]
        assert torch.equal(x[: t + 1], y[: t + 1])
        assert ((x - y).abs().amax(dim=1) > 1e-6)[t + 1 : 13].all()


@torch.no_grad()
def test_a_position_of_search_knows_its_query_and_no_later_one():
    model, made = unifiedssr(), replace(interleaved(), task="src").rows(torch.tensor([1]))
    before, _ = model.encode(made)
    words, t = made.ses_words.clone(), 6
    words[0, t, 0] = 1 + words[0, t, 0] % 50
    after, _ = model.encode(replace(made, ses_words=words))
    for x, y in zip(before, after, strict=True):
        assert torch.equal(x[0, :t], y[0, :t])
        assert ((x - y)[0].abs().amax(dim=1) > 1e-6)[t:13].all()
    last = replace(made, query=made.query.clone().fill_(3))
    for x, y in zip(before, model.encode(last)[0], strict=True):
        assert torch.equal(x[0, :12], y[0, :12]) and not torch.allclose(x[0, 12], y[0, 12], atol=1e-4)


@TASKS
def test_every_layer_counts_and_learns(task):
    """In the authors' code each layer reads the input, and all but the last one go for nothing."""
    model, made = unifiedssr(layers=3), some(task)
    model.loss(made)["next"].backward()
    for layer in model.encoder.decoder.layers:
        assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
    before = model.score(made)
    with torch.no_grad():
        model.encoder.decoder.layers[0].linear2.weight.mul_(-2)
    assert not torch.allclose(model.score(made), before, atol=1e-3)


def test_positions_are_sines_and_cosines():
    found = sinusoids(torch.arange(5), 6)
    for t in range(5):
        expected = [f(t / 10_000 ** (i / 6)) for i in (0, 2, 4) for f in (math.sin, math.cos)]
        assert found[t].tolist() == pytest.approx(expected, abs=1e-6)


# --- sessions ---------------------------------------------------------------------------------


def test_windows_of_hand_worked_lengths():
    valid = torch.arange(8) < torch.tensor([8, 4, 2, 1, 0])[:, None]
    found = [[w.nonzero()[:, 0].tolist() for w in row] for row in windows(valid, 2)]
    assert found == [[[1, 2], [5, 6]], [[0, 1], [2, 3]], [[0], [1]], [[], []], [[], []]]
    assert [w.nonzero()[:, 0].tolist() for w in windows(valid, 1)[0]] == [[2, 3, 4, 5]]


def some_states() -> tuple[list[torch.Tensor], torch.Tensor]:
    torch.manual_seed(2)
    valid = torch.arange(12) < torch.tensor([12, 7, 3, 1, 0])[:, None]
    return [torch.randn(5, 12, 4) * valid[..., None] for _ in range(2)], windows(valid, 3)


def test_a_position_gets_the_mean_of_its_window_so_far():
    (x, _), inside = some_states()
    found = with_sessions(x, inside)
    for row in range(5):
        expected = x[row].clone()
        for window in inside[row]:
            members = window.nonzero()[:, 0].tolist()
            for i, t in enumerate(members):
                expected[t] += x[row][members[: i + 1]].mean(dim=0)
        assert torch.allclose(found[row], expected, atol=1e-6)
    assert not torch.allclose(found[0], x[0])


def test_correlation_of_sessions_by_loops_and_of_equal_branches():
    states, inside = some_states()
    near, across = [[], []], []
    for row in range(5):
        means = [[x[row][w].mean(dim=0) if w.any() else None for w in inside[row]] for x in states]
        for own, found in zip(means, near, strict=True):
            found += [
                abs(F.cosine_similarity(a, b, dim=0).item())
                for a, b in pairwise(own)
                if a is not None and b is not None
            ]
        across += [F.cosine_similarity(a, b, dim=0).item() for a, b in zip(*means, strict=True) if a is not None]
    assert len(near[0]) == 6 and len(across) == 10
    expected = np.mean(near[0]) + np.mean(near[1]) - np.mean(across)
    assert session_correlation(states, inside).item() == pytest.approx(expected, abs=1e-5)
    alone = session_correlation(states[:1], inside)
    assert alone.item() == pytest.approx(np.mean(near[0]), abs=1e-5)
    assert session_correlation([states[0]] * 2, inside).item() == pytest.approx(2 * alone.item() - 1, abs=1e-5)
    one = windows(torch.ones(5, 12).bool(), 1)
    assert session_correlation(states[:1], one) == 0, "a single session has no neighbour"


@torch.no_grad()
def test_equal_branches_have_equal_states():
    """Queries whose vectors are those of the items before them: the two passes are one."""
    model, made = unifiedssr(), replace(interleaved(), task="src")
    model.words.table.weight[:] = model.items.weight[9]
    model.items.weight[:] = model.items.weight[9]
    model.items.weight[0] = model.items.weight[9]  # the branch's first position too
    (items, queries), valid = model.encode(made)
    assert torch.allclose(items, queries, atol=1e-6) and valid.sum() > 20


# --- prediction and losses --------------------------------------------------------------------


@TASKS
@torch.no_grad()
def test_scores_are_those_of_the_last_position_and_mixed_in_search(task):
    model, made = unifiedssr(), some(task)
    model.mixture.fill_(0.7)
    share = 0.1 + 0.8 / (1 + math.exp(-0.7))
    states, valid = model.encode(made)
    at = torch.arange(6), valid.sum(dim=1) - 1
    last = [with_sessions(x, windows(valid, 2))[at] @ model.items.weight.T for x in states]
    mixed = last[0] if task == "rec" else share * last[0] + (1 - share) * last[1]
    assert torch.allclose(model.score(made), mixed.gather(1, made.cand), atol=1e-5)


@TASKS
@torch.no_grad()
def test_the_loss_by_loops(task):
    model, made = unifiedssr(), some(task)
    model.mixture.fill_(-0.4)
    states, valid = model.encode(made)
    found = []
    for x in states:
        x, each = with_sessions(x, windows(valid, 2)), []
        for row in range(len(made)):
            positive, *negatives = made.cand[row].tolist()
            for t, item in enumerate([*own_history(made, row)[0], positive]):
                logit = lambda i: (x[row, t] @ model.items.weight[i]).item()  # noqa: B023, E731
                each.append(math.log1p(math.exp(-logit(item))) + sum(math.log1p(math.exp(logit(i))) for i in negatives))
        found.append(np.mean(each))
    share = model.share.item()
    expected = found[0] if task == "rec" else share * found[0] + (1 - share) * found[1]
    terms = model.loss(made)
    assert terms["next"].item() == pytest.approx(expected, abs=1e-4)
    assert terms["session"] == session_correlation(states, windows(valid, 2))
    assert model.loss_weights == {"session": 0.1}


@TASKS
def test_zero_scores_cost_ln_2_for_the_positive_and_for_each_negative(task):
    model = unifiedssr()
    model.items.weight.data.zero_()
    assert model.loss(batch(task))["next"].item() == pytest.approx(5 * math.log(2), abs=1e-5)


def test_the_branches_share_stays_between_its_bounds_and_can_come_back():
    model = unifiedssr()
    model.mixture.data.zero_()
    assert model.share.item() == pytest.approx(0.5)
    for far, bound in ((-50.0, 0.1), (50.0, 0.9)):
        model.mixture.data.fill_(far)
        assert model.share.item() == pytest.approx(bound)
    model.mixture.data.fill_(3.0)
    model.loss(some("src"))["next"].backward()
    assert model.mixture.grad.abs() > 0


def test_each_task_reads_its_own_history():
    assert reads(unifiedssr(), "rec") == {"user", "rec_items"}
    assert reads(unifiedssr(), "src") == {"user", "ses_words", "ses_clicks", "query"}


@TASKS
def test_empty_histories_and_queries_score_alike_in_training_and_evaluation(task):
    model, made = unifiedssr(), without(replace(batch("src"), task=task), "rec", "src", rows=slice(0, 3))
    made = replace(made, query=made.query * (torch.arange(6) % 2)[:, None])
    with torch.no_grad():
        evaluated = model.eval().score(made)
    trained = model.train().score(made)
    assert torch.isfinite(evaluated).all() and torch.allclose(evaluated, trained, atol=1e-5)
    assert evaluated[:3].std(dim=1).min() > 1e-3, "the user alone has an answer"
    sum(model.loss(made).values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("lesson", [cycle, kind_of_user, kind_of_query])
def test_it_learns_from_each_thing_that_it_reads(lesson):
    torch.manual_seed(0)
    config = UnifiedSSRConfig(**{**SMALL, "width": 16, "inner": 32})
    model = UnifiedSSR(config, USERS, N_ITEMS, N_WORDS)
    assert learn(model, lesson, steps=200, rate=0.01) > 0.95
