"""The pocket T5 and its tokenizer, other architectures, and a hub that cannot be reached."""

from __future__ import annotations

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from gensr_lib.config import BackboneConfig
from gensr_lib.errors import ConfigError
from gensr_lib.models.language_model import (
    Backbone,
    answer_ids,
    answer_states,
    load_backbone,
    log_probs_of,
    pocket_tokenizer,
    token_matrix,
)

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


def test_a_hub_that_cannot_be_reached_says_what_to_do():
    with pytest.raises(ConfigError, match=r"google/flan-t5-base[\s\S]*set backbone.name to its path"):
        load_backbone(BackboneConfig(name="google/flan-t5-base"), [])


def test_answers_that_begin_alike_are_refused():
    tokenizer = pocket_tokenizer(TEXTS, 100)
    with pytest.raises(ConfigError, match="same token"):
        answer_ids(lambda word, **_: {"input_ids": [tokenizer.unk_token_id]})
