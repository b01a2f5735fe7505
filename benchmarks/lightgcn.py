"""LightGCN's training step at KuaiSAR's size, beside PyTorch Geometric's, on one graph.

    python benchmarks/lightgcn.py [--quick] [--out FILE]

A made-up graph of the size that KuaiSAR has after filtering. A step is loss, gradient and AdamW over
one batch, each of which propagates through the whole graph, so an epoch costs its steps. PyTorch
Geometric gets the graph as a sparse matrix, normalised once: over lists of edges its messages do
not fit into memory at this size, and at a tenth of it both of its ways are timed.
"""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from command import command
from torch_geometric.nn import LightGCN as Geometric

from gensr_lib.data.batches import Batch
from gensr_lib.models.recommendation.lightgcn import LightGCN, LightGCNConfig

OURS, MATRIX, EDGES = "ours", "PyTorch Geometric, matrix", "PyTorch Geometric, edges"


@dataclass(frozen=True)
class Size:
    """A graph, a batch of its clicks, and how often a step is timed."""

    users: int = 22_700
    items: int = 673_415
    clicks: int = 10_000_000
    batch: int = 262_144
    repeats: int = 3

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return math.ceil(self.clicks / self.batch)

    def over(self, share: int) -> Size:
        """One of so many equal shares."""
        sizes = (self.users, self.items, self.clicks, self.batch)
        return Size(*(max(size // share, 64) for size in sizes), self.repeats)


def draw_edges(size: Size) -> torch.Tensor:
    """(2, E) distinct pairs of user and item, some of both far more active than others."""
    rng = np.random.default_rng(0)
    user = (size.users * rng.random(size.clicks) ** 1.4).astype(np.int64)
    item = 1 + (size.items * rng.random(size.clicks) ** 1.6).astype(np.int64)
    pairs = np.unique(user * (size.items + 1) + item)
    return torch.from_numpy(np.stack([pairs // (size.items + 1), pairs % (size.items + 1)]))


def draw_batch(edges: torch.Tensor, size: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Users (B,), and positive and negative item of each (B, 2)."""
    generator = torch.Generator().manual_seed(0)
    at = torch.randint(edges.shape[1], (size.batch,), generator=generator)
    other = torch.randint(1, size.items + 1, (size.batch,), generator=generator)
    return edges[0, at], torch.stack([edges[1, at], other], dim=1)


def our_step(edges: torch.Tensor, size: Size) -> Callable[[], None]:
    """A step of this book's LightGCN."""
    torch.manual_seed(0)
    model = LightGCN(LightGCNConfig(), size.users, size.items, edges)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    user, items = draw_batch(edges, size)
    nothing = torch.zeros(len(user), 0, dtype=torch.long)
    batch = Batch("rec", user, *[nothing] * 6, nothing, ("",) * len(user), items)

    def step() -> None:
        terms = model.loss(batch)
        (terms["bpr"] + model.config.l2 * terms["l2"]).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def their_step(edges: torch.Tensor, size: Size, as_matrix: bool) -> Callable[[], None]:
    """The same step of PyTorch Geometric's LightGCN."""
    torch.manual_seed(0)
    n = size.users + size.items + 1
    model = Geometric(n, 64, num_layers=3)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    user, items = draw_batch(edges, size)
    positive, negative = (torch.stack([user, size.users + items[:, column]]) for column in (0, 1))
    graph, weight = edge_list(edges, size.users, n)
    if as_matrix:
        for conv in model.convs:
            conv.normalize = False
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            graph = torch.sparse_coo_tensor(graph, weight, (n, n), check_invariants=False)
            graph, weight = graph.to_sparse_csr(), None

    def step() -> None:
        found = model.get_embedding(graph, weight)
        scores = [(found[pair[0]] * found[pair[1]]).sum(dim=1) for pair in (positive, negative)]
        nodes = torch.cat([positive, negative], dim=1).unique()
        model.recommendation_loss(*scores, node_id=nodes, lambda_reg=1e-4).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def edge_list(edges: torch.Tensor, users: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Both directions of all edges (2, 2E), and their normalised weights."""
    user, item = edges[0], edges[1] + users
    both = torch.cat([torch.stack([user, item]), torch.stack([item, user])], dim=1)
    degree = torch.bincount(both[0], minlength=n).clamp(min=1).float()
    return both, (degree[both[0]] * degree[both[1]]).rsqrt()


def measure(size: Size, sides: tuple[str, ...]) -> dict:
    """Seconds of a step on every side, one after the other in each repeat, and ratios within it."""
    edges = draw_edges(size)
    makers = {
        OURS: our_step,
        MATRIX: partial(their_step, as_matrix=True),
        EDGES: partial(their_step, as_matrix=False),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    steps = {side: makers[side](edges, size) for side in sides}
    for repeat in range(size.repeats + 1):
        for side, step in steps.items():
            start = time.perf_counter()
            step()
            if repeat:  # the first makes what is kept
                seconds[side].append(time.perf_counter() - start)
    epoch = {side: size.steps * statistics.median(found) for side, found in seconds.items()}
    ratios = {
        side: statistics.median(a / b for a, b in zip(seconds[OURS], seconds[side], strict=True)) for side in sides[1:]
    }
    return {
        "size": vars(size) | {"edges": edges.shape[1], "steps of an epoch": size.steps},
        "seconds of a step": seconds,
        "seconds of an epoch": epoch,
        "ours / theirs": ratios,
    }


def table(result: dict) -> str:
    """The figures for a terminal."""
    lines = []
    for name, found in result["graphs"].items():
        size = found["size"]
        lines.append(f"{name}: {size['users']} users, {size['items']} items, {size['edges']} edges")
        for side, seconds in found["seconds of an epoch"].items():
            ratio = found["ours / theirs"].get(side)
            of_ours = f", ours / theirs {ratio:.2f}" if ratio else ""
            lines.append(f"  {side:28} an epoch {seconds:9.1f} s{of_ours}")
    return "\n".join(lines)


def run(quick: bool) -> dict:
    """A tenth of the graph on all three sides, then all of it on those that fit."""
    whole = Size(repeats=1 if quick else 3).over(2000 if quick else 1)
    return {
        "graphs": {
            "a tenth": measure(whole.over(10), (OURS, MATRIX, EDGES)),
            "all": measure(whole, (OURS, MATRIX)),
        }
    }


main = partial(command, __doc__, run, table, "lightgcn")

if __name__ == "__main__":
    main()
