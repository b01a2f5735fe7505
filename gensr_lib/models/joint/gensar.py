"""GenSAR (Shi et al., arXiv 2504.05730): one language model, and two identifiers for each item.

*Unified Generative Search and Recommendation*. Search asks what an item is, recommendation whom it
pleases: an item has a semantic identifier, made of a vector of its text, and a collaborative one,
made of LightGCN's. Both are a few codes of a residual quantiser (`quantiser`), of which the first
ones are common to both. A language model, to which the codes are words, reads what a user did and
writes the identifier of the next item: the collaborative one in recommendation, with the query
behind it the semantic one in search. A candidate's score is the likelihood of its identifier, which
ranks as beam search over the prefix tree of the candidates does (`likelihood`).

Beside these two, the model learns to write the next query, and to connect identifiers with what is
known of items: from a text or a made query to an identifier, and from an identifier to the text.

Departures from the paper and its code:
    - The backbone is GenSR's, such as a pocket T5, in place of t5-small. A vector of a text is its
      TF-IDF, cut to the first singular vectors, where the code has a text encoder's; collaborative
      vectors are LightGCN's, where it has UniSAR's. Both are standardised.
    - Codebooks begin as k-means centres, and all of them pull at the encoders (`quantiser`).
    - One wording of each task, where the code draws from ten. An identifier has no </s>.
    - The likelihood of an identifier that several items have is divided among them. Whole, it would
      put all of them before items that are likelier than each of them.
    - A query of the history is read by its words, of which a batch has the numbers: without
      punctuation, and without words that training lacks.
    - A made query is some tokens in a row of the item's text, and no doc2query model's.
    - Each row of a step is trained in the next item, in the next query if it has one, and for a
      random item, its last negative, in one of the five tasks of items. The code mixes samples of
      all of them, and for Amazon it draws far fewer of items than of users.
    - The loop is ours: its rate falls linearly, and not by a cosine.

Variants, ``identifiers``: of text alone, where all items without one tie; of clicks alone; or of
both vectors in one identifier, whose codebooks are all shared. They have as many codes as otherwise
and one identifier for both tasks.

Shapes: B rows, C candidates, I items, M codes of an identifier, H steps of a history, T tokens of a
text, L of a prompt, V of the vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...data.batches import Batch, newest
from ...data.dataset import Dataset
from ...data.schema import REC, SRC
from ..answers import token_logits
from ..base import RankingModel
from ..gensr.prompt import query_tokens
from ..language_model import (
    NO_TEXT,
    Backbone,
    OnLanguageModel,
    add_tokens,
    readable_texts,
    token_matrix,
)
from ..likelihood import log_likelihood
from ..recommendation.lightgcn import LightGCN
from .item_codes import coded, text_vectors
from .quantiser import QuantiserConfig, collisions, owners

LOG = logging.getLogger(__name__)
BEFORE = "What the user did :"  # then the history
QUERY = "query"  # the task of writing it
BEHIND = {
    REC: "and the item that is clicked next :",
    SRC: "and the item that is clicked for the query",
    QUERY: "and the query that is searched next :",
}
OF_ITEMS = (  # the tasks of items, in the order of `GenSAR.item_tasks`
    "The item to be found that has the text",
    "The item to be recommended that has the text",
    "The item to be found for the query",
    "The text of the item to be found",
    "The text of the item to be recommended",
)
N_MARKS = 3  # tokens in front of a click, of a query, and of the click that it led to
WORD_TOKENS = 6  # most tokens of a word of a query in the history


class GenSARConfig(QuantiserConfig):
    """Options of GenSAR and its quantiser; published values are those of the authors' code."""

    identifiers: Literal["both", "text", "cf", "shared"] = Field(
        "both", description="'both': two for an item; else one, of text, of clicks, of both vectors"
    )
    history: int = Field(
        5, ge=1, description="most recent clicks read, and as many sessions (published: 5)"
    )
    query_words: int = Field(8, ge=1, description="words that are read of a query in the history")
    text_tokens: int = Field(32, ge=1, description="T, tokens of an item's text")
    text_width: int = Field(64, ge=1, description="singular vectors that a text's vector keeps")
    made_query: int = Field(4, ge=1, description="tokens of a text that make a query")
    other_tasks: bool = Field(True, description="learn more than to write the next item")


class GenSAR(OnLanguageModel, RankingModel):
    """A language model that writes identifiers of items: log-likelihood of each candidate's.

    Args:
        config: options.
        language_model: model and tokenizer; the model is fine-tuned, and has the new tokens.
        semantic_ids, collaborative_ids: (I + 1, M) token ids of each item's two identifiers, row 0
            padding.
        item_tokens: (I + 1, T) token ids of the item texts, row 0 padding.
        word_tokens: (W, ·) token ids of the words that queries have in a batch.
        first_token: id of the first new token, a mark; the codes stand behind the marks.
        without_text: how many items have no text; `NO_TEXT` stands for theirs.
    """

    name = "gensar"
    family = "generative"
    Config = GenSARConfig
    needs = ("language_model", "lightgcn")
    prompts = (BEFORE, *BEHIND.values(), *OF_ITEMS, NO_TEXT)
    task_term = "next"
    tiny: ClassVar = {
        "codes": 8,
        "code_width": 4,
        "code_layers": (8,),
        "code_epochs": 4,
        "text_tokens": 6,
        "text_width": 8,
    }

    def __init__(
        self,
        config: GenSARConfig,
        language_model: Backbone,
        semantic_ids: Tensor,
        collaborative_ids: Tensor,
        item_tokens: Tensor,
        word_tokens: Tensor,
        first_token: int,
        without_text: int,
    ):
        super().__init__(
            config,
            semantic_ids=semantic_ids,
            collaborative_ids=collaborative_ids,
            item_tokens=item_tokens,
            word_tokens=word_tokens,
            first_token=first_token,
            without_text=without_text,
        )
        self.n_items = len(semantic_ids) - 1
        self.without_text = without_text
        self.lm = language_model.model
        # torch's fused attention has no fast way for a learned bias: half the speed on a CPU here.
        self.lm.set_attn_implementation("eager")
        self.tokenizer = language_model.tokenizer
        self.pad = self.tokenizer.pad_token_id
        self.clicked, self.asked, self.found = range(first_token, first_token + N_MARKS)
        self.register_buffer("semantic_ids", semantic_ids)
        self.register_buffer("collaborative_ids", collaborative_ids)
        self.register_buffer("item_tokens", item_tokens)
        self.register_buffer("word_tokens", word_tokens)
        self.register_buffer("before", self._encoded([BEFORE])[0], persistent=False)
        self.register_buffer("behind", self._encoded([*BEHIND.values()]), persistent=False)
        self.register_buffer("of_items", self._encoded(OF_ITEMS), persistent=False)

    @classmethod
    def obstacle(cls, dataset: Dataset, config: GenSARConfig) -> str:
        """It learns from texts, whatever its identifiers are made of."""
        return "" if any(dataset.item_text) else "it reads item texts, and there are none"

    @classmethod
    def from_dataset(
        cls, dataset: Dataset, config: GenSARConfig, language_model: Backbone, lightgcn: LightGCN
    ) -> GenSAR:
        """Train the quantiser, which takes seconds, and give the language model its codes."""
        tokenizer = language_model.tokenizer
        texts, missing = readable_texts(dataset.item_text, cls.name)
        vectors = [text_vectors(texts[1:], config.text_width), lightgcn.item_vectors()[1:]]
        codes = coded(vectors, config, config.identifiers)  # (2, I, M)
        first = add_tokens(language_model.model, N_MARKS + int(codes.max()) + 1)
        ids = F.pad(first + N_MARKS + codes, (0, 0, 1, 0), value=tokenizer.pad_token_id)
        words = ["", "", *dataset.words[2:]]  # of padding and the unknown word nothing is read
        made = cls(
            config,
            language_model,
            semantic_ids=ids[0],
            collaborative_ids=ids[1],
            item_tokens=token_matrix(tokenizer, texts, config.text_tokens),
            word_tokens=token_matrix(tokenizer, words, WORD_TOKENS),
            first_token=first,
            without_text=missing,
        )
        said = "%s: of %d items %d have the semantic, %d the collaborative identifier of another."
        LOG.info(said, cls.name, made.n_items, *made.collisions)
        return made

    @property
    def collisions(self) -> tuple[int, int]:
        """How many items have the semantic, and the collaborative, identifier of one before them:
        these tie.
        """
        return collisions(self.semantic_ids[1:]), collisions(self.collaborative_ids[1:])

    @cached_property
    def log_owners(self) -> Tensor:
        """(2, I + 1) log of how many items have each item's semantic, collaborative identifier."""
        # At first use, and not in the constructor: a saved model gets its identifiers after that.
        return torch.stack([owners(self.semantic_ids), owners(self.collaborative_ids)]).log()

    # --- what is read ------------------------------------------------------------------------

    def history(self, batch: Batch) -> Tensor:
        """What the users did, in order of time: tokens (B, ·), with padding anywhere.

        A click is a mark and the collaborative identifier, a search a mark, its words, another mark
        and the semantic identifier of its first click.
        """
        n = self.config.history
        most = self.config.query_words
        rec = batch.rec_items  # (B, R)
        src = batch.ses_clicks[:, :, 0]  # (B, S)
        kept = torch.cat([_last(rec != 0, n), _last(src != 0, n)], dim=1)  # (B, R+S)
        at, inside = newest(kept.gather(1, batch.merge_index), 2 * n)
        step = batch.merge_index.gather(1, at)  # (B, H), places in [rec ; sessions]
        is_search = (step >= rec.shape[1]).unsqueeze(-1)  # (B, H, 1)
        items = torch.cat([rec, src], dim=1).gather(1, step)
        words = F.pad(batch.ses_words[:, :, :most], (0, 0, rec.shape[1], 0))  # (B, R+S, W)
        words = words.gather(1, step.unsqueeze(-1).expand(-1, -1, words.shape[2]))
        tokens = [
            torch.where(is_search, self.asked, self.pad),
            self.word_tokens[words].flatten(2),
            torch.where(is_search, self.found, self.clicked),
            torch.where(is_search, self.semantic_ids[items], self.collaborative_ids[items]),
        ]
        steps = torch.cat(tokens, dim=-1)  # (B, H, ·)
        return steps.masked_fill(~inside.unsqueeze(-1), self.pad).flatten(1)

    def prompt(self, history: Tensor, task: str, query: Sequence[str] = ("",)) -> Tensor:
        """What the encoder reads for a task of `BEHIND`: token ids (B, L) that end in </s>.

        Args:
            history: (B, ·) as `history` gives it.
            query: of each row, as typed, or one for all.
        """
        rows = len(history)
        behind = self.behind[[*BEHIND].index(task)]
        query = self._queries(query)
        parts = [self.before.expand(rows, -1), history, behind.expand(rows, -1)]
        return packed(torch.cat([*parts, query.expand(rows, -1)], dim=1), self.pad)

    def _queries(self, texts: Sequence[str]) -> Tensor:
        """Tokens of queries and their </s>, (B, ·) or (1, ·) if all are the same."""
        return query_tokens(self.tokenizer, texts)["input_ids"].to(self.before.device)

    def item_tasks(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """For each item (B,) one of the tasks of `OF_ITEMS`: what is read, and what is written."""
        task = torch.randint(len(OF_ITEMS), items.shape, device=items.device)
        text = self.item_tokens[items]  # (B, T)
        semantic = self.semantic_ids[items]  # (B, M)
        collaborative = self.collaborative_ids[items]
        whole = self._ended(text)  # (B, T + 1)
        read = [text, text, self._made_queries(text), semantic, collaborative]
        write = [semantic, collaborative, semantic, whole, whole]
        words = torch.cat([self.of_items[task], self._chosen(read, task)], dim=1)
        return packed(self._ended(words), self.pad), packed(self._chosen(write, task), self.pad)

    def _chosen(self, options: Sequence[Tensor], choice: Tensor) -> Tensor:
        """Of each row (B,) the tokens of one of the options (B, ·), padded to the longest."""
        width = max(tokens.shape[1] for tokens in options)
        alike = [F.pad(x, (0, width - x.shape[1]), value=self.pad) for x in options]
        return torch.stack(alike, dim=1)[torch.arange(len(choice), device=choice.device), choice]

    def _made_queries(self, text: Tensor) -> Tensor:
        """Some tokens in a row, from anywhere in texts (B, T)."""
        width = min(self.config.made_query, text.shape[1])
        starts = ((text != self.pad).sum(dim=1) - width + 1).clamp(min=1)  # (B,)
        start = (torch.rand(len(text), device=text.device) * starts).long()
        return text.gather(1, start.unsqueeze(1) + torch.arange(width, device=text.device))

    def _ended(self, tokens: Tensor) -> Tensor:
        return packed(F.pad(tokens, (0, 1), value=self.tokenizer.eos_token_id), self.pad)

    # --- training and ranking ----------------------------------------------------------------

    def identifiers_of(self, task: str) -> Tensor:
        """What stands for the items (I + 1, M) where a task writes them."""
        return self.semantic_ids if task == SRC else self.collaborative_ids

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of what is written: the ``next`` item; the ``query`` of a search, and what
        the tasks of ``items`` ask for.
        """
        history = self.history(batch)
        target = self.identifiers_of(batch.task)[batch.cand[:, 0]]
        prompt = self.prompt(history, batch.task, batch.query_text)
        terms = {"next": self._loss_of_writing(prompt, target)}
        if self.config.other_tasks:
            terms["items"] = self._loss_of_writing(*self.item_tasks(batch.cand[:, -1]))
        if self.config.other_tasks and batch.task == SRC:
            query = self._queries(batch.query_text).expand(len(batch), -1)
            terms["query"] = self._loss_of_writing(self.prompt(history, QUERY), query)
        return terms

    def _loss_of_writing(self, prompt: Tensor, target: Tensor) -> Tensor:
        """Mean over the tokens of targets (B, ·) that are written after prompts (B, L)."""
        logits = token_logits(self.lm, target, self._mask(prompt), input_ids=prompt)
        return F.cross_entropy(
            logits.float().flatten(0, 1), target.flatten(), ignore_index=self.pad
        )

    def score(self, batch: Batch) -> Tensor:
        """Log-likelihood of each candidate, (B, C) float32: its part of its identifier's."""
        return self.score_in_chunks(batch, batch.cand.shape[1])

    def score_in_chunks(self, batch: Batch, size: int) -> Tensor:
        """As the base class, with the prompt encoded once."""
        prompt = self.prompt(self.history(batch), batch.task, batch.query_text)
        mask = self._mask(prompt)
        encoder = self.lm.get_encoder()
        states = encoder(input_ids=prompt, attention_mask=mask).last_hidden_state
        ids = self.identifiers_of(batch.task)[batch.cand]  # (B, C, M)
        parts = [log_likelihood(self.lm, x, states, mask) for x in ids.split(size, dim=1)]
        owners = self.log_owners[int(batch.task == REC)].to(ids.device)
        return torch.cat(parts, dim=1) - owners[batch.cand]

    def _mask(self, prompt: Tensor) -> Tensor:
        return (prompt != self.pad).long()

    def _encoded(self, texts: Sequence[str]) -> Tensor:
        """Token ids of texts, padded to the longest."""
        options = {"add_special_tokens": False, "padding": True, "return_tensors": "pt"}
        return self.tokenizer([*texts], **options)["input_ids"]


def packed(tokens: Tensor, pad: int) -> Tensor:
    """Tokens (B, ·) with what is not padding moved to the front, and no wider than the longest."""
    real = tokens != pad
    order = (~real).to(torch.int8).argsort(dim=1, stable=True)
    return tokens.gather(1, order[:, : int(real.sum(dim=1).max())])


def _last(real: Tensor, n: int) -> Tensor:
    """Which of the real columns of each row (B, N) are among its last ``n``."""
    behind = real.flip(1).cumsum(dim=1).flip(1)  # from here on, this one included
    return real & (behind <= n)
