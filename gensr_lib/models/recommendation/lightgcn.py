"""LightGCN (He et al., SIGIR 2020): collaborative vectors of users and items.

Embeddings are averaged over L rounds of propagation on the bipartite graph of *training
recommendation clicks*: ``E^(l+1) = D^-1/2 A D^-1/2 E^(l)``, ``E = mean_l E^(l)`` (their eq. 7-8).
GenSR uses the item vectors, frozen, as its CF view (paper §4.1.1, footnote 1). Data without any
recommendations have the clicks of their searches for a graph: these too say who wants what. With
``edges="both"``, which the footnote keeps out, all clicks are one graph, and it learns and serves
both tasks.
"""

from __future__ import annotations

import warnings
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
from ...data.split import tasks_of
from ..base import RankingModel
from ..losses import bpr


class LightGCNConfig(Config):
    """Options of LightGCN; the defaults are those of the original code."""

    width: int = Field(64, ge=1, description="d of the collaborative vectors (paper §6.1.3: 64)")
    layers: int = Field(3, ge=0, description="rounds of propagation; 0 is matrix factorisation")
    l2: float = Field(1e-4, ge=0, description="weight of the squared norm of a batch's embeddings")
    init_std: float = Field(0.1, gt=0)
    edges: Literal["rec", "both"] = Field(
        "rec", description="whose clicks are the graph and the positives: paper, footnote 1: rec"
    )


class SymmetricProduct(torch.autograd.Function):
    """A symmetric sparse matrix (N, N) times vectors (N, d), whose gradient is the same product.

    Autograd would transpose the matrix in each step, which takes ten times as long as the product.
    """

    @staticmethod
    def forward(ctx, matrix: Tensor, vectors: Tensor) -> Tensor:
        """The product (N, d)."""
        ctx.matrix = matrix
        return matrix @ vectors

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[None, Tensor]:
        """Of the vectors (N, d); the matrix has none."""
        return None, ctx.matrix @ gradient


class LightGCN(RankingModel):
    """Graph collaborative filtering, trained by BPR on the clicks that are its graph.

    Args:
        config: options.
        n_users, n_items: users are 0-based, items 1-based (0 is padding and stays a zero vector).
        edges: (2, E) int64 distinct training pairs (user, item).
        task: whose clicks these are, ``rec`` or ``both``; ``src`` where recommendation has no
            training or no test rows.
    """

    name = "lightgcn"
    task_term = "bpr"
    tasks = frozenset({REC})
    Config = LightGCNConfig
    serves_new_users = False  # it has a vector for each user of its training, and for nobody else
    tiny: ClassVar = {"width": 8}

    def __init__(
        self, config: LightGCNConfig, n_users: int, n_items: int, edges: Tensor, task: str = REC
    ):
        super().__init__(config, n_users=n_users, n_items=n_items, edges=edges, task=task)
        self.tasks = frozenset(BEHAVIORS if task == "both" else {task})
        self.n_users = n_users
        self.n_items = n_items
        vectors = torch.randn(n_users + n_items + 1, config.width)
        self.embedding = nn.Parameter(vectors * config.init_std)
        self.register_buffer("edges", edges)
        # Kept from one score to the next, with what they were made of.
        self._graph: tuple[Tensor, tuple] | None = None
        self._final: tuple[tuple[Tensor, Tensor], tuple] | None = None

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: LightGCNConfig) -> LightGCN:
        """The graph of `Dataset.training_edges`, each pair once."""
        task = config.edges
        if task != "both":
            task = next(iter(tasks_of(dataset.rows)), REC)
        pairs = np.unique(np.stack(dataset.training_edges(task)), axis=1)
        edges = torch.from_numpy(pairs).long()
        return cls(config, dataset.n_users, dataset.n_items, edges, task)

    def graph(self) -> Tensor:
        """D^-1/2 A D^-1/2 as a sparse CSR matrix over users, padding and items: (U+I+1, U+I+1)."""
        now = (*_state(self.edges), self.embedding.dtype)
        if self._graph is None or self._graph[1] != now:
            user = self.edges[0]
            item = self.edges[1] + self.n_users
            both = torch.cat([torch.stack([user, item]), torch.stack([item, user])], dim=1)
            n = len(self.embedding)
            degree = torch.bincount(both[0], minlength=n).clamp(min=1).to(self.embedding.dtype)
            # 1 / sqrt(deg(u) deg(i)): what everybody clicked says little about any one of them.
            weight = (degree[both[0]] * degree[both[1]]).rsqrt()
            # Not in inference mode: what is kept from scoring must still serve training afterwards.
            with warnings.catch_warnings(), torch.inference_mode(False):
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
                graph = torch.sparse_coo_tensor(both, weight, (n, n), check_invariants=False)
                self._graph = graph.to_sparse_csr(), now
        return self._graph[0]

    def propagate(self) -> tuple[Tensor, Tensor]:
        """Final vectors of users (U, d) and of items (I + 1, d), whose row 0 (padding) is zero."""
        mean = self._mean_of_layers()
        items = mean[self.n_users :]
        return mean[: self.n_users], torch.cat([torch.zeros_like(items[:1]), items[1:]])

    def _mean_of_layers(self) -> Tensor:
        """Final vectors of all nodes (U + 1 + I, d); that of the padding means nothing."""
        # Sparse products know no bfloat16.
        with torch.autocast(self.embedding.device.type, enabled=False):
            mean = layer = self.embedding
            for _ in range(self.config.layers):
                layer = SymmetricProduct.apply(self.graph(), layer)
                mean = mean + layer
            return mean / (self.config.layers + 1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """BPR of the positive against each negative, and the L2 of the embeddings in it.

        No candidate may be padding.
        """
        # All in one table, which has one gradient: at 700,000 nodes a pass over it takes its time.
        nodes = torch.cat([batch.user[:, None], batch.cand + self.n_users], dim=1)  # (B, 1 + C)
        # F.embedding, not indexing: on several threads an index's gradient adds up in any order.
        final = F.embedding(nodes, self._mean_of_layers())
        scores = torch.einsum("bd,bcd->bc", final[:, 0], final[:, 1:])
        ego = F.embedding(nodes, self.embedding)
        return {
            "bpr": bpr(scores[:, 0], scores[:, 1:]),
            "l2": ego.square().sum(dim=(1, 2)).mean() / 2,
        }

    @property
    def loss_weights(self) -> dict[str, float]:
        """The L2 term is weighted by ``config.l2``."""
        return {"l2": self.config.l2}

    def train(self, mode: bool = True) -> LightGCN:
        """Leaving or entering training drops the propagated vectors kept for evaluation."""
        self._final = None
        return super().train(mode)

    def score(self, batch: Batch) -> Tensor:
        """Dot product of user and candidate vectors (B, C)."""
        if self.training:
            users, items = self.propagate()
        else:
            now = _state(self.embedding)
            if self._final is None or self._final[1] != now:  # moved, loaded or trained since
                self._final = self.propagate(), now
            users, items = self._final[0]
        return torch.einsum("bd,bcd->bc", users[batch.user], items[batch.cand]).float()

    @torch.no_grad()
    def item_vectors(self) -> Tensor:
        """The CF table of GenSR: (I + 1, d), row 0 zero, on the CPU."""
        return self.propagate()[1].detach().cpu().clone()


def _state(tensor: Tensor) -> tuple[object, ...]:
    """What differs when a tensor was moved, exchanged, or changed in place but by its ``data``."""
    version = None if tensor.is_inference() else tensor._version
    return id(tensor), tensor.data_ptr(), version, tensor.device, tensor.dtype
