"""Floors that read the history: what is trained by gradients should be above all of them.

`CategoryCount` (the category clicked most), `ItemKNN` (cosine neighbours) and `EASE` (Steck, WWW
2019: a linear item-item model in closed form); those that read the query are in `search.lookup`.
They are fitted on training clicks alone, and all that they know stands in buffers.

The defaults were chosen on the *validation* rows of the pocket world; no test row was looked at.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from scipy.sparse import csr_array
from torch import Tensor

from ..config import Config
from ..data.batches import Batch, merged_history
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, CATEGORIES, PATH_SEPARATOR, REC
from ..data.split import TRAIN, tasks_of
from .base import RankingModel

BLOCK = 512  # items whose similarities to all others are held in memory at once


class CategoryCountConfig(Config):
    """Options of the category count."""

    history: int = Field(20, ge=1, description="most recent clicks that are counted, n")
    popularity: float = Field(0.25, ge=0, description="weight of the candidate's log popularity")


class CategoryCount(RankingModel):
    """Counts how often the candidate's category is among the last n clicks of both behaviors.

    ``log(1 + count) + popularity * log(1 + clicks)``, where ``clicks`` are the candidate's training
    clicks of the same behavior. A category is the whole path, the first one of several; an item
    without any has popularity alone.
    """

    name = "category_count"
    family = "anchor"
    Config = CategoryCountConfig

    def __init__(self, config: CategoryCountConfig, category: Tensor, popularity: Tensor):
        super().__init__(config, category=category, popularity=popularity)
        self.register_buffer("category", category)  # (I + 1,) numbers; 0: none
        self.register_buffer("popularity", popularity)  # (2, I + 1)

    @classmethod
    def obstacle(cls, dataset: Dataset, config: CategoryCountConfig) -> str:
        """Without categories there is nothing to count."""
        has_any = dataset.items[CATEGORIES].ne("").any()
        return "" if has_any else "it counts categories, and no item has one"

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: CategoryCountConfig) -> CategoryCount:
        """Number the categories and count the clicks."""
        first = dataset.items[CATEGORIES].str.split(PATH_SEPARATOR, n=1, regex=False).str[0]
        number, _ = pd.factorize(first.where(first.ne("")))  # -1 for those without
        category = torch.from_numpy(np.r_[0, number + 1])
        return cls(config, category, log_popularity(dataset))

    def score(self, batch: Batch) -> Tensor:
        """Log count and log popularity, weighted (B, C)."""
        clicked, _ = merged_history(batch, self.config.history)  # (B, N)
        seen = self.category[clicked]  # (B, N)
        own = self.category[batch.cand]  # (B, C)
        count = (own.unsqueeze(2) == seen.unsqueeze(1)).sum(2) * (own > 0)  # (B, C)
        popular = self.popularity[BEHAVIORS.index(batch.task)][batch.cand]
        return torch.log1p(count.float()) + self.config.popularity * popular


class ItemItemConfig(Config):
    """What item-item models have in common: which clicks they learn from and which they read."""

    edges: Literal["rec", "both"] = Field(
        "both", description="whose training clicks are learned: recommendations', or searches' too"
    )
    history_of: Literal["both", "rec", "src"] = Field("both", description="behaviors in it")
    history: int = Field(40, ge=1, description="most recent clicks that are read")


class ItemKNNConfig(ItemItemConfig):
    """Options of the neighbours."""

    neighbours: int = Field(200, ge=1, description="items that each item is similar to, at most")
    shrinkage: float = Field(0.0, ge=0, description="added to the denominator of the cosine")


class EASEConfig(ItemItemConfig):
    """Options of EASE."""

    l2: float = Field(400.0, gt=0, description="lambda of the ridge regression")
    max_items: int = Field(15_000, ge=1, description="largest catalogue: 5 GiB while it is solved")


class ItemKNN(RankingModel):
    """Sums the similarity of a candidate to each distinct item of the history.

    ``c_ij / (sqrt(c_i c_j) + shrinkage)``, where c_i users clicked i in training and c_ij both; of
    each item of the history the most similar ``neighbours`` count.

    Args:
        neighbour, similarity: (I + 1, K) of each item, best first; filled with 0.
    """

    name = "item_knn"
    family = "anchor"
    Config = ItemKNNConfig

    def __init__(self, config: ItemKNNConfig, neighbour: Tensor, similarity: Tensor):
        super().__init__(config, neighbour=neighbour, similarity=similarity)
        self.register_buffer("neighbour", neighbour)
        self.register_buffer("similarity", similarity)

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: ItemKNNConfig) -> ItemKNN:
        """Compare all items, a block of them at a time."""
        clicks = click_matrix(dataset, config.edges)
        size = clicks.shape[1]
        most = min(config.neighbours, size)
        neighbour = np.zeros((size, most), dtype=np.int64)
        similarity = np.zeros((size, most), dtype=np.float32)
        for start in range(0, size, BLOCK):
            item, other, value = _similar(clicks, start, config.shrinkage)
            order = np.lexsort((other, -value, item))  # by item, the most similar first
            item, other, value = item[order], other[order], value[order]
            rank = np.arange(len(item)) - np.searchsorted(item, item)
            kept = rank < most
            neighbour[item[kept], rank[kept]] = other[kept]
            similarity[item[kept], rank[kept]] = value[kept]
        return cls(config, torch.from_numpy(neighbour), torch.from_numpy(similarity))

    def score(self, batch: Batch) -> Tensor:
        """Sums of similarities (B, C)."""
        clicked = _distinct_history(batch, self.config)  # (B, N)
        totals = self.similarity.new_zeros(len(batch), len(self.similarity))  # (B, I + 1)
        neighbour = self.neighbour[clicked].flatten(1)  # (B, N * K)
        totals.scatter_add_(1, neighbour, self.similarity[clicked].flatten(1))
        return totals.gather(1, batch.cand)


class EASE(RankingModel):
    """Sums over the distinct items of the history how much each speaks for a candidate.

    The weights B predict each user's clicks X from the user's other clicks by ridge regression:
    ``min |X - X B|^2 + l2 |B|^2`` with ``diag(B) = 0``. With ``P = (X'X + l2 I)^-1`` the solution
    is ``B_ij = -P_ij / P_jj`` for i other than j (Steck 2019, eq. 8).

    Args:
        weights: (I + 1, I + 1); row and column 0, of the padding, are zero.
    """

    name = "ease"
    family = "anchor"
    Config = EASEConfig

    def __init__(self, config: EASEConfig, weights: Tensor):
        super().__init__(config, weights=weights)
        self.register_buffer("weights", weights)

    @classmethod
    def obstacle(cls, dataset: Dataset, config: EASEConfig) -> str:
        """Three dense matrices of float64 must fit into memory: 24 bytes a pair of items."""
        n = dataset.n_items
        if n <= config.max_items:
            return ""
        return (
            f"solving for {n:,} items takes {24 * n**2 / 2**30:.1f} GiB of memory, and max_items "
            f"is {config.max_items:,}; raise max_items if you have the memory"
        )

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: EASEConfig) -> EASE:
        """Solve for the weights, in float64."""
        clicks = click_matrix(dataset, config.edges)[:, 1:]
        gram = torch.from_numpy((clicks.T @ clicks).toarray())  # (I, I)
        gram.diagonal().add_(config.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        inverse /= -inverse.diagonal().clone()  # column j by P_jj
        inverse.fill_diagonal_(0)
        weights = torch.zeros(len(inverse) + 1, len(inverse) + 1)
        weights[1:, 1:] = inverse
        return cls(config, weights)

    def score(self, batch: Batch) -> Tensor:
        """Sums of weights (B, C)."""
        clicked = _distinct_history(batch, self.config)  # (B, N)
        return self.weights[clicked.unsqueeze(2), batch.cand.unsqueeze(1)].sum(1)


def log_popularity(dataset: Dataset) -> Tensor:
    """log(1 + training clicks) of each item by behavior: (2, I + 1), row 0 recommendations."""
    items = [dataset.item[dataset.rows[TRAIN][task].event] for task in BEHAVIORS]
    counts = np.stack([np.bincount(item, minlength=dataset.n_items + 1) for item in items])
    return torch.from_numpy(np.log1p(counts)).float()


def click_matrix(dataset: Dataset, edges: str) -> csr_array:
    """Which user clicked which item in training: (U, I + 1), zeros and ones.

    Args:
        edges: as in `ItemItemConfig`; data whose recommendations cannot be trained on and
            tested have their searches' clicks.
    """
    behaviors = edges if edges == "both" else next(iter(tasks_of(dataset.rows)), REC)
    user, item = np.unique(np.stack(dataset.training_edges(behaviors)), axis=1)
    shape = (dataset.n_users, dataset.n_items + 1)
    return csr_array((np.ones(len(user)), (user, item)), shape=shape)


def _similar(clicks: csr_array, start: int, shrinkage: float) -> tuple[np.ndarray, ...]:
    """Similarities above zero of a block of items to all others: item, other, value (P,) each."""
    pairs = (clicks[:, start : start + BLOCK].T @ clicks).tocoo()
    item, other = pairs.coords
    item = item + start
    users = np.asarray(clicks.sum(axis=0))  # c_i
    value = pairs.data / (np.sqrt(users[item] * users[other]) + shrinkage)
    apart = item != other
    return item[apart], other[apart], value[apart]


def _distinct_history(batch: Batch, config: ItemItemConfig) -> Tensor:
    """The last clicks (B, N), each item once: where it comes again there is padding."""
    room = batch.rec_items.shape[1] + batch.ses_clicks[0].numel()  # no wider than what there is
    clicked, _ = merged_history(batch, min(config.history, room), config.history_of)
    again = (clicked.unsqueeze(2) == clicked.unsqueeze(1)).tril(-1).any(2)
    return clicked.masked_fill(again, 0)
