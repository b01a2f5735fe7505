"""Blocks that several models share: masked means, encoders that survive empty histories, attention.

Shapes: B rows, N tokens of a history, C candidates, d the width.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.batches import Batch
from ..errors import ConfigError
from .losses import info_nce, of_all_processes

COLDEST = 0.01  # a learned temperature is not used below this: at 0 the loss would be infinite


def check_heads(width: int, heads: int, of_width: str = "width", of_heads: str = "heads") -> None:
    """Each head works on its own part of the width.

    Raises:
        ConfigError: the heads do not divide it; the message has the names of both options.
    """
    if width % heads:
        raise ConfigError(
            f"{of_width} {width} is not a multiple of {of_heads} {heads}; change one of them"
        )


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid positions: x (B, N, d), valid (B, N) -> (B, d); zeros where none is
    valid.
    """
    weight = valid.unsqueeze(-1).to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def last_state(x: Tensor, valid: Tensor) -> Tensor:
    """x at the last valid position: x (B, N, d), valid (B, N), padding on the right -> (B, d);
    zeros where none is valid.
    """
    last = (valid.sum(dim=1) - 1).clamp(min=0)  # (B,)
    state = x.gather(1, last[:, None, None].expand(-1, 1, x.shape[2])).squeeze(1)
    return state * valid.any(dim=1, keepdim=True)


def start_normal(model: nn.Module, std: float = 0.02) -> None:
    """Start as BERT: weights normal(0, std), biases and rows of padding 0; norms as they are."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=std)
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])


class SoftFilter(nn.Module):
    """History soft filtering, eq. 5 and 6 of GenSR: attention of each candidate over the history.

    Args:
        width: d of the candidate vectors and of the encoded history.
        heads: the heads of MCA; each has its own weights over the history.
    """

    def __init__(self, width: int, heads: int = 2):
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)  # W_V of eq. 6

    @torch.no_grad()
    def start_aligned(self) -> None:
        """Begin as a filter by similarity: all three maps the identity.

        Each head then weighs the history by its likeness to the candidate, and what it returns lies
        in the candidates' own space, so that what reads both need not first learn to relate them.
        """
        for projection in (self.query, self.key, self.value):
            nn.init.eye_(projection.weight)

    def forward(self, candidate: Tensor, history: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """candidate (B, C, d), history (B, N, d), valid (B, N) to filtered (B, C, d) and weights
        (B, C, N).

        The weights are the mean of alpha_j over the heads: they sum to 1 over the valid positions
        (eq. 5), or are all 0 for an empty history, whose filtered vector is 0.
        """
        q = self._split(self.query(candidate))  # (B, h, C, d/h)
        k = self._split(self.key(history))  # (B, h, N, d/h)
        v = self._split(self.value(history))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (B, h, C, N)
        alpha = masked_softmax(scores, valid[:, None, None, :])  # eq. 5
        filtered = (alpha @ v).transpose(1, 2).flatten(2)  # eq. 6, (B, C, d)
        return filtered, alpha.mean(dim=1)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, h, N, d/h)


class BilinearPool(nn.Module):
    """sum_t a_t h_t with a = softmax_t(h_tᵀ W e_c): each candidate reads a history its own way."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width))

    def forward(self, history: Tensor, candidate: Tensor, valid: Tensor) -> Tensor:
        """history (B, N, d), candidate (B, C, d), valid (B, N) -> (B, C, d); empty histories give
        0.
        """
        scores = candidate @ self.weight.T @ history.transpose(1, 2)  # (B, C, N)
        return masked_softmax(scores, valid.unsqueeze(1)) @ history


def masked_softmax(scores: Tensor, keep: Tensor) -> Tensor:
    """Softmax over the last axis where ``keep``; all 0 where nothing is kept."""
    lowest = torch.finfo(scores.dtype).min  # not -inf: a row without any would be NaN
    return scores.masked_fill(~keep, lowest).softmax(dim=-1) * keep


class Alignment(nn.Module):
    """InfoNCE with the similarity tanh(aᵀ A b) / tau, A and tau learned: logits stay within 1 /
    tau.
    """

    def __init__(self, width: int, tau: float):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width))
        self.tau = nn.Parameter(torch.tensor(float(tau)))

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """Each row of a (N, d) with each row of b (M, d): (N, M) float32."""
        return torch.tanh(a @ self.weight @ b.T).float() / self.tau.clamp(min=COLDEST)

    def pairs(self, a: Tensor, b: Tensor) -> Tensor:
        """Row i of a with row i of b, (N, d) both: (N, 1) float32."""
        product = (a @ self.weight * b).sum(dim=1, keepdim=True)
        return torch.tanh(product).float() / self.tau.clamp(min=COLDEST)

    def against(self, a: Tensor, b: Tensor, random_a: Tensor, random_b: Tensor) -> Tensor:
        """Each pair (a_i, b_i), both (P, d), against random partners (M, d), both ways; 0 for P =
        0. Of several processes each draws partners of its own, for its own pairs.

        As published, A is not transposed when b looks for its a.
        """
        if not len(a):
            return a.sum()
        a_to_b = torch.cat([self.pairs(a, b), self.similarity(a, random_b)], dim=1)  # (P, 1 + M)
        b_to_a = torch.cat([self.pairs(b, a), self.similarity(b, random_a)], dim=1)
        return (info_nce(a_to_b) + info_nce(b_to_a)) / 2

    def within(self, a: Tensor, b: Tensor) -> Tensor:
        """Each pair (a_i, b_i), both (B, d), against the 2B - 2 other vectors, both ways; or 0."""
        a, b = map(of_all_processes, (a, b))
        if not len(a):
            return a.sum()
        # The partner of row i stands n rows further on, in a circle: hence the roll below.
        n = len(a)
        both = torch.cat([a, b])  # (2B, d)
        own = torch.eye(2 * n, dtype=torch.bool, device=a.device)
        logits = self.similarity(both, both).masked_fill(own, -torch.inf)
        return F.cross_entropy(logits, torch.arange(2 * n, device=a.device).roll(n))


class Experts(nn.Module):
    """n experts, each Linear, ReLU and dropout, as one product."""

    def __init__(self, inputs: int, width: int, n: int, dropout: float):
        super().__init__()
        self.n = n
        self.linear = nn.Linear(inputs, n * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., inputs) -> (..., n, width)."""
        return self.dropout(self.linear(x).relu()).unflatten(-1, (self.n, -1))


def mlp(dropout: float, *widths: int) -> nn.Sequential:
    """Linear, ReLU and dropout for each step of the widths."""
    steps: list[nn.Module] = []
    for before, after in pairwise(widths):
        steps += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*steps)


def id_table(n: int, width: int, std: float = 0.1, padding: bool = True) -> nn.Embedding:
    """A table of n small random vectors; with padding, row 0 is one and starts as zeros."""
    table = nn.Embedding(n, width, padding_idx=0 if padding else None)
    nn.init.normal_(table.weight, std=std)
    if padding:
        nn.init.zeros_(table.weight[0])
    return table


class QueryEncoder(nn.Module):
    """A query is the mean of its words' vectors; without words, a zero vector."""

    def __init__(self, n_words: int, width: int):
        super().__init__()
        self.table = id_table(n_words, width)

    def forward(self, words: Tensor) -> Tensor:
        """words (..., W), 0 for padding -> (..., d)."""
        valid = (words != 0).unsqueeze(-1)  # (..., W, 1)
        return (self.table(words) * valid).sum(dim=-2) / valid.sum(dim=-2).clamp(min=1)


def random_below(n: Tensor) -> Tensor:
    """Random whole numbers from 0 to n - 1, for each n (...); 0 where n is 0."""
    # Not a random float times n: it may round to n itself.
    return torch.randint_like(n, 2**31) % n.clamp(min=1)


def query_click_pairs(batch: Batch, queries: Tensor, clicks: Tensor) -> tuple[Tensor, Tensor]:
    """Each query with words of the batch's histories beside each item clicked after it.

    Args:
        queries, clicks: (B, S, d) and (B, S, K, d), the vectors of all sessions.

    Returns:
        (P, d) and (P, d).
    """
    typed = (batch.ses_words != 0).any(dim=-1, keepdim=True)  # (B, S, 1)
    real = (batch.ses_clicks != 0) & typed  # (B, S, K)
    pair = real.flatten().nonzero().squeeze(1)  # (P,)
    # F.embedding, not indexing: on several threads an index's gradient adds up in any order.
    query = F.embedding(pair // real.shape[2], queries.flatten(0, 1))
    return query, F.embedding(pair, clicks.flatten(0, 2))
