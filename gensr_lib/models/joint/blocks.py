"""What UniSAR is built of: masked encoders, fusion, contrastive alignment, candidate-aware pooling, experts.

Shapes: B rows, N tokens of a history, C candidates, d the width.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COLDEST = 0.01  # a learned temperature is not used below this: at 0 the loss would be infinite


class MaskedEncoder(nn.Module):
    """A post-norm transformer encoder in which each token reads the tokens it is allowed to.

    Args:
        width: d, of tokens and feed-forward.
        length: how many learned positions there are.
    """

    def __init__(self, width: int, length: int, layers: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.position = nn.Parameter(torch.empty(length, width))
        layer = nn.TransformerEncoderLayer(width, heads, width, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, place: Tensor, readable: Tensor, valid: Tensor) -> Tensor:
        """Encode tokens x (B, N, d) that stand at the positions place (B, N) or (N,).

        Args:
            readable: (B, N, N) bool, whether row i may read column j.
            valid: (B, N) real tokens.

        Returns:
            (B, N, d), zeros at padding and at tokens that have nothing to read. The latter attend to
            everything first: torch gives NaN where every key is blocked, and only in eval mode.
        """
        reads = readable.any(dim=-1)  # (B, N)
        blocked = ~readable & reads.unsqueeze(-1)
        place = place.clamp(max=len(self.position) - 1)  # only padding stands behind the last position
        x = x + F.embedding(place, self.position)
        out = self.encoder(x, mask=blocked.repeat_interleave(self.heads, dim=0))
        return out * (reads & valid).unsqueeze(-1)


class Fusion(nn.Module):
    """F = Dec(target, memory): a post-norm transformer decoder over two transitions of the same tokens."""

    def __init__(self, width: int, layers: int, heads: int, dropout: float):
        super().__init__()
        layer = nn.TransformerDecoderLayer(width, heads, width, dropout, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers)

    def forward(self, target: Tensor, memory: Tensor, valid: Tensor) -> Tensor:
        """target, memory (B, N, d), valid (B, N) -> (B, N, d), zeros at padding; empty histories stay finite."""
        blocked = ~valid & valid.any(dim=1, keepdim=True)
        out = self.decoder(target, memory, tgt_key_padding_mask=blocked, memory_key_padding_mask=blocked)
        return out * valid.unsqueeze(-1)


class Alignment(nn.Module):
    """InfoNCE with the similarity tanh(aᵀ A b) / tau, A and tau learned; logits stay within 1 / tau."""

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
        """Each pair (a_i, b_i), (P, d) both, against random partners (M, d), from either end; 0 for P = 0.

        As published, A is not transposed when b looks for its a.
        """
        if not len(a):
            return a.sum()
        a_to_b = torch.cat([self.pairs(a, b), self.similarity(a, random_b)], dim=1)  # (P, 1 + M)
        b_to_a = torch.cat([self.pairs(b, a), self.similarity(b, random_a)], dim=1)
        return (_first_wins(a_to_b) + _first_wins(b_to_a)) / 2

    def within(self, a: Tensor, b: Tensor) -> Tensor:
        """Each pair (a_i, b_i), (B, d) both, against the 2B - 2 other vectors, from either end; 0 for B = 0."""
        if not len(a):
            return a.sum()
        both, n = torch.cat([a, b]), len(a)  # (2B, d)
        own = torch.eye(2 * n, dtype=torch.bool, device=a.device)
        logits = self.similarity(both, both).masked_fill(own, -torch.inf)
        return F.cross_entropy(logits, torch.arange(2 * n, device=a.device).roll(n))


class Pooling(nn.Module):
    """sum_t a_t F_t with a = softmax_t(F_tᵀ W e_c): each candidate reads a history its own way."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width))

    def forward(self, history: Tensor, candidate: Tensor, valid: Tensor) -> Tensor:
        """history (B, N, d), candidate (B, C, d), valid (B, N) -> (B, C, d); zeros for an empty history."""
        scores = candidate @ self.weight.T @ history.transpose(1, 2)  # (B, C, N)
        keep = valid.unsqueeze(1)
        weights = scores.masked_fill(~keep, torch.finfo(scores.dtype).min).softmax(dim=-1) * keep
        return weights @ history


class Experts(nn.Module):
    """n experts, each Linear, ReLU and dropout, as one product."""

    def __init__(self, inputs: int, width: int, n: int, dropout: float):
        super().__init__()
        self.n, self.linear, self.dropout = n, nn.Linear(inputs, n * width), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., inputs) -> (..., n, width)."""
        return self.dropout(self.linear(x).relu()).unflatten(-1, (self.n, -1))


def mlp(dropout: float, *widths: int) -> nn.Sequential:
    """Linear, ReLU and dropout for each step of the widths."""
    return nn.Sequential(
        *(part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)))
    )


def _first_wins(logits: Tensor) -> Tensor:
    """Cross-entropy of column 0."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
