"""IDGenRec: ids by hand, scores against transformers' own loss and decoding, and whose turn it is to learn."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from gensr_lib.config import BackboneConfig, TrainingConfig
from gensr_lib.data.batches import Batch
from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.models import build_model
from gensr_lib.models.language_model import NO_TEXT, load_backbone, pocket_tokenizer
from gensr_lib.models.recommendation.idgenrec import PROMPT, IDGenRec
from gensr_lib.models.recommendation.textual_ids import Trie, first_words, name_items, only_these, spell, words_of
from gensr_lib.models.stages import Stages
from gensr_lib.training.evaluation import evaluate
from gensr_lib.training.loop import train
from tests.worlds import TINY, pocket, tables

SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, encoder_layers=1, vocabulary=600)
OPTIONS = {"history": 5, "id_tokens": 8, "text_tokens": 8, "beams": 3, "rounds": 1}


def idgenrec(data: Dataset | None = None, backbone: BackboneConfig = SMALL, **options) -> IDGenRec:
    data = data or pocket()
    found = load_backbone(backbone, [*data.item_text[1:], *[*PROMPT, ",", NO_TEXT] * 200])
    return build_model("idgenrec", data, OPTIONS | options, language_model=found).eval()


def batch(rows: int = 5, candidates: int = 6, data: Dataset | None = None) -> Batch:
    made = (data or pocket()).batch("test", "rec", np.arange(rows))
    return made.with_candidates(made.cand[:, :candidates])


def written(model: IDGenRec) -> list[list[int]]:
    """The ids without their padding."""
    return [[t for t in row if t != model.tokenizer.pad_token_id] for row in model.ids.tolist()]


# --- textual ids ------------------------------------------------------------------------------

TEXTS = ["Red tea pot for two", "red Tea-pot, small", "Red tea pot", "red tea pot", "☃", "blue tea pot of iron"]
TOKENIZER = pocket_tokenizer([*TEXTS[:4], TEXTS[5], "0 1 2 3 4 5 6 7 8 9"] * 5, 200)


def named(wishes, texts=TEXTS, width: int = 8, tokenizer=TOKENIZER) -> tuple[list[str], int]:
    ids, taken = name_items(tokenizer, wishes, texts, width)
    return tokenizer.batch_decode(ids, skip_special_tokens=True), taken


def test_first_ids_by_hand():
    """First words, then further ones of the text, then numbers; snow cannot be spelled, but is no word either."""
    wishes = [[words_of(text)[:3]] for text in TEXTS]
    assert named(wishes) == (
        ["red tea pot", "red tea pot small", "red tea pot 1", "red tea pot 2", "1", "blue tea pot"],
        4,
    )


def test_the_first_wish_that_is_free_is_granted():
    wishes = [[["tea"]], [["tea"], ["pot"]], [["tea"], ["pot"]], [[], ["iron"]], [["żółw", "iron", "red"]], []]
    names = ["tea", "pot", "tea red", "iron", "iron red", "blue"]
    assert named(wishes) == (names, 2)


def test_words_that_most_texts_have_are_left_out():
    assert first_words(["the red cup", "the blue cup", "the tall jug", "a jug"], 2) == [
        [["red", "cup"]], [["blue", "cup"]], [["tall", "jug"]], [["a", "jug"]]
    ]  # fmt: skip


def test_numbers_take_the_place_of_words_where_there_is_no_room():
    one = len(spell(TOKENIZER, ["red"])["red"])
    names, taken = named([[["red", "tea"]]] * 14, ["red tea"] * 14, width=one + 2)
    assert taken == 13 and len(set(names)) == 14
    assert all(len(TOKENIZER(name, add_special_tokens=False)["input_ids"]) <= one + 2 for name in names)


def test_without_digits_letters_count_and_without_both_there_is_an_error():
    letters = pocket_tokenizer(["red tea"] * 5, 50)
    names, _ = named([[["red"]]] * 9, ["red"] * 9, tokenizer=letters)
    assert names[:3] == ["red", "red d", "red e"] and len(set(names)) == 9  # a is the zero
    with pytest.raises(ConfigError, match="neither digits nor letters"):
        named([[]], [""], tokenizer=pocket_tokenizer(["ß"] * 5, 50))


@pytest.mark.parametrize("width", [4, 8])
def test_ids_are_unique_and_read_back_as_they_were_written(width):
    model = idgenrec(id_tokens=width)
    names = model.textual_ids
    assert len(set(names)) == model.n_items + 1 == len(names) and names[0] == ""
    again = model.tokenizer(names[1:])["input_ids"]
    assert again == written(model)[1:] and max(map(len, again)) <= width + 1


def test_a_trie_allows_what_its_sequences_hold_and_padding_behind_them():
    trie = Trie([(3, 4, 1), (3, 1), (5, 1)])
    assert [trie.after(p) for p in ((), (3,), (3, 4), (3, 4, 1), (9,))] == [[3, 5], [4, 1], [1], [], []]
    allowed = only_these([Trie([(7, 1)]), trie], pad=0)
    assert allowed(1, torch.tensor([0, 3])) == [4, 1] and allowed(0, torch.tensor([0])) == [7]
    assert allowed(1, torch.tensor([0, 3, 1])) == [0] == allowed(1, torch.tensor([0, 3, 1, 0]))


# --- reading and ranking ----------------------------------------------------------------------


@pytest.mark.parametrize("length_norm", ["mean", "sum"])
def test_scores_are_minus_the_loss_that_transformers_gives_the_written_out_prompt(length_norm):
    """Row by row and candidate by candidate, from token ids without padding."""
    model, made = idgenrec(length_norm=length_norm), batch()
    ids, tokenizer = written(model), model.tokenizer
    comma = tokenizer.convert_tokens_to_ids(",")
    scores = model.score(made)
    assert len({len(ids[item]) for item in made.cand.flatten().tolist()}) > 1, "ids of several lengths"
    for row in range(len(made)):
        seen = [item for item in made.rec_items[row].tolist() if item][-5:]
        before, behind = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in PROMPT)
        history = [token for item in seen for token in [*ids[item][:-1], comma]]
        prompt = torch.tensor([[*before, *history, *behind, tokenizer.eos_token_id]])
        for column in (0, 3):
            labels = torch.tensor([ids[made.cand[row, column]]])
            loss = model.lm(input_ids=prompt, labels=labels).loss
            expected = -loss * (labels.shape[1] if length_norm == "sum" else 1)
            assert torch.allclose(scores[row, column], expected, atol=1e-4)


@pytest.mark.parametrize("length_norm", ["mean", "sum"])
def test_decoding_over_the_candidates_trie_ranks_as_teacher_forcing(length_norm):
    model, made = idgenrec(length_norm=length_norm), batch(candidates=12)
    scores, order = model.score(made).sort(dim=1, descending=True)
    items, found = model.decode(made)
    assert torch.allclose(found, scores, atol=1e-4) and torch.equal(items, made.cand.gather(1, order))


def test_a_single_candidate_is_decoded_too():
    model, made = idgenrec(), batch(candidates=1)
    items, found = model.decode(made)
    assert torch.equal(items, made.cand) and torch.allclose(found, model.score(made), atol=1e-5)


def test_nothing_of_the_answer_the_user_and_no_search_is_read():
    model, made = idgenrec(), batch()
    prompt, _ = model.read(made)
    other = replace(made.with_candidates(made.cand.flip(1)), ses_clicks=torch.zeros_like(made.ses_clicks))
    other = replace(other, user=made.user.flip(0))
    assert torch.equal(prompt, model.read(other)[0])
    assert not torch.equal(prompt, model.read(replace(made, rec_items=made.rec_items.flip(0)))[0])


def test_without_a_history_the_scores_are_finite_and_the_prompt_has_its_words_only():
    model, made = idgenrec(), batch()
    empty = replace(made, rec_items=torch.zeros_like(made.rec_items))
    _, mask = model.read(empty)
    assert mask.shape[1] == len(model.before) + len(model.behind) == mask.sum(1).unique()
    scores = model.score(empty)
    assert scores.isfinite().all() and scores.std() > 1e-4
    for stage in (0, 1):
        model.stages.enter(stage)
        assert sum(model.loss(empty).values()).requires_grad


def test_soft_ids_of_one_token_each_are_the_ids(monkeypatch):
    model, made = idgenrec(), batch()
    hard, mask = model.read(made)
    assert not torch.allclose(model.read(made, soft=True)[0], hard, atol=0.1)
    sure = lambda items, ids: 1e4 * torch.nn.functional.one_hot(ids, model.lm.config.vocab_size)  # noqa: E731
    monkeypatch.setattr(model, "write", sure)
    soft, soft_mask = model.read(made, soft=True)
    assert torch.allclose(soft, hard, atol=1e-6) and torch.equal(soft_mask, mask)


# --- items ------------------------------------------------------------------------------------


def test_items_without_a_text_are_counted_and_numbered(caplog):
    found = tables(*[("u", f"i{n}", n, "rec") for n in range(6)])
    found.items.loc[found.items["item_id"].isin(["i1", "i4"]), ["title", "categories"]] = ""
    data = Dataset.from_tables(found, TINY)
    with caplog.at_level(logging.WARNING):
        model = idgenrec(data)
    assert model.without_text == 2
    assert f"idgenrec: 2 of {data.n_items} items have no text; it reads '{NO_TEXT}'" in caplog.text
    names = [model.textual_ids[data.item_ids.tolist().index(name)] for name in ("i1", "i4")]
    assert names[0] == NO_TEXT and names[1].startswith(NO_TEXT + " ")


def test_data_without_texts_are_refused():
    found = tables(*[("u", f"i{n}", n, "rec") for n in range(6)])
    found.items[["title", "categories"]] = ""
    with pytest.raises(ConfigError, match="reads item texts, and there are none"):
        idgenrec(Dataset.from_tables(found, TINY))


# --- turns ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "learning"), [(0, {"lm", "generator"}), (1, {"generator"}), (2, {"lm"})])
def test_who_has_a_gradient_in_which_turn(stage, learning):
    model = idgenrec().train()
    model.stages.enter(stage)
    terms = model.loss(batch())
    assert set(terms) == [{"recommender", "tags"}, {"generator"}, {"recommender"}][stage]
    sum(terms.values()).backward()
    found = {name.partition(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert found == learning and all(p.requires_grad for p in model.parameters())


def test_ids_are_written_anew_after_the_generators_turn_and_only_then():
    model, made = idgenrec().train(), batch()
    first = model.ids.clone()
    model.stages.enter(2)
    model.loss(made)
    assert torch.equal(model.ids, first), "the generator has not learned"
    model.stages.enter(1)
    model.loss(made)
    assert torch.equal(model.ids, first) and model.stale == 1, "the score is of the ids that the recommender knows"
    model.eval().stages.enter(2)
    model.loss(made)
    assert torch.equal(model.ids, first), "only training changes anything"
    model.train().loss(made)
    assert not torch.equal(model.ids, first) and model.stale == 0
    assert len(set(model.textual_ids)) == model.n_items + 1
    again = model.ids.clone()
    model.write_ids()
    assert torch.equal(model.ids, again), "the same weights write the same"


def test_a_generator_that_knows_its_ids_writes_them_again():
    data = ring()
    model = idgenrec(data, beams=2, text_tokens=6).train()
    items = torch.arange(1, data.n_items + 1)
    optimizer = torch.optim.Adam(model.generator.parameters(), 0.01)
    for _ in range(150):
        model._tags_loss(batch(1, data=data).with_candidates(items[:, None])).backward()
        optimizer.step()
        optimizer.zero_grad()
    first = model.ids.clone()
    assert model.write_ids() == 0 and torch.equal(model.ids, first)


@cache
def ring() -> Dataset:
    """Twelve items in a circle, of which each user walks eight; the names say nothing of the order."""
    names = ["apple", "boat", "cedar", "drum", "eagle", "flute", "grape", "heron", "iris", "jacket", "kite", "lemon"]
    order = [n * 5 % 12 for n in range(12)]
    clicks = [(f"u{u:02}", names[order[(u + t) % 12]], t, "rec") for u in range(36) for t in range(8)]
    found = tables(*clicks, extra_items=0)
    found.items["title"] = found.items["item_id"] + " for sale"
    return Dataset.from_tables(found, TINY.replace(eval_negatives=3))


TURNS = {"generator_epochs": 0.4, "recommender_epochs": 0.7}


def test_each_model_rests_in_the_others_turn():
    """In the loop, with weight decay, which would move whatever the optimizer does not leave out."""
    training = TrainingConfig(
        epochs=1, batch_size=64, negatives=1, learning_rate=0.01, weight_decay=0.1, eval_every=None
    )
    model = idgenrec(ring())
    for stage, (learning, resting) in {1: ("generator", "lm"), 2: ("lm", "generator")}.items():
        model.stages = Stages([0.0] * stage)
        before = copy.deepcopy(model.state_dict())
        train(model, ring(), training)
        after = model.state_dict()
        changed = {name.partition(".")[0] for name in before if not torch.equal(after[name], before[name])}
        assert learning in changed and resting not in changed and model.stages.now == stage


def test_a_killed_training_goes_on_in_its_turn_with_equal_numbers(tmp_path, monkeypatch):
    training = TrainingConfig(
        epochs=2, batch_size=48, negatives=1, learning_rate=0.01, checkpoint_steps=1, eval_every=2
    )
    whole = idgenrec(ring(), **TURNS)
    first = whole.ids.clone()
    expected = train(whole, ring(), training, seed=3).history.drop(columns="seconds")
    assert {"rec recommender", "rec tags", "rec generator"} <= set(expected) and not torch.equal(whole.ids, first)
    model = idgenrec(ring(), **TURNS)
    own, batches = model.loss, []

    def loss(made: Batch) -> dict[str, torch.Tensor]:
        batches.append(made)
        if len(batches) == 7:  # behind the generator's turn, before the ids are new
            raise KeyboardInterrupt
        return own(made)

    monkeypatch.setattr(model, "loss", loss)
    with pytest.raises(KeyboardInterrupt):
        train(model, ring(), training, seed=3, folder=tmp_path)
    again = idgenrec(ring(), **TURNS)
    run = train(again, ring(), training, seed=3, folder=tmp_path)
    assert run.resumed_at == 6
    pd.testing.assert_frame_equal(run.history.drop(columns="seconds"), expected, check_exact=True)
    assert all(torch.equal(p, again.state_dict()[name]) for name, p in whole.state_dict().items())


def test_a_circle_of_items_is_learned():
    """Through all turns. Validation rows: a test history ends before the event held out for validation."""
    training = TrainingConfig(epochs=14, batch_size=32, negatives=1, learning_rate=0.01, eval_every=None)
    wide = SMALL.replace(d_model=32, d_ff=64, heads=8)
    torch.manual_seed(0)
    model = idgenrec(ring(), wide, generator_epochs=1, recommender_epochs=8)
    before = evaluate(model, ring(), "valid").table["rank"]
    history = train(model, ring(), training).history
    after = evaluate(model, ring(), "valid").table["rank"]
    assert (before == 1).mean() < 0.6 and (after == 1).mean() > 0.95
    assert history["rec tags"].iloc[7] < 0.1 and len(set(model.textual_ids)) == 13
