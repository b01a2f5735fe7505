"""CoLLM: LoRA against merged weights, the prompt against T5 itself, and which weights move in which stage."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from gensr_lib.config import BackboneConfig, TrainingConfig
from gensr_lib.data.batches import Batch
from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.models import build_model
from gensr_lib.models.language_model import NO_TEXT, load_backbone
from gensr_lib.models.lora import LoRALinear, add_lora
from gensr_lib.models.recommendation.collm import PROMPTS, TEXT, WHOLE, CoLLM
from gensr_lib.models.stages import Stages, frozen
from gensr_lib.training.loop import train
from tests.worlds import TINY, pocket, tables

SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, encoder_layers=2, vocabulary=600)


def backbone(data: Dataset | None = None):
    texts = (data or pocket()).item_text[1:]
    return load_backbone(SMALL, [*texts, *[*PROMPTS.values(), NO_TEXT] * 200])


def collm(stage: int = WHOLE, data: Dataset | None = None, language_model=None, **options) -> CoLLM:
    data = data or pocket()
    torch.manual_seed(0)
    needs = {
        "language_model": language_model or backbone(data),
        "lightgcn": build_model("lightgcn", data, {"width": 8}),
    }
    model = build_model("collm", data, {"history": 6, "item_tokens": 6, **options}, **needs)
    model.stages.enter(stage)
    return model.eval()


def batch(rows: int = 5, candidates: int = 4, data: Dataset | None = None) -> Batch:
    made = (data or pocket()).batch("test", "rec", np.arange(rows))
    return made.with_candidates(made.cand[:, :candidates])


def learned(model: CoLLM) -> CoLLM:
    """With a LoRA that does something."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoRALinear):
                torch.nn.init.normal_(module.b, std=0.3)
    return model


# --- LoRA -------------------------------------------------------------------------------------


def test_lora_begins_as_the_map_itself_and_is_its_merged_weights():
    linear = torch.nn.Linear(6, 4)
    lora = LoRALinear(linear, rank=2, alpha=6, dropout=0.0)
    x = torch.randn(3, 6)
    assert torch.equal(lora.train()(x), linear(x)) and torch.equal(lora.eval()(x), linear(x))
    torch.nn.init.normal_(lora.b)
    by_hand = linear(x) + 3 * (x @ lora.a.T) @ lora.b.T
    assert torch.allclose(lora.train()(x), by_hand, atol=1e-6)
    assert torch.allclose(lora.eval()(x), by_hand, atol=1e-6)
    assert [name for name, p in lora.named_parameters() if p.requires_grad] == ["a", "b"]


def test_loras_dropout_is_of_the_correction_alone():
    lora = LoRALinear(torch.nn.Linear(6, 4), rank=2, alpha=2, dropout=0.5)
    x = torch.randn(200, 6)
    assert torch.equal(lora.train()(x), lora.eval()(x)), "B is 0"
    torch.nn.init.normal_(lora.b)
    assert not torch.allclose(lora.train()(x), lora.eval()(x), atol=0.1)


def test_lora_is_put_on_the_named_maps_of_every_block_and_changes_nothing_at_first():
    made = batch()
    model = collm()
    found = [name for name, module in model.lm.named_modules() if isinstance(module, LoRALinear)]
    assert len(found) == 2 * (2 + 2) and {name[-1] for name in found} == {"q", "v"}
    plain = collm()
    for name in found:  # the maps as they were
        parent, _, leaf = name.rpartition(".")
        own = plain.lm.get_submodule(name)
        linear = torch.nn.Linear(own.in_features, own.out_features, bias=False)
        linear.weight = own.weight
        setattr(plain.lm.get_submodule(parent), leaf, linear)
    assert torch.allclose(model.score(made), plain.score(made), atol=1e-6)
    assert not torch.allclose(learned(model).score(made), plain.score(made), atol=1e-3)
    for name in found:
        plain.lm.get_submodule(name).weight = torch.nn.Parameter(model.lm.get_submodule(name).merged())
    assert torch.allclose(model.score(made), plain.score(made), atol=1e-5)


def test_a_name_that_no_map_has_is_refused():
    with pytest.raises(ConfigError, match="no linear map named 'query'"):
        add_lora(backbone().model, ["q", "query"], 2, 2, 0.0)


# --- the prompt -------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [TEXT, WHOLE])
@pytest.mark.parametrize("texts", ["long", "short"])
def test_the_answer_is_t5s_own_to_the_written_out_prompt(stage, texts):
    """Token by token: the text of a candidate that is too short ends in more than one </s>."""
    data = {"long": pocket, "short": shop}[texts]()
    model = learned(collm(stage, data, one_way=False))
    made = batch(data=data)
    assert (model.item_tokens[made.cand] == 0).any() == (texts == "short")
    tokenizer, embed = model.tokenizer, model.lm.get_input_embeddings()
    scores = model.score(made)
    row = int((made.rec_items != 0).sum(1).argmin())
    for column in range(2):
        embeddings = []
        for token in tokenizer(PROMPTS[stage], add_special_tokens=False)["input_ids"]:
            mark = tokenizer.convert_ids_to_tokens(token)
            if mark == "<extra_id_0>":
                seen = made.rec_items[row]
                tokens = model.item_tokens[torch.cat([seen[seen != 0][-6:], seen.new_zeros(6)])[:6]]
                embeddings.append(embed(tokens.flatten()))
            elif mark == "<extra_id_1>":
                own = model.item_tokens[made.cand[row, column]]
                embeddings.append(embed(torch.where(own == 0, tokenizer.eos_token_id, own)))
            elif mark == "<extra_id_2>":
                embeddings.append(model.mapping(model.cf_users.weight[made.user[row]])[None])
            elif mark == "<extra_id_3>":
                embeddings.append(model.mapping(model.cf_items[made.cand[row, column]])[None])
            else:
                embeddings.append(embed(torch.tensor([token])))
        whole = torch.cat([*embeddings, embed(torch.tensor([tokenizer.eos_token_id]))])[None]
        mask = (whole != embed.weight[0]).any(-1).long()  # <pad> fills up short texts
        found = model.lm(inputs_embeds=whole, attention_mask=mask, decoder_input_ids=torch.zeros(1, 1).long())
        yes, no = found.logits[0, 0, list(model.answers)]
        assert torch.allclose(yes - no, scores[row, column], atol=1e-4)


@pytest.mark.parametrize("one_way", [True, False])
def test_every_prompt_has_its_slots(one_way):
    model, made = collm(one_way=one_way), batch()
    words = len(model.prompt_ids[WHOLE]) - 4
    prompt = model.prompt(made, WHOLE)
    assert prompt.own.shape[:3] == (5, 4, 6 + 1), "T tokens of the text and the vector"
    assert prompt.shared.shape[1] == words + 6 * 6 + 1 + 1, "words, history, user and </s>"
    places = torch.cat([prompt.own_at, prompt.shared_at]).sort().values
    assert torch.equal(places, torch.arange(words + 36 + 2 + 7))
    assert model.prompt(made, TEXT).own.shape[2] == 6


def test_a_tokenizer_without_slots_is_refused():
    found = backbone()
    known = found.tokenizer.convert_tokens_to_ids
    mark = "<extra_id_3>"
    found.tokenizer.convert_tokens_to_ids = lambda x: (
        [known("<unk>" if m == mark else m) for m in x] if type(x) is list else known(x)
    )
    with pytest.raises(ConfigError, match="the tokenizer has no tokens"):
        collm(language_model=found)


@pytest.mark.parametrize("one_way", [True, False])
def test_the_vectors_of_the_pair_decide_and_no_others(one_way):
    model, made = collm(one_way=one_way), batch()
    before = model.score(made)
    item = int(made.cand[0, 1])
    model.cf_items[item] += 1.0
    changed = (model.score(made) - before).abs() > 1e-5
    assert torch.equal(changed, made.cand == item)
    with torch.no_grad():
        model.cf_users.weight[int(made.user[2])] += 1.0
        changed = (model.score(made) - before).abs() > 1e-5
    assert torch.equal(changed.any(1), (made.cand == item).any(1) | (made.user == made.user[2]))


def test_vectors_come_into_the_prompt_as_long_as_words():
    model = collm()
    words = model.lm.get_input_embeddings().weight.norm(dim=1).mean()
    ratio = model.mapping(model.cf_items[1:]).norm(dim=1).mean() / words
    assert 0.5 < ratio < 2
    assert abs(model.cf_items[1:].square().mean() - 1) < 1e-4 and (model.cf_items[0] == 0).all()


@pytest.mark.parametrize("stage", [TEXT, WHOLE])
def test_without_a_history_the_scores_are_finite_and_the_texts_alone_decide(stage):
    model, made = collm(stage), batch()
    empty = replace(made, rec_items=torch.zeros_like(made.rec_items))
    scores = model.score(empty)
    assert scores.isfinite().all() and scores.std() > 1e-4
    if stage == TEXT:  # nothing of the user is in the prompt
        same = empty.with_candidates(empty.cand[:1].expand(5, -1))
        assert torch.allclose(model.score(same), model.score(same)[:1].expand(5, -1), atol=1e-5)


def test_searches_are_not_read():
    model, made = collm(), batch()
    without = replace(made, ses_clicks=torch.zeros_like(made.ses_clicks), ses_words=torch.zeros_like(made.ses_words))
    assert torch.equal(model.score(without), model.score(made))


def test_items_without_a_text_are_counted_and_read_as_something(caplog):
    found = tables(*[("u", f"i{n}", n, "rec") for n in range(6)])
    found.items.loc[found.items["item_id"].isin(["i1", "i4"]), ["title", "categories"]] = ""
    data = Dataset.from_tables(found, TINY)
    with caplog.at_level(logging.WARNING):
        model = collm(data=data)
    assert model.without_text == 2
    assert f"collm: 2 of {data.n_items} items have no text; it reads '{NO_TEXT}'" in caplog.text
    none = [data.item_ids.tolist().index(name) for name in ("i1", "i4")]
    assert torch.equal(model.item_tokens[none[0]], model.item_tokens[none[1]]) and model.item_tokens[none].any()


def test_data_without_texts_are_refused():
    found = tables(*[("u", f"i{n}", n, "rec") for n in range(6)])
    found.items[["title", "categories"]] = ""
    with pytest.raises(ConfigError, match="reads item texts, and there are none"):
        collm(data=Dataset.from_tables(found, TINY), language_model=backbone())


# --- stages -----------------------------------------------------------------------------------


def test_what_is_frozen_passes_gradients_through_and_gets_none():
    linear, x = torch.nn.Linear(3, 2), torch.randn(4, 3, requires_grad=True)
    with frozen(linear):
        out = linear(x).sum()
    out.backward()
    assert linear.weight.grad is None and x.grad.abs().sum() > 0 and linear.weight.requires_grad


def moved(model: CoLLM, before: dict[str, torch.Tensor]) -> set[str]:
    """Which kinds of weights are no longer what they were."""
    now = dict(model.named_parameters())
    changed = {name for name, old in before.items() if not torch.equal(now[name], old)}
    kinds = {"a": "lora", "b": "lora"}
    return {"mapping" if "mapping" in name else kinds.get(name.rpartition(".")[2], name) for name in changed}


def test_lora_learns_first_and_then_the_mapping_alone():
    """In the loop, with weight decay, which would move whatever the optimizer does not leave out."""
    data = pocket()
    training = TrainingConfig(epochs=1, batch_size=128, negatives=1, learning_rate=0.01, weight_decay=0.1)
    model = collm(TEXT)
    model.stages = Stages([1.0])
    before = copy.deepcopy(dict(model.named_parameters()))
    assert list(train(model, data, training).history.filter(like="click")) == ["rec text click"]
    assert moved(model, before) == {"lora"} and model.stages.now == TEXT
    model.stages = Stages([0.0])
    text = copy.deepcopy(dict(model.named_parameters()))
    assert list(train(model, data, training).history.filter(like="click")) == ["rec click"]
    assert moved(model, text) == {"mapping"} and model.stages.now == WHOLE
    model = collm(WHOLE, lora_rests=False)
    model.stages = Stages([0.0])
    before = copy.deepcopy(dict(model.named_parameters()))
    train(model, data, training)
    assert moved(model, before) == {"mapping", "lora"}, "with the option both learn"


@cache
def shop() -> Dataset:
    """Forty items, of which half are golden; who clicks, clicks gold."""
    rng = np.random.default_rng(0)
    clicks = [(f"u{u}", f"g{n}", t, "rec") for u in range(30) for t, n in enumerate(rng.permutation(20)[:8])]
    found = tables(*clicks, *[("~", f"l{n}", 0, "rec") for n in range(20)], extra_items=0)
    is_gold = found.items["item_id"].str.startswith("g")
    found.items["title"] = np.where(is_gold, "golden thing", "leaden thing")
    return Dataset.from_tables(found, TINY)


def test_a_killed_training_goes_on_in_its_stage_with_equal_numbers(tmp_path, monkeypatch):
    training = TrainingConfig(
        epochs=2, batch_size=64, negatives=1, learning_rate=0.01, checkpoint_steps=1, eval_every=2
    )
    whole = collm(TEXT, shop(), text_epochs=0.6, lora_dropout=0.2)
    expected = train(whole, shop(), training, seed=3).history.drop(columns="seconds")
    model = collm(TEXT, shop(), text_epochs=0.6, lora_dropout=0.2)
    own, batches = model.loss, []

    def loss(made: Batch) -> dict[str, torch.Tensor]:
        batches.append(made)
        if len(batches) == 5:  # in the second stage
            raise KeyboardInterrupt
        return own(made)

    monkeypatch.setattr(model, "loss", loss)
    with pytest.raises(KeyboardInterrupt):
        train(model, shop(), training, seed=3, folder=tmp_path)
    again = collm(TEXT, shop(), text_epochs=0.6, lora_dropout=0.2)
    run = train(again, shop(), training, seed=3, folder=tmp_path)
    assert run.resumed_at == 4 and run.history.drop(columns="seconds").equals(expected)
    assert all(torch.equal(p, again.state_dict()[name]) for name, p in whole.state_dict().items())


# --- learning ---------------------------------------------------------------------------------


def fitted(model: CoLLM, liked: np.ndarray, steps: int, learning_rate: float) -> float:
    """Share of wrong candidates below the liked one, after training on such lists."""
    yes, no = (np.flatnonzero(side) + 1 for side in (liked, ~liked))
    rng = np.random.default_rng(0)
    rows = len(shop().rows["train"]["rec"].event)

    def lists() -> Batch:
        candidates = np.concatenate([rng.choice(yes, (16, 1)), rng.choice(no, (16, 3))], axis=1)
        return shop().batch("train", "rec", rng.choice(rows, 16), candidates)

    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], learning_rate)
    for _ in range(steps):
        sum(model.train().loss(lists()).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        scores = torch.cat([model.eval().score(lists()) for _ in range(4)])
    return float((scores[:, :1] > scores[:, 1:]).float().mean())


def test_texts_are_learned_by_lora_and_then_vectors_by_the_mapping():
    """First what is liked stands in the texts; then in a direction of the CF vectors, which no text tells."""
    model = collm(TEXT, shop(), text_epochs=1e3)
    golden = np.array([text.startswith("golden") for text in shop().item_text[1:]])
    liked = golden if fitted(model, golden, 0, 0.02) < 0.5 else ~golden  # what a random T5 ranks lower
    assert fitted(model, liked, 0, 0.02) < 0.5 and fitted(model, liked, 60, 0.02) > 0.95
    model.stages.enter(WHOLE)
    upward = (model.cf_items[1:, 0] > 0).numpy()
    upward = upward if fitted(model, upward, 0, 0.01) < 0.7 else ~upward
    assert fitted(model, upward, 0, 0.01) < 0.7 and fitted(model, upward, 300, 0.01) > 0.85
