"""GenSAR: identifiers, what is read, and scores against transformers' own loss and beam search."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensr_lib.config import BackboneConfig
from gensr_lib.data.batches import Batch
from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.models import build_model
from gensr_lib.models.joint.gensar import (
    BEFORE,
    BEHIND,
    OF_ITEMS,
    WORD_TOKENS,
    GenSAR,
    GenSARConfig,
    packed,
)
from gensr_lib.models.joint.item_codes import coded, text_vectors
from gensr_lib.models.language_model import NO_TEXT, load_backbone
from gensr_lib.models.recommendation.textual_ids import Trie, only_these
from tests.models.lessons import reads
from tests.worlds import TINY, Vectors, pocket, tables

SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, encoder_layers=1, vocabulary=600)
QUICK = {"codes": 8, "code_width": 4, "code_layers": [], "code_epochs": 10, "code_rate": 0.01, "text_width": 16}
OPTIONS = {**QUICK, "text_tokens": 6, "history": 3}
TASKS = pytest.mark.parametrize("task", ["rec", "src"])


def backbone(data: Dataset | None = None, options: BackboneConfig = SMALL):
    return load_backbone(options, [*(data or pocket()).item_text[1:], *GenSAR.prompts * 200])


def gensar(data: Dataset | None = None, language_model=None, cf: torch.Tensor | None = None, **options) -> GenSAR:
    data = data or pocket()
    g = torch.Generator().manual_seed(1)
    table = torch.randn(data.n_items + 1, 8, generator=g) if cf is None else cf
    torch.manual_seed(0)
    needs = {"language_model": language_model or backbone(data), "lightgcn": Vectors(table)}
    return build_model("gensar", data, OPTIONS | options, **needs).eval()


def batch(task: str, rows: int = 5, candidates: int = 6, data: Dataset | None = None) -> Batch:
    made = (data or pocket()).batch("test", task, np.arange(rows))
    return made.with_candidates(made.cand[:, :candidates])


def without_padding(tokens: torch.Tensor, pad: int = 0) -> list[list[int]]:
    return [[t for t in row if t != pad] for row in tokens.tolist()]


def spelled(model: GenSAR, text: str) -> list[int]:
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


# --- identifiers ------------------------------------------------------------------------------


def test_both_identifiers_of_an_item_begin_alike_and_go_on_in_codes_of_their_own():
    model = gensar()
    semantic, collaborative = model.semantic_ids, model.collaborative_ids
    assert semantic.shape == collaborative.shape == (pocket().n_items + 1, 4)
    assert (semantic[0] == 0).all() and (collaborative[0] == 0).all()
    assert torch.equal(semantic[1:, :2], collaborative[1:, :2])
    first = len(model.tokenizer) + 3  # behind the marks
    for level in range(4):
        for ids, book in ((semantic, level), (collaborative, level + 2 * (level >= 2))):
            assert ((ids[1:, level] - first) // 8 == book).all()
    assert (model.clicked, model.asked, model.found) == (first - 3, first - 2, first - 1)
    most = max(int(semantic.max()), int(collaborative.max()))
    assert most + 1 == model.lm.config.vocab_size == len(model.lm.shared.weight)


@pytest.mark.parametrize(
    ("kind", "of_text", "of_clicks"),
    [("both", True, True), ("text", True, False), ("cf", False, True), ("shared", True, True)],
)
def test_what_the_identifiers_of_a_variant_are_made_of(kind, of_text, of_clicks):
    config = GenSARConfig(**QUICK, identifiers=kind)
    g = torch.Generator().manual_seed(0)
    text, clicks, other = (torch.randn(40, 8, generator=g) for _ in range(3))

    def found(*vectors):
        torch.manual_seed(0)
        return coded(vectors, config, config.identifiers)

    first = found(text, clicks)
    assert first.shape == (2, 40, 4) and torch.equal(*first) == (kind != "both")
    assert first.max() < 8 * (6 if kind == "both" else 4)
    assert torch.equal(first // 8, torch.arange(4).expand(2, 40, 4)) == (kind != "both")
    assert torch.equal(found(other, clicks), first) != of_text
    assert torch.equal(found(text, other), first) != of_clicks


def test_a_variant_with_one_identifier_writes_it_in_both_tasks():
    model = gensar(identifiers="shared")
    assert torch.equal(model.identifiers_of("rec"), model.identifiers_of("src"))
    model = gensar()
    assert model.identifiers_of("rec") is model.collaborative_ids
    assert model.identifiers_of("src") is model.semantic_ids


def test_items_that_are_alike_share_an_identifier_and_tie_and_the_log_counts_them(caplog):
    found = tables(*[("u", f"i{n}", n, "rec") for n in range(8)])
    found.items.loc[found.items["item_id"].isin(["i1", "i4", "i5"]), "title"] = "the very same"
    data = Dataset.from_tables(found, TINY)
    cf = torch.randn(data.n_items + 1, 8)
    same = [data.item_ids.tolist().index(name) for name in ("i1", "i4", "i5")]
    cf[same] = cf[same[0]].clone()
    with caplog.at_level(logging.INFO):
        model = gensar(data, cf=cf)
    assert min(model.collisions) >= 2
    semantic, collaborative = model.collisions
    said = f"gensar: of {data.n_items} items {semantic} have the semantic, {collaborative} the collaborative identifier"
    assert said in caplog.text
    made = pocket().batch("test", "rec", np.arange(2))
    made = replace(made, rec_items=made.rec_items % data.n_items, ses_clicks=made.ses_clicks % data.n_items,
                   ses_words=made.ses_words % data.n_words)  # fmt: skip
    other = next(i for i in range(1, data.n_items) if i not in same)
    scores = model.score(made.with_candidates(torch.tensor([[*same, other]] * 2)))
    assert torch.equal(scores[:, :1].expand(-1, 3), scores[:, :3]) and (scores[:, 3] != scores[:, 0]).all()
    prompt = model.prompt(model.history(made), "rec", made.query_text)
    labels = model.collaborative_ids[same[0]].unsqueeze(0)
    for row, read in enumerate(without_padding(prompt)):
        whole = -4 * model.lm(input_ids=torch.tensor([read]), labels=labels).loss
        assert scores[row, :3].exp().sum().log().item() == pytest.approx(whole.item(), abs=1e-4), (
            "they have it together"
        )


def test_text_vectors_keep_the_inner_products_of_tf_idf():
    texts = ["red tea pot", "blue tea pot", "red red shoe", "!"]
    words = ["red", "tea", "pot", "blue", "shoe", "!"]
    counts = np.array([[text.split().count(word) for word in words] for text in texts], dtype=float)
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    weights *= np.log((1 + 4) / (1 + (counts > 0).sum(0))) + 1
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    found = text_vectors(texts, 64)
    assert found.shape == (4, 4) and np.allclose(found @ found.T, weights @ weights.T, atol=1e-5)
    left, values, _ = np.linalg.svd(weights)
    assert np.allclose(text_vectors(texts, 2).square().sum(0), values[:2] ** 2, atol=1e-5) and left.shape == (4, 4)


def test_texts_of_one_and_the_same_word_have_equal_vectors():
    assert text_vectors(["Pen", "pen", "pen pen"], 64).tolist() == [[1.0]] * 3


# --- what is read -----------------------------------------------------------------------------


def test_packed_by_hand():
    tokens = torch.tensor([[0, 5, 0, 7, 0], [3, 0, 0, 0, 4], [0, 0, 2, 0, 0]])
    assert packed(tokens, 0).tolist() == [[5, 7], [3, 4], [2, 0]]
    assert packed(tokens + 1, 1).tolist() == [[6, 8], [4, 5], [3, 1]]


@pytest.mark.parametrize("n", [3, 50])
@TASKS
def test_the_history_by_hand(task, n):
    """The newest clicks and the newest sessions, each once, in order of time, written out row by row."""
    model, made = gensar(history=n, query_words=2), batch(task, rows=8)
    names = list(pocket().words)
    found = without_padding(model.history(made))
    for row in range(len(made)):
        clicks = [(int(t), 0, int(i)) for t, i in zip(made.rec_time[row], made.rec_items[row], strict=True) if i]
        sessions = [(int(made.ses_time[row, s]), 1, s) for s in range(made.ses_time.shape[1])]
        sessions = [session for session in sessions if made.ses_clicks[row, session[2], 0]]
        expected = []
        for _, is_search, which in sorted([*clicks[-n:], *sessions[-n:]], key=lambda event: event[:2]):
            if is_search:
                words = [names[w] for w in made.ses_words[row, which].tolist() if w > 1][:2]
                expected += [model.asked, *[t for word in words for t in spelled(model, word)[:6]], model.found]
                expected += model.semantic_ids[made.ses_clicks[row, which, 0]].tolist()
            else:
                expected += [model.clicked, *model.collaborative_ids[which].tolist()]
        assert found[row] == expected
    assert any(model.asked in row for row in found) and any(model.clicked in row for row in found)


@TASKS
def test_prompts_by_hand(task):
    model, made = gensar(), batch(task)
    history = model.history(made)
    seen = without_padding(history)
    found = model.prompt(history, task, made.query_text)
    for row in range(len(made)):
        asked = spelled(model, made.query_text[row]) if task == "src" else []
        expected = [*spelled(model, BEFORE), *seen[row], *spelled(model, BEHIND[task]), *asked, 1]
        assert without_padding(found)[row] == expected == found[row, : len(expected)].tolist()
    nothing = without_padding(model.prompt(torch.zeros_like(history), "query"))
    assert nothing == [[*spelled(model, BEFORE), *spelled(model, BEHIND["query"]), 1]] * len(made)


def test_the_fields_that_are_read():
    model = gensar()
    assert reads(model) >= {"rec_items", "ses_words", "ses_clicks"} and "user" not in reads(model)
    rec, src = batch("rec"), batch("src")
    for made, is_read in ((rec, False), (src, True)):
        other = replace(made, query_text=("marble kennel",) * len(made))
        same = torch.equal(model.score(other), model.score(made))
        assert same != is_read or made is rec  # a recommendation has no query
    changed = replace(src, rec_items=src.rec_items.roll(1, 0), ses_clicks=src.ses_clicks.roll(1, 0))
    assert not torch.allclose(model.score(changed), model.score(src), atol=1e-4)


def test_each_task_of_items_by_hand():
    model = gensar(made_query=2)
    items = torch.arange(1, pocket().n_items + 1).repeat(2)
    torch.manual_seed(0)
    read, write = map(without_padding, model.item_tasks(items))
    texts = without_padding(model.item_tokens)
    counts = dict.fromkeys(OF_ITEMS, 0)
    for item, said, answer in zip(items.tolist(), read, write, strict=True):
        semantic, collaborative = model.semantic_ids[item].tolist(), model.collaborative_ids[item].tolist()
        text = texts[item]
        made = [text[k : k + 2] for k in range(max(1, len(text) - 1))]
        possible = [([text], semantic), ([text], collaborative), (made, semantic), ([semantic], [*text, 1]),
                    ([collaborative], [*text, 1])]  # fmt: skip
        for words, (sources, target) in zip(OF_ITEMS, possible, strict=True):
            if answer == target and any(said == [*spelled(model, words), *source, 1] for source in sources):
                counts[words] += 1
    assert sum(counts.values()) == len(items), "each item has one task"
    assert all(abs(n / len(items) - 0.2) < 0.08 for n in counts.values())


def test_made_queries_are_from_anywhere_in_a_text():
    model = gensar(made_query=3)
    text = torch.tensor([[11, 12, 13, 14, 15], [21, 22, 23, 24, 0], [31, 32, 0, 0, 0]]).repeat(200, 1)
    found = {tuple(row) for row in without_padding(model._made_queries(text))}
    assert found == {(11, 12, 13), (12, 13, 14), (13, 14, 15), (21, 22, 23), (22, 23, 24), (31, 32)}


# --- ranking and learning ---------------------------------------------------------------------


@TASKS
def test_scores_are_the_losses_of_transformers(task):
    model, made = gensar(), batch(task)
    prompt = without_padding(model.prompt(model.history(made), task, made.query_text))
    scores = model.score(made)
    for row in range(len(made)):
        for column in (0, 3):
            labels = model.identifiers_of(task)[made.cand[row, column]].unsqueeze(0)
            loss = model.lm(input_ids=torch.tensor([prompt[row]]), labels=labels).loss
            owners = (model.identifiers_of(task) == labels).all(dim=1).sum()
            assert torch.allclose(scores[row, column], -4 * loss - owners.log(), atol=1e-4)


@TASKS
def test_an_identifier_is_divided_among_those_that_have_it_in_the_task(task):
    model, made = gensar(), batch(task, rows=1)
    items = made.cand[0]
    before = model.score(made) + model.log_owners[int(task == "rec")][made.cand]
    del model.log_owners  # counted anew
    ids, other = model.semantic_ids, model.collaborative_ids
    if task == "rec":
        ids, other = other, ids
    other[items] = other[items[0]].clone()  # does not count
    owners = (ids[items, None] == ids).all(dim=2).sum(dim=1)
    assert torch.allclose(model.score(made), before - owners.log())


@TASKS
def test_likelihoods_rank_as_beam_search_over_the_whole_catalogue(task):
    """A toy catalogue, all of whose identifiers fit into the beam."""
    events = [("u", f"i{n}", n, "rec" if n % 2 else "src") for n in range(12)]
    data = Dataset.from_tables(tables(*events, extra_items=8), TINY)
    model = gensar(data, codes=6)
    made = batch(task, rows=1, data=data)
    made = made.with_candidates(torch.arange(1, data.n_items + 1).unsqueeze(0))
    ids = model.identifiers_of(task)[1:].tolist()
    distinct = list(map(list, dict.fromkeys(map(tuple, ids))))
    assert len(distinct) == data.n_items - model.collisions[task == "rec"] > 15
    prompt = model.prompt(model.history(made), task, made.query_text)
    found = model.lm.generate(
        input_ids=prompt, attention_mask=(prompt != 0).long(), prefix_allowed_tokens_fn=only_these([Trie(distinct)], 0),
        num_beams=len(distinct), num_return_sequences=len(distinct), max_new_tokens=4, do_sample=False,
        length_penalty=0.0, output_scores=True, return_dict_in_generate=True,
    )  # fmt: skip
    scores = model.score(made)[0]
    whole = scores + torch.tensor([ids.count(each) for each in ids]).log()
    by_identifier = torch.stack([whole[ids.index(each)] for each in distinct])
    best, order = by_identifier.sort(descending=True)
    assert found.sequences[:, 1:].tolist() == [distinct[k] for k in order]
    assert torch.allclose(found.sequences_scores, best, atol=1e-4)


def test_a_history_is_encoded_once_however_many_candidates_there_are(monkeypatch):
    model, made = gensar(), batch("src", candidates=20)
    whole = model.score(made)
    encoder, rows = model.lm.get_encoder(), []
    plain = encoder.forward

    def counted(*args, **options):
        rows.append(len(options["input_ids"]))
        return plain(*args, **options)

    monkeypatch.setattr(encoder, "forward", counted)
    model.score(made)
    assert rows == [len(made)]
    assert torch.allclose(model.score_in_chunks(made, 3), whole, atol=1e-5) and rows == [len(made)] * 2


@TASKS
def test_losses_are_those_of_transformers(task):
    model, made = gensar(), batch(task)
    history = model.history(made)

    def loss(prompt, target):
        labels = target.masked_fill(target == 0, -100)
        return model.lm(input_ids=prompt, attention_mask=(prompt != 0).long(), labels=labels).loss

    torch.manual_seed(5)
    found = model.loss(made)
    torch.manual_seed(5)
    expected = {"items": loss(*model.item_tasks(made.cand[:, -1]))}
    target = model.identifiers_of(task)[made.cand[:, 0]]
    expected["next"] = loss(model.prompt(history, task, made.query_text), target)
    if task == "src":
        query = model.tokenizer(list(made.query_text), padding=True, return_tensors="pt")["input_ids"]
        expected["query"] = loss(model.prompt(history, "query"), query)
    assert set(found) == set(expected)
    assert all(torch.allclose(found[name], value, atol=1e-5) for name, value in expected.items())
    assert set(gensar(other_tasks=False).loss(made)) == {"next"}


@pytest.mark.parametrize("kind", ["both", "shared"])
def test_ten_users_are_remembered_in_both_tasks(kind):
    """The next item of either task, ranked among the whole catalogue."""
    wide = backbone(options=SMALL.replace(d_model=32, d_ff=64, heads=4))
    model = gensar(language_model=wide, identifiers=kind).train()
    made = [batch(task, rows=10, candidates=2) for task in ("rec", "src")]
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(120):
        sum(sum(model.loss(each).values()) for each in made).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    everything = torch.arange(1, pocket().n_items + 1).repeat(10, 1)
    for each in made:
        with torch.no_grad():
            scores = model.score(each.with_candidates(everything))
        own = scores.gather(1, each.cand[:, :1] - 1)
        assert ((scores > own).sum(1) == 0).double().mean() == 1
        assert model.loss(each)["items"] < 3, "it knows something of texts, too"


# --- data -------------------------------------------------------------------------------------


def test_items_without_a_text_are_counted_and_data_without_any_refused(caplog):
    found = tables(*[("u", f"i{n}", n, "rec") for n in range(6)])
    found.items.loc[found.items["item_id"] == "i1", ["title", "categories"]] = ""
    data = Dataset.from_tables(found, TINY)
    with caplog.at_level(logging.WARNING):
        assert gensar(data).without_text == 1
    assert f"gensar: 1 of {data.n_items} items have no text; it reads '{NO_TEXT}'" in caplog.text
    found.items[["title", "categories"]] = ""
    with pytest.raises(ConfigError, match="reads item texts, and there are none"):
        gensar(Dataset.from_tables(found, TINY))


def test_the_padding_of_words_and_of_unknown_ones_says_nothing():
    model = gensar()
    assert len(model.word_tokens) == pocket().n_words and (model.word_tokens[:2] == model.pad).all()
    assert model.word_tokens.shape[1] == WORD_TOKENS and (model.word_tokens[2:, 0] != model.pad).all()
