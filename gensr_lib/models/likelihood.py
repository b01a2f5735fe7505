"""The likelihood of many short sequences behind one prompt.

A language model that writes identifiers ranks candidates by the log-likelihood of theirs. The
prompt is encoded once for a row, and so are the keys and values by which the decoder looks at it:
all candidates of a row ask them together, and each only attends to the tokens of its own. It is T5,
put together from its own weights, without what would be computed again for each candidate.

Shapes: B rows, C candidates, M tokens of a sequence, L of a prompt, d' the width of the language
model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..errors import ConfigError
from .answers import head_logits


def log_likelihood(model: PreTrainedModel, ids: Tensor, states: Tensor, mask: Tensor) -> Tensor:
    """log P of each candidate's tokens (B, C, M) after a prompt, summed over the tokens: (B, C).

    Args:
        states: (B, L, d') of the encoder.
        mask: (B, L), 1 where they are real.
    """
    logits = head_logits(model, decoded_states(model, ids, states, mask))  # (B, C, M, V)
    written = logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return (written - logits.logsumexp(dim=-1)).sum(dim=-1)


def decoded_states(model: PreTrainedModel, ids: Tensor, states: Tensor, mask: Tensor) -> Tensor:
    """The decoder's states (B, C, M, d'), from which tokens (B, C, M) are written, each given those
    before it.

    Raises:
        ConfigError: the model is not a T5.
    """
    if model.config.model_type != "t5":
        raise ConfigError(
            f"candidates are read by a T5's decoder, and '{model.config.model_type}' is none; use "
            f"a T5 as backbone."
        )
    candidates, length = ids.shape[1:]
    stack = model.get_decoder()
    begun = model.prepare_decoder_input_ids_from_labels(ids.flatten(0, 1))  # (B*C, M)
    x = stack.dropout(stack.embed_tokens(begun))
    lowest = torch.finfo(x.dtype).min
    # All layers have the first one's position bias. The decoder looks at a prompt without any, so
    # that the tokens of all candidates may stand in one row there.
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(length, length)  # (1, h, M, M)
    later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    before = bias.masked_fill(later, lowest)
    padding = (1 - mask.to(x.dtype))[:, None, None, :] * lowest  # (B, 1, 1, L)
    for block in stack.block:
        own, cross, feed_forward = block.layer
        normed = own.layer_norm(x)
        x = x + own.dropout(_attended(own.SelfAttention, normed, normed, before))
        x = x.unflatten(0, (-1, candidates)).flatten(1, 2)  # (B, C*M, d')
        normed = cross.layer_norm(x)
        x = x + cross.dropout(_attended(cross.EncDecAttention, normed, states, padding))
        x = feed_forward(x).unflatten(1, (candidates, length)).flatten(0, 1)  # (B*C, M, d')
    return stack.dropout(stack.final_layer_norm(x)).unflatten(0, (-1, candidates))


def _attended(attention: nn.Module, x: Tensor, source: Tensor, added: Tensor) -> Tensor:
    """T5's attention, whose products are not scaled: x (n, Q, d') looks at source (n, L, d')."""
    q, k, v = (
        part.unflatten(-1, (attention.n_heads, -1)).transpose(1, 2)  # (n, h, ·, d'/h)
        for part in (attention.q(x), attention.k(source), attention.v(source))
    )
    scores = q @ k.transpose(-1, -2) + added
    weights = scores.float().softmax(dim=-1).to(scores.dtype)
    weights = nn.functional.dropout(weights, attention.dropout, attention.training)
    return attention.o((weights @ v).transpose(1, 2).flatten(2))
