"""The numbers of a GenSR as a page needs them: what depends on no user is worked out beforehand.

With one-way attention and one layer in the decoder, all that the decoder does before it looks at
the prompt is a constant. And a norm's scale, which multiplies what the next map reads, is a part of
that map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..models.encoders import Encoder
from ..models.gensr.model import GenSR
from ..models.layers import SoftFilter


def refuse_model(model: nn.Module) -> None:
    """Whether a page can compute what this model does.

    Raises:
        ConfigError: the message names the option that is in the way.
    """
    if not isinstance(model, GenSR):
        name = getattr(model, "name", type(model).__name__)
        raise ConfigError(f"the model '{name}' cannot be asked in a page: only gensr can.")
    options = {"one_way": True, "reader": "t5", "history_slot": "filtered"}
    found = {name: getattr(model.config, name) for name in options}
    if model.config.semantic_view:
        options["semantic_level"] = "item"
        found["semantic_level"] = model.config.semantic_level
    backbone = model.lm.config
    options |= {"model_type": "t5", "num_decoder_layers": 1, "feed_forward_proj": "relu"}
    found |= {name: getattr(backbone, name, None) for name in list(options)[-3:]}
    for name, value in options.items():
        if found[name] != value:
            raise ConfigError(
                f"this GenSR cannot be asked in a page, which computes {name} = {value!r} alone, "
                f"and it has {found[name]!r}; train one with the profile 'pocket', as it is."
            )


@torch.no_grad()
def page_weights(model: GenSR) -> dict[str, Tensor]:
    """Tensors by name, in float32: maps (outputs, inputs), tables (rows, width).

    ``answer`` (d',) times the decoder's state is the score, log P(Yes) - log P(No).
    """
    yes, no = model.lm.get_output_embeddings().weight[list(model.answers)]
    scaled = getattr(model.lm.config, "scale_decoder_outputs", False)
    found = {
        "words": model.lm.get_input_embeddings().weight,
        "answer": (yes - no) * (model.lm.config.d_model**-0.5 if scaled else 1.0),
    }
    if model.config.cf_view:
        found["cf.items"] = model.cf_table
        found |= _view("cf", model.cf_encoder, model.cf_filter)
        found |= _linear("cf.projection", model.cf_projection)
    if model.config.semantic_view:
        found |= _view("semantic", model.semantic_encoder, model.semantic_filter)
    found |= _reader(model)
    return {name: tensor.detach().float().cpu() for name, tensor in found.items()}


def _linear(name: str, linear: nn.Linear) -> dict[str, Tensor]:
    return {f"{name}.map": linear.weight, f"{name}.bias": linear.bias}


def _view(name: str, encoder: Encoder, soft_filter: SoftFilter) -> dict[str, Tensor]:
    """Of eq. 3 or 4 and of eq. 5 and 6."""
    found = {f"{name}.position": encoder.position}
    for number, layer in enumerate(encoder.encoder.layers):
        at = f"{name}.{number}"
        attention = layer.self_attn
        found[f"{at}.qkv.map"] = attention.in_proj_weight
        found[f"{at}.qkv.bias"] = attention.in_proj_bias
        found |= _linear(f"{at}.out", attention.out_proj)
        found |= _linear(f"{at}.inner", layer.linear1)
        found |= _linear(f"{at}.outer", layer.linear2)
        for norm in ("norm1", "norm2"):
            found[f"{at}.{norm}.scale"] = getattr(layer, norm).weight
            found[f"{at}.{norm}.bias"] = getattr(layer, norm).bias
    for part in ("query", "key", "value"):
        found[f"{name}.filter.{part}"] = getattr(soft_filter, part).weight
    return found


def _reader(model: GenSR) -> dict[str, Tensor]:
    """Of T5: the encoder's layers, and what is left of the decoder's one layer."""
    encoder = model.lm.get_encoder()
    table = encoder.block[0].layer[0].SelfAttention.relative_attention_bias
    found = {"reader.distances": table.weight}
    for number, block in enumerate(encoder.block):
        layer = block.layer[0]
        attention = layer.SelfAttention
        qkv = torch.cat([part.weight for part in (attention.q, attention.k, attention.v)])
        found[f"reader.{number}.qkv.map"] = qkv * layer.layer_norm.weight
        found[f"reader.{number}.out.map"] = attention.o.weight
        found |= _feed_forward(f"reader.{number}", block.layer[-1])
    return found | _decoder(model, encoder.final_layer_norm.weight)


def _feed_forward(name: str, layer: nn.Module) -> dict[str, Tensor]:
    inner = layer.DenseReluDense
    scaled = inner.wi.weight * layer.layer_norm.weight
    return {f"{name}.inner.map": scaled, f"{name}.outer.map": inner.wo.weight}


def _decoder(model: GenSR, scale: Tensor) -> dict[str, Tensor]:
    """The decoder's state before it looks at the prompt, and with what each head looks (h, d').

    Args:
        scale: (d',) of the norm behind the encoder.
    """
    decoder = model.lm.get_decoder()
    block = decoder.block[0]
    start = torch.tensor([[model.lm.config.decoder_start_token_id]], device=model.device)
    state = block.layer[0](decoder.embed_tokens(start))[0].flatten()  # a token that sees itself
    cross = block.layer[1]
    attention = cross.EncDecAttention
    heads = (attention.n_heads, -1)
    query = attention.q(cross.layer_norm(state)).unflatten(0, heads)  # (h, d'/h)
    key = attention.k.weight.unflatten(0, heads)  # (h, d'/h, d')
    found = {
        "decoder.start": state,
        "decoder.look": torch.einsum("hk,hkd->hd", query, key) * scale,
        "decoder.value.map": attention.v.weight * scale,
        "decoder.out.map": attention.o.weight,
        "decoder.scale": decoder.final_layer_norm.weight,
    }
    return found | _feed_forward("decoder", block.layer[-1])
