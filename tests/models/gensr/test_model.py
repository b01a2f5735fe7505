"""GenSR equation by equation, each against something independent."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np
import pytest
import torch

from gensr_lib.config import BackboneConfig
from gensr_lib.data.batches import Batch, merged_history
from gensr_lib.errors import ConfigError
from gensr_lib.models.encoders import Encoder
from gensr_lib.models.gensr.model import GenSR, GenSRConfig
from gensr_lib.models.gensr.prompt import PROMPTS, QUERY_CHARACTERS, QUERY_TOKENS, query_tokens
from gensr_lib.models.language_model import load_backbone
from gensr_lib.models.layers import SoftFilter, masked_mean
from gensr_lib.models.losses import contrastive_released
from tests.worlds import Vectors, pocket

SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, encoder_layers=2, vocabulary=600)


@cache
def cf_table() -> torch.Tensor:
    table = torch.randn(pocket().n_items + 1, 8, generator=torch.Generator().manual_seed(1))
    table[0] = 0
    return table


def gensr(**options) -> GenSR:
    backbone = load_backbone(SMALL, [*pocket().item_text[1:], *list(PROMPTS.values()) * 200])
    torch.manual_seed(0)
    return GenSR.from_dataset(pocket(), GenSRConfig(history=8, **options), backbone, Vectors(cf_table())).eval()


def batch(task: str = "src", rows: int = 6, candidates: int = 5) -> Batch:
    made = pocket().batch("test", task, np.arange(rows))
    return made.with_candidates(made.cand[:, :candidates])


def without_history(made: Batch) -> Batch:
    fields = {
        **vars(made),
        "rec_items": torch.zeros_like(made.rec_items),
        "ses_clicks": torch.zeros_like(made.ses_clicks),
    }
    return Batch(**fields)


# --- eq. 5 and 6 ------------------------------------------------------------------------------


def test_soft_filter_by_hand_on_three_items():
    """One head of width 2, identity projections: the weights are a softmax of dot products over sqrt(2)."""
    soft_filter = SoftFilter(2, heads=1)
    for layer in (soft_filter.query, soft_filter.key):
        torch.nn.init.eye_(layer.weight)
    soft_filter.value.weight.data = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    history = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    candidate = torch.tensor([[[math.sqrt(2) * math.log(2), 0.0]]])  # dot products / sqrt(2): ln 2, 0, ln 2
    filtered, weights = soft_filter(candidate, history, torch.ones(1, 3, dtype=torch.bool))
    assert torch.allclose(weights, torch.tensor([[[2 / 5, 1 / 5, 2 / 5]]]))
    assert torch.allclose(filtered, torch.tensor([[[2 * (2 / 5 + 2 / 5), 1 / 5 + 2 / 5]]]))


def test_soft_filter_equals_torch_multihead_attention():
    soft_filter, reference = SoftFilter(8, heads=2), torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    reference.in_proj_weight.data = torch.cat(
        [m.weight for m in (soft_filter.query, soft_filter.key, soft_filter.value)]
    )
    torch.nn.init.eye_(reference.out_proj.weight)
    candidate, history = torch.randn(3, 4, 8), torch.randn(3, 6, 8)
    valid = torch.arange(6) < torch.tensor([[6], [3], [1]])
    filtered, weights = soft_filter(candidate, history, valid)
    expected, expected_weights = reference(candidate, history, history, key_padding_mask=~valid)
    assert torch.allclose(filtered, expected, atol=1e-6) and torch.allclose(weights, expected_weights, atol=1e-6)


def test_soft_filter_weights_sum_to_one_or_are_zero_for_an_empty_history():
    valid = torch.tensor([[True, True, False], [False, False, False]])
    filtered, weights = SoftFilter(4, 2)(torch.randn(2, 5, 4), torch.randn(2, 3, 4), valid)
    assert torch.allclose(weights.sum(-1), torch.tensor([[1.0] * 5, [0.0] * 5]))
    assert (weights[0, :, 2] == 0).all() and (filtered[1] == 0).all()


# --- eq. 3 and 4 ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_history_encoder_survives_empty_histories_and_ignores_padding(mode):
    encoder = Encoder(8, 5, layers=2, dropout=0.0)
    getattr(encoder, mode)()
    x, valid = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([[5], [2], [0]])
    out = encoder(x, valid)
    assert torch.isfinite(out).all() and (out[~valid] == 0).all()
    changed = torch.where(valid.unsqueeze(-1), x, torch.full_like(x, 9.0))
    assert torch.allclose(encoder(changed, valid), out, atol=1e-6)


def test_history_order_matters():
    """Eq. 3 is to capture sequence: the same items in another order give another representation."""
    encoder = Encoder(8, 4, dropout=0.0).eval()
    encoder.position.data.normal_()
    x, valid = torch.randn(1, 4, 8), torch.ones(1, 4, dtype=torch.bool)
    assert not torch.allclose(encoder(x, valid), encoder(x.flip(1), valid).flip(1), atol=1e-4)


def test_semantic_item_is_the_mean_of_its_token_embeddings():
    model = gensr()
    text = pocket().item_text[7]
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"][: model.config.item_tokens]
    expected = model.lm.get_input_embeddings().weight[ids].mean(0)
    assert torch.allclose(model.semantic_items(torch.tensor([[7, 3]]))[0, 0], expected, atol=1e-6)


def test_an_item_without_text_is_a_zero_vector_and_gets_a_score():
    model, made = gensr(), batch("rec")
    model.item_tokens[made.cand[0, 1]] = model.tokenizer.pad_token_id
    assert (model.semantic_items(made.cand[:1, 1:2]) == 0).all()
    assert torch.isfinite(model.score(made)).all()


# --- eq. 7 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["rec", "src"])
def test_prompt_is_the_text_around_the_slots(task):
    """Nearest token of each embedding decodes back to the prompt; the slots hold what eq. 5-6 gave."""
    model, made = gensr(), batch(task)
    views = model.encode(made)
    slots, _ = model.soft_filter(views, made)
    embeddings, mask = model.prompt(made, views, slots).whole()
    table, ids = model.lm.get_input_embeddings().weight, model.prompt_ids[task]
    places = [i for i, t in enumerate(ids) if t in model._slot_of]
    assert len(places) == 4
    for place, name in zip(places, ("user_cf", "user_semantic", "item_cf", "item_semantic"), strict=True):
        assert torch.equal(embeddings[:, :, place], slots[name])
    real = [t for t in range(int(mask[0].sum())) if t not in places]
    decoded = model.tokenizer.decode(torch.cdist(embeddings[0, 2, real], table).argmin(-1))
    text = re.sub(r"<extra_id_\d>", "", PROMPTS[task])
    squeeze = lambda t: "".join(t.lower().split())  # noqa: E731 - the tokenizer folds case and spaces
    assert squeeze(decoded) == squeeze(f"{text}{made.query_text[0]}</s>")


def test_both_tasks_have_their_own_prompt_unless_switched_off():
    assert gensr().prompt_ids["rec"] != gensr().prompt_ids["src"]
    same = gensr(task_prompts=False)
    assert same.prompt_ids["rec"] == same.prompt_ids["src"]


def test_a_query_that_spells_a_slot_fills_none():
    model, made = gensr(), batch("src")
    plain = model.score(made)
    fields = {**vars(made), "query_text": ("<extra_id_0> tea", *made.query_text[1:])}
    assert torch.allclose(model.score(Batch(**fields))[1:], plain[1:], atol=1e-5)


# --- eq. 8-10 and ranking ---------------------------------------------------------------------


@pytest.mark.parametrize("task", ["rec", "src"])
def test_p_yes_equals_generate(task):
    """What `generate` of transformers gives for the same embeddings, renormalised over the two answers."""
    model, made = gensr(), batch(task, rows=3, candidates=4)
    views = model.encode(made)
    slots, _ = model.soft_filter(views, made)
    embeddings, mask = model.prompt(made, views, slots).whole()
    out = model.lm.generate(inputs_embeds=embeddings.flatten(0, 1), attention_mask=mask.repeat_interleave(4, 0),
                            max_new_tokens=1, return_dict_in_generate=True, output_logits=True)  # fmt: skip
    both = out.logits[0][:, list(model.answers)].softmax(-1)[:, 0].unflatten(0, (3, 4))
    assert torch.allclose(model.score(made).sigmoid(), both, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(model.answer(made, model.encode(made)).exp().sum(-1), torch.ones(3, 4), atol=1e-6)


@pytest.mark.parametrize("task", ["rec", "src"])
def test_scores_depend_on_neither_neighbours_nor_padding_nor_batch(task):
    model, made = gensr(), batch(task)
    scores = model.score(made)
    assert scores.dtype == torch.float32 and scores.shape == (6, 5)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(model.score(made.with_candidates(made.cand[:, order])), scores[:, order], atol=1e-5)
    assert torch.allclose(model.score(made.with_candidates(made.cand[:, 2:3])), scores[:, 2:3], atol=1e-5)
    alone = torch.cat([model.score(made.rows(torch.tensor([i]))) for i in range(6)])  # other query lengths, no padding
    assert torch.allclose(alone, scores, atol=1e-5)


def test_what_the_history_holds_matters_but_only_what_it_holds():
    model, made = gensr(), batch("rec")
    items, _ = merged_history(made, model.config.history)
    assert (items[:, 0] != 0).all()
    assert not torch.allclose(model.score(without_history(made)), model.score(made), atol=1e-4)
    older = {**vars(made), "rec_time": made.rec_time - 5, "ses_time": made.ses_time - 5}
    assert torch.allclose(model.score(Batch(**older)), model.score(made), atol=1e-6)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_user_without_history_gets_finite_scores_and_losses(mode):
    model = gensr()
    getattr(model, mode)()
    made = without_history(batch("rec"))
    assert torch.isfinite(model.score(made)).all()
    terms = model.loss(made)
    assert terms["contrastive"].item() == 0 and torch.isfinite(terms["generation"])


def test_loss_is_eq_8_and_starts_near_ln_two():
    model, made = gensr(beta=0.25), batch("rec")
    terms = model.loss(made)
    assert set(terms) == {"generation", "contrastive"} and model.loss_weights == {"contrastive": 0.25}
    log_probs = model.answer(made, model.encode(made))
    by_hand = -(log_probs[:, 0, 0].sum() + log_probs[:, 1:, 1].sum()) / log_probs[..., 0].numel()
    assert torch.allclose(terms["generation"], by_hand, atol=1e-6)


def test_gradients_reach_every_weight_but_the_frozen_table():
    model = gensr().train()
    sum(sum(model.loss(batch(task)).values()) for task in ("rec", "src")).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    one_step = "lm.decoder.block.0.layer.0.SelfAttention."  # one decoder step attends to itself whatever q and k are
    assert without == [one_step + n for n in ("q.weight", "k.weight", "relative_attention_bias.weight")]
    assert not model.cf_table.requires_grad and "cf_table" not in dict(model.named_parameters())


@pytest.mark.parametrize(
    ("options", "slots"),
    [({"cf_view": False}, {"user_semantic", "item_semantic"}), ({"semantic_view": False}, {"user_cf", "item_cf"})],
)
def test_one_view_alone(options, slots):
    model, made = gensr(**options), batch("src")
    assert set(model.soft_filter(model.encode(made), made)[0]) == slots
    assert set(model.loss(made)) == {"generation"}, "no alignment of one view"
    assert sum(t in model._slot_of for t in model.prompt_ids["src"]) == 2


def test_switches_of_the_ablation():
    made = batch("rec")
    plain = gensr(history_slot="mean")
    views = plain.encode(made)
    slots, weights = plain.soft_filter(views, made)
    mean = masked_mean(views["semantic"].states, views["semantic"].valid)
    assert torch.allclose(slots["user_semantic"], mean[:, None].expand(-1, 5, -1))
    assert torch.allclose(weights["cf"].sum(-1), torch.ones(6, 5))
    assert set(gensr(contrastive=False).loss(made)) == {"generation"}
    with pytest.raises(ConfigError, match="both off"):
        GenSRConfig.parse({"cf_view": False, "semantic_view": False})


def test_token_level_semantics_has_one_step_per_token():
    model, made = gensr(semantic_level="token"), batch("rec")
    items, weights = model.filter_weights(made)
    assert model.encode(made)["semantic"].states.shape[1] == 8 * model.config.item_tokens
    assert weights["semantic"].shape == weights["cf"].shape == (6, 5, 8)
    assert torch.allclose(weights["semantic"].sum(-1), torch.ones(6, 5), atol=1e-5)
    assert (weights["semantic"][(items == 0)[:, None].expand(-1, 5, -1)] == 0).all()


def test_saved_and_loaded_scores_are_equal(tmp_path):
    model, made = gensr(), batch("src")
    model.save_pretrained(tmp_path)
    assert torch.equal(GenSR.from_pretrained(tmp_path).score(made), model.score(made))
    assert {p.name for p in tmp_path.iterdir()} == {"backbone", "config.json", "model.safetensors"}


def test_gradients_are_the_same_on_two_threads_every_time():
    """Many candidates share an item: their gradients must add up in a fixed order, or no run can be repeated."""
    torch.set_num_threads(2)
    backbone = load_backbone(SMALL.replace(d_model=64), [*pocket().item_text[1:], *list(PROMPTS.values()) * 200])
    model = GenSR.from_dataset(pocket(), GenSRConfig(), backbone, Vectors(cf_table()))
    items = torch.randint(1, pocket().n_items + 1, (200, 100))
    weight, found = torch.randn(200, 100, 64), []
    for _ in range(6):
        model.zero_grad()
        (model.semantic_items(items) * weight).sum().backward()
        found.append(model.lm.get_input_embeddings().weight.grad.clone())
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_a_model_can_learn_these_rows_by_heart():
    """Forty steps on one batch bring the positives to the top: nothing between input and loss is cut."""
    model, made = gensr(dropout=0.0).train(), batch("src", rows=8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        model.loss(made)["generation"].backward()
        optimizer.step()
    assert (model.eval().score(made).argmax(1) == 0).float().mean() >= 7 / 8


# --- long queries -----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [3_000, 1_000_000])
def test_a_query_is_cut_and_costs_no_more_than_the_cap(words):
    model = gensr()
    made = batch()
    long = Batch(**{**vars(made), "query_text": ["teapot " * words, *list(made.query_text)[1:]]})
    views = model.encode(long)
    prompt = model.prompt(long, views, model.soft_filter(views, long)[0])
    assert prompt.query == QUERY_TOKENS


def test_the_tokenizer_is_spared_what_it_would_throw_away():
    seen = []
    query_tokens(lambda texts, **options: seen.extend(texts), ["teapot " * 1_000_000, "red shoe"])
    assert [len(text) for text in seen] == [QUERY_CHARACTERS, len("red shoe")]


def test_short_queries_are_read_whole():
    tokenizer = gensr().tokenizer
    texts = ["red shoe", "", " ".join(["teapot"] * 50)]
    plain = tokenizer(texts, padding=True, return_tensors="pt")
    read = query_tokens(tokenizer, texts)
    assert torch.equal(read["input_ids"][:2, :5], plain["input_ids"][:2, :5])
    assert (read["input_ids"] == tokenizer.eos_token_id).sum(dim=1).tolist() == [1, 1, 1], "each ends in </s>"


def test_the_released_contrastive_form_compares_the_slots_of_all_pairs():
    """Each candidate's prompt is a row: what its own filter made of the user, in both views."""
    model = gensr(contrastive_form="released", beta=0.25)
    made = batch()
    plain = {k: v for k, v in model.state_dict().items() if not k.startswith("contrastive_norms.")}
    assert plain.keys() == gensr().state_dict().keys(), "and the default form has no norms of its own"
    slots, _ = model.soft_filter(model.encode(made), made)
    rows = [slots[name].reshape(6 * 5, -1) for name in ("user_cf", "user_semantic")]
    norms = [torch.nn.LayerNorm(rows[0].shape[1]) for _ in range(2)]
    terms = model.loss(made)
    assert terms["contrastive"].item() == pytest.approx(contrastive_released(*rows, norms, 0.07).item(), rel=1e-4)
    terms["contrastive"].backward()
    assert model.contrastive_norms[0].weight.grad.abs().sum() > 0
    assert terms["generation"].item() == pytest.approx(gensr().loss(made)["generation"].item(), rel=1e-5)


def test_the_released_contrastive_form_without_any_history():
    terms = gensr(contrastive_form="released").loss(without_history(batch()))
    assert terms["contrastive"].item() == 0
    switched_off = gensr(contrastive_form="released", contrastive=False)
    assert not any("norms" in key for key in switched_off.state_dict())
