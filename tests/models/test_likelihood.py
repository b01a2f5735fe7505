"""Candidates behind one prompt against transformers' own loss, one candidate at a time."""

from __future__ import annotations

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from gensr_lib.errors import ConfigError
from gensr_lib.models.likelihood import decoded_states, log_likelihood

SHAPE = {"vocab_size": 40, "d_model": 12, "d_kv": 4, "d_ff": 20, "num_heads": 3, "num_layers": 2,
         "num_decoder_layers": 3, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}  # fmt: skip


def t5(tied: bool = True) -> T5ForConditionalGeneration:
    torch.manual_seed(0)
    return T5ForConditionalGeneration(T5Config(**SHAPE, tie_word_embeddings=tied)).eval()


@pytest.mark.parametrize("tied", [True, False])
def test_each_candidate_has_the_loss_of_transformers(tied):
    """Prompts of several lengths, so that there is padding, and three layers, so that states depend on states."""
    model = t5(tied)
    if not tied:
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    lengths = torch.tensor([9, 4, 1])
    prompt = torch.randint(2, 40, (3, 9))
    mask = (torch.arange(9) < lengths[:, None]).long()
    ids = torch.randint(2, 40, (3, 5, 4))
    states = model.get_encoder()(input_ids=prompt, attention_mask=mask).last_hidden_state
    with torch.no_grad():
        found = log_likelihood(model, ids, states, mask)
    for row in range(3):
        for column in range(5):
            own = prompt[row : row + 1, : lengths[row]]
            loss = model(input_ids=own, labels=ids[row, column].unsqueeze(0)).loss
            assert torch.allclose(found[row, column], -4 * loss, atol=1e-4)
    assert found.dtype == torch.float32 and found.std() > 0.1


def test_dropout_is_that_of_the_model():
    model = t5().train()
    prompt, ids = torch.randint(2, 40, (2, 5)), torch.randint(2, 40, (2, 3, 4))
    states = torch.randn(2, 5, 12)
    first, second = (decoded_states(model, ids, states, torch.ones_like(prompt)) for _ in range(2))
    assert not torch.allclose(first, second)
    model.eval()
    first, second = (decoded_states(model, ids, states, torch.ones_like(prompt)) for _ in range(2))
    assert torch.equal(first, second)


def test_another_model_than_a_t5_is_refused():
    small = {"d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}  # fmt: skip
    model = BartForConditionalGeneration(BartConfig(vocab_size=40, **small))
    with pytest.raises(ConfigError, match="'bart' is none"):
        decoded_states(model, torch.ones(1, 1, 2).long(), torch.ones(1, 3, 8), torch.ones(1, 3))
