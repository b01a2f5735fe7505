"""IDGenRec (Tan et al., SIGIR 2024): items get textual ids, which one language model writes and
another one recommends.

The generator reads an item's text and writes a few words, its id. The recommender reads the ids of
a user's clicks and writes that of the next one. They are trained in turns: the generator, with the
recommender frozen, through *soft* ids, whose j-th token is the mean of the recommender's embeddings
under the generator's distribution; then all ids are written anew, and the recommender learns them.
A candidate's score is the likelihood of its id, which ranks as decoding over the prefix tree of the
candidates does (`IDGenRec.decode`), at the price of one pass.

The turns last ``generator_epochs`` and ``recommender_epochs``. Validation is of the recommender and
of the ids that there are; the best epoch is one of the last turn.

Departures from the paper and its code:
    - The first turn is the recommender's: one made on the spot has nothing yet to teach by. Its ids
      are the first words of the texts, and the generator learns to write them meanwhile (the term
      ``tags``), in place of the paper's model that was fine-tuned to write tags.
    - Both begin as GenSR's backbone, such as a pocket T5, in place of t5-small, and have one
      learning rate (published: 1e-3, and 1e-8 for the generator, which hardly moves it).
    - A soft id follows the item's present id, not a fresh greedy decoding, so that one pass gives
      it; and it is a mean by probabilities, where the code takes their logarithms.
    - New ids are the first beam that no item before has (the paper: diverse beams). If all are
      taken, words of what the generator read of the item are added, then numbers.
    - Punctuation counts in a soft id; the code leaves out the embeddings of such tokens.
    - The loss is a mean over rows of means over the tokens of an id, as the score is; the code's is
      over all tokens of a batch.
    - No id of the user, which in the published code has seen the answer; one prompt of ten.

Shapes: B rows, C candidates, N history items, M tokens of an id with its </s>, T of a text, L of a
prompt, V of the vocabulary, d' the width of the language model.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutput

from ...config import Config
from ...data.batches import Batch, merged_history
from ...data.dataset import Dataset
from ...data.schema import REC
from ..answers import token_logits
from ..base import RankingModel
from ..language_model import NO_TEXT, Backbone, OnLanguageModel, readable_texts, token_matrix
from ..stages import Stages, frozen
from .textual_ids import Trie, first_words, name_items, only_these, words_of

LOG = logging.getLogger(__name__)
PROMPT = ("A user has clicked the items", "and what will the user click next ?")
SEPARATOR = ","  # between the ids of a history
WRITTEN_AT_ONCE = 256  # items whose ids are generated together


class IDGenRecConfig(Config):
    """Options of IDGenRec; published values are those of the authors' code."""

    history: int = Field(20, ge=1, description="most recent clicks that are read (published: 20)")
    id_tokens: int = Field(10, ge=4, description="most tokens of an id (published: 10)")
    id_words: int = Field(3, ge=1, description="words of the first ids")
    text_tokens: int = Field(32, ge=1, description="T, tokens the generator reads of a text")
    beams: int = Field(10, ge=1, description="ids that are tried before one is made (published)")
    rounds: int = Field(3, ge=0, description="turns of the generator (published: 3)")
    generator_epochs: float = Field(1.0, ge=0, description="length of its turn (published: 1)")
    recommender_epochs: float = Field(10.0, ge=0, description="of the others' (published: 10)")
    length_norm: Literal["mean", "sum"] = Field(
        "mean", description="of the log-likelihoods of an id's tokens (published: mean)"
    )


class IDGenRec(OnLanguageModel, RankingModel):
    """Two language models: one names the items, the other one recommends by these names.

    Args:
        config: options.
        language_model: what both models begin as.
        texts: (I + 1, T) token ids of the item texts, row 0 padding.
        ids: (I + 1, M) the first ids, row 0 padding.
        without_text: how many items have no text; `NO_TEXT` stands for theirs.
    """

    name = "idgenrec"
    family = "generative"
    tasks = frozenset({REC})
    Config = IDGenRecConfig
    needs = ("language_model",)
    prompts = (" ".join(PROMPT), SEPARATOR, NO_TEXT)
    task_term = "recommender"
    tiny: ClassVar = {"history": 4, "id_tokens": 6, "text_tokens": 8, "beams": 2, "rounds": 1}

    def __init__(
        self,
        config: IDGenRecConfig,
        language_model: Backbone,
        texts: Tensor,
        ids: Tensor,
        without_text: int,
    ):
        super().__init__(config, texts=texts, ids=ids, without_text=without_text)
        self.n_items = len(ids) - 1
        self.without_text = without_text
        turns = [config.generator_epochs, config.recommender_epochs] * config.rounds
        self.stages = Stages([config.recommender_epochs, *turns][:-1])
        self.lm = language_model.model  # the recommender
        self.generator = copy.deepcopy(self.lm)
        self.tokenizer = language_model.tokenizer
        self.register_buffer("texts", texts)
        self.register_buffer("ids", ids)
        # Whether the generator has learned since it wrote the ids; 0 or 1.
        self.register_buffer("stale", torch.zeros((), dtype=torch.long))
        words = [self._encoded(part) for part in PROMPT]
        self.register_buffer("before", torch.tensor(words[0]), persistent=False)
        end = self.tokenizer.eos_token_id
        self.register_buffer("behind", torch.tensor([*words[1], end]), persistent=False)
        self.separator = self._encoded(SEPARATOR)[-1]

    @classmethod
    def obstacle(cls, dataset: Dataset, config: IDGenRecConfig) -> str:
        """Its ids are made of texts."""
        return "" if any(dataset.item_text) else "it reads item texts, and there are none"

    @classmethod
    def from_dataset(
        cls, dataset: Dataset, config: IDGenRecConfig, language_model: Backbone
    ) -> IDGenRec:
        """Tokenize the catalogue, and name the items by the first words of their texts."""
        tokenizer = language_model.tokenizer
        texts, missing = readable_texts(dataset.item_text, cls.name)
        ids = cls.first_ids(texts, config, tokenizer)
        tokens = token_matrix(tokenizer, texts, config.text_tokens)
        padded = F.pad(ids, (0, 0, 1, 0), value=tokenizer.pad_token_id)
        return cls(config, language_model, tokens, padded, without_text=missing)

    @staticmethod
    def first_ids(
        texts: Sequence[str], config: IDGenRecConfig, tokenizer: PreTrainedTokenizerFast
    ) -> Tensor:
        """The ids that items begin with, (I, M) tokens: the first words of their texts.

        Args:
            texts: by item, '' for the padding.
        """
        wishes = first_words(texts[1:], config.id_words)
        return name_items(tokenizer, wishes, texts[1:], config.id_tokens)[0]

    @property
    def textual_ids(self) -> list[str]:
        """The ids as one reads them, by item; '' for the padding."""
        return self.tokenizer.batch_decode(self.ids, skip_special_tokens=True)

    # --- the recommender ---------------------------------------------------------------------

    def read(self, batch: Batch, soft: bool = False) -> tuple[Tensor, Tensor]:
        """The prompt of each row, embedded: (B, L, d'), and its mask (B, L), padding last.

        Args:
            soft: whether the history has soft ids, with a gradient for the generator.
        """
        items, _ = merged_history(batch, self.config.history, REC)  # (B, N)
        # An item occurs in many histories: its id is embedded once.
        unique, place = items.unique(return_inverse=True)
        ids = self._shortened(self.ids[unique])  # (U, M)
        embed = self.lm.get_input_embeddings()
        is_end = ids == self.tokenizer.eos_token_id
        vectors = embed(ids.masked_fill(is_end, self.separator))  # (U, M, d')
        if soft:
            written = self.mean_embeddings(self.write(unique, ids).float().softmax(dim=-1))
            vectors = torch.where(is_end.unsqueeze(-1), vectors, written)
        history = F.embedding(place, vectors.flatten(1))  # (B, N, M*d')
        history = history.unflatten(2, vectors.shape[1:]).flatten(1, 2)  # (B, N*M, d')
        real = (ids != self.tokenizer.pad_token_id)[place].flatten(1)  # (B, N*M)
        rows = len(batch)
        before, behind = (embed(w).expand(rows, -1, -1) for w in (self.before, self.behind))
        whole = torch.cat([before, history, behind], dim=1)  # (B, L, d')
        mask = F.pad(real, (before.shape[1], behind.shape[1]), value=True)
        # What is real moves to the front: a prompt reads the same beside longer ones.
        order = (~mask).long().argsort(dim=1, stable=True)[:, : mask.sum(dim=1).max()]
        whole = whole.gather(1, order.unsqueeze(-1).expand(-1, -1, whole.shape[2]))
        return whole, mask.gather(1, order).long()

    def _target_loss(self, batch: Batch, soft: bool = False) -> Tensor:
        """Cross-entropy of the tokens of the clicked item's id."""
        prompt, mask = self.read(batch, soft)
        states = self.lm.get_encoder()(inputs_embeds=prompt, attention_mask=mask)
        target = self._shortened(self.ids[batch.cand[:, 0]])  # (B, M)
        logits = token_logits(self.lm, target, mask, encoder_outputs=states)
        return self._loss_of_ids(logits, target, "mean").mean()

    def score(self, batch: Batch) -> Tensor:
        """Mean (or sum) of the log-likelihoods of the tokens of each candidate's id, (B, C)."""
        prompt, mask = self.read(batch)
        states = self.lm.get_encoder()(inputs_embeds=prompt, attention_mask=mask).last_hidden_state
        n = batch.cand.shape[1]
        each = BaseModelOutput(last_hidden_state=states.repeat_interleave(n, dim=0))  # (B*C, L, d')
        ids = self._shortened(self.ids[batch.cand.flatten()])  # (B*C, M)
        logits = token_logits(self.lm, ids, mask.repeat_interleave(n, dim=0), encoder_outputs=each)
        return -self._loss_of_ids(logits, ids, self.config.length_norm).unflatten(
            0, batch.cand.shape
        )

    @torch.no_grad()
    def decode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Write the ids of all candidates by beam search over their prefix tree, the best first.

        It is what the paper does, and gives `score` in descending order. It is slow.

        Returns:
            items (B, C) and scores (B, C).
        """
        n = batch.cand.shape[1]
        if n == 1:  # nothing to order, and a single beam has no score
            return batch.cand, self.score(batch)
        prompt, mask = self.read(batch)
        pad = self.tokenizer.pad_token_id
        sequences = [
            [tuple(token for token in row if token != pad) for row in rows]
            for rows in self.ids[batch.cand].tolist()
        ]
        found = self.lm.generate(
            inputs_embeds=prompt,
            attention_mask=mask,
            prefix_allowed_tokens_fn=only_these(list(map(Trie, sequences)), pad),
            num_beams=n,
            num_return_sequences=n,
            length_penalty=float(self.config.length_norm == "mean"),
            max_new_tokens=self.ids.shape[1],
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        written = F.pad(found.sequences[:, 1:], (0, self.ids.shape[1]), value=pad)
        written = written[:, : self.ids.shape[1]].unflatten(0, (-1, n))  # (B, C, M)
        is_end = (written == self.tokenizer.eos_token_id).long()
        written = written.masked_fill(is_end.cumsum(dim=2) > is_end, pad)  # behind the first </s>
        same = (written.unsqueeze(2) == self.ids[batch.cand].unsqueeze(1)).all(dim=-1)  # (B, C, C)
        items = batch.cand.gather(1, same.long().argmax(dim=2))
        return items, found.sequences_scores.unflatten(0, (-1, n))

    # --- the generator -----------------------------------------------------------------------

    def write(self, items: Tensor, ids: Tensor) -> Tensor:
        """The generator's logits (U, M, V) of the tokens of the ids (U, M) of some items (U,)."""
        texts = self.texts[items]
        mask = (texts != self.tokenizer.pad_token_id).long()
        return token_logits(self.generator, ids, mask, input_ids=texts)

    def mean_embeddings(self, weights: Tensor) -> Tensor:
        """The recommender's embeddings weighted by (…, V): (…, d')."""
        return weights @ self.lm.get_input_embeddings().weight.to(weights.dtype)

    def _tags_loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the generator writing the ids of the positives and of as many others."""
        items = batch.cand[:, :2].flatten()
        ids = self._shortened(self.ids[items])
        return self._loss_of_ids(self.write(items, ids), ids, "mean").mean()

    @torch.no_grad()
    def write_ids(self) -> int:
        """New ids for all items, by beam search; returns how many got none of their beams."""
        was_training = self.generator.training
        self.generator.eval()
        beams = self.config.beams
        said: list[str] = []
        for texts in self.texts[1:].split(WRITTEN_AT_ONCE):
            written = self.generator.generate(
                input_ids=texts,
                attention_mask=(texts != self.tokenizer.pad_token_id).long(),
                num_beams=beams,
                num_return_sequences=beams,
                max_new_tokens=self.config.id_tokens,
                do_sample=False,
            )
            said += self.tokenizer.batch_decode(written, skip_special_tokens=True)
        self.generator.train(was_training)
        words = list(map(words_of, said))
        wishes = [words[start : start + beams] for start in range(0, len(words), beams)]
        texts = self.tokenizer.batch_decode(self.texts[1:], skip_special_tokens=True)
        ids, taken = name_items(self.tokenizer, wishes, texts, self.config.id_tokens)
        self.ids[1:] = ids.to(self.ids.device)
        self.stale.zero_()
        LOG.info("%s: new ids; %d of %d items got none of their beams", self.name, taken, len(ids))
        return taken

    # --- training ----------------------------------------------------------------------------

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the clicked item's id, for the model whose turn it is."""
        stage = self.stages.now
        if stage % 2:  # the generator's turn
            if self.training:
                self.stale.fill_(1)
            with frozen(self.lm):
                return {"generator": self._target_loss(batch, soft=True)}
        if self.training and self.stale:
            self.write_ids()
        terms = {"recommender": self._target_loss(batch)}
        if stage == 0:
            terms["tags"] = self._tags_loss(batch)
        return terms

    def _encoded(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _shortened(self, ids: Tensor) -> Tensor:
        """Ids (…, M) without the columns in which all of them are padding."""
        longest = (ids != self.tokenizer.pad_token_id).sum(dim=-1).max()
        return ids[..., : max(1, int(longest))]

    def _loss_of_ids(self, logits: Tensor, ids: Tensor, norm: str) -> Tensor:
        """-log P of each id, (n,): mean or sum over its tokens (n, M) under logits (n, M, V)."""
        pad = self.tokenizer.pad_token_id
        logits = logits.float().transpose(1, 2)
        losses = F.cross_entropy(logits, ids, ignore_index=pad, reduction="none").sum(dim=1)
        return losses if norm == "sum" else losses / (ids != pad).sum(dim=1)
