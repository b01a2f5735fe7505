"""One-way attention: the prompt's text does not look at the slots and is encoded only once.

In the two-way model each candidate runs its whole prompt through T5. Here the shared part of a
prompt attends to itself alone and is encoded once per row (once per batch where no row has a
query); a candidate costs its four slots, which attend to the shared part and to each other. The
weights, the positions and all else are T5's own: the result is T5 with the attention from shared
tokens to slots cut off. Only dropout differs in training: what is computed once for all candidates
is also dropped for all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ...errors import ConfigError
from .prompt import Prompt


def one_way_states(model: PreTrainedModel, prompt: Prompt) -> tuple[Tensor, Tensor]:
    """Encode and take one decoder step.

    Args:
        model: a T5.
        prompt: B rows, C candidates, P shared tokens, S slots.

    Returns:
        The mean of the encoder's states over each candidate's prompt, (B, C, d'), and the decoder's
        state at the first generated position, (B, C, d').

    Raises:
        ConfigError: the model is not a T5.
    """
    if model.config.model_type != "t5":
        raise ConfigError(
            f"one_way needs a T5 backbone, not '{model.config.model_type}'; set one_way=False."
        )
    tokens = _Tokens(prompt)
    states = _encode(model.get_encoder(), tokens)
    decoded = _decode(model.get_decoder(), tokens, states, model.config.decoder_start_token_id)
    shared, own = tokens.parts(states)
    total = (shared * prompt.mask.unsqueeze(-1)).sum(dim=1, keepdim=True) + own.sum(dim=2)
    return total / (prompt.mask.sum(dim=1)[:, None, None] + own.shape[2]), decoded


class _Tokens:
    """All tokens of a batch of prompts in one matrix, (T, d'), the shared ones first.

    What is done token by token is done once for both parts.

    Attributes:
        x: (T, d') embeddings.
        blocked: (B or 1, 1, 1, P) added to attention scores: 0 where a shared token is real, the
            lowest number where it is padding.
    """

    def __init__(self, prompt: Prompt):
        self.shared_shape = prompt.shared.shape[:2]
        self.own_shape = prompt.own.shape[:3]
        self.shared_at = prompt.shared_at
        self.own_at = prompt.own_at
        self.x = self.join(prompt.shared, prompt.own)
        mask = prompt.mask.to(self.x.dtype)
        self.blocked = (1 - mask)[:, None, None, :] * torch.finfo(mask.dtype).min

    def join(self, shared: Tensor, own: Tensor) -> Tensor:
        """(B or 1, P, d') and (B, C, S, d') -> (T, d')."""
        return torch.cat([shared.flatten(0, 1), own.flatten(0, 2)])

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(T, d') -> (B or 1, P, d') and (B, C, S, d')."""
        shared, own = x.split([self.shared_shape.numel(), self.own_shape.numel()])
        return shared.unflatten(0, self.shared_shape), own.unflatten(0, self.own_shape)


def _encode(stack: nn.Module, tokens: _Tokens) -> Tensor:
    """The encoder's states of all tokens, (T, d')."""
    x = stack.dropout(tokens.x)
    biases = _position_biases(stack, tokens)
    for block in stack.block:
        layer = block.layer[0]
        attention = layer.SelfAttention
        normed = layer.layer_norm(x)
        q = _heads(attention, tokens, attention.q(normed))
        k = _heads(attention, tokens, attention.k(normed))
        v = _heads(attention, tokens, attention.v(normed))
        products = q[0] @ k[0].transpose(-1, -2)  # (B or 1, h, P, P)
        among_shared = products + biases[0] + tokens.blocked
        shared = _weights(attention, among_shared) @ v[0]
        own = _over_prompt(attention, q[1], k, v, tokens.blocked, biases[1:])
        found = tokens.join(shared.transpose(1, 2).flatten(2), own)
        x = block.layer[-1](x + layer.dropout(attention.o(found)))
    return stack.dropout(stack.final_layer_norm(x))


def _decode(stack: nn.Module, tokens: _Tokens, states: Tensor, start: int) -> Tensor:
    """The decoder's states at its first position, (B, C, d')."""
    rows, candidates = tokens.own_shape[:2]
    first = torch.tensor([[start]], device=states.device)
    state = stack.dropout(stack.embed_tokens(first))  # (1, 1, d')
    for block in stack.block:
        state = block.layer[0](state)[0]  # a single token attends to itself
        state = state.expand(rows * candidates, -1, -1)
        state = state.unflatten(0, (rows, candidates))  # (B, C, 1, d')
        cross = block.layer[1]
        attention = cross.EncDecAttention
        query = attention.q(cross.layer_norm(state))
        query = query.unflatten(-1, (attention.n_heads, -1)).movedim(-2, 1)  # (B, h, C, 1, d'/h)
        k = _heads(attention, tokens, attention.k(states))
        v = _heads(attention, tokens, attention.v(states))
        found = _over_prompt(attention, query, k, v, tokens.blocked)
        state = block.layer[-1](state + cross.dropout(attention.o(found))).flatten(0, 1)
    return stack.dropout(stack.final_layer_norm(state)).view(rows, candidates, -1)


def _over_prompt(
    attention: nn.Module,
    query: Tensor,
    k: tuple[Tensor, Tensor],
    v: tuple[Tensor, Tensor],
    blocked: Tensor,
    biases: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Attention of each candidate's tokens over the shared tokens and the candidate's own slots.

    Args:
        attention: T5's, whose scores are not scaled.
        query: (B, h, C, n, d'/h).
        k, v: of the shared tokens (B or 1, h, P, d'/h) and of the slots (B, h, C, S, d'/h).
        blocked: (B or 1, 1, 1, P), added to the scores of the shared tokens.
        biases: of position, (1, h, n, P) and (1, h, n, S); T5's decoder has none.

    Returns:
        (B, C, n, d').
    """
    places = query.shape[2:4]  # C, n
    over_shared = (query.flatten(2, 3) @ k[0].transpose(-1, -2) + blocked).unflatten(2, places)
    over_slots = query @ k[1].transpose(-1, -2)  # (B, h, C, n, S)
    if biases:
        over_shared = over_shared + biases[0].unsqueeze(2)
        over_slots = over_slots + biases[1].unsqueeze(2)
    weights = _weights(attention, torch.cat([over_shared, over_slots], dim=-1))
    to_shared, to_slots = weights.split([over_shared.shape[-1], over_slots.shape[-1]], dim=-1)
    found = (to_shared.flatten(2, 3) @ v[0]).unflatten(2, places) + to_slots @ v[1]
    return found.movedim(1, -2).flatten(-2)


def _weights(attention: nn.Module, scores: Tensor) -> Tensor:
    """Softmax in float32 and dropout, as in T5."""
    weights = scores.float().softmax(dim=-1).to(scores.dtype)
    return nn.functional.dropout(weights, attention.dropout, attention.training)


def _heads(attention: nn.Module, tokens: _Tokens, x: Tensor) -> tuple[Tensor, Tensor]:
    """(T, d') -> (B or 1, h, P, d'/h) of the shared tokens and (B, h, C, S, d'/h) of the slots."""
    shared, own = (part.unflatten(-1, (attention.n_heads, -1)) for part in tokens.parts(x))
    return shared.transpose(1, 2), own.movedim(-2, 1)


def _position_biases(stack: nn.Module, tokens: _Tokens) -> tuple[Tensor, Tensor, Tensor]:
    """T5's position biases (1, h, …, …): among shared tokens, from slots to them, among slots."""
    length = len(tokens.shared_at) + len(tokens.own_at)
    bias = stack.block[0].layer[0].SelfAttention.compute_bias(length, length)  # (1, h, L, L)
    of_shared = bias.index_select(2, tokens.shared_at)
    of_own = bias.index_select(2, tokens.own_at)
    # T5's bias depends on the distance of two positions in the whole prompt: it is computed for the
    # whole prompt and cut into the blocks that the two kinds of token need.
    among_shared = of_shared.index_select(3, tokens.shared_at)
    to_shared = of_own.index_select(3, tokens.shared_at)
    among_own = of_own.index_select(3, tokens.own_at)
    return among_shared, to_shared, among_own
