"""Critics f(x, y) of the mutual information bounds: R small networks side by side, one per repeat.

Each parameter has a leading axis of R networks, so that five repeats cost little more than one.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..config import Config


class CriticConfig(Config):
    """What both bounds share. The defaults were chosen on correlated Gaussians and on sparse and dense yes/no data."""

    hidden: int = Field(32, ge=1, description="width of the two hidden layers")
    embedding: int = Field(32, ge=1, description="width of g(x) and h(y) in the separable term; continuous Y only")
    steps: int = Field(600, ge=1, description="most optimizer steps; the learning rate falls to zero as a cosine")
    batch: int = Field(256, ge=8, description="training rows a step, of each repeat")
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float | None = Field(
        None, ge=0, description="decoupled (AdamW); None: 0.05 per column of X, at most 1"
    )
    penalties: tuple[float, ...] | None = Field(
        None, description="group-lasso weights on the columns of X, the best on validation counts; None: by width"
    )
    average: float = Field(0.99, ge=0, lt=1, description="decay of the averaged weights that are evaluated")
    patience: int = Field(15, ge=1, description="validations without a better bound before a repeat stops")
    eval_every: int = Field(20, ge=1, description="steps between two validations")
    shuffles: int = Field(
        4, ge=1, description="pairings of each x with other rows' y while training; continuous Y only"
    )
    test_shuffles: int = Field(64, ge=1, description="the same, for the reported value")

    def levels(self, columns: int) -> tuple[float, ...]:
        """The penalties to try: with many columns, most rows are needed to find out which of them matter."""
        if self.penalties:
            return self.penalties
        return (0.0,) if columns <= 50 else (0.0, 0.4)

    def decay(self, columns: int) -> float:
        """The weight decay: strong ties of single columns need large weights, many columns small ones."""
        return min(1.0, 0.05 * columns) if self.weight_decay is None else self.weight_decay


class MineConfig(CriticConfig):
    """Options of MINE."""

    moving_average: float = Field(0.98, ge=0, lt=1, description="decay of the average of E[e^f] in the gradient")


class InfoNCEConfig(CriticConfig):
    """Options of InfoNCE: with continuous Y no value can exceed ln(1 + test_shuffles)."""

    shuffles: int = Field(7, ge=1, description="negatives per row while training; continuous Y only")
    test_shuffles: int = Field(127, ge=1, description="negatives per row for the reported value; continuous Y only")


# --- critics ----------------------------------------------------------------------------------


class BatchedLinear(nn.Module):
    """R affine maps side by side: (R, B, inputs) to (R, B, outputs)."""

    def __init__(self, networks: int, inputs: int, outputs: int, generator: torch.Generator, gain: float = 1.0):
        super().__init__()
        weight = torch.randn(networks, inputs, outputs, generator=generator)
        self.weight = nn.Parameter(weight * gain / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(networks, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The R maps of R batches."""
        return torch.baddbmm(self.bias, x, self.weight)  # (R, B, outputs)


class ClassCritic(nn.Module):
    """f(x, c) for every class c of a discrete Y: the marginal expectation over Y is an exact sum."""

    def __init__(self, networks: int, columns: int, classes: int, config: CriticConfig, generator: torch.Generator):
        super().__init__()
        self.x = BatchedLinear(networks, columns, config.hidden, generator)
        self.hidden = BatchedLinear(networks, config.hidden, config.hidden, generator)
        self.out = BatchedLinear(networks, config.hidden, classes, generator, gain=0.1)

    def forward(self, x: Tensor, y: Tensor, shifts: list[int]) -> tuple[Tensor, Tensor]:
        """Scores of the rows' own classes, and ln sum_c p(c) e^f(x, c) with the frequencies of these rows.

        Args:
            x: (R, B, d).
            y: (R, B, C) one-hot.
            shifts: unused: the sum over classes stands for all shuffles at once.

        Returns:
            (R, B) each.
        """
        scores = self.out(F.silu(self.hidden(F.silu(self.x(x)))))  # (R, B, C)
        log_share = y.mean(1, keepdim=True).clamp_min(1e-30).log()  # (R, 1, C); a class may be missing here
        return (scores * y).sum(-1), torch.logsumexp(scores + log_share, -1)

    def column_weights(self) -> list[nn.Parameter]:
        """The weights (R, d, H) whose rows belong to one column of X each."""
        return [self.x.weight]


class Embedding(nn.Module):
    """A linear map plus a small network, (R, B, d) to (R, B, K)."""

    def __init__(self, networks: int, inputs: int, config: CriticConfig, generator: torch.Generator):
        super().__init__()
        self.linear = BatchedLinear(networks, inputs, config.embedding, generator, gain=0.3)
        self.first = BatchedLinear(networks, inputs, config.hidden, generator)
        self.second = BatchedLinear(networks, config.hidden, config.embedding, generator, gain=0.1)
        self.scale = nn.Parameter(torch.full((networks, 1, 1), -0.5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding (R, B, K) and its squared norm times the learned scale (R, B, 1)."""
        vector = self.linear(x) + self.second(F.silu(self.first(x)))
        return vector, self.scale * vector.square().sum(-1, keepdim=True)


class PairCritic(nn.Module):
    """f(x, y) = network of [x, y] + g(x).h(y) + a |g(x)|^2 + b |h(y)|^2 for a continuous Y.

    A network of [x, y] alone learns products slowly. The separable rest has them from the start; with
    a = b = -1/2 it is minus half a squared distance, so that e^f is bounded while training begins.
    """

    def __init__(self, networks: int, columns: int, outputs: int, config: CriticConfig, generator: torch.Generator):
        super().__init__()
        self.g = Embedding(networks, columns, config, generator)
        self.h = Embedding(networks, outputs, config, generator)
        self.x = BatchedLinear(networks, columns, config.hidden, generator)
        self.y = BatchedLinear(networks, outputs, config.hidden, generator)
        self.hidden = BatchedLinear(networks, config.hidden, config.hidden, generator)
        self.out = BatchedLinear(networks, config.hidden, 1, generator, gain=0.1)

    def forward(self, x: Tensor, y: Tensor, shifts: list[int]) -> tuple[Tensor, Tensor]:
        """Scores of the rows' own y, and the log of the mean of e^f over the y of other rows.

        Args:
            x, y: (R, B, d) and (R, B, e).
            shifts: row i is paired with row i - s (cyclic) for each s; 0 counts the own y too.

        Returns:
            (R, B) each.
        """
        scores = self._scores(x, y, [0, *shifts])  # (R, 1 + S, B)
        return scores[:, 0], torch.logsumexp(scores[:, 1:], 1) - math.log(len(shifts))

    def _scores(self, x: Tensor, y: Tensor, shifts: list[int]) -> Tensor:
        g, own_x = self.g(x)
        h, own_y = self.h(y)
        hidden = F.silu(self.x(x).unsqueeze(1) + _shifted(self.y(y), shifts))  # (R, S, B, H)
        out = self.out(F.silu(self.hidden(hidden.flatten(1, 2)))).unflatten(1, (len(shifts), -1))
        products = (g.unsqueeze(1) * _shifted(h, shifts)).sum(-1)  # (R, S, B)
        return out.squeeze(-1) + products + own_x.squeeze(-1).unsqueeze(1) + _shifted(own_y, shifts).squeeze(-1)

    def column_weights(self) -> list[nn.Parameter]:
        """The weights (R, d, H) whose rows belong to one column of X each."""
        return [self.x.weight, self.g.linear.weight, self.g.first.weight]


def _shifted(rows: Tensor, shifts: list[int]) -> Tensor:
    """Cyclic shifts of the rows: (R, B, k) to (R, S, B, k)."""
    return torch.stack([rows.roll(s, 1) for s in shifts], 1)
