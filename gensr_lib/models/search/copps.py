"""CoPPS (Dai et al., KDD 2023): TEM with queries in its history, and three contrastive losses.

*Contrastive Learning for User Sequence Representation in Personalized Product Search* has neither
code nor, here, its text: this is a **re-implementation from the abstract**. It names contrastive
learning by an external knowledge graph and by the correlations within and between the sequences of
users; how each is done below, and every number, is a choice of this project.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...data.batches import Batch, merged_steps, newest, taken
from ...data.dataset import Dataset
from ..augmentations import cropped, reordered, some_of
from ..graph import neighbour, search_graph
from ..layers import id_table
from ..losses import attraction, of_all_processes
from ..product_search import item_texts_of
from .tem import TEM, TEMConfig

CROP, REORDER, MASK = range(3)


class CoPPSConfig(TEMConfig):
    """Options of CoPPS, beside those of TEM; the published values of its own are not known here."""

    history: int = Field(60, ge=1, description="newest queries and clicks read")
    beta: float = Field(0.05, ge=0, description="weight of each contrastive loss; 0: TEM's losses")
    temperature: float = Field(0.2, gt=0, description="of the cosines in them")
    substitute: float = Field(
        0.3, ge=0, le=1, description="share of clicks that the graph replaces"
    )
    crop: float = Field(0.6, ge=0, le=1, description="share of a history that a crop leaves")
    reorder: float = Field(0.3, ge=0, le=1, description="share of it that is shuffled")
    mask: float = Field(0.3, ge=0, le=1, description="share of its clicks that are hidden")


class CoPPS(TEM):
    """TEM over [q, q_1, i_1, …, q_N, i_N], with a vector for each kind of token.

    z, the state at the current query q, is what scores are read from and what is contrasted. The
    current query is the same in all views of a search; they have other histories:

    - *knowledge*: the history, and one in which some clicks became related items. The graph is that
      of the training searches: related are items that were clicked after a same query, the more
      often the more likely. An item may be drawn for itself.
    - *within*: two others, of which each is a crop, a reordering of neighbouring steps, or has some
      clicks hidden. A step, a query with its clicks, stays together.
    - *between*: searches of different users that have the same query, or end in the same item.

    In the first two, other searches of a batch repel, but for those of the same user and those that
    end in the same item; in the third, all that do not attract, but for those of the same user.

    Args:
        config: options.
        n_words, texts: as in TEM.
        by_item: (2, P) item and query of each training search, by item, as in `search_graph`.
        by_query: (2, P) query and item of the same, by query.
    """

    name = "copps"
    Config = CoPPSConfig
    tiny: ClassVar = {"width": 8, "inner": 16, "history": 20}

    def __init__(
        self, config: CoPPSConfig, n_words: int, texts: Tensor, by_item: Tensor, by_query: Tensor
    ):
        super().__init__(config, n_words, texts, by_item=by_item, by_query=by_query)
        self.register_buffer("by_item", by_item)
        self.register_buffer("by_query", by_query)
        self.kind = id_table(3, config.width, padding=False)  # query, click, hidden click

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: CoPPSConfig) -> CoPPS:
        """A fresh model, with the graph of the training searches."""
        graph = search_graph(dataset)
        texts = item_texts_of(dataset, cls.name)
        return cls(config, dataset.n_words, texts, graph["by_item"], graph["by_query"])

    def tokens(
        self, words: Tensor, clicks: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The newest queries and clicks of steps: vectors (B, N, d), and which are real (B, N).

        Args:
            words, clicks: (B, S, W) and (B, S, K), as in `merged_steps`.
            hidden: (B, S, K) whether a click is hidden.
        """
        of_query, of_click, of_hidden = self.kind.weight
        clicked = self.items(clicks) + of_click  # (B, S, K, d)
        if hidden is not None:
            clicked = torch.where(hidden.unsqueeze(-1), of_hidden, clicked)
        asked = self.query(words).unsqueeze(2) + of_query  # (B, S, 1, d)
        x = torch.cat([asked, clicked], dim=2)
        typed = (words != 0).any(dim=-1, keepdim=True)  # (B, S, 1)
        real = torch.cat([typed, clicks != 0], dim=2).flatten(1)  # (B, S * (1 + K))
        longest = max(int(real.sum(dim=1).max()), 1)
        at, inside = newest(real, min(longest, self.config.history))
        return taken(x.flatten(1, 2), at, inside), inside

    def state(self, batch: Batch, *history: Tensor) -> Tensor:
        """z of the current queries that read a history, as for `tokens`: (B, d)."""
        return self.read(self.query(batch.query) + self.kind.weight[0], *self.tokens(*history))

    def intent(self, batch: Batch) -> Tensor:
        """z, what is looked for, by whom: (B, d)."""
        return self.state(batch, *merged_steps(batch, self.config.history_of))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """TEM's ``rank`` and ``item_words``, and ``knowledge``, ``within`` and ``between``."""
        words, clicks = merged_steps(batch, self.config.history_of)
        z = self.state(batch, words, clicks)
        terms = self.terms(z, batch)
        related = self.state(batch, words, self.substituted(clicks))
        disturbed = [self.state(batch, *self.disturbed(words, clicks)) for _ in range(2)]
        z, related, *disturbed = map(of_all_processes, (z, related, *disturbed))

        asked = (batch.user, batch.cand[:, :1], batch.query)
        user, item, query = map(of_all_processes, asked)
        same_user = user[:, None] == user
        same_item = item == item.T
        same_query = (query[:, None] == query).all(dim=-1) & (query != 0).any(dim=-1)
        alike = same_item | same_query
        tau = self.config.temperature
        return {
            **terms,
            "knowledge": views_agree(z, related, same_user | same_item, tau),
            "within": views_agree(*disturbed, same_user | same_item, tau),
            "between": attraction(z, alike & ~same_user, ~alike & ~same_user, tau),
        }

    @property
    def loss_weights(self) -> dict[str, float]:
        """Each contrastive loss counts beta."""
        return dict.fromkeys(("knowledge", "within", "between"), self.config.beta)

    # --- other histories -----------------------------------------------------------------------

    def substituted(self, clicks: Tensor) -> Tensor:
        """Clicks (B, S, K) of which some are related items; one without any stays."""
        chosen = some_of(clicks.flatten(1) != 0, self.config.substitute).view_as(clicks)
        query, known = neighbour(self.by_item, clicks)
        related, _ = neighbour(self.by_query, query)
        return torch.where(chosen & known, related, clicks)

    def disturbed(self, words: Tensor, clicks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Words (B, S, W) and clicks (B, S, K) of a disturbed history, and which are hidden."""
        real = (clicks != 0).any(dim=-1)  # (B, S)
        way = torch.randint(3, (len(real), 1), device=real.device)
        at, inside = cropped(real, self.config.crop)
        inside = torch.where(way == CROP, inside, real)
        place = torch.arange(real.shape[1], device=real.device).expand_as(real)
        elsewhere = torch.where(way == REORDER, reordered(real, self.config.reorder), place)
        at = torch.where(way == CROP, at, elsewhere)
        words, clicks = taken(words, at, inside), taken(clicks, at, inside)
        hidden = some_of(clicks.flatten(1) != 0, self.config.mask) & (way == MASK)
        return words, clicks, hidden.view_as(clicks)


def views_agree(a: Tensor, b: Tensor, alike: Tensor, temperature: float) -> Tensor:
    """Two views (B, d) of each row attract; all views of rows that are not alike (B, B) repel.

    Args:
        alike: symmetric, with a diagonal of True.
    """
    n = len(a)
    partner = torch.eye(2 * n, dtype=torch.bool, device=a.device).roll(n, dims=0)
    return attraction(torch.cat([a, b]), partner, ~alike.repeat(2, 2), temperature)
