"""Query-SeqRec (He et al., CIKM 2022): queries and items are one sequence that a transformer reads.

The state behind each token says the next item; tokens whose next one is a query say nothing. In
training some inputs are replaced: an item by one that is clicked after the same query or by any, a
query by one that leads to the same item or by any (stochastic shared embeddings on a graph).

Without searches it is a causal transformer as SASRec's is, but for vectors that are not scaled by
sqrt(d) and positions that count from the oldest token.

Departures: a query is one vector, the mean of its words, not a bag of at most five ids of a table
joint with items. The graph is that of all training searches, where a step leads from an item to any
query that led to it, since a recommended item has no query of its own. Blocks are plain pre-norm
ones: the authors' code normalises the attention's queries alone and has its residual connection
commented out. A sequence without padding is trained at all of its items; in the code, by a slice
that starts at -0, only at those behind a query.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...config import Config
from ...data.batches import Batch, newest
from ...data.dataset import Dataset
from ...data.schema import REC
from ..base import RankingModel
from ..encoders import Encoder, up_to_here
from ..graph import neighbour, search_graph
from ..layers import QueryEncoder, id_table, last_state
from ..losses import draws_of_softmax, softmax_over_items


class SeqRecConfig(Config):
    """Options of Query-SeqRec."""

    width: int = Field(64, ge=1, description="d (published: 64)")
    tokens: int = Field(60, ge=1, description="newest items and queries (published: 50)")
    layers: int = Field(2, ge=1, description="published: 2")
    heads: int = Field(2, ge=1, description="published: 2")
    dropout: float = Field(0.2, ge=0, lt=1, description="published: 0.6 and 0, by data set")
    replace_items: float = Field(0.1, ge=0, le=1, description="of inputs (published: .25 and .1)")
    replace_queries: float = Field(0.1, ge=0, le=1, description="the same (published: .25 and .1)")
    by_graph: float = Field(0.3, ge=0, le=1, description="of those replaced (published: .2 and .3)")
    full_softmax: int = Field(
        100_000, ge=1, description="largest catalogue that the softmax runs over as a whole"
    )
    sampled_items: int = Field(2048, ge=1, description="random items of the softmax above that")


class SeqRec(RankingModel):
    """A causal transformer over what was clicked and what was typed, trained by the next item.

    Args:
        config: options.
        n_items, n_words: items without, words with the padding.
        queries: (1 + Q, W) words of the queries typed in training; row 0 is none.
        by_item: (2, P) item and query, a row of ``queries``, of each training search, by item.
        by_query: (2, P) query and item of the same, by query.
    """

    name = "seqrec"
    tasks = frozenset({REC})
    Config = SeqRecConfig
    tiny: ClassVar = {"width": 8, "tokens": 12}

    def __init__(
        self,
        config: SeqRecConfig,
        n_items: int,
        n_words: int,
        queries: Tensor,
        by_item: Tensor,
        by_query: Tensor,
    ):
        graph = {"queries": queries, "by_item": by_item, "by_query": by_query}
        super().__init__(config, n_items=n_items, n_words=n_words, **graph)
        self.n_items = n_items
        largest, draws = config.full_softmax, config.sampled_items
        self.draws = draws_of_softmax(self.name, n_items, largest, draws)
        for name, table in graph.items():
            self.register_buffer(name, table)
        d = config.width
        self.items = id_table(n_items + 1, d)
        self.words = QueryEncoder(n_words, d)
        self.token_type = id_table(2, d, padding=False)  # item, query
        self.encoder = Encoder(
            d,
            config.tokens,
            config.layers,
            config.heads,
            config.dropout,
            position_std=0.1,
            entry=nn.Dropout(config.dropout),
            norm_first=True,
        )

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: SeqRecConfig) -> SeqRec:
        """A fresh model, with the graph of the training searches."""
        return cls(config, dataset.n_items, dataset.n_words, **search_graph(dataset))

    def encode(self, batch: Batch, at: Tensor, real: Tensor) -> Tensor:
        """States (B, N, d) of the tokens that `interleave` names; each reads itself and earlier."""
        clicks = self.items(batch.ses_clicks).flatten(1, 2)  # (B, S * K, d)
        parts = [self.items(batch.rec_items), self.words(batch.ses_words), clicks]
        content = F.pad(torch.cat(parts, dim=1), (0, 0, 0, 1))  # (B, M, d)
        x = content.gather(1, at.unsqueeze(-1).expand(-1, -1, content.shape[-1]))  # (B, N, d)
        r, s = batch.rec_items.shape[1], batch.ses_words.shape[1]
        is_query = (at >= r) & (at < r + s)
        x = x + self.token_type(is_query.long())
        return self.encoder(x, real, readable=up_to_here(real))

    def score(self, batch: Batch) -> Tensor:
        """Inner product of the last state and each candidate, (B, C) float32; 0 without history."""
        at, real = interleave(batch, self.config.tokens)
        state = last_state(self.encode(batch, at, real), real)  # (B, d)
        return torch.einsum("bd,bcd->bc", state, self.items(batch.cand)).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``next``: cross-entropy of the item that follows a token, where an item does."""
        at, real = interleave(batch, self.config.tokens)
        states = self.encode(self.with_replacements(batch), at, real)
        target = next_items(batch, at, real)
        asked = target > 0
        items = self.items.weight[1:]
        return {
            "next": softmax_over_items(states[asked], target[asked] - 1, items, draws=self.draws)
        }

    # --- replacement ---------------------------------------------------------------------------

    def with_replacements(self, batch: Batch) -> Batch:
        """The batch with some of its history's items and queries replaced; as it is in eval."""
        if not self.training:
            return batch
        words = batch.ses_words
        typed = (words != 0).any(dim=-1)  # (B, S)
        chosen = _chance(words[..., 0], self.config.replace_queries) & typed
        found, known = neighbour(self.by_item, batch.ses_clicks[..., 0])
        random = 1 + torch.randint_like(found, max(len(self.queries) - 1, 1))
        query = torch.where(known & _chance(found, self.config.by_graph), found, random)
        query = query.clamp(max=len(self.queries) - 1)
        return replace(
            batch,
            rec_items=self._replace_items(batch.rec_items),
            ses_clicks=self._replace_items(batch.ses_clicks),
            ses_words=torch.where(chosen.unsqueeze(-1), self.queries[query], words),
        )

    def _replace_items(self, items: Tensor) -> Tensor:
        chosen = _chance(items, self.config.replace_items) & (items != 0)
        query, known = neighbour(self.by_item, items)
        found, _ = neighbour(self.by_query, query)
        random = 1 + torch.randint_like(items, self.n_items)
        other = torch.where(known & _chance(items, self.config.by_graph), found, random)
        return torch.where(chosen, other, items)


def interleave(batch: Batch, n: int) -> tuple[Tensor, Tensor]:
    """The newest ``n`` tokens of each history in order of time: a search's query, then its clicks.

    Returns:
        at (B, n) columns of [rec_items (R) ; queries (S) ; clicks (S * K) ; nothing], M in all, and
        real (B, n), right-padded.
    """
    r = batch.rec_items.shape[1]
    s, k = batch.ses_clicks.shape[1:]
    nothing = r + s + s * k
    column = torch.arange(nothing, device=batch.user.device)
    # Each moment has room for one query and K clicks; a recommendation takes the first place.
    of_rec = F.pad(column[:r, None], (0, k), value=nothing)  # (R, 1 + K)
    of_ses = torch.cat([column[r : r + s, None], column[r + s :].view(s, k)], dim=1)  # (S, 1 + K)
    at = torch.cat([of_rec, of_ses])[batch.merge_index].flatten(1)  # (B, (R + S) * (1 + K))
    typed = (batch.ses_words != 0).any(dim=-1)
    real = torch.cat([batch.rec_items != 0, typed, (batch.ses_clicks != 0).flatten(1)], dim=1)
    kept, inside = newest(F.pad(real, (0, 1)).gather(1, at), n)
    return at.gather(1, kept), inside


def next_items(batch: Batch, at: Tensor, real: Tensor) -> Tensor:
    """The item behind each token (B, N), the positive behind the last; 0: a query, or no token."""
    no_item = torch.zeros_like(batch.ses_words[..., 0])  # a query is none
    ids = torch.cat([batch.rec_items, no_item, batch.ses_clicks.flatten(1)], dim=1)
    ids = F.pad(ids, (0, 1)).gather(1, at) * real
    last = (real.sum(dim=1, keepdim=True) - 1).clamp(min=0)
    return F.pad(ids[:, 1:], (0, 1)).scatter(1, last, batch.cand[:, :1]) * real


def _chance(like: Tensor, p: float) -> Tensor:
    return torch.rand(like.shape, device=like.device) < p
