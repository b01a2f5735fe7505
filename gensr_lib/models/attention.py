"""Attention over histories: by each candidate, by a query, by itself, and of two histories.

Every block is safe with empty histories: what nothing is read from is a zero vector.

Shapes: B rows, N tokens of a history, C candidates, d the width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import masked_softmax


class TargetAttention(nn.Module):
    """DIN's local activation unit: each candidate v weighs each token k of a history.

    The weight comes from a perceptron on [v ; k ; v - k ; v * k], then from a softmax.

    Args:
        width: d of candidates and tokens.
        hidden: widths of the perceptron's two hidden layers, with sigmoids.
        normalise: softmax of the scores over sqrt(d), as in DIN's code; else the scores themselves
            are the weights, as in its paper.
    """

    def __init__(self, width: int, hidden: tuple[int, int] = (80, 40), normalise: bool = True):
        super().__init__()
        first, second = hidden
        self.normalise = normalise
        self.first = nn.Linear(4 * width, first)
        # A bias of the score would be lost in the softmax.
        self.rest = nn.Sequential(
            nn.Sigmoid(),
            nn.Linear(first, second),
            nn.Sigmoid(),
            nn.Linear(second, 1, bias=not normalise),
        )

    def scores(self, history: Tensor, candidate: Tensor) -> Tensor:
        """history (B, N, d), candidate (B, C, d) -> (B, C, N).

        W [v ; k ; v - k ; v * k] = (W1 + W3) v + (W2 - W3) k + W4 (v * k): only the last part is
        one of pairs, and (B, C, N, 4d) is never laid out.
        """
        of_v, of_k, of_difference, of_product = self.first.weight.chunk(4, dim=1)  # (h, d) each
        v = candidate @ (of_v + of_difference).T  # (B, C, h)
        k = history @ (of_k - of_difference).T + self.first.bias  # (B, N, h)
        apart = v.unsqueeze(2) + k.unsqueeze(1)  # (B, C, N, h)
        product = candidate.unsqueeze(2) * history.unsqueeze(1)  # (B, C, N, d)
        hidden = torch.addmm(apart.flatten(0, 2), product.flatten(0, 2), of_product.T)
        return self.rest(hidden.view_as(apart)).squeeze(-1)

    def forward(self, history: Tensor, candidate: Tensor, valid: Tensor) -> Tensor:
        """history (B, N, d), candidate (B, C, d), valid (B, N) -> (B, C, d), zeros without any."""
        scores = self.scores(history, candidate)
        keep = valid.unsqueeze(1)  # (B, 1, N)
        if self.normalise:
            weights = masked_softmax(scores / history.shape[-1] ** 0.5, keep)
        else:
            weights = scores * keep
        return weights @ history


class AdditivePool(nn.Module):
    """sum_t a_t x_t with a = softmax_t(wᵀ tanh(W x_t + b)): a history weighs itself.

    Args:
        width: d of the tokens.
        hidden: rows of W.
    """

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.weigh = nn.Linear(hidden, 1, bias=False)

    def weights(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, N, d), valid (B, N) -> (B, N): sums to 1 over the valid tokens, or all 0."""
        return masked_softmax(self.weigh(torch.tanh(self.project(x))).squeeze(-1), valid)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, N, d), valid (B, N) -> (B, d), zeros where none is valid."""
        return (self.weights(x, valid).unsqueeze(1) @ x).squeeze(1)


class QueryAttention(nn.Module):
    """AEM's attention: a query q weighs the tokens x of a history by f = (x · tanh(W q + b)) · w_h.

    f is linear in x, so that of a zero vector is 0. As in ZAM, the history may be given one: its
    weights are then e^f / (1 + sum e^f), next to nothing for tokens that do not suit the query.

    Args:
        width: d of queries and tokens.
        heads: m, W q has (d, m) numbers and w_h has m.
        zero: whether there is a zero vector beside the history.
    """

    def __init__(self, width: int, heads: int, zero: bool):
        super().__init__()
        self.zero = zero
        self.project = nn.Linear(width, width * heads)
        self.mix = nn.Linear(heads, 1, bias=False)

    def weights(self, query: Tensor, x: Tensor, valid: Tensor) -> Tensor:
        """query (B, d), x (B, N, d), valid (B, N) -> (B, N): sums to 1, or less with the zero
        vector; all 0 where nothing is valid.
        """
        heads = torch.tanh(self.project(query)).view(*query.shape, -1)  # (B, d, m)
        scores = (x @ self.mix(heads)).squeeze(-1)  # (B, N)
        if not self.zero:
            return masked_softmax(scores, valid)
        scores, valid = (F.pad(part, (1, 0), value=v) for part, v in ((scores, 0), (valid, True)))
        return masked_softmax(scores, valid)[:, 1:]

    def forward(self, query: Tensor, x: Tensor, valid: Tensor) -> Tensor:
        """query (B, d), x (B, N, d), valid (B, N) -> (B, d), zeros where none is valid."""
        return (self.weights(query, x, valid).unsqueeze(1) @ x).squeeze(1)


class CoAttention(nn.Module):
    """Co-attention: how much each token of one history matters to the other history.

    With L = tanh(A W Bᵀ), the tokens of A weigh softmax(L B w_b), those of B softmax(Lᵀ A w_a), as
    in SESRec.

    Args:
        width: d of the tokens.
        voted: tokens have the votes B w_b and A w_a; False: a vote of 1 each, as in USER.
    """

    def __init__(self, width: int, voted: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width))
        self.of_a = nn.Linear(width, 1, bias=False) if voted else None
        self.of_b = nn.Linear(width, 1, bias=False) if voted else None
        nn.init.xavier_normal_(self.weight)

    def forward(
        self, a: Tensor, b: Tensor, a_valid: Tensor, b_valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """a (B, N, d), b (B, M, d), valid (B, N) and (B, M) to weights (B, N) and (B, M).

        Vectors of padding must be zeros: then it says nothing to the other history. Beside an empty
        history all tokens weigh the same; weights are all 0 where nothing is valid.
        """
        likeness = torch.tanh(a @ self.weight @ b.transpose(1, 2))  # (B, N, M)
        if self.of_a is None:
            of_a, of_b = likeness.sum(dim=2), likeness.sum(dim=1)
        else:
            of_a = (likeness @ self.of_b(b)).squeeze(-1)  # (B, N)
            of_b = (likeness.transpose(1, 2) @ self.of_a(a)).squeeze(-1)  # (B, M)
        return masked_softmax(of_a, a_valid), masked_softmax(of_b, b_valid)
