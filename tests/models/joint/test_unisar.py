"""UniSAR behind the encoder: embedding, alignment in closed form and by loops, prediction, training, benchmark."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.data.batches import Batch
from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.models.joint.unisar import UniSAR, UniSARConfig
from gensr_lib.models.layers import COLDEST, Alignment, BilinearPool
from tests.models.joint.unisar_cases import SMALL, batch, interleaved, unisar, without
from tests.worlds import TINY, pocket, tables

# --- embedding --------------------------------------------------------------------------------


def test_padding_is_a_zero_vector_and_an_empty_query_is_the_bias():
    model = unisar()
    model.item_linear.bias.data.fill_(0.3)
    model.query_linear.bias.data.fill_(0.4)
    model.word_id.weight.data[0] = 9.0  # whatever its row holds, padding has no effect
    assert (model.items(torch.tensor([[0, 4]]))[0, 0] == 0).all()
    assert torch.allclose(model.words(torch.zeros(2, 3).long()), torch.tensor(0.4).tanh().expand(2, 16))
    words = torch.tensor([[7, 9, 0, 0]])
    mean = (model.word_id.weight[7] + model.word_id.weight[9]) / 2
    expected = torch.tanh(model.query_linear.weight @ mean + 0.4)
    assert torch.allclose(model.words(words)[0], expected, atol=1e-6)


def test_published_start():
    """Xavier-normal: standard deviation sqrt(2 / (inputs + outputs)), each expert on its own; biases and padding 0."""
    model = unisar(width=64, id_width=32)
    shapes = {
        model.item_id.weight: (pocket().n_items + 1, 32), model.cross_type.position: (24, 64),
        model.shared.linear.weight: (320, 64), model.head["rec"].tower[0].weight: (64, 128),
        model.pooling["rec"].weight: (64, 64), model.transition["src"].weight: (64, 64),
    }  # fmt: skip
    for weight, fans in shapes.items():
        assert weight.std().item() == pytest.approx(math.sqrt(2 / sum(fans)), rel=0.06)
    assert (model.item_id.weight[0] == 0).all() and (model.word_id.weight[0] == 0).all()
    assert all((m.bias == 0).all() for m in model.modules() if isinstance(m, torch.nn.Linear))
    assert model.transition["rec"].tau.item() == pytest.approx(0.1)


def test_number_of_parameters_is_the_official_one_without_its_dead_parts():
    """658,801 in the official module, less prototypes that are never called and a gate that nothing reads."""
    model = UniSAR(UniSARConfig(), 10, 20, 30, history_rec=30, history_src=30, queries=torch.zeros(5, 4).long())
    tables = sum(table.weight.numel() for table in (model.user_id, model.item_id, model.word_id))
    count = sum(p.numel() for p in model.parameters()) - tables
    assert count == 658_801 - 117_632 - 3_852 == 537_317 and tables == 32 * (10 + 21 + 30)


def test_queries_to_draw_from_are_those_typed_in_training():
    data, model = pocket(), unisar()
    seen = data.events[data.rows_before_cut() & data.is_search]
    expected = {tuple(data.word_ids(text)[0]) for text in seen["query"].unique()}
    found = [tuple(row) for row in model.queries.tolist()]
    assert set(found) == expected and len(found) == seen["query"].nunique() and all(any(row) for row in found)


def test_a_query_without_a_word_is_never_drawn():
    searches = [
        ("u", f"i{t}", t, "src", text, t) for t, text in enumerate(["red shoe", "?!", "red shoe", "hat", "tie"])
    ]
    data = Dataset.from_tables(tables(*searches), TINY)
    model = UniSAR.from_dataset(data, UniSARConfig(**SMALL))
    typed = {tuple(row) for row in model.queries.tolist()}
    assert typed == {tuple(data.word_ids("red shoe")[0])}, "hat and tie are held out"


# --- alignment --------------------------------------------------------------------------------


def alignment(d: int, tau: float, weight: torch.Tensor | None = None) -> Alignment:
    module = Alignment(d, tau)
    module.weight.data = torch.randn(d, d) if weight is None else weight
    return module


def log_sum_exp(values: list[float]) -> float:
    return math.log(sum(map(math.exp, values)))


@torch.no_grad()
def test_transition_alignment_by_loops_and_in_closed_form():
    a, b, module = torch.randn(5, 4), torch.randn(5, 4), alignment(4, 0.5)
    vectors, total = [*a, *b], 0.0
    for i in range(10):
        logits = [math.tanh(float(vectors[i] @ module.weight @ v)) / 0.5 for v in vectors]
        total += log_sum_exp(logits[:i] + logits[i + 1 :]) - logits[(i + 5) % 10]
    assert module.within(a, b).item() == pytest.approx(total / 10, abs=1e-5)
    same = torch.ones(7, 4)
    assert module.within(same, same).item() == pytest.approx(math.log(2 * 7 - 1), abs=1e-5)
    own, tau, n = torch.eye(6), 0.2, 6
    closed = -math.log(math.exp(1 / tau) / (math.exp(1 / tau) + 2 * n - 2))
    assert alignment(6, tau, 100 * torch.eye(6)).within(own, own).item() == pytest.approx(closed, abs=1e-5)
    assert module.within(a[:0], b[:0]).item() == 0 and module.within(a[:1], b[:1]).item() == 0


@torch.no_grad()
def test_query_item_alignment_by_loops_and_in_closed_form():
    q, v, random_q, random_v = torch.randn(4, 3), torch.randn(4, 3), torch.randn(6, 3), torch.randn(5, 3)
    module, total = alignment(3, 0.3), 0.0
    for own, other, drawn in ((q, v, random_v), (v, q, random_q)):  # the same A from either end
        for x, y in zip(own, other, strict=True):
            logits = [math.tanh(float(x @ module.weight @ z)) / 0.3 for z in (y, *drawn)]
            total += log_sum_exp(logits) - logits[0]
    assert module.against(q, v, random_q, random_v).item() == pytest.approx(total / 8, abs=1e-5)
    none = alignment(3, 0.1, torch.zeros(3, 3))
    many = torch.randn(1024, 3)
    assert none.against(q, v, many, many).item() == pytest.approx(math.log(1025), abs=1e-5)
    assert module.against(q[:0], v[:0], random_q, random_v).item() == 0


@pytest.mark.parametrize("tau", [0.0, -1.0])
def test_a_temperature_that_was_learned_away_does_no_harm(tau):
    module, x = alignment(4, 1.0), torch.randn(3, 4)
    module.tau.data.fill_(tau)
    expected = torch.tanh(x @ module.weight @ x.T) / COLDEST
    assert torch.allclose(module.similarity(x, x), expected)
    assert torch.allclose(module.pairs(x, x)[:, 0], expected.diagonal(), atol=1e-4)


@torch.no_grad()
def test_query_item_loss_is_over_the_real_pairs_of_the_batch():
    """The draws are those of the seed: items first, then queries; as many as there are if fewer."""
    model, made = unisar(), interleaved()
    model.query_item.weight.data.normal_()
    torch.manual_seed(11)
    found = model.loss(made)["query_item"]
    torch.manual_seed(11)
    random_items = model.items(1 + torch.randperm(model.n_items)[:12])
    random_queries = model.words(model.queries[torch.randperm(len(model.queries))[:12]])
    q, v = [], []
    for row in range(len(made)):
        for words, clicks in zip(made.ses_words[row], made.ses_clicks[row].tolist(), strict=True):
            for click in filter(None, clicks):
                q.append(model.words(words))
                v.append(model.items(torch.tensor(click)))
    assert len(q) > (made.ses_clicks[..., 0] != 0).sum(), "some sessions have two clicks"
    expected = model.query_item.against(torch.stack(q), torch.stack(v), random_queries, random_items)
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


@torch.no_grad()
def test_all_there_is_is_drawn_if_it_is_less_than_asked_for():
    model, made = unisar(align_negatives=10**6), batch()
    model.query_item.weight.data.zero_()
    items, queries = pocket().n_items, len(model.queries)
    assert model.loss(made)["query_item"].item() == pytest.approx(
        (math.log(1 + items) + math.log(1 + queries)) / 2, abs=1e-5
    )


@torch.no_grad()
def test_the_transition_loss_adds_both_sides():
    model, made = unisar(), interleaved()
    history, n = model.encode(made), {"rec": (made.rec_items != 0).sum(1), "src": (made.ses_clicks != 0).any(-1).sum(1)}
    expected = sum(
        model.transition[side].within(*(getattr(history, name).sum(1) / n[side][:, None] for name in names)).item()
        for side, names in (("rec", ("s2r", "r2r")), ("src", ("r2s", "s2s")))
    )
    assert model.loss(made)["transition"].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("side", ["rec", "src"])
@torch.no_grad()
def test_users_with_one_side_take_no_part_in_the_transition_loss(side):
    model, made = unisar(), batch()
    some = without(made, side, rows=slice(2, 4))
    kept = made.rows(torch.tensor([0, 1, 4, 5]))
    assert model.loss(some)["transition"].item() == pytest.approx(model.loss(kept)["transition"].item(), abs=1e-5)
    assert model.loss(without(made, side))["transition"].item() == 0


# --- pooling and prediction -------------------------------------------------------------------


@torch.no_grad()
def test_pooling_by_loops():
    pooling, history, candidate = BilinearPool(3), torch.randn(2, 4, 3), torch.randn(2, 5, 3)
    pooling.weight.data.normal_()
    lengths = (3, 0)
    pooled = pooling(history, candidate, torch.arange(4) < torch.tensor(lengths)[:, None])
    for row, n in enumerate(lengths):
        for c in range(5):
            raw = [math.exp(float(history[row, t] @ pooling.weight @ candidate[row, c])) for t in range(n)]
            expected = sum((w / sum(raw) * history[row, t] for t, w in enumerate(raw)), torch.zeros(3))
            assert torch.allclose(pooled[row, c], expected, atol=1e-6)


@torch.no_grad()
def test_gates_sum_to_one_and_count_the_own_experts_first():
    model = unisar(experts=3)
    x = torch.randn(2, 4, 80)
    for experts, value in ((model.head["rec"].experts, 2.0), (model.shared, 5.0)):
        experts.linear.weight.zero_()
        experts.linear.bias.fill_(value)
    head, shared = model.head["rec"], model.shared(x)
    head.gate.weight.zero_()
    assert torch.allclose(head.mix(x, shared), torch.tensor((3 * 2.0 + 3 * 5.0) / 6))
    for open_gate, value in ((0, 2.0), (2, 2.0), (3, 5.0), (5, 5.0)):
        head.gate.bias.zero_()
        head.gate.bias[open_gate] = 1e4
        assert torch.allclose(head.mix(x, shared), torch.tensor(value))


def test_a_task_trains_its_own_head_and_the_shared_experts():
    model = unisar()
    model.loss(batch("src"))["click"].backward()
    assert all(p.grad is None for p in [*model.head["rec"].parameters(), model.no_query])
    assert all(p.grad.abs().sum() > 0 for p in [*model.head["src"].parameters(), *model.shared.parameters()])


@torch.no_grad()
def test_the_query_counts_in_search_only():
    model = unisar()
    for task in ("rec", "src"):
        made = batch(task)
        other = replace(made, query=batch("src").query.roll(1, 0))
        assert torch.equal(model.score(other), model.score(made)) is (task == "rec")
    assert not torch.allclose(model.score(replace(batch("src"), task="rec")), model.score(batch("src")), atol=1e-4)


@pytest.mark.parametrize("task", ["rec", "src"])
@torch.no_grad()
def test_representation_holds_what_the_score_is_made_of(task):
    model, made = unisar(), batch(task)
    shown, history, d = model.represent(made), model.encode(made), 16
    v_r, v_s, item, user, query = shown.input.split(d, dim=-1)
    assert torch.equal(torch.cat([v_r, v_s], dim=-1), shown.hidden["encoder"])
    for side, pooled in (("rec", v_r), ("src", v_s)):
        own = getattr(history, side), model.items(made.cand), getattr(history, f"{side}_valid")
        assert torch.allclose(model.pooling[side](*own), pooled, atol=1e-6) and pooled.std() > 0
    assert torch.equal(item, model.items(made.cand))
    table = torch.tanh(model.user_linear(model.user_id.weight))
    typed = model.words(made.query)[:, None] if task == "src" else model.no_query
    assert torch.allclose(user, table[made.user][:, None].expand_as(user))
    assert torch.allclose(query, typed.expand_as(query))
    assert shown.hidden["head"].shape == (6, 5, d)
    assert torch.equal(model.head[task](shown.hidden["head"]), shown.score)
    assert torch.equal(model.score(made), shown.score)


# --- training ---------------------------------------------------------------------------------


@torch.no_grad()
def test_click_loss_is_binary_cross_entropy():
    model, made = unisar(), batch("rec")
    p = torch.sigmoid(model.score(made).double())
    expected = -(p[:, 0].log().sum() + (1 - p[:, 1:]).log().sum()) / p.numel()
    assert model.loss(made)["click"].item() == pytest.approx(expected.item(), abs=1e-6)
    for head in model.head.values():
        head.predict[-1].weight.zero_()
    assert model.loss(made)["click"].item() == pytest.approx(math.log(2), abs=1e-6)


def test_loss_weights_are_the_options():
    assert UniSARConfig().lambda_qi == 0.1 and UniSARConfig().lambda_tr == 0.01
    assert unisar(lambda_qi=0.3, lambda_tr=0.7).loss_weights == {"query_item": 0.3, "transition": 0.7}
    terms = unisar().loss(batch())
    assert set(terms) == {"click", "query_item", "transition"}


def test_draws_follow_the_seed():
    model, found = unisar(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(model.loss(batch())["query_item"].item())
    assert found[0] == found[1] != found[2]


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="width 30 is not a multiple of heads 4"):
        UniSARConfig.parse({"width": 30, "heads": 4})


def trained(model: UniSAR, made: list[Batch], steps: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for step in range(steps):
        torch.manual_seed(step)
        total = sum(model.loss_weights.get(n, 1) * t for b in made for n, t in model.loss(b).items())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()


def test_gradients_are_the_same_on_two_threads_every_time():
    """Many pairs share an item: their gradients must add up in a fixed order. Encoders, which index nothing, wait."""
    model, made = unisar(width=64), interleaved().rows(torch.arange(6).repeat(40))
    history = model.encode(made)
    torch.set_num_threads(2)
    hashes = set()
    for _ in range(6):
        model.zero_grad()
        torch.manual_seed(0)
        model._align_queries(made, history).backward(retain_graph=True)
        gradients = [p.grad.numpy().tobytes() for p in model.parameters() if p.grad is not None]
        hashes.add(hashlib.sha256(b"".join(gradients)).hexdigest())
    assert len(gradients) == 8 and len(hashes) == 1


@pytest.mark.parametrize("task", ["rec", "src"])
def test_rows_can_be_learned_by_heart(task):
    """Every one of 32 positives gets to the top: nothing between input and loss is cut."""
    model, made = unisar(dropout=0.0).train(), batch(task, rows=32)
    assert (model.score(made).argmax(1) == 0).float().mean() < 0.6
    trained(model, [made], 180, 2e-3)
    assert (model.eval().score(made).argmax(1) == 0).all()


# --- benchmark --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scoring(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        yield importlib.import_module("unisar_scoring")


def test_benchmark_times_the_same_work_and_writes_its_figures(scoring, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    scoring.main(["--quick", "--out", str(tmp_path / "new" / "found.json")])
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert found["quick"] is True and found["conditions"]["threads"] == 1
    assert found["load"] == {"users": 4, "candidates": 6, "rows_at_once": 10, "repeats": 2}
    once, repeated, _ = found["scoring"]["seconds"].values()
    ratio = np.median(np.divide(repeated, once))
    assert found["scoring"]["per_candidate_over_per_user"] == pytest.approx(ratio) and len(once) == 2
    assert found["scoring"]["share_of_encoding"] > 0
    assert "per candidate / per user" in capsys.readouterr().out


@torch.no_grad()
def test_once_per_candidate_gives_the_same_scores(scoring):
    model, made = unisar(), batch(rows=4, candidates=6)
    spread = scoring.score_per_candidate(model, made, rows_at_once=5)
    assert torch.allclose(spread, model.score(made), atol=1e-5)


def test_a_session_without_words_is_no_pair_of_query_and_item():
    """Its click says nothing of any query; with no other session there is nothing to align."""
    made = batch()
    assert unisar().loss(made)["query_item"] > 0
    wordless = replace(made, ses_words=torch.zeros_like(made.ses_words))
    assert unisar().loss(wordless)["query_item"] == 0
