"""Neural lower bounds of mutual information: networks f(x, y), called critics, and their training.

MINE (Belghazi et al. 2018) maximises the Donsker-Varadhan bound (paper eq. 12),
``I >= E_joint[f] - ln E_marginals[e^f]``; InfoNCE (van den Oord et al. 2018) normalises e^f row by
row. What is trained here is MINE plus a group lasso on the columns of X: without it, one telling
column among many is learned by heart, row by row, and the held-out bound finds half of it.

All repeats are trained at once: every parameter has a leading axis of R networks, side by side.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..config import Config


class CriticConfig(Config):
    """What both bounds share; defaults chosen on correlated Gaussians and on yes/no data."""

    hidden: int = Field(32, ge=1, description="width of the two hidden layers")
    embedding: int = Field(32, ge=1, description="width of g(x) and h(y); continuous Y only")
    products: int = Field(8, ge=1, description="products of columns of X; discrete Y only")
    steps: int = Field(600, ge=1, description="most steps; the rate falls to zero as a cosine")
    batch: int = Field(256, ge=8, description="training rows a step, of each repeat")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="of AdamW, at the first step; None: 0.01 for a discrete Y, else 0.002",
    )
    weight_decay: float | None = Field(None, ge=0, description="None: 0.05 a column, at most 1")
    penalties: tuple[float, ...] | None = Field(None, description="of the group lasso; best counts")
    patience: int = Field(15, ge=1, description="validations without a better bound, then stop")
    eval_every: int = Field(20, ge=1, description="steps between two validations")
    shuffles: int = Field(4, ge=1, description="other y for each x in training; continuous Y only")
    test_shuffles: int = Field(64, ge=1, description="the same, for the reported value")


class MineConfig(CriticConfig):
    """Options of MINE."""

    moving_average: float = Field(0.98, ge=0, lt=1, description="decay of the average of E[e^f]")


class InfoNCEConfig(CriticConfig):
    """Options of InfoNCE: with continuous Y no value can exceed ln(1 + test_shuffles)."""

    shuffles: int = Field(7, ge=1, description="negatives a row in training; continuous Y only")
    test_shuffles: int = Field(127, ge=1, description="the same, for the reported value")


def donsker_varadhan(joint: Tensor, log_mean: Tensor) -> Tensor:
    """E[f] - ln E[e^f] (eq. 12) of scores (R, B) and log means of e^f by row (R, B): (R,) nats."""
    return joint.mean(1) - _log_mean(log_mean)


def info_nce(joint: Tensor, log_mean: Tensor) -> Tensor:
    """E[f - ln mean e^f], the mean over a row's own y and its negatives: (R,) in nats."""
    return (joint - log_mean).mean(1)


def _log_mean(logs: Tensor) -> Tensor:
    """Log of the mean of e^logs over the rows: (R, B) to (R,)."""
    return torch.logsumexp(logs, 1) - math.log(logs.shape[1])


class MineLoss:
    """Minus the Donsker-Varadhan bound; its gradient divides by a moving average of E[e^f].

    Divided by the mean of the batch it would be biased (Belghazi et al. 2018, section 3.2).
    """

    def __init__(self, decay: float):
        self.log_shares = torch.tensor([decay, 1 - decay]).log()  # of the past, of this batch
        self.log_average: Tensor | None = None

    def __call__(self, joint: Tensor, log_mean: Tensor) -> Tensor:
        """(R,) terms to add up; their gradient is the corrected one, the value is of no use."""
        log_batch = _log_mean(log_mean)
        now = log_batch.detach()
        past = now if self.log_average is None else self.log_average
        self.log_average = torch.logaddexp(past + self.log_shares[0], now + self.log_shares[1])
        return (now - self.log_average).exp() * log_batch - joint.mean(1)


class BatchedLinear(nn.Module):
    """R affine maps side by side: (R, B, inputs) to (R, B, outputs)."""

    def __init__(self, networks: int, inputs: int, outputs: int, generator, gain: float = 1.0):
        super().__init__()
        weight = torch.randn(networks, inputs, outputs, generator=generator)
        self.weight = nn.Parameter(weight * gain / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(networks, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The R maps of R batches."""
        return torch.baddbmm(self.bias, x, self.weight)  # (R, B, outputs)


def _two_layers(networks: int, hidden: int, outputs: int, generator) -> nn.Sequential:
    middle = BatchedLinear(networks, hidden, hidden, generator)
    last = BatchedLinear(networks, hidden, outputs, generator, gain=0.1)
    return nn.Sequential(nn.SiLU(), middle, nn.SiLU(), last)


class ClassCritic(nn.Module):
    """f(x, c) for every class c of a discrete Y: the expectation over Y is an exact sum.

    A network of x and of products A x * B x: whether an item suits a query is a sum of products of
    columns, each of which alone says nothing. `start_products` gives A and B their start; as long
    as they are zero they stay so, and the products say nothing.
    """

    def __init__(self, networks: int, columns: int, classes: int, config: CriticConfig, generator):
        super().__init__()
        self.x = BatchedLinear(networks, columns, config.hidden, generator)
        self.rest = _two_layers(networks, config.hidden, classes, generator)
        self.a = BatchedLinear(networks, columns, config.products, generator, gain=0.0)
        self.b = BatchedLinear(networks, columns, config.products, generator, gain=0.0)
        self.product = BatchedLinear(networks, config.products, config.hidden, generator)
        self.column_weights = [self.x.weight, self.a.weight, self.b.weight]  # (R, d, ·)
        self.decayed = [self.x.weight]  # the products start where they are found, not at random

    @torch.no_grad()
    def start_products(self, a: Tensor, b: Tensor) -> None:
        """Set A and B to (R, d, K') with K' at most the number of products."""
        self.a.weight[..., : a.shape[2]] = a
        self.b.weight[..., : b.shape[2]] = b

    def forward(self, x: Tensor, y: Tensor, shifts: list[int]) -> tuple[Tensor, Tensor]:
        """Scores of the rows' own classes, and ln sum_c p(c) e^f(x, c): (R, B) each.

        x is (R, B, d), y one-hot (R, B, C), p(c) the frequency in these rows; the sum over classes
        stands for all shuffles at once, so ``shifts`` are not used.
        """
        first, middle, second, last = self.rest
        hidden = middle(first(self.x(x))) + self.product(self.a(x) * self.b(x))  # (R, B, H)
        scores = last(second(hidden))  # (R, B, C)
        share = y.mean(1, keepdim=True).clamp_min(1e-30)  # (R, 1, C); a class may be missing here
        return (scores * y).sum(-1), torch.logsumexp(scores + share.log(), -1)


def product_directions(x: Tensor, y: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Pairs of directions of x whose product differs most between the classes.

    For a class c the moments ``mean of x x^T (1[y = c] - p_c) / sqrt(p_c (1 - p_c))`` have entries
    of variance 1/n where nothing is to be found. Entries below what the largest of so many
    reaches by chance, sqrt(2 ln(number of entries) / n), are set to zero; singular vectors of the
    rest are the directions (covariance thresholding).

    Args:
        x: (n, d) training rows, each column of mean 0 and variance 1.
        y: (n, C) one-hot.
        most: number of pairs to return at most.

    Returns:
        Two tensors (d, K) of unit columns, or zero ones where nothing stands out; K <= most.
    """
    n, d = x.shape
    least = math.sqrt(2 * math.log(max(2, d * (d + 1) / 2)) / n)
    parts = []
    for own in y.T[1:] if y.shape[1] == 2 else y.T:  # of two classes one says all
        share = own.mean()
        weight = (own - share) / (share * (1 - share)).sqrt().clamp_min(1e-6)
        moments = x.T @ (x * weight[:, None]) / n  # (d, d)
        moments[moments.abs() < least] = 0
        parts.append(torch.linalg.svd(moments))
    size = torch.cat([values for _, values, _ in parts])
    left = torch.cat([u for u, _, _ in parts], 1)
    right = torch.cat([v for _, _, v in parts], 0).T
    largest = size.topk(min(most, len(size))).indices
    found = (size[largest] >= least).float()
    return left[:, largest] * found, right[:, largest] * found


class Embedding(nn.Module):
    """A linear map plus a small network, (R, B, d) to (R, B, K)."""

    def __init__(self, networks: int, inputs: int, config: CriticConfig, generator):
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

    A network of [x, y] alone learns products slowly. The separable rest has them from the start;
    with a = b = -1/2 it is minus half a squared distance, so e^f is bounded while training begins.

    Attributes:
        most: (R,) what no score is above, or None: cut off, f is as good a critic, and a single
            pair of rows, far from all that training saw, cannot have all of the mean of e^f.
    """

    def __init__(self, networks: int, columns: int, outputs: int, config: CriticConfig, generator):
        super().__init__()
        self.most: Tensor | None = None
        self.g = Embedding(networks, columns, config, generator)
        self.h = Embedding(networks, outputs, config, generator)
        self.x = BatchedLinear(networks, columns, config.hidden, generator)
        self.y = BatchedLinear(networks, outputs, config.hidden, generator)
        self.rest = _two_layers(networks, config.hidden, 1, generator)
        self.column_weights = [self.x.weight, self.g.linear.weight, self.g.first.weight]
        self.decayed = list(self.parameters())

    def forward(self, x: Tensor, y: Tensor, shifts: list[int]) -> tuple[Tensor, Tensor]:
        """Scores of the rows' own y, and the log mean of e^f over other rows' y: (R, B) each.

        x and y are (R, B, d) and (R, B, e). Row i is paired with row i - s (cyclic) for each shift
        s; the shift 0 counts the own y too.
        """
        pairing = [0, *shifts]
        g, norm_g = self.g(x)
        h, norm_h = self.h(y)
        products = (g.unsqueeze(1) * _shifted(h, pairing)).sum(-1)  # (R, 1 + S, B)
        norms = (norm_g.unsqueeze(1) + _shifted(norm_h, pairing)).squeeze(-1)
        # The first layer is linear in [x, y]: one product for x, one for y, then all the pairs.
        hidden = self.x(x).unsqueeze(1) + _shifted(self.y(y), pairing)  # (R, 1 + S, B, H)
        scores = self.rest(hidden.flatten(1, 2)).view(products.shape) + products + norms
        if self.most is not None:
            scores = torch.minimum(scores, self.most.view(-1, 1, 1))
        return scores[:, 0], torch.logsumexp(scores[:, 1:], 1) - math.log(len(shifts))


def _shifted(rows: Tensor, shifts: list[int]) -> Tensor:
    """Cyclic shifts of the rows: (R, B, k) to (R, S, B, k)."""
    return torch.stack([rows.roll(s, 1) for s in shifts], 1)
