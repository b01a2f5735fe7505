"""USER: every row put together from torch modules, who reads whose history, and what its cosines are."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gensr_lib.models.attention import CoAttention
from gensr_lib.models.joint.user import USER, USERConfig
from tests.models.joint.unisar_cases import batch, interleaved, without
from tests.models.lessons import (
    N_ITEMS,
    N_WORDS,
    USERS,
    kind_of_history,
    kind_of_last_search,
    kind_of_query,
    kind_of_user,
    learn,
    reads,
)
from tests.worlds import pocket

SMALL = {"width": 8, "session": 3, "sessions": 3, "heads": 2, "inner": 12, "dropout": 0.0}


def user(**options) -> USER:
    torch.manual_seed(0)
    model = USER.from_dataset(pocket(), USERConfig(**{**SMALL, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the small start, so that differences show
            parameter.add_(0.4 * torch.randn_like(parameter))
        for table in (model.items, model.words):
            table.weight[0] = 0
    return model


# --- one row after the other ------------------------------------------------------------------


def node(model: USER, words: torch.Tensor, clicks: torch.Tensor) -> torch.Tensor:
    q, v = model.words.weight[words[words != 0]], model.items.weight[clicks[clicks != 0]]
    likeness = torch.tanh(q @ model.co_attention.weight @ v.T)
    parts = [likeness.sum(1).softmax(0) @ q, likeness.sum(0).softmax(0) @ v]
    return model.node(torch.cat(parts))


def behaviors(model: USER, made, row: int) -> list[torch.Tensor]:
    """Nodes of a row in order of time."""
    found, r = [], made.rec_items.shape[1]
    for step in made.merge_index[row].tolist():
        if step < r and made.rec_items[row, step]:
            found.append(model.items.weight[made.rec_items[row, step]] + model.behavior.weight[0])
        if step >= r and made.ses_clicks[row, step - r].any():
            searched = node(model, made.ses_words[row, step - r], made.ses_clicks[row, step - r])
            found.append(searched + model.behavior.weight[1])
    return found


def slot(model: USER, made, row: int) -> torch.Tensor:
    if made.task == "rec":
        return model.users.weight[made.user[row]]
    words = model.words.weight[made.query[row][made.query[row] != 0]]
    pool = model.pool_words
    return pool.weigh(torch.tanh(pool.project(words)))[:, 0].softmax(0) @ words


def history_layer(model: USER) -> torch.nn.TransformerEncoderLayer:
    """A plain layer with the weights of the model's reader."""
    own, config = model.history, model.config
    layer = torch.nn.TransformerEncoderLayer(config.width, config.heads, config.inner, 0.0, batch_first=True)
    pairs = {layer.self_attn.out_proj: own.out, layer.linear1: own.feed[0], layer.linear2: own.feed[3],
             layer.norm1: own.norm[0], layer.norm2: own.norm[1]}  # fmt: skip
    for theirs, ours in pairs.items():
        theirs.load_state_dict(ours.state_dict())
    layer.self_attn.in_proj_weight.data.copy_(own.project.weight)
    layer.self_attn.in_proj_bias.data.copy_(own.project.bias)
    return layer


def scores_of_row(model: USER, made, row: int) -> list[float]:
    size, position = model.config.session, model.session.position
    last = len(position) - 1
    nodes = behaviors(model, made, row)[-size * model.config.sessions :]
    placed = [x + position[last - len(nodes) + i] for i, x in enumerate(nodes)]
    session = model.session.encoder.layers[0]
    ends = range(len(placed) - size, 0, -size)
    earlier = [placed[max(end - size, 0) : end] for end in ends]  # in no order: places say it
    encode = lambda tokens: session(session(torch.stack(tokens)[None]))[0]  # noqa: E731
    intent = encode([*placed[-size:], slot(model, made, row) + position[last]])[-1]
    long = torch.cat([torch.zeros(0, model.config.width), *map(encode, earlier)])
    layer = history_layer(model)
    in_history = lambda x: layer(torch.cat([long, x[None]])[None])[0, -1]  # noqa: E731
    found = []
    for item in made.cand[row]:
        candidate = model.items.weight[item]
        pairs = [(q, d) for q in (intent, in_history(intent)) for d in (candidate, in_history(candidate))]
        cosines = [F.cosine_similarity(q, d, dim=0) for q, d in pairs]
        found.append((model.weigh.weight[0] @ torch.stack(cosines)).item())
    return found


@torch.no_grad()
@pytest.mark.parametrize("task", ["rec", "src"])
@pytest.mark.parametrize("sessions", [1, 3, 6, 20])
def test_scores_are_those_of_torch_modules_put_together_row_by_row(task, sessions):
    """Sessions from the newest backwards, one layer twice, then a whole transformer over history and candidate."""
    model, made = user(sessions=sessions), replace(without(interleaved(), "src", rows=slice(3, 4)), task=task)
    made = without(made, "rec", "src", rows=slice(5, 6))
    scores = model.score(made)
    for row in range(len(made)):
        assert scores[row].tolist() == pytest.approx(scores_of_row(model, made, row), abs=1e-4), row


@torch.no_grad()
def test_co_attention_without_votes_by_loops():
    block, a, b = CoAttention(4, voted=False), torch.randn(3, 5, 4), torch.randn(3, 2, 4)
    a_valid, b_valid = (torch.arange(n) < torch.tensor(of)[:, None] for n, of in ((5, [5, 2, 0]), (2, [2, 1, 2])))
    of_a, of_b = block(a * a_valid[..., None], b * b_valid[..., None], a_valid, b_valid)
    for row in range(2):
        mine, other = a[row][a_valid[row]], b[row][b_valid[row]]
        raw_a = [math.exp(sum(math.tanh(x @ block.weight @ y) for y in other)) for x in mine]
        raw_b = [math.exp(sum(math.tanh(x @ block.weight @ y) for x in mine)) for y in other]
        for found, raw in ((of_a[row], raw_a), (of_b[row], raw_b)):
            assert found[: len(raw)].tolist() == pytest.approx([r / sum(raw) for r in raw], abs=1e-5)
            assert (found[len(raw) :] == 0).all()
    assert (of_a[2] == 0).all() and torch.allclose(of_b[2], torch.tensor([0.5, 0.5]))
    assert [name for name, _ in block.named_parameters()] == ["weight"]


# --- what is read -----------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("task", ["rec", "src"])
def test_candidates_meet_the_history_of_their_own_user(task):
    """Two users together score as each alone: the authors' code pairs candidates with the other one's history."""
    model, made = user(), replace(interleaved(), task=task).rows(torch.tensor([1, 0]))
    alone = torch.cat([model.score(made.rows(torch.tensor([i]))) for i in range(2)])
    assert torch.allclose(model.score(made), alone, atol=1e-5)
    same = made.with_candidates(made.cand[:1].expand(2, -1))
    assert not torch.allclose(*model.score(same), atol=1e-3), "the same candidates, another user"


def test_recommendation_reads_the_user_and_search_the_query():
    history = {"rec_items", "ses_words", "ses_clicks"}
    assert reads(user(), "rec") == history | {"user"} and reads(user(), "src") == history | {"query"}


@torch.no_grad()
def test_where_a_behavior_stands_matters():
    """The newest behavior changes places with one of an earlier session; two that are too old change places."""
    model, made = user(), interleaved().rows(torch.tensor([0]))
    before, n = model.score(made), 16
    for other in (n - 5, n - 9):
        order = made.merge_index.clone()
        order[0, [n - 1, other]] = order[0, [other, n - 1]]
        assert not torch.allclose(model.score(replace(made, merge_index=order)), before, atol=1e-4)
    old = made.merge_index.clone()
    old[0, [0, 6]] = old[0, [6, 0]]
    assert torch.equal(model.score(replace(made, merge_index=old)), before), "nine are read, of sixteen"


@torch.no_grad()
@pytest.mark.parametrize("task", ["rec", "src"])
def test_scores_are_weighted_cosines_and_start_as_ten_times_their_mean(task):
    torch.manual_seed(0)
    model, made = USER.from_dataset(pocket(), USERConfig(**SMALL)).eval(), replace(interleaved(), task=task)
    cosines = model.cosines(made)
    assert cosines.shape == (6, 5, 4) and cosines.abs().max() <= 1 + 1e-6 and cosines.std() > 0.1
    assert torch.allclose(model.score(made), 10 * cosines.mean(dim=-1), atol=1e-5)


def test_one_layer_is_applied_twice_and_saved_once(tmp_path):
    model = user()
    first, second = model.session.encoder.layers
    assert first is second
    model.save_pretrained(tmp_path)
    loaded = USER.from_pretrained(tmp_path)
    assert loaded.session.encoder.layers[0] is loaded.session.encoder.layers[1]


@pytest.mark.parametrize("task", ["rec", "src"])
@pytest.mark.parametrize("sides", [("rec",), ("src",), ("rec", "src")])
def test_empty_histories_and_queries_score_alike_in_training_and_evaluation(task, sides):
    model, made = user(), without(replace(batch("src"), task=task), *sides, rows=slice(0, 3))
    made = replace(made, query=made.query * (torch.arange(6) % 2)[:, None])
    with torch.no_grad():
        evaluated = model.eval().score(made)
    trained = model.train().score(made)
    assert torch.isfinite(evaluated).all() and torch.allclose(evaluated, trained, atol=1e-5)
    model.loss(made)["softmax"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# --- learning ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", [kind_of_history, kind_of_last_search, kind_of_user, kind_of_query])
def test_it_learns_from_each_thing_that_it_reads(lesson):
    torch.manual_seed(0)
    model = USER(USERConfig(**{**SMALL, "width": 16, "session": 5}), USERS, N_ITEMS, N_WORDS)
    assert learn(model, lesson, steps=150, rate=0.01) > 0.95
