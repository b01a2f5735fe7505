"""The language model under GenSR: any Hugging Face seq2seq model, or a pocket T5 made on the spot.

The pocket T5 is a real `T5ForConditionalGeneration` with random weights and a real
`PreTrainedTokenizerFast` trained on the catalogue, so the book runs without network or downloads.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from ..config import BackboneConfig, Config, digest
from ..data.words import numbered_words
from ..errors import ConfigError
from ..files import sync, writing
from .answers import NO, YES

LOG = logging.getLogger(__name__)
# What a folder's config.json names could be code of its own: it is never run, and never asked for.
SAFE = {"trust_remote_code": False}
KEPT = {".json", ".safetensors", ".bin", ".model", ".txt"}  # files that decide what a folder holds
TOKENIZERS = ("tokenizer.json", "*.model", "vocab.*")
LONG_WORD = re.compile(r"(\S{200})\S+")  # merging pairs in a word costs more than its length
NO_TEXT = "no description"  # what is read of an item without a text
N_SENTINELS = 4  # <extra_id_0> … <extra_id_3> mark the slots of a prompt, as in T5's vocabulary


@dataclass
class Backbone:
    """A seq2seq language model and its tokenizer.

    Attributes:
        model: with an encoder that accepts ``inputs_embeds``.
        tokenizer: turns item texts, prompts and queries into token ids.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    def save(self, folder: Path) -> None:
        """Write configuration and tokenizer; the weights are saved by the model that owns them."""
        with writing(folder):
            self.model.config.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            for path in folder.iterdir():
                sync(path)

    @classmethod
    def from_folder(cls, folder: Path) -> Backbone:
        """An untrained model of the saved shape, with the saved tokenizer."""
        config = AutoConfig.from_pretrained(folder, **SAFE)
        model = AutoModelForSeq2SeqLM.from_config(config, **SAFE)
        return cls(model, AutoTokenizer.from_pretrained(folder, **SAFE))


class OnLanguageModel:
    """Mixed into a `RankingModel` that has a language model, ``lm``, and its ``tokenizer``."""

    lm: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    def save_pretrained(self, folder: str | Path) -> None:
        """Weights and options; in ``backbone/`` the language model's shape and tokenizer."""
        Backbone(self.lm, self.tokenizer).save(Path(folder) / "backbone")
        super().save_pretrained(folder)

    @classmethod
    def from_sizes(cls, config: Config, folder: Path, **sizes: Any) -> OnLanguageModel:
        """An untrained model of the saved shape, with the saved tokenizer."""
        language_model = Backbone.from_folder(folder / "backbone")
        return super().from_sizes(config, folder, language_model=language_model, **sizes)


def identity(config: BackboneConfig) -> str:
    """What decides the untrained language model: its options, its files or its commit on the hub.

    Raises:
        ConfigError: the hub cannot be reached and has not been asked before, or there is no such
            folder.
    """
    if config.name == "pocket":
        return digest(config)
    folder = Path(config.name)
    if not folder.is_dir():
        return digest(config.name, _commit(config.name))
    files = sorted(path for path in folder.iterdir() if path.suffix in KEPT)
    found = {path.name: _sha(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files}
    return digest("folder", found)


@lru_cache(maxsize=64)
def _sha(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file's content; size and time tell whether it must be read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=8)
def _commit(name: str) -> str:
    """The commit of a model on the hub, or without network that of the copy in the hub's cache."""
    if _is_path(name):
        raise _not_loaded(name, "there is no such folder")
    try:
        return Path(hf_hub_download(name, "config.json")).parent.name  # …/snapshots/<commit>/…
    except (OSError, ValueError) as error:
        raise _not_loaded(name, error) from None


def load_backbone(config: BackboneConfig, texts: Sequence[str], seed: int = 0) -> Backbone:
    """The backbone of a configuration.

    Args:
        config: ``name`` is ``pocket``, a hub name, or a folder with a saved seq2seq model.
        texts: the catalogue and the prompts. Only the pocket tokenizer is trained on them; but
            where their words are numbers, the most frequent become tokens of any tokenizer.
        seed: of the pocket model's weights, and of those of tokens that are added.

    Raises:
        ConfigError: the hub cannot be reached, or the folder holds no whole seq2seq model with its
            tokenizer.
    """
    if config.name == "pocket":
        tokenizer = pocket_tokenizer(texts, config.vocabulary)
        backbone = Backbone(pocket_t5(config, tokenizer, seed), tokenizer)
    else:
        backbone = _pretrained(config)
    if words := numbered_words(texts, config.numbered_words):
        _add_words(backbone, words, seed)
    return backbone


def _add_words(backbone: Backbone, words: list[str], seed: int) -> None:
    """A token, and a drawn row, for each of some words that the tokenizer would cut to pieces."""
    single = [AddedToken(word, single_word=True, lstrip=True, normalized=True) for word in words]
    known = len(backbone.tokenizer)
    backbone.tokenizer.add_tokens(single)
    rows = backbone.model.get_input_embeddings().num_embeddings  # may be more than tokens
    more = len(backbone.tokenizer) - rows
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if more > 0:
            add_tokens(backbone.model, more)
    LOG.info("%d words that are numbers have tokens from %d on", len(words), known)


def _pretrained(config: BackboneConfig) -> Backbone:
    """A model of the hub or of a folder, whole or refused."""
    folder = Path(config.name)
    is_folder = folder.is_dir()
    if is_folder and not any(path for name in TOKENIZERS for path in folder.glob(name)):
        raise _not_loaded(config.name, f"no tokenizer ({', '.join(TOKENIZERS)})")
    where = SAFE if is_folder else {**SAFE, "revision": _commit(config.name)}
    try:
        model, found = AutoModelForSeq2SeqLM.from_pretrained(
            config.name, dtype=torch.float32, output_loading_info=True, **where
        )
        tokenizer = AutoTokenizer.from_pretrained(config.name, **where)
    except Exception as error:  # each format of weights has errors of its own
        raise _not_loaded(config.name, error) from None
    if missing := sorted(found["missing_keys"]):  # tied weights, stored once, are not among them
        lacking = f"{len(missing)} weights are missing, such as {missing[0]}"
        raise _not_loaded(config.name, lacking)
    return Backbone(model, tokenizer)


def _is_path(name: str) -> bool:
    """Whether a name means a folder and none of the hub's, whose names are ``owner/model``."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists()


def _not_loaded(name: str, why: Exception | str) -> ConfigError:
    """An error that names the model, what is wrong with it, and how to mend that."""
    reason = (str(why).strip() or repr(why)).splitlines()[0]
    if _is_path(name):
        mend = (
            "The folder must hold a whole seq2seq model, as its save_pretrained writes it: "
            "config.json, model.safetensors and the tokenizer's files; copy it again"
        )
    else:
        mend = (
            f"If this machine has no network, download the model elsewhere (for example with "
            f"'hf download {name} --local-dir flan-t5-base'), copy the folder here, and set "
            f"backbone.name to its path"
        )
    return ConfigError(
        f"cannot load the language model '{name}' (backbone.name): {reason}\n"
        f"{mend}; or use the profile 'pocket', which needs no download."
    )


def pocket_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A lower-casing byte-pair tokenizer with T5's special tokens; an answer is one token."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    punctuation = pre_tokenizers.Punctuation("isolated")  # "tea." and "tea" share a token
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), punctuation])
    tokenizer.decoder = decoders.Metaspace()
    slots = [AddedToken(f"<extra_id_{i}>", lstrip=True, rstrip=True) for i in range(N_SENTINELS)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "</s>", "<unk>", *slots],
        show_progress=False,
    )
    tokenizer.train_from_iterator((LONG_WORD.sub(r"\1", text) for text in texts), trainer)
    whole = {"single_word": True, "lstrip": True, "rstrip": True, "normalized": False}
    tokenizer.add_tokens([AddedToken(word, **whole) for word in (YES, NO)])
    end = [("</s>", tokenizer.token_to_id("</s>"))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=end
    )
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named, extra_special_tokens=slots)


def pocket_t5(
    config: BackboneConfig, tokenizer: PreTrainedTokenizerFast, seed: int
) -> T5ForConditionalGeneration:
    """A small T5 with random weights, the same for the same seed.

    In the encoder's self-attention queries and keys start out equal, so that a token attends to its
    like: a pretrained model knows how to compare two texts, this one would spend most of its short
    training on finding it out (validation NDCG@10 after two epochs of search rows: 0.66 without,
    0.85 with).
    """
    shape = T5Config(
        vocab_size=len(tokenizer),
        d_model=config.d_model,
        d_ff=config.d_ff,
        d_kv=config.d_model // config.heads,
        num_heads=config.heads,
        num_layers=config.encoder_layers,
        num_decoder_layers=config.decoder_layers,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        feed_forward_proj="relu",
        dropout_rate=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(shape)
    with torch.no_grad():
        for block in model.encoder.block:
            attention = block.layer[0].SelfAttention
            ratio = attention.q.weight.std() / attention.k.weight.std()
            attention.k.weight.mul_(ratio.sqrt())  # keeps the size of q . k
            attention.q.weight.copy_(attention.k.weight)
    return model


def token_matrix(tokenizer: PreTrainedTokenizerFast, texts: list[str], width: int) -> Tensor:
    """First ``width`` token ids of each text, right-padded with the pad id: (len(texts), width)."""
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        truncation=True,
        max_length=width,
        padding="max_length",
        return_tensors="pt",
    )
    return encoded["input_ids"]


def readable_texts(texts: Sequence[str], model: str) -> tuple[list[str], int]:
    """Item texts by index, with `NO_TEXT` where an item has none; and how many have none.

    Args:
        texts: as `Dataset.item_text`, '' for the padding in front, which stays empty.
        model: who reads them, for the sentence that is logged if any has none.
    """
    found = [text if text.strip() else NO_TEXT for text in texts[1:]]
    missing = sum(not text.strip() for text in texts[1:])
    if missing:
        said = "%s: %d of %d items have no text; it reads '%s' in its place."
        LOG.warning(said, model, missing, len(found), NO_TEXT)
    return [texts[0], *found], missing


@torch.no_grad()
def add_tokens(model: PreTrainedModel, n: int) -> int:
    """Give a language model ``n`` more tokens, and return the id of the first of them.

    Its tokenizer does not know them: no text can spell one. Their rows are drawn around the mean of
    the rows that there are, with the spread of these. A head of its own, as flan-t5 has, gets rows
    of its own, where `resize_token_embeddings` would tie it to the embeddings.
    """
    table = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    has_own_head = head is not table
    first = len(table)
    # Before resizing, which puts other values into the same parameters.
    more = _more_rows(table, n)
    grown_head = torch.cat([head, _more_rows(head, n)])
    model.resize_token_embeddings(first + n, mean_resizing=False)
    model.get_input_embeddings().weight[first:] = more
    if has_own_head:
        model.get_output_embeddings().weight = torch.nn.Parameter(grown_head)
    return first


def _more_rows(table: Tensor, n: int) -> Tensor:
    drawn = torch.randn(n, table.shape[1], device=table.device, dtype=table.dtype)
    return table.mean(dim=0) + drawn * table.std(dim=0)
