"""JSR (Zamani and Croft, DESIRES 2018 and WSDM 2020): two tasks that meet in the items' vectors.

Recommendation multiplies a user's vector with an item's, search a query's, and a perceptron of each
task reads the product; nothing but the items is shared. The second paper learns search without
searches: an item's vector has to say the words of its text, and a query is as likely under an item
as its words are.

Departures: the authors gave no code, and these are the papers as far as they are known here. Widths
and depths are the shared protocol's. In the second paper's variant words have vectors of their own,
in place of frozen ones trained elsewhere, and all candidates of a batch say their texts, those of
search rows too, whose clicks stay unseen; its softmax over words is taken once (in
a port to RecBole twice). Neither variant reads a history.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import BEHAVIORS, REC
from ...data.words import Words
from ..base import RankingModel
from ..layers import id_table, masked_softmax, mlp
from ..losses import click

ITEMS_AT_ONCE = 4096  # whose words' logits are laid out, (items, words of the vocabulary)


class JSRConfig(Config):
    """Options of JSR; the numbers that the papers chose are not known here."""

    search_from: Literal["clicks", "texts"] = Field(
        "clicks", description="what search learns from (published: clicks 2018, texts 2020)"
    )
    width: int = Field(64, ge=1, description="d (a port of the 2020 model: 50)")
    hidden: tuple[int, int] = Field(
        (64, 32), description="of each task's perceptron (published: two layers)"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="of the perceptrons (published: with it)")
    alpha: float = Field(1.0, ge=0, description="of the texts' likelihood, with 'texts'")
    text_words: int = Field(64, ge=1, description="first words of a text (published: all)")


class JSR(RankingModel):
    """s(c) = MLP_r(e_u * e_c) and MLP_s(e_q * e_c), with e_q the words by learned importance.

    With ``search_from="texts"`` search has s(c) = log P(query | c) instead, by softmax(E e_c).

    Args:
        config: options.
        n_users, n_items, n_words: users are 0-based; items and words have 0 for padding, which
            ``n_words`` counts.
        texts: (I + 1, T) words of each item's text, 0 for padding; to learn search from.
    """

    name = "jsr"
    Config = JSRConfig
    user_table = "users"
    task_term = "click"
    tiny: ClassVar = {"width": 8, "hidden": (8, 4)}

    def __init__(
        self,
        config: JSRConfig,
        n_users: int,
        n_items: int,
        n_words: int,
        texts: Tensor | None = None,
    ):
        sizes = {"n_users": n_users, "n_items": n_items, "n_words": n_words, "texts": texts}
        super().__init__(config, **sizes)
        self.n_users = n_users
        self.n_items = n_items
        self.by_text = config.search_from == "texts"
        d = config.width
        self.users = id_table(n_users, d, padding=False)
        self.items = id_table(n_items + 1, d)
        self.words = id_table(n_words, d)
        if self.by_text:
            self.register_buffer("texts", texts)
        else:
            self.importance = id_table(n_words, 1)
        self.predict = nn.ModuleDict(
            {
                task: nn.Sequential(
                    mlp(config.dropout, d, *config.hidden), nn.Linear(config.hidden[-1], 1)
                )
                for task in BEHAVIORS
                if task == REC or not self.by_text
            }
        )

    @classmethod
    def obstacle(cls, dataset: Dataset, config: JSRConfig) -> str:
        """With ``search_from="texts"`` it needs some."""
        if config.search_from != "texts" or any(dataset.item_text):
            return ""
        return "search_from is 'texts', and no item has one"

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: JSRConfig) -> JSR:
        """A fresh model, with the texts of the items where it learns from them."""
        texts = None
        if config.search_from == "texts":
            words = Words(np.array(dataset.item_text, dtype=object))
            width = min(words.longest(), config.text_words)
            texts = torch.from_numpy(words.matrix(dataset.words, width)).long()
        return cls(config, dataset.n_users, dataset.n_items, dataset.n_words, texts)

    def query(self, words: Tensor) -> Tensor:
        """Words (B, W) -> e_q (B, d), weighed by importance; zeros without words."""
        return (self.word_weights(words).unsqueeze(1) @ self.words(words)).squeeze(1)

    def word_weights(self, words: Tensor) -> Tensor:
        """Softmax of the importance over the words of a query, (B, W) -> (B, W)."""
        return masked_softmax(self.importance(words).squeeze(-1), words != 0)

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32; the same for all items if a query has no words."""
        if batch.task != REC and self.by_text:
            return self.log_likelihood(batch.query, batch.cand)
        asks = self.users(batch.user) if batch.task == REC else self.query(batch.query)  # (B, d)
        x = asks.unsqueeze(1) * self.items(batch.cand)  # (B, C, d)
        return self.predict[batch.task](x).squeeze(-1).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``click``: binary cross-entropy. If search learns from texts, of recommendations alone,
        and ``text`` of both tasks: the words of the candidates' texts.
        """
        terms = {}
        if batch.task == REC or not self.by_text:
            terms["click"] = click(self.score(batch))
        if self.by_text:
            terms["text"] = self._text(batch.cand.unique())
        return terms

    @property
    def loss_weights(self) -> dict[str, float]:
        """The texts, if they are learned from, count alpha."""
        return {"text": self.config.alpha} if self.by_text else {}

    # --- the language model of 2020 ----------------------------------------------------------

    def log_likelihood(self, words: Tensor, items: Tensor) -> Tensor:
        """Sum of log P(w | i) over words (B, W), for each of items (B, C): (B, C) float32."""
        real = words != 0
        logits = torch.einsum("bwd,bcd->bcw", self.words(words), self.items(items)).float()
        said = (logits * real.unsqueeze(1)).sum(dim=-1)  # (B, C)
        return said - real.sum(dim=1, keepdim=True) * self._log_normaliser(items)

    def _log_normaliser(self, items: Tensor) -> Tensor:
        """log sum_w exp(e_w · e_i) over the vocabulary: items (B, C) -> (B, C) float32."""
        distinct, place = items.unique(return_inverse=True)
        vocabulary = self.words.weight[1:]  # without the padding
        parts = self.items(distinct).split(ITEMS_AT_ONCE)
        each = torch.cat([(part @ vocabulary.T).float().logsumexp(dim=1) for part in parts])
        # F.embedding, not indexing: on several threads an index's gradient adds up in any order.
        return F.embedding(place, each.unsqueeze(1)).squeeze(-1)

    def _text(self, items: Tensor) -> Tensor:
        """-sum_w P(w | text) log P(w | i), mean over those of items (P,) that have a text."""
        words = F.embedding(items, self.texts)  # (P, T)
        n = (words != 0).sum(dim=1)
        each = self.log_likelihood(words, items.unsqueeze(1)).squeeze(1) / n.clamp(min=1)
        return -each.sum() / (n > 0).sum().clamp(min=1)
