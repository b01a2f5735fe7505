"""The pocket tokenizer as a table that some ninety lines of JavaScript can follow."""

from __future__ import annotations

import json
from typing import Any

from transformers import PreTrainedTokenizerFast

from ..errors import ConfigError

# What the page's code does before it looks into the table: as `language_model.pocket_tokenizer`.
NORMALIZER = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]}
PRE_TOKENIZER = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "Punctuation", "behavior": "Isolated"},
    ],
}
FLAGS = ("single_word", "lstrip", "rstrip")


def spelling(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What spells a text.

    Returns:
        ``characters``: ids of single characters; ``merges``: triples of ids (left, right, both) in
        order of rank; ``whole``: words that are found before anything else, each with its id and
        the `FLAGS` that are set; ``unknown`` and ``end``: ids; ``size``: of the vocabulary.

    Raises:
        ConfigError: it is another tokenizer than the pocket one.
    """
    table = json.loads(tokenizer.backend_tokenizer.to_str())
    model = table["model"]
    known = table["normalizer"] == NORMALIZER and table["pre_tokenizer"] == PRE_TOKENIZER
    added = table["added_tokens"]
    if not known or model["type"] != "BPE" or any(token["normalized"] for token in added):
        raise ConfigError(
            "the tokenizer of this language model is not that of the pocket T5 (backbone.name = "
            "'pocket', on texts of words and not of numbers): a page cannot spell as it does."
        )
    ids = model["vocab"]
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    return {
        "characters": {text: number for text, number in ids.items() if len(text) == 1},
        "merges": [[ids[left], ids[right], ids[left + right]] for left, right in merges],
        "whole": [
            {"text": token["content"], "id": token["id"]}
            | {flag: True for flag in FLAGS if token[flag]}
            for token in added
        ],
        "unknown": tokenizer.unk_token_id,
        "end": tokenizer.eos_token_id,
        "size": len(tokenizer),
    }
