"""The pocket T5 and its tokenizer, other architectures, and a hub that cannot be reached."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel

import gensr_lib.models.language_model as module
from gensr_lib.config import BackboneConfig
from gensr_lib.errors import ConfigError
from gensr_lib.models.answers import answer_ids, answer_states, log_probs_of
from gensr_lib.models.language_model import Backbone, identity, load_backbone, pocket_tokenizer, token_matrix

TEXTS = ["Amber Ceramic Teapot", "Walnut Chess Board", "teapot amber"] * 5
SMALL = BackboneConfig(d_model=16, d_ff=32, heads=2, vocabulary=100)


def full_vocabulary_answer(model, embeddings, mask, answers):
    """The model's own forward pass over the whole vocabulary, cut to the two answers."""
    start = torch.full((len(embeddings), 1), model.config.decoder_start_token_id)
    logits = model(inputs_embeds=embeddings, attention_mask=mask, decoder_input_ids=start).logits[:, 0]
    return logits[:, list(answers)].log_softmax(-1)


def test_tokenizer_round_trip_and_special_tokens():
    tokenizer = pocket_tokenizer(TEXTS, 100)
    ids = tokenizer("Amber teapot <extra_id_2> Yes or No")["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    assert ids.count(tokenizer.convert_tokens_to_ids("<extra_id_2>")) == 1
    assert tokenizer.decode(tokenizer("amber teapot")["input_ids"], skip_special_tokens=True).strip() == "amber teapot"
    assert {*answer_ids(tokenizer)} <= {*ids}, "Yes and No are whole tokens inside a prompt too"


def test_token_matrix_pads_right_and_cuts():
    tokenizer = pocket_tokenizer(TEXTS, 100)
    matrix = token_matrix(tokenizer, ["", "Amber Ceramic Teapot", "Walnut"], 2)
    assert matrix.shape == (3, 2) and (matrix[0] == tokenizer.pad_token_id).all()
    assert matrix[1].min() > 0


def test_two_logits_equal_the_whole_vocabulary_for_t5_and_bart():
    t5 = load_backbone(SMALL, TEXTS)
    bart = BartForConditionalGeneration(BartConfig(vocab_size=50, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16))  # fmt: skip
    bart.final_logits_bias.normal_()
    embeddings, mask = torch.randn(5, 7, 16), (torch.arange(7) < torch.tensor([[7], [3], [7], [1], [5]])).long()
    for model in (t5.model.eval(), bart.eval()):
        got = log_probs_of(model, answer_states(model, embeddings, mask)[1], (3, 9))
        assert torch.allclose(got, full_vocabulary_answer(model, embeddings, mask, (3, 9)), atol=1e-5)
        assert got.dtype == torch.float32


def test_pocket_weights_follow_the_seed_and_leave_the_global_one_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = (load_backbone(SMALL, TEXTS, seed).model.shared.weight for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.rand(1), expected)


def test_like_attends_to_like_at_the_start():
    """Untrained, a token's largest attention score is with itself."""
    attention = load_backbone(SMALL, TEXTS).model.encoder.block[0].layer[0].SelfAttention
    x = torch.nn.functional.normalize(torch.randn(50, 16), dim=1)
    scores = attention.q(x) @ attention.k(x).T
    assert torch.allclose(scores, scores.T, atol=1e-5)
    assert (scores.diagonal() >= 0).all() and scores.diagonal().mean() > 4 * scores.mean().abs()


def test_backbone_from_a_folder(tmp_path):
    made = load_backbone(SMALL, TEXTS)
    made.model.save_pretrained(tmp_path)
    made.tokenizer.save_pretrained(tmp_path)
    loaded = load_backbone(BackboneConfig(name=str(tmp_path)), [])
    assert torch.equal(loaded.model.shared.weight, made.model.shared.weight)
    made.save(tmp_path / "shape")
    assert (
        Backbone.from_folder(tmp_path / "shape").tokenizer("amber")["input_ids"] == made.tokenizer("amber")["input_ids"]
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with a whole pocket T5 and its tokenizer; tests copy it."""
    folder = tmp_path_factory.mktemp("whole")
    made = load_backbone(SMALL, TEXTS)
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy of its own."""
    return shutil.copytree(whole, tmp_path / "t5")


WEIGHTS = "model.safetensors"


def without(folder: Path, begins: str) -> None:
    kept = {k: v for k, v in load_file(folder / WEIGHTS).items() if not k.startswith(begins)}
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def bad_bin(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"no weights")


def decoder_only(folder: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2)).save_pretrained(folder)


def other_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "d_model": 32}))


@pytest.mark.filterwarnings("ignore")  # transformers' own reports
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: without(folder, "decoder"), "weights are missing, such as decoder"),
        (lambda folder: without(folder, "shared"), "weights are missing, such as"),
        (lambda folder: cut(folder / WEIGHTS), "metadata"),
        (lambda folder: cut(folder / "config.json"), "config.json"),
        (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
        (lambda folder: cut(folder / "tokenizer.json"), ""),
        (bad_bin, "Weights only load failed"),
        (no_tokenizer, "no tokenizer"),
        (decoder_only, ""),
        (other_shape, ""),
    ],
)
def test_a_folder_that_is_no_whole_model_is_refused_by_name(folder, damage, says):
    damage(folder)
    with pytest.raises(ConfigError, match=says) as error:
        load_backbone(BackboneConfig(name=str(folder)), [])
    said = str(error.value)
    assert str(folder) in said and "config.json, model.safetensors" in said and "hf download" not in said


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c"])
def test_a_folder_that_does_not_exist_is_said_so(name):
    for use in (identity, lambda config: load_backbone(config, [])):
        with pytest.raises(ConfigError, match="no such folder"):
            use(BackboneConfig(name=name))


@pytest.mark.parametrize("model_type", ["t5", "unheard_of"])
def test_code_in_a_folder_is_never_run_nor_asked_for(folder, monkeypatch, model_type):
    """A type that transformers knows is loaded without the folder's code, any other is refused."""
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.Own", "AutoModelForSeq2SeqLM": "own.Model", "AutoTokenizer": ["own.Tok", "own.Tok"]}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": model_type, "auto_map": own}))
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda *text: pytest.fail("asked"))
    is_known = model_type == "t5"
    for use in (lambda: load_backbone(BackboneConfig(name=str(folder)), []), lambda: Backbone.from_folder(folder)):
        with contextlib.nullcontext() if is_known else pytest.raises(ValueError, match="custom code"):
            use()
    assert not (folder / "ran").exists()


# --- what a language model is known by --------------------------------------------------------


def test_a_folder_is_known_by_what_it_holds(folder):
    first = identity(BackboneConfig(name=str(folder)))
    (folder / "README.md").write_text("nothing that is loaded")
    assert identity(BackboneConfig(name=str(folder))) == first
    folder = folder.rename(folder.with_name("elsewhere"))
    assert identity(BackboneConfig(name=str(folder))) == first, "wherever it lies"
    weights = load_file(folder / WEIGHTS)
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, folder / WEIGHTS, metadata={"format": "pt"})
    os.utime(folder / WEIGHTS, (time.time() + 5,) * 2)
    assert identity(BackboneConfig(name=str(folder))) != first


def test_the_pocket_model_is_known_by_its_options():
    assert identity(SMALL) == identity(SMALL.replace()) != identity(SMALL.replace(d_ff=64))


def test_a_model_of_the_hub_is_known_by_its_commit_and_loaded_at_it(whole, tmp_path, monkeypatch):
    """Offline: from the hub's cache, whose folders are named after commits."""
    found = []
    asked = []
    for commit in ("c0ffee", "decade"):
        module._commit.cache_clear()
        snapshot = shutil.copytree(whole, tmp_path / "snapshots" / commit)
        monkeypatch.setattr(module, "hf_hub_download", lambda name, file, at=snapshot: str(at / file))
        found.append(identity(BackboneConfig(name="somebody/t5")))
    load = module.AutoModelForSeq2SeqLM.from_pretrained

    def from_cache(name, **options):
        asked.append(options.pop("revision"))
        return load(snapshot, **options)

    monkeypatch.setattr(module.AutoModelForSeq2SeqLM, "from_pretrained", from_cache)
    monkeypatch.setattr(module.AutoTokenizer, "from_pretrained", lambda name, **o: AutoTokenizer)
    load_backbone(BackboneConfig(name="somebody/t5"), [])
    module._commit.cache_clear()
    assert found[0] != found[1] and asked == ["decade"]


def test_words_without_end_do_not_stop_the_tokenizer():
    """A word counts as its first 200 letters: merging pairs in a megabyte would take many minutes."""
    found = pocket_tokenizer([*TEXTS, "ab" * 500_000, "x" * 1_000_000], 100)
    assert found.get_vocab() == pocket_tokenizer([*TEXTS, "ab" * 100, "x" * 200], 100).get_vocab()


def test_a_hub_that_cannot_be_reached_says_what_to_do():
    with pytest.raises(ConfigError, match=r"google/flan-t5-base[\s\S]*set backbone.name to its path"):
        load_backbone(BackboneConfig(name="google/flan-t5-base"), [])


def test_answers_that_begin_alike_are_refused():
    tokenizer = pocket_tokenizer(TEXTS, 100)
    with pytest.raises(ConfigError, match="same token"):
        answer_ids(lambda word, **_: {"input_ids": [tokenizer.unk_token_id]})


NUMBERED = ["w20 w3", "w203 w20. Funny", "w3 w7 w20"] * 3


def test_words_that_are_numbers_are_tokens_of_their_own_the_frequent_ones_first():
    config = SMALL.replace(numbered_words=2)
    made = load_backbone(config, NUMBERED)
    ids = made.tokenizer("w20 w203 w3 w7")["input_ids"]
    own = made.tokenizer.convert_tokens_to_ids(["w20", "w3"])
    assert [token for token in ids if token in own] == own  # and not inside of w203
    assert len(made.tokenizer.tokenize("w20")) == len(made.tokenizer.tokenize("w3")) == 1
    assert not {"w203", "w7"} & set(made.tokenizer.get_added_vocab())
    assert made.model.get_input_embeddings().num_embeddings == len(made.tokenizer)
    assert made.model.config.vocab_size == len(made.tokenizer)
    assert made.tokenizer.decode(made.tokenizer("w20 funny")["input_ids"], skip_special_tokens=True).split() == [
        "w20", "funny"
    ]  # fmt: skip


def test_their_rows_follow_the_seed_and_come_back_from_a_folder(tmp_path):
    config = SMALL.replace(numbered_words=3)
    first, again, other = (load_backbone(config, NUMBERED, seed).model.shared.weight[-3:] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    load_backbone(config, NUMBERED).save(tmp_path)
    loaded = Backbone.from_folder(tmp_path)
    assert len(loaded.tokenizer.tokenize("w20")) == 1
    assert loaded.model.get_input_embeddings().num_embeddings == len(loaded.tokenizer)


def test_readable_texts_with_a_number_among_them_change_nothing():
    plain = load_backbone(SMALL, [*TEXTS, "model w20"])
    without = load_backbone(SMALL.replace(numbered_words=0), [*TEXTS, "model w20"])
    assert plain.tokenizer.get_vocab() == without.tokenizer.get_vocab()
    assert torch.equal(plain.model.shared.weight, without.model.shared.weight)
