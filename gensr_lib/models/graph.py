"""The graph of training searches: queries, and the items clicked after them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Dataset
from .layers import random_below


def search_graph(dataset: Dataset) -> dict[str, Tensor]:
    """What was clicked after which query in training; no held-out search is an edge.

    Returns:
        queries: (1 + Q, W) words of the distinct queries that have a word; row 0 is none.
        by_item: (2, P) item and query, a row of ``queries``, of each search, by item.
        by_query: (2, P) query and item of the same, by query.
    """
    typed = dataset.training_queries
    searches = dataset.rows_before_cut() & np.isin(dataset.query, typed)
    # Numbers from 1; the first edge joins the paddings, so that there is always one.
    query = np.r_[0, 1 + np.searchsorted(typed, dataset.query[searches])]
    item = np.r_[0, dataset.item[searches]]
    orders = {"by_item": np.stack([item, query]), "by_query": np.stack([query, item])}
    graph = {
        name: np.take(e, np.argsort(e[0], kind="stable"), axis=1) for name, e in orders.items()
    }
    words = dataset.query_word_ids[typed]
    graph["queries"] = np.concatenate([np.zeros_like(words, shape=(1, words.shape[1])), words])
    return {name: torch.from_numpy(table).long() for name, table in graph.items()}


def neighbour(edges: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
    """A random neighbour of each node (...) by edges (2, P) in order of node, and if it has one."""
    node = node.contiguous()
    first = torch.searchsorted(edges[0], node)
    n = torch.searchsorted(edges[0], node, right=True) - first
    at = first + random_below(n)
    return edges[1][at.clamp(max=edges.shape[1] - 1)], n > 0
