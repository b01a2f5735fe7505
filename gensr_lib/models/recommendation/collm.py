"""CoLLM (Zhang et al., arXiv 2310.19488): collaborative vectors in the prompt of a language model.

A prompt names what a user clicked and a candidate, by their texts, and asks for Yes or No. Two soft
slots bring in what a trained LightGCN knows: its vectors of the user and of the candidate, through
one perceptron. Training has two stages: first LoRA on the prompt without these slots, as in TALLRec
(Bao et al., 2023), then the perceptron on the whole prompt, with LoRA frozen.

The first stage lasts ``text_epochs``. In validation the prompt is that of the stage, and the best
epoch is one of the last stage that was reached.

Departures from the paper and its code:
    - The backbone is GenSR's, an encoder and a decoder, in place of Vicuna-7B. The answer is its
      first decoder step. In `one_way` the history does not see the candidate, as in a decoder.
      A pocket T5 knows no language that LoRA could build on, and cannot relate two vectors unless
      it goes on learning: for it, ``lora_rests`` can be turned off.
    - The score is the logit of Yes less that of No, and the loss the likelihood of the right one of
      the two. The code trains and ranks by the logit of Yes alone, the paper writes the likelihood
      over the whole vocabulary.
    - Texts are cut to ``item_tokens``. Those of a history stand end to end, without a word between
      them, and a shorter one leaves masked positions; a candidate's is filled up with </s>.
    - One prompt in training, too, where the code draws one of several; a slot is one token, and
      LightGCN is not trained further, as in the code by default.
    - The first stage ends after ``text_epochs`` and not by validation, with the weights that it
      has by then, and one falling learning rate runs through both stages.

Shapes: B rows, C candidates, N history items, T tokens of a text, d the CF width, d' the width of
the language model.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, merged_history
from ...data.dataset import Dataset
from ...data.schema import REC
from ...errors import ConfigError
from ..answers import answer_ids, answer_states, log_probs_of
from ..base import RankingModel
from ..gensr.one_way import one_way_states
from ..gensr.prompt import Prompt, assemble
from ..language_model import NO_TEXT, Backbone, OnLanguageModel, readable_texts, token_matrix
from ..lora import add_lora
from ..losses import click
from ..stages import Stages, frozen
from .lightgcn import LightGCN

TEXT, WHOLE = 0, 1  # the stages
PROMPTS = {
    TEXT: "The user liked <extra_id_0> would the user like <extra_id_1> answer Yes or No",
    WHOLE: (
        "The user liked <extra_id_0> and has the taste <extra_id_2> "
        "would the user like <extra_id_1> of the kind <extra_id_3> answer Yes or No"
    ),
}
SLOTS = ("history", "item", "user_cf", "item_cf")  # what <extra_id_k> stands for


class CoLLMConfig(Config):
    """Options of CoLLM; published values are those of the authors' code."""

    history: int = Field(10, ge=1, description="most recent recommendation clicks that are read")
    item_tokens: int = Field(10, ge=1, description="T, tokens read of an item's text")
    lora_rank: int = Field(8, ge=1, description="published: 8")
    lora_alpha: float = Field(16, gt=0, description="published: 16")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="published: 0.05")
    lora_on: tuple[str, ...] = Field(
        ("q", "v"), min_length=1, description="linear maps that LoRA corrects (published: q and v)"
    )
    mapping: int = Field(
        10, ge=1, description="hidden units of the perceptron per unit of d (published: 5 to 10)"
    )
    text_epochs: float = Field(
        1.0, ge=0, description="epochs of the first stage (published: until validation stops)"
    )
    lora_rests: bool = Field(
        True, description="in the second stage only the perceptron learns (published)"
    )
    one_way: bool = Field(
        True, description="the history does not see the candidate, and is encoded once (T5 only)"
    )


class CoLLM(OnLanguageModel, RankingModel):
    """A language model that asks about each candidate, with the CF vectors of LightGCN in its
    prompt.

    Args:
        config: options.
        language_model: model and tokenizer; its own weights stay as they are.
        cf_users: (U, d) frozen LightGCN user vectors.
        cf_items: (I + 1, d) those of items, row 0 padding.
        item_tokens: (I + 1, T) token ids of the item texts, row 0 padding.
        without_text: how many items have no text; `NO_TEXT` stands for theirs.
    """

    name = "collm"
    family = "generative"
    tasks = frozenset({REC})
    Config = CoLLMConfig
    needs = ("language_model", "lightgcn")
    user_table = "cf_users"
    prompts = (*PROMPTS.values(), NO_TEXT)
    task_term = "click"
    tiny: ClassVar = {"history": 6, "item_tokens": 5, "lora_rank": 2}
    unreached = ("lm.decoder.block.0.layer.0.SelfAttention.q",)  # one step attends to itself

    def __init__(
        self,
        config: CoLLMConfig,
        language_model: Backbone,
        cf_users: Tensor,
        cf_items: Tensor,
        item_tokens: Tensor,
        without_text: int,
    ):
        super().__init__(
            config,
            cf_users=cf_users,
            cf_items=cf_items,
            item_tokens=item_tokens,
            without_text=without_text,
        )
        self.n_items = len(cf_items) - 1
        self.without_text = without_text
        self.stages = Stages([config.text_epochs])
        self.lm = language_model.model
        self.tokenizer = language_model.tokenizer
        lora = (config.lora_rank, config.lora_alpha, config.lora_dropout)
        add_lora(self.lm, config.lora_on, *lora)
        self.cf_users = nn.Embedding.from_pretrained(cf_users.float(), freeze=True)
        self.register_buffer("cf_items", cf_items.float())
        self.register_buffer("item_tokens", item_tokens)
        d = cf_items.shape[1]
        width = self.lm.get_input_embeddings().embedding_dim  # d'
        self.mapping = nn.Sequential(
            nn.Linear(d, config.mapping * d), nn.ReLU(), nn.Linear(config.mapping * d, width)
        )
        self.answers = answer_ids(self.tokenizer)
        marks = [f"<extra_id_{k}>" for k in range(len(SLOTS))]
        ids = self.tokenizer.convert_tokens_to_ids(marks)
        self._slot_of = dict(zip(ids, SLOTS, strict=True))
        self.prompt_ids = {
            stage: self.tokenizer(text, add_special_tokens=False)["input_ids"]
            for stage, text in PROMPTS.items()
        }
        for stage, expected in ((TEXT, SLOTS[:2]), (WHOLE, SLOTS)):
            found = [self._slot_of[token] for token in self.prompt_ids[stage] if token in ids]
            if sorted(found) != sorted(expected):
                raise ConfigError(f"the tokenizer has no tokens {marks}; use a T5's.")

    @classmethod
    def obstacle(cls, dataset: Dataset, config: CoLLMConfig) -> str:
        """It reads texts, and data without any have nothing for its first stage."""
        return "" if any(dataset.item_text) else "it reads item texts, and there are none"

    @classmethod
    def from_dataset(
        cls, dataset: Dataset, config: CoLLMConfig, language_model: Backbone, lightgcn: LightGCN
    ) -> CoLLM:
        """Tokenize the catalogue; scale what comes into the prompt to what stands there already."""
        texts, missing = readable_texts(dataset.item_text, cls.name)
        tokens = token_matrix(language_model.tokenizer, texts, config.item_tokens)
        with torch.no_grad():
            users, items = (vectors.cpu() for vectors in lightgcn.propagate())
        scale = _rms(items[1:])  # one for both: their inner product means something
        tables = users / scale, items / scale, tokens
        model = cls(config, language_model, *tables, without_text=missing)
        model.match_scale()
        return model

    @torch.no_grad()
    def match_scale(self) -> None:
        """Rescale the perceptron so that its vectors are as long as the embeddings of words."""
        words = self.lm.get_input_embeddings().weight
        scale = _rms(words) / _rms(self.mapping(self.cf_items[1:]))
        for weight in self.mapping[2].parameters():
            weight.mul_(scale)

    def prompt(self, batch: Batch, stage: int) -> Prompt:
        """The prompts of a batch; those of the first stage have no CF vectors."""
        embed = self.lm.get_input_embeddings()
        pad, end = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        items, _ = merged_history(batch, self.config.history, REC)  # (B, N)
        history = self.item_tokens[items].flatten(1)  # (B, N*T)
        title = self.item_tokens[batch.cand]  # (B, C, T)
        title = title.masked_fill(title == pad, end)
        slots = {"item": embed(title)}
        sequences = {"history": (embed(history), history != pad)}
        if stage == WHOLE:
            user = self.mapping(self.cf_users(batch.user)).unsqueeze(1)  # (B, 1, d')
            sequences["user_cf"] = user, user.new_ones(user.shape[:2])
            slots["item_cf"] = self.mapping(self.cf_items[batch.cand])  # (B, C, d')
        ids = self.prompt_ids[stage]
        device = batch.cand.device
        text = embed(torch.tensor(ids, device=device))
        last = torch.tensor([[end]], device=device)
        behind = embed(last), torch.ones_like(last)
        return assemble(ids, self._slot_of, text, behind, slots, sequences)

    def answer(self, batch: Batch, stage: int) -> Tensor:
        """log P(Yes) - log P(No) of each candidate, (B, C) float32."""
        prompt = self.prompt(batch, stage)
        if self.config.one_way:
            _, decoded = one_way_states(self.lm, prompt)
        else:
            embeddings, mask = prompt.whole()
            rows, candidates = embeddings.shape[:2]
            mask = mask.repeat_interleave(candidates, dim=0)
            _, decoded = answer_states(self.lm, embeddings.flatten(0, 1), mask)
            decoded = decoded.unflatten(0, (rows, candidates))
        log_probs = log_probs_of(self.lm, decoded, self.answers)  # (B, C, 2)
        return log_probs[..., 0] - log_probs[..., 1]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Whether each candidate was clicked: ``text click`` in the first stage, then ``click``."""
        if self.stages.now == TEXT:
            return {"text click": click(self.answer(batch, TEXT))}
        with frozen(self.lm) if self.config.lora_rests else nullcontext():
            return {"click": click(self.answer(batch, WHOLE))}

    def score(self, batch: Batch) -> Tensor:
        """The answer (B, C) to the prompt of the stage that was trained last."""
        return self.answer(batch, self.stages.now)


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt().clamp(min=1e-12)
