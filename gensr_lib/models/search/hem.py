"""HEM (Ai et al., SIGIR 2017): a user is a vector that is mixed into the query.

The hierarchical embedding model learns users, items and words in one space: a user and a query
together find the item, and the user and the item both say the words of the review that she wrote.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch
from ...data.dataset import Dataset
from ...data.schema import SRC
from ..base import RankingModel
from ..layers import id_table
from ..losses import negative_sampling
from ..product_search import ProductQuery, WordLM, item_texts_of, zero_table


class HEMConfig(Config):
    """Options of HEM; *published* is what the authors' code has by default."""

    width: int = Field(64, ge=1, description="d of users, words and items (published: 100)")
    query_weight: float | None = Field(
        0.5, ge=0, le=1, description="λ of the query, beside 1 - λ of the user; None: it is learned"
    )
    similarity: Literal["product", "cosine"] = Field(
        "product", description="'cosine' norms user and query, before they are mixed, and item"
    )
    text_words: int = Field(5, ge=1, description="said in a step (published: 1, a step for each)")
    word_negatives: int = Field(5, ge=1, description="drawn for each of them (published: 5)")


class HEM(RankingModel):
    """s(c) = (λ q + (1 - λ) e_u) · e_c + b_c, with q = tanh(W m + b) of the query's mean word m.

    Departures:
        - An example is a search and its click, and a few words of the item's text. The authors take
          each word of each review, with one of the product's queries, so that long reviews weigh
          more, and leave out frequent words at random.
        - The item's text stands for the review that the user wrote of it: there are none here.
        - The negatives of a click are those drawn for the record, uniform among the items that the
          user touches in no part of the data, as for all systems of the book. The authors draw by
          the frequency of items, and share draws.
        - A query is the mean of its own words; in the code padding is one of them.
        - AdamW in place of SGD and L2, d = 64: the shared protocol; vectors do not start at 0.

    Args:
        config: options.
        n_users: users are 0-based.
        n_words: words have 0 for padding, which it counts.
        texts: (I + 1, T) words of each item's text, row 0 padding; T = 0: no language model.
    """

    name = "hem"
    tasks = frozenset({SRC})
    user_table = "users"
    task_term = "rank"
    Config = HEMConfig
    tiny: ClassVar = {"width": 8}

    def __init__(self, config: HEMConfig, n_users: int, n_words: int, texts: Tensor):
        super().__init__(config, n_users=n_users, n_words=n_words, texts=texts)
        self.query = ProductQuery(n_words, config.width)
        self.users = id_table(n_users, config.width, padding=False)
        self.items = id_table(len(texts), config.width)
        self.bias = zero_table(len(texts))
        self.language = WordLM(n_words, texts, config.text_words, config.word_negatives)
        if config.query_weight is None:
            self.mix = nn.Parameter(torch.zeros(()))  # λ = 1/2

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: HEMConfig) -> HEM:
        """A fresh model with a vector for each user, word and item."""
        texts = item_texts_of(dataset, cls.name)
        return cls(config, dataset.n_users, dataset.n_words, texts)

    @property
    def query_weight(self) -> float | Tensor:
        """λ."""
        chosen = self.config.query_weight
        return self.mix.sigmoid() if chosen is None else chosen

    def intent(self, batch: Batch) -> Tensor:
        """What is looked for, by whom: (B, d)."""
        query, user = self.query(batch.query), self.users(batch.user)
        if self.config.similarity == "cosine":
            query, user = F.normalize(query, dim=-1), F.normalize(user, dim=-1)
        return self.query_weight * query + (1 - self.query_weight) * user

    def score(self, batch: Batch) -> Tensor:
        """Logits (B, C) in float32; without a known word of the query, those of q = tanh(b)."""
        items = self.items(batch.cand)  # (B, C, d)
        if self.config.similarity == "cosine":
            items = F.normalize(items, dim=-1)
        scores = torch.einsum("bd,bcd->bc", self.intent(batch), items)
        return (scores + self.bias(batch.cand).squeeze(-1)).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``rank``: the click against its negatives; ``item_words`` and ``user_words``: the text of
        its item, said by the item and by the user.
        """
        item = batch.cand[:, 0]
        say = {"item_words": self.items(item), "user_words": self.users(batch.user)}
        rank = negative_sampling(self.score(batch)).mean()
        return {"rank": rank, **self.language.terms(self.query.words.table, item, **say)}
