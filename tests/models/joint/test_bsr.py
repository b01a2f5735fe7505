"""BSR: one token an item, what each task reads, and one decoder step against transformers' own beam search."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.config import BackboneConfig
from gensr_lib.data.batches import Batch
from gensr_lib.models import build_model
from gensr_lib.models.joint.bsr import BSR, PREFIXES
from gensr_lib.models.language_model import Backbone, add_tokens, load_backbone
from gensr_lib.models.recommendation.textual_ids import Trie, only_these
from tests.worlds import pocket

SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, encoder_layers=1, vocabulary=600)
TASKS = pytest.mark.parametrize("task", ["rec", "src"])


def backbone(untied: bool = False, options: BackboneConfig = SMALL) -> Backbone:
    found = load_backbone(options, [*pocket().item_text[1:], *[*PREFIXES.values()] * 200])
    if untied:  # as flan-t5
        found.model.lm_head.weight = torch.nn.Parameter(torch.randn_like(found.model.lm_head.weight))
    return found


def bsr(untied: bool = False, language_model: Backbone | None = None, **options) -> BSR:
    torch.manual_seed(0)
    return build_model("bsr", pocket(), options, language_model=language_model or backbone(untied)).eval()


def batch(task: str, rows: int = 5, candidates: int = 6) -> Batch:
    made = pocket().batch("test", task, np.arange(rows))
    return made.with_candidates(made.cand[:, :candidates])


# --- tokens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("untied", [False, True])
def test_new_tokens_leave_the_old_rows_and_the_tie_as_they_were(untied):
    """`resize_token_embeddings` by itself makes the head a second name of the embeddings."""
    model = backbone(untied).model
    embeddings, head = (table.weight.detach().clone() for table in (model.shared, model.lm_head))
    assert add_tokens(model, 7) == len(embeddings)
    assert torch.equal(model.shared.weight[:-7], embeddings) and torch.equal(model.lm_head.weight[:-7], head)
    assert len(model.shared.weight) == len(model.lm_head.weight) == model.config.vocab_size == len(head) + 7
    assert (model.lm_head.weight is not model.shared.weight) == untied
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight is model.shared.weight


def test_new_rows_have_the_mean_and_the_spread_of_the_old_ones():
    model = backbone(untied=True).model
    with torch.no_grad():
        model.shared.weight.mul_(3).add_(5)
    add_tokens(model, 4000)
    for table, mean, spread in ((model.shared.weight, 5, 3), (model.lm_head.weight, 0, 1)):
        assert abs(table[-4000:].mean() - mean) < 0.2 and abs(table[-4000:].std() / spread - 1) < 0.1


def test_an_item_is_one_row_where_embeddings_are_tied_and_two_where_not():
    plain = sum(p.numel() for p in backbone().model.parameters())
    for untied, rows in ((False, 1), (True, 2)):
        more = rows * pocket().n_items + untied * len(backbone().tokenizer)
        assert sum(p.numel() for p in bsr(untied).parameters()) == plain + more * SMALL.d_model


def test_an_item_is_one_token_that_no_text_can_spell():
    model = bsr()
    tokens = model.item_tokens(torch.arange(1, pocket().n_items + 1)).tolist()
    assert tokens == list(range(len(model.tokenizer), model.lm.config.vocab_size))
    ids, mask = model.prompt(batch("rec"))
    clicked = (batch("rec").rec_items != 0).sum(1)
    assert torch.equal((ids >= model.first_item).sum(1), clicked)
    words = model.tokenizer(PREFIXES["rec"], add_special_tokens=False)["input_ids"]
    assert torch.equal(mask.sum(1), clicked + len(words) + 1)


# --- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize("task_prefix", [True, False])
def test_prompts_by_hand(task_prefix):
    model = bsr(history=3, task_prefix=task_prefix)
    for task in ("rec", "src"):
        made = batch(task)
        ids, mask = model.prompt(made)
        words = model.tokenizer(PREFIXES[task], add_special_tokens=False)["input_ids"] if task_prefix else []
        for row in range(len(made)):
            seen = [model.first_item + item - 1 for item in made.rec_items[row].tolist() if item][-3:]
            asked = model.tokenizer(made.query_text[row], add_special_tokens=False)["input_ids"]
            expected = [*words, *(seen if task == "rec" else asked), model.tokenizer.eos_token_id]
            assert ids[row][mask[row] == 1].tolist() == expected
            assert (ids[row][mask[row] == 0] == model.tokenizer.pad_token_id).all()
            assert mask[row].tolist() == sorted(mask[row].tolist(), reverse=True), "padding stands last"


@TASKS
def test_search_reads_the_query_alone_and_recommendation_the_clicks_alone(task):
    model, made = bsr(), batch(task)
    before = model.score(made)
    zeros = torch.zeros_like
    history = {name: zeros(getattr(made, name)) for name in ("rec_items", "rec_time")}
    searches = {name: zeros(getattr(made, name)) for name in ("ses_clicks", "ses_words", "ses_time")}
    others = {
        "user": replace(made, user=made.user + 1),
        "history": replace(made, **history),
        "searches": replace(made, **searches),
        "query": replace(made, query=made.query + 1, query_text=("marble kennel",) * len(made)),
    }
    changed = {name for name, other in others.items() if not torch.equal(model.score(other), before)}
    assert changed == ({"query"} if task == "src" else {"history"})


# --- ranking ----------------------------------------------------------------------------------


@pytest.mark.parametrize("untied", [False, True])
@TASKS
def test_one_step_is_beam_search_over_the_candidates(task, untied):
    """Same order and, but for a constant of the row, the same values: those are log-probabilities."""
    model, made = bsr(untied), batch(task)
    ids, mask = model.prompt(made)
    n = made.cand.shape[1]
    tries = [Trie([(token,) for token in row]) for row in model.item_tokens(made.cand).tolist()]
    found = model.lm.generate(
        input_ids=ids, attention_mask=mask, prefix_allowed_tokens_fn=only_these(tries, model.tokenizer.pad_token_id),
        num_beams=n, num_return_sequences=n, max_new_tokens=1, do_sample=False, length_penalty=0.0,
        output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    written = found.sequences[:, 1].unflatten(0, (-1, n)) - model.first_item + 1
    scores = model.score(made)
    order = scores.argsort(dim=1, descending=True)
    assert torch.equal(written, made.cand.gather(1, order))
    distance = found.sequences_scores.unflatten(0, (-1, n)) - scores.gather(1, order)
    assert torch.allclose(distance, distance[:, :1].expand_as(distance), atol=1e-4)


@TASKS
def test_the_loss_is_that_of_transformers_for_the_items_token(task):
    model, made = bsr(), batch(task)
    ids, mask = model.prompt(made)
    labels = model.item_tokens(made.cand[:, :1])
    expected = model.lm(input_ids=ids, attention_mask=mask, labels=labels).loss
    assert torch.allclose(model.loss(made)["item"], expected, atol=1e-5)


def test_rows_with_one_query_are_read_once():
    model, made = bsr(), batch("src")
    same = replace(made, query_text=("marble kennel",) * len(made))
    assert len(model.prompt(same)[0]) == 1 and len(model.prompt(made)[0]) == len(made)
    mixed = replace(same, query_text=(*same.query_text[:-1], "teapot"))
    assert torch.allclose(model.score(same)[:-1], model.score(mixed)[:-1], atol=1e-5)


def test_all_candidates_at_once_or_in_chunks():
    model = bsr()
    made = batch("rec", rows=2).with_candidates(torch.arange(1, pocket().n_items + 1).repeat(2, 1))
    parts = [model.score(made.with_candidates(some)) for some in made.cand.split(50, dim=1)]
    assert torch.equal(model.score_in_chunks(made, 50), torch.cat(parts, dim=1))


# --- learning ---------------------------------------------------------------------------------


def test_a_large_catalogue_has_a_sampled_softmax_over_items_and_says_so(caplog):
    n = pocket().n_items
    assert bsr(full_softmax=n).draws is None and not caplog.messages
    with caplog.at_level(logging.WARNING):
        model = bsr(full_softmax=n - 1, sampled_items=5)
    assert f"bsr: {n} items are more than full_softmax={n - 1}" in caplog.text and model.draws == 5
    made = batch("rec", rows=1)
    model.train().loss(made)["item"].backward()
    touched = model.lm.shared.weight.grad.abs().sum(1).nonzero().squeeze(1)
    items = touched[touched >= model.first_item]
    read = model.item_tokens(made.rec_items[made.rec_items != 0])
    assert model.item_tokens(made.cand[0, 0]) in items and len(items) <= len(read) + 1 + 5
    # Drawn often enough that nothing is left out, the loss is that over all items and over no word.
    model.draws = 50 * n
    logits = torch.nn.functional.linear(model.encode(made), model.lm.shared.weight[model.first_item :]) / 4  # 16**-0.5
    expected = torch.nn.functional.cross_entropy(logits, made.cand[:, 0] - 1)
    assert torch.allclose(model.loss(made)["item"], expected, atol=1e-5)


def test_words_that_are_not_read_learn_from_the_head_alone():
    model = bsr(untied=True).train()
    made = batch("rec")
    model.loss(made)["item"].backward()
    read = set(model.prompt(made)[0].unique().tolist()) | {model.lm.config.decoder_start_token_id}
    learned = model.lm.shared.weight.grad.abs().sum(1).nonzero().squeeze(1)
    assert set(learned.tolist()) <= read and len(learned) > 5
    assert (model.lm.lm_head.weight.grad.abs().sum(1) > 0).all()


def test_fifty_pairs_are_remembered_in_both_tasks():
    """Item -> next item and query -> item, ranked among the whole catalogue."""
    wide = SMALL.replace(d_model=32, d_ff=64, heads=4)
    model = bsr(language_model=backbone(options=wide)).train()
    n = 50
    order = torch.randperm(pocket().n_items, generator=torch.Generator().manual_seed(1)) + 1
    nothing = torch.zeros(n, 1, 1).long()
    asked = tuple(pocket().item_text[int(item)] for item in order[n : 2 * n])
    rec = Batch(
        task="rec", user=torch.zeros(n).long(), rec_items=order[:n, None], rec_time=torch.ones(n, 1).long(),
        ses_words=nothing, ses_clicks=nothing, ses_time=nothing[:, 0], merge_index=torch.arange(2).repeat(n, 1),
        query=torch.zeros(n, 1).long(), query_text=("",) * n, cand=order[n : 2 * n, None],
    )  # fmt: skip
    src = replace(rec, task="src", query_text=asked, cand=order[:n, None])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(120):
        sum(model.loss(made)["item"] for made in (rec, src)).backward()
        optimizer.step()
        optimizer.zero_grad()
    everything = torch.arange(1, pocket().n_items + 1).repeat(n, 1)
    for made in (rec, src):
        best = model.eval().score(made.with_candidates(everything)).argmax(1) + 1
        assert (best == made.cand[:, 0]).double().mean() == 1


def test_an_untied_head_survives_saving(tmp_path):
    model = bsr(untied=True)
    model.save_pretrained(tmp_path)
    loaded = BSR.from_pretrained(tmp_path)
    assert torch.equal(loaded.score(batch("src")), model.score(batch("src")))
    assert torch.equal(loaded.lm.lm_head.weight, model.lm.lm_head.weight)
    assert not torch.equal(loaded.lm.lm_head.weight, loaded.lm.shared.weight)


def test_the_language_model_is_grown_once():
    """A model that is loaded has the items' rows already."""
    model = bsr()
    copied = BSR(model.config, Backbone(copy.deepcopy(model.lm), model.tokenizer), model.n_items, model.first_item)
    assert len(copied.lm.shared.weight) == model.first_item + model.n_items == len(model.lm.shared.weight)
