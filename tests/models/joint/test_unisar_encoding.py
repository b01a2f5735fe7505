"""UniSAR's encoding of histories: masks worked by hand, attention by loops over tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gensr_lib.data.batches import Batch
from gensr_lib.models.joint.unisar import UniSAR
from tests.models.joint.unisar_cases import batch, interleaved, unisar, without

# --- attention written out --------------------------------------------------------------------


def attend(mha: torch.nn.MultiheadAttention, query: torch.Tensor, keys: list[torch.Tensor]) -> torch.Tensor:
    """One query vector (d,) over a list of key vectors, head by head."""
    (w_q, w_k, w_v), (b_q, b_k, b_v) = mha.in_proj_weight.chunk(3), mha.in_proj_bias.chunk(3)
    size, heads = mha.head_dim, []
    for head in range(mha.num_heads):
        own = slice(head * size, (head + 1) * size)
        q = w_q[own] @ query + b_q[own]
        weights = [math.exp(float(q @ (w_k[own] @ key + b_k[own])) / math.sqrt(size)) for key in keys]
        heads.append(sum(w * (w_v[own] @ k + b_v[own]) for w, k in zip(weights, keys, strict=True)) / sum(weights))
    return mha.out_proj.weight @ torch.cat(heads) + mha.out_proj.bias


def feed(layer, x: torch.Tensor) -> torch.Tensor:
    return layer.linear2.weight @ (layer.linear1.weight @ x + layer.linear1.bias).clamp(min=0) + layer.linear2.bias


def encoder_token(layer, x: torch.Tensor, keys: list[torch.Tensor]) -> torch.Tensor:
    x = layer.norm1(x + attend(layer.self_attn, x, keys))
    return layer.norm2(x + feed(layer, x))


def decoder_token(layer, x: torch.Tensor, targets: list[torch.Tensor], memory: list[torch.Tensor]) -> torch.Tensor:
    x = layer.norm1(x + attend(layer.self_attn, x, targets))
    x = layer.norm2(x + attend(layer.multihead_attn, x, memory))
    return layer.norm3(x + feed(layer, x))


def tokens(model: UniSAR, made: Batch, row: int) -> tuple[list, list]:
    """Vectors of the recommendation clicks and of the sessions of one row, from the tables."""

    def item(i):
        return torch.tanh(model.item_linear.weight @ model.item_id.weight[i] + model.item_linear.bias)

    rec = [item(i) for i in made.rec_items[row].tolist() if i]
    src = []
    for words, clicks in zip(made.ses_words[row].tolist(), made.ses_clicks[row].tolist(), strict=True):
        if any(clicks):
            mean = torch.stack([model.word_id.weight[w] for w in words if w]).mean(0)
            query = torch.tanh(model.query_linear.weight @ mean + model.query_linear.bias)
            src.append(query + torch.stack([item(c) for c in clicks if c]).mean(0))
    return rec, src


@torch.no_grad()
def test_transitions_and_fusion_equal_loops_over_tokens_merged_by_time():
    """Merge by time, give positions, read the other type, split again: without a mask or padding anywhere."""
    model, made = unisar(), interleaved()
    history = model.encode(made)
    cross = model.cross_type.encoder.layers[0]
    for row in range(len(made)):
        rec, src = tokens(model, made, row)
        merged = [i for i in made.merge_index[row].tolist() if i < len(rec) or 12 <= i < 12 + len(src)]
        placed = [(i, (rec[i] if i < 12 else src[i - 12]) + model.cross_type.position[p]) for p, i in enumerate(merged)]
        s2r, r2s = {}, {}
        for i, x in placed:
            keys = [y for j, y in placed if (j < 12) != (i < 12)]
            (s2r if i < 12 else r2s)[i % 12] = encoder_token(cross, x, keys)
        found = {}
        for side, own, other in (("rec", rec, s2r), ("src", src, r2s)):
            encoder, decoder = model.same_type[side], model.fusion[side].decoder.layers[0]
            at = [x + encoder.position[p] for p, x in enumerate(own)]
            same = [encoder_token(encoder.encoder.layers[0], x, at) for x in at]
            memory = [other[p] for p in range(len(own))]
            found[side] = memory, same, [decoder_token(decoder, x, same, memory) for x in same]
        for side, names in (("rec", ("s2r", "r2r", "rec")), ("src", ("r2s", "s2s", "src"))):
            for name, expected in zip(names, found[side], strict=True):
                ours, n = getattr(history, name)[row], len(expected)
                assert torch.allclose(ours[:n], torch.stack(expected), atol=1e-5), (row, name)
                assert (ours[n:] == 0).all(), "padding"


def by_hand() -> Batch:
    """Three slots a side, the third of each empty, in the order rec, src, src, rec."""
    made = batch(rows=1)
    return replace(
        made, rec_items=torch.tensor([[5, 6, 0]]), rec_time=torch.tensor([[1, 4, 0]]),
        ses_words=made.query[:, None] * torch.tensor([1, 1, 0])[:, None], ses_clicks=torch.tensor([[[7], [8], [0]]]),
        ses_time=torch.tensor([[2, 3, 0]]), merge_index=torch.tensor([[0, 3, 4, 1, 2, 5]]),
    )  # fmt: skip


def test_masks_of_a_hand_worked_example():
    """In merged order the tokens are rec, src, src, rec, no click, no session."""
    model, made, seen = unisar(), by_hand(), {}
    encoders = {"cross": model.cross_type, "rec": model.same_type["rec"], "src": model.same_type["src"]}
    for name, encoder in encoders.items():
        encoder.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs}))
    model.encode(made)
    _, valid, place, readable = seen["cross"]
    order = made.merge_index[0]
    merged = readable[0][order][:, order]
    assert [row.nonzero().flatten().tolist() for row in merged] == [[1, 2], [0, 3], [0, 3], [1, 2], [1, 2], [0, 3]]
    assert place[0][order].tolist() == [0, 1, 2, 3, 4, 5] and valid[0][order].tolist() == [True] * 4 + [False] * 2
    for name in ("rec", "src"):
        _, valid, place, readable = seen[name]
        assert readable[0].tolist() == [[True, True, False]] * 3 and valid[0].tolist() == [True, True, False]
        assert place.tolist() == [0, 1, 2]


@torch.no_grad()
def test_who_reads_whom():
    """Another click changes s2r at its own place only, and r2s everywhere; sessions likewise."""
    model, made = unisar(), interleaved().rows(torch.tensor([0]))
    before = model.encode(made)
    clicks, sessions = made.rec_items.clone(), made.ses_clicks.clone()
    clicks[0, 2], sessions[0, 1, 0] = 201, 202
    moved = {}
    for kind, changed in (("click", {"rec_items": clicks}), ("session", {"ses_clicks": sessions})):
        after = model.encode(replace(made, **changed))
        moved[kind] = {
            name: (getattr(after, name) - getattr(before, name))[0].abs().sum(-1).gt(1e-6).nonzero().flatten().tolist()
            for name in ("s2r", "r2r", "r2s", "s2s")
        }
    rec, src = list(range(12)), list(range(4))
    assert moved["click"] == {"s2r": [2], "r2r": rec, "r2s": src, "s2s": []}
    assert moved["session"] == {"s2r": rec, "r2r": [], "r2s": [1], "s2s": src}


@torch.no_grad()
def test_time_decides_places_and_the_order_of_padding_decides_nothing():
    model, made = unisar(), interleaved()
    before = model.encode(made).s2r
    swapped = made.merge_index.clone()
    for row, n in enumerate(((made.rec_items != 0).sum(1) + (made.ses_clicks[..., 0] != 0).sum(1)).tolist()):
        swapped[row, n:] = swapped[row, n:].flip(0)
    assert not torch.equal(swapped, made.merge_index)
    assert torch.equal(model.encode(replace(made, merge_index=swapped)).s2r, before)
    first = torch.cat([made.merge_index[:, 1:2], made.merge_index[:, :1], made.merge_index[:, 2:]], dim=1)
    assert not torch.allclose(model.encode(replace(made, merge_index=first)).s2r, before, atol=1e-5)


@pytest.mark.parametrize("sides", [("rec",), ("src",), ("rec", "src")])
@pytest.mark.parametrize("task", ["rec", "src"])
def test_empty_histories_score_alike_in_training_and_evaluation(task, sides):
    """torch gives NaN for a row in which every key is blocked, in evaluation only."""
    model, made = unisar(dropout=0.0), without(batch(task), *sides, rows=slice(0, 3))
    with torch.no_grad():
        evaluated = model.eval().score(made)
    trained = model.train().score(made)
    assert torch.isfinite(evaluated).all() and torch.allclose(evaluated, trained, atol=1e-5)
    history = model.encode(made)
    if "rec" in sides:
        assert (history.rec[:3] == 0).all() and (history.r2s[:3] == 0).all()
    if "src" in sides:
        assert (history.src[:3] == 0).all() and (history.s2r[:3] == 0).all()
