"""BSR (Penha et al., RecSys 2024): one language model writes the item, a token of its own each.

*Bridging Search and Recommendation in Generative Retrieval: Does One Task Help the Other?*, arXiv
2410.16823; their joint model Gen_R+S. The vocabulary of a language model has a further token for
each item. A row of recommendation reads the tokens of the items clicked before, a row of search the
words of its query and nothing of the user; both write the token of the clicked item. So one step of
the decoder ranks the whole catalogue, as beam search that may write nothing but items would.

Departures from the paper, which has no public code:
    - The backbone is GenSR's, such as a pocket T5; an item's row starts as a random one of the
      vocabulary's mean and spread. With tied embeddings, as a pocket T5 has, an item is one row,
      read and written alike; flan-t5's head has rows of its own.
    - The </s> behind the item, which is always there, is neither written nor trained.
    - ``task_prefix`` names the task in front. Without it only the kind of the tokens tells it.
    - Above ``full_softmax`` items the softmax of the loss is sampled, and over items alone.

Shapes: B rows, C candidates, I items, N history items, L tokens of a prompt, V of the vocabulary,
d' the width of the language model.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...config import Config
from ...data.batches import Batch, appended, merged_history, trimmed
from ...data.dataset import Dataset
from ...data.schema import REC, SRC
from ..answers import answer_states, at_head, head_logits
from ..base import RankingModel
from ..gensr.prompt import query_tokens
from ..language_model import Backbone, OnLanguageModel, add_tokens
from ..losses import draws_of_softmax, softmax_over_items

PREFIXES = {REC: "Recommend :", SRC: "Search :"}


class BSRConfig(Config):
    """Options of BSR; the paper's own values were not to be had."""

    history: int = Field(30, ge=1, description="N, most recent recommendation clicks that are read")
    task_prefix: bool = Field(True, description="the words of `PREFIXES` stand in front")
    full_softmax: int = Field(
        100_000, ge=1, description="largest catalogue that the loss runs over as a whole"
    )
    sampled_items: int = Field(
        1000, ge=1, description="random items of the loss above that (published: none, all items)"
    )


class BSR(OnLanguageModel, RankingModel):
    """Logit of a candidate's token at the decoder's first step.

    Args:
        config: options.
        language_model: model and tokenizer; the model is fine-tuned and has the items' tokens.
        n_items: I.
        first_item: token id of item 1; those of the others follow.
    """

    name = "bsr"
    family = "generative"
    Config = BSRConfig
    needs = ("language_model",)
    prompts = tuple(PREFIXES.values())
    tiny: ClassVar = {"history": 6}
    unreached = (  # one decoder step attends to itself, whatever q and k are
        "lm.decoder.block.0.layer.0.SelfAttention.q",
        "lm.decoder.block.0.layer.0.SelfAttention.k",
        "lm.decoder.block.0.layer.0.SelfAttention.relative_attention_bias",
    )

    def __init__(self, config: BSRConfig, language_model: Backbone, n_items: int, first_item: int):
        super().__init__(config, n_items=n_items, first_item=first_item)
        self.n_items = n_items
        self.first_item = first_item
        largest, draws = config.full_softmax, config.sampled_items
        self.draws = draws_of_softmax(self.name, n_items, largest, draws)
        self.lm = language_model.model
        self.tokenizer = language_model.tokenizer
        self.prefixes = {task: [] for task in PREFIXES}
        if config.task_prefix:
            words = self.tokenizer([*PREFIXES.values()], add_special_tokens=False)["input_ids"]
            self.prefixes = dict(zip(PREFIXES, words, strict=True))

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: BSRConfig, language_model: Backbone) -> BSR:
        """Give the language model a token for each item."""
        first = add_tokens(language_model.model, dataset.n_items)
        return cls(config, language_model, n_items=dataset.n_items, first_item=first)

    def item_tokens(self, items: Tensor) -> Tensor:
        """The token of each item (…), which must be none of the padding."""
        return self.first_item - 1 + items

    def prompt(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the encoder reads, with its </s>: token ids (B, L) and their mask; one row if all
        rows read the same query.
        """
        read = self._query if batch.task == SRC else self._history
        ids, mask = read(batch)
        prefix = torch.tensor(self.prefixes[batch.task], dtype=torch.long, device=ids.device)
        ids = torch.cat([prefix.expand(len(ids), -1), ids], dim=1)
        return ids, F.pad(mask, (len(prefix), 0), value=1)

    def _query(self, batch: Batch) -> tuple[Tensor, Tensor]:
        query = query_tokens(self.tokenizer, batch.query_text).to(batch.cand.device)
        return query["input_ids"], query["attention_mask"]

    def _history(self, batch: Batch) -> tuple[Tensor, Tensor]:
        items = trimmed(merged_history(batch, self.config.history, REC)[0])  # (B, N)
        tokens = torch.where(items != 0, self.item_tokens(items), 0)
        tokens = appended(tokens, self.tokenizer.eos_token_id)  # (B, N + 1)
        real = tokens != 0
        return tokens.masked_fill(~real, self.tokenizer.pad_token_id), real.long()

    def encode(self, batch: Batch) -> Tensor:
        """The decoder's state at its first step, which writes the item: (B, d')."""
        ids, mask = self.prompt(batch)
        _, decoded = answer_states(self.lm, self.lm.get_input_embeddings()(ids), mask)
        return decoded.expand(len(batch), -1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the clicked item's token among the whole vocabulary."""
        states = at_head(self.lm, self.encode(batch))  # (B, d')
        table = self.lm.get_output_embeddings().weight.float()  # (V, d')
        target = self.item_tokens(batch.cand[:, 0])
        with torch.autocast(states.device.type, enabled=False):
            if self.draws is None:
                return {"item": softmax_over_items(states, target, table)}
            items, target = table[self.first_item :], target - self.first_item
            return {"item": softmax_over_items(states, target, items, draws=self.draws)}

    def score(self, batch: Batch) -> Tensor:
        """log P of each candidate's token, but for what all items of a row share: (B, C)."""
        return self._all_items(batch).gather(1, batch.cand - 1)

    def score_in_chunks(self, batch: Batch, size: int) -> Tensor:
        """As `score`, which computes all items anyway."""
        return self.score(batch)

    def _all_items(self, batch: Batch) -> Tensor:
        """Logits (B, I) of the tokens of all items."""
        return head_logits(self.lm, self.encode(batch), slice(self.first_item, None))
