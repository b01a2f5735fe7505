"""The switches of GenSR: the ablations beyond the paper's, and one-way attention against T5 itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gensr_lib.data.batches import Batch, merged_history
from gensr_lib.errors import ConfigError
from gensr_lib.models.gensr.model import GenSR, GenSRConfig
from gensr_lib.models.gensr.one_way import one_way_states
from gensr_lib.models.layers import SoftFilter
from gensr_lib.training.loop import make_accelerator, train
from tests.models.gensr.test_model import batch, cf_table, gensr, without_history
from tests.worlds import pocket

# --- one-way attention ------------------------------------------------------------------------

SHAPES = [{}, {"history_slot": "sequence"}, {"cf_view": False}, {"semantic_level": "token", "history_slot": "sequence"}]


def cut_t5(model: GenSR, made: Batch) -> torch.Tensor:
    """What transformers' own T5 gives for whole prompts whose shared tokens may not look at the slots."""
    views = model.encode(made)
    prompt = model.prompt(made, views, model.soft_filter(views, made)[0])
    embeddings, mask = prompt.whole()
    rows, candidates, length, _ = embeddings.shape
    is_shared = torch.ones(length, dtype=torch.bool)
    is_shared[prompt.own_at] = False
    real = mask.repeat_interleave(candidates, dim=0).bool()  # (B*C, L)
    may = real[:, None, None, :] & ~(is_shared[:, None] & ~is_shared[None, :])
    blocked = torch.where(may, 0.0, torch.finfo(torch.float32).min)  # (B*C, 1, L, L)
    encoded = model.lm.get_encoder()(inputs_embeds=embeddings.flatten(0, 1), attention_mask=blocked).last_hidden_state
    start = torch.full((rows * candidates, 1), model.lm.config.decoder_start_token_id)
    decoder = model.lm.get_decoder()
    return decoder(input_ids=start, encoder_hidden_states=encoded, encoder_attention_mask=real.long(),
                   use_cache=False).last_hidden_state[:, 0].unflatten(0, (rows, candidates))  # fmt: skip


@pytest.mark.parametrize("options", SHAPES, ids=str)
@pytest.mark.parametrize("task", ["rec", "src"])
def test_one_way_is_t5_with_one_direction_of_attention_cut(options, task):
    model, made = gensr(one_way=True, **options), batch(task)
    views = model.encode(made)
    _, decoded = one_way_states(model.lm, model.prompt(made, views, model.soft_filter(views, made)[0]))
    assert torch.allclose(decoded, cut_t5(model, made), atol=1e-5)
    assert not torch.allclose(gensr(**options).score(made), model.score(made), atol=1e-4), "the cut changes something"


def test_one_way_drops_out_as_t5_does(monkeypatch):
    """Halving in dropout's place, which T5's own code meets too: embeddings, attention, both ends of each layer."""
    model, made = gensr(one_way=True), batch("src")
    views = model.encode(made)
    prompt = model.prompt(made, views, model.soft_filter(views, made)[0])
    _, without = one_way_states(model.lm, prompt)
    halved = lambda x, p=0.5, training=True, inplace=False: x / 2 if training else x  # noqa: E731
    monkeypatch.setattr(torch.nn.functional, "dropout", halved)
    model.lm.train()
    model.lm.set_attn_implementation("eager")  # torch's fused attention would draw its own dropout
    _, decoded = one_way_states(model.lm, prompt)
    assert torch.allclose(decoded, cut_t5(model, made), atol=1e-5)
    assert not torch.allclose(decoded, without, atol=0.1)


def test_one_way_mean_state_counts_each_real_token_once():
    model, made = gensr(one_way=True), batch("src")
    views = model.encode(made)
    prompt = model.prompt(made, views, model.soft_filter(views, made)[0])
    assert (prompt.mask == 0).any(), "queries of different lengths"
    mean, _ = one_way_states(model.lm, prompt)
    alone = []
    for row in range(len(made)):  # without padding
        single = made.rows(torch.tensor([row]))
        views = model.encode(single)
        alone.append(one_way_states(model.lm, model.prompt(single, views, model.soft_filter(views, single)[0]))[0])
    assert torch.allclose(mean, torch.cat(alone), atol=1e-5)


def test_one_way_needs_a_t5():
    model, made = gensr(one_way=True), batch("rec")
    model.lm.config.model_type = "bart"
    with pytest.raises(ConfigError, match="T5 backbone, not 'bart'"):
        model.score(made)


def test_one_way_trains_every_weight():
    model = gensr(one_way=True).train()
    sum(sum(model.loss(batch(task)).values()) for task in ("rec", "src")).backward()
    without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    one_step = "lm.decoder.block.0.layer.0.SelfAttention."  # one decoder step attends to itself whatever q and k are
    assert without == {one_step + n for n in ("q.weight", "k.weight", "relative_attention_bias.weight")}


# --- what stands for the history --------------------------------------------------------------


@pytest.mark.parametrize("one_way", [False, True])
def test_a_sequence_in_the_slot_ignores_its_padding(one_way):
    """The history stands in the prompt item by item; what stands in the places of a short one changes nothing."""
    model, made = gensr(history_slot="sequence", one_way=one_way), batch("src")
    short = {"rec_items": made.rec_items.clone(), "ses_clicks": made.ses_clicks.clone()}
    short["rec_items"][::2], short["ses_clicks"][::2, 2:] = 0, 0
    made = Batch(**{**vars(made), **short})
    assert (merged_history(made, 8)[0] != 0).sum(1).tolist()[:2] == [2, 8]
    with torch.no_grad():
        alone = torch.cat([model.score(made.rows(torch.tensor([row]))) for row in range(len(made))])
        assert torch.allclose(alone, model.score(made), atol=1e-5)
        assert torch.isfinite(model.score(without_history(made))).all()


def test_a_sequence_fills_one_place_per_item():
    model, made = gensr(history_slot="sequence"), batch("rec")
    views = model.encode(made)
    prompt = model.prompt(made, views, model.soft_filter(views, made)[0])
    embeddings, mask = prompt.whole()
    assert embeddings.shape[2] == len(model.prompt_ids["rec"]) - 2 + 2 * 8 + prompt.query
    first = model.prompt_ids["rec"].index(next(iter(model._slot_of)))
    assert torch.equal(embeddings[:, 0, first : first + 8], model.cf_projection(views["cf"].states))
    assert torch.equal(mask[:, first : first + 8].bool(), views["cf"].valid)


@pytest.mark.parametrize("behavior", ["rec", "src"])
def test_a_history_of_one_behavior_ignores_the_other(behavior):
    model, made = gensr(history_of=behavior), batch("src")
    fields = {"rec": "ses_clicks", "src": "rec_items"}
    other = Batch(**{**vars(made), fields[behavior]: torch.zeros_like(getattr(made, fields[behavior]))})
    own = Batch(**{**vars(made), fields[{"rec": "src", "src": "rec"}[behavior]]: torch.zeros_like(
        getattr(made, fields[{"rec": "src", "src": "rec"}[behavior]]))})  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(model.score(other), model.score(made), atol=1e-6)
        assert torch.allclose(model.score(own), model.score(without_history(made)), atol=1e-6)


@pytest.mark.parametrize("behavior", ["rec", "src"])
def test_the_weights_over_a_history_of_one_behavior_are_named_after_its_items(behavior):
    model, made = gensr(history_of=behavior), batch("src")
    items, _ = model.filter_weights(made)
    assert torch.equal(items, merged_history(made, 8, behavior)[0])
    assert not torch.equal(items, merged_history(made, 8)[0])


@pytest.mark.parametrize("behavior", ["rec", "src"])
def test_merged_history_of_one_behavior_is_its_last_items(behavior):
    """The newest n of that behavior, not those of it among the newest n of both."""
    made = pocket().batch("test", "rec", np.arange(20))
    items, is_search = merged_history(made, 6, behavior)
    both, kind = merged_history(made, 10_000)
    assert (is_search == (behavior == "src"))[items != 0].all()
    for row in range(20):
        expected = both[row][(both[row] != 0) & (kind[row] == (behavior == "src"))][-6:]
        assert items[row][items[row] != 0].tolist() == expected.tolist()


def test_an_aligned_filter_begins_as_likeness_to_the_candidate():
    """Two heads of width 1: softmax of c_j * h_nj in each column, the means of the history's own columns."""
    soft_filter = SoftFilter(2, heads=2)
    soft_filter.start_aligned()
    history = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    candidate = torch.tensor([[[np.log(3.0), 0.0]]]).float()  # weights (3/4, 1/4) and (1/2, 1/2)
    filtered, weights = soft_filter(candidate, history, torch.ones(1, 2, dtype=torch.bool))
    assert torch.allclose(filtered, torch.tensor([[[3 / 4, 1 / 2]]]))
    assert torch.allclose(weights, torch.tensor([[[(3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2]]]))


def test_only_the_filter_of_the_cf_view_starts_aligned_and_it_is_trained():
    random, aligned = gensr(), gensr(cf_filter_start="aligned")
    differ = {n for n, p in aligned.named_parameters() if not torch.equal(p, random.get_parameter(n))}
    assert differ == {f"cf_filter.{n}.weight" for n in ("query", "key", "value")}, "all else has the same start"
    aligned.train().loss(batch("rec"))["generation"].backward()
    assert all(aligned.get_parameter(n).grad.abs().sum() > 0 for n in differ)


# --- tasks and vectors ------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["rec", "src"])
def test_a_model_of_one_task_is_trained_and_tested_on_it_alone(task):
    from gensr_lib.config import TrainingConfig
    from gensr_lib.training.evaluation import evaluate

    model = gensr(trained_on=task)
    assert model.tasks == {task} and gensr().tasks == {"rec", "src"}
    training = TrainingConfig(epochs=1, batch_size=16, max_steps_per_epoch=2)
    history = train(model, pocket(), training, accelerator=make_accelerator(cpu=True)).history
    other = {"rec": "src", "src": "rec"}[task]
    assert not [c for c in history if c.startswith(other) or f" {other} " in c] and f"{task} generation" in history
    assert list(evaluate(model, pocket()).metrics) == [task]


def test_random_vectors_replace_lightgcn_and_nothing_else():
    plain, noise = gensr(), gensr(cf_vectors="random")
    assert noise.cf_table.shape == plain.cf_table.shape and not torch.allclose(noise.cf_table, plain.cf_table)
    assert (noise.cf_table[0] == 0).all(), "padding stays padding"
    assert noise.cf_table[1:].square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-5), "of the same size"
    assert torch.equal(noise.cf_table, gensr(cf_vectors="random").cf_table), "the same in every run"
    weights = dict(noise.named_parameters())
    assert all(torch.equal(p, weights[n]) for n, p in plain.named_parameters()), "the same start"
    assert cf_table().std() > 0


@pytest.mark.parametrize("option", ["history_slot", "history_of", "trained_on", "cf_vectors", "semantic_level"])
def test_an_unknown_value_of_a_switch_names_it(option):
    with pytest.raises(ConfigError, match=f"option '{option}'"):
        GenSRConfig.parse({option: "maybe"})


@pytest.mark.parametrize(
    "options", [{"one_way": True}, {"history_slot": "sequence"}, {"trained_on": "src"}, {"reader": "mlp"}], ids=str
)
def test_switches_come_back_from_disk(options, tmp_path):
    model, made = gensr(**options), batch("src")
    model.save_pretrained(tmp_path)
    loaded = GenSR.from_pretrained(tmp_path).eval()
    assert loaded.tasks == model.tasks
    with torch.no_grad():
        assert torch.equal(loaded.score(made), model.score(made))


# --- a perceptron in T5's place ---------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"cf_view": False}, {"semantic_view": False}], ids=str)
@pytest.mark.parametrize("task", ["rec", "src"])
def test_the_perceptron_reads_products_of_slots_and_query(options, task):
    """Features and score of one row and candidate, written out."""
    model, made = gensr(reader="mlp", **options), batch(task)
    embed = model.lm.get_input_embeddings()
    with torch.no_grad():
        shown = model.represent(made)
        slots, _ = model.soft_filter(model.encode(made), made)
        row, candidate = 3, 2
        expected = []
        for view in ("cf", "semantic"):
            if f"user_{view}" in slots:
                u, i = slots[f"user_{view}"][row, candidate], slots[f"item_{view}"][row, candidate]
                expected += [u * i, u, i]
        ids = model.tokenizer(made.query_text[row])["input_ids"]
        q = embed(torch.tensor(ids)).mean(0)
        expected = torch.cat([*expected, q * i, q])
        hidden = model.mlp_reader.hidden(expected).relu()
        logit = model.mlp_reader.logit(hidden)
    assert torch.allclose(shown.hidden["encoder"][row, candidate], expected, atol=1e-6)
    assert torch.allclose(shown.hidden["head"][row, candidate], hidden, atol=1e-5)
    assert torch.allclose(model.score(made)[row, candidate], logit.squeeze(), atol=1e-5)
    assert torch.allclose(model.answer(made, model.encode(made)).exp().sum(-1), torch.ones(6, 5), atol=1e-6)


def test_the_perceptron_trains_all_but_the_language_model():
    model = gensr(reader="mlp").train()
    sum(sum(model.loss(batch(task)).values()) for task in ("rec", "src")).backward()
    without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    layers = {n for n, _ in model.named_parameters() if n.startswith("lm.") and n != "lm.shared.weight"}
    assert without == layers
    assert not any(p.requires_grad for n, p in model.named_parameters() if n in layers)
