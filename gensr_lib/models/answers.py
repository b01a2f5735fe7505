"""What a language model answers: states, logits and log-probabilities of what it could write."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ..errors import ConfigError

YES, NO = "Yes", "No"


def answer_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[int, int]:
    """First token of "Yes" and of "No".

    Raises:
        ConfigError: the tokenizer begins both answers with the same token.
    """
    yes, no = (tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in (YES, NO))
    if yes == no:
        raise ConfigError(
            f"the tokenizer begins '{YES}' and '{NO}' with the same token; use another backbone."
        )
    return yes, no


def answer_states(
    model: PreTrainedModel, embeddings: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The encoder's states (M, L, d'), and the decoder's first one (M, d')."""
    encoded = model.get_encoder()(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state
    first = model.config.decoder_start_token_id
    start = torch.full((len(embeddings), 1), first, device=embeddings.device)
    decoded = model.get_decoder()(
        input_ids=start, encoder_hidden_states=encoded, encoder_attention_mask=mask, use_cache=False
    ).last_hidden_state
    return encoded, decoded[:, 0]


def token_logits(model: PreTrainedModel, ids: Tensor, mask: Tensor, **source) -> Tensor:
    """Logits (n, M, V) of tokens (n, M), each given those before it (teacher forcing).

    Args:
        mask: (n, L) of the encoder's tokens.
        source: ``input_ids`` of the encoder, or its ``encoder_outputs``.
    """
    begun = model.prepare_decoder_input_ids_from_labels(ids)
    given = {"attention_mask": mask, "decoder_input_ids": begun, "use_cache": False}
    return model(**source, **given).logits


def at_head(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """The decoder's states (…, d') as the head multiplies them, in float32."""
    scaled = getattr(model.config, "scale_decoder_outputs", False)  # T5 with tied embeddings
    return hidden.float() * (model.config.d_model**-0.5 if scaled else 1.0)


def head_logits(
    model: PreTrainedModel, hidden: Tensor, tokens: Tensor | slice = slice(None)
) -> Tensor:
    """Logits (…, n) of all tokens, or of some, given the decoder's states (…, d'); in float32."""
    with torch.autocast(hidden.device.type, enabled=False):
        logits = at_head(model, hidden) @ model.get_output_embeddings().weight[tokens].float().T
        bias = getattr(model, "final_logits_bias", None)  # BART has one
        return logits if bias is None else logits + bias[0, tokens].float()


def log_probs_of(model: PreTrainedModel, hidden: Tensor, answers: tuple[int, int]) -> Tensor:
    """log P of the answers given the decoder's state (M, d'): two logits, always in float32."""
    index = torch.tensor(answers, device=hidden.device)
    return head_logits(model, hidden, index).log_softmax(dim=-1)
