"""Neural lower bounds of mutual information: networks f(x, y), called critics, and their training.

MINE (Belghazi et al. 2018) maximises the Donsker-Varadhan bound (paper eq. 12),
``I >= E_joint[f] - ln E_marginals[e^f]``; InfoNCE (van den Oord et al. 2018) normalises e^f row by
row. What is trained here is MINE plus a group lasso on the columns of X: without it, one telling
column among many is learned by heart, row by row, and the held-out bound finds half of it.

All repeats are trained at once: every parameter has a leading axis of R networks, side by side.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..config import Config
from ..errors import DataError

SHARES = (0.7, 0.1, 0.2)  # of the groups: training, early stopping, the reported value
SHIFTS_AT_ONCE = 8  # keeps the evaluation of many shuffles within tens of megabytes


class CriticConfig(Config):
    """What both bounds share; defaults chosen on correlated Gaussians and on yes/no data."""

    hidden: int = Field(32, ge=1, description="width of the two hidden layers")
    embedding: int = Field(32, ge=1, description="width of g(x) and h(y); continuous Y only")
    steps: int = Field(600, ge=1, description="most steps; the rate falls to zero as a cosine")
    batch: int = Field(256, ge=8, description="training rows a step, of each repeat")
    learning_rate: float = Field(2e-3, gt=0, description="of AdamW, at the first step")
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
    """f(x, c) for every class c of a discrete Y: the expectation over Y is an exact sum."""

    def __init__(self, networks: int, columns: int, classes: int, config: CriticConfig, generator):
        super().__init__()
        self.x = BatchedLinear(networks, columns, config.hidden, generator)
        self.rest = _two_layers(networks, config.hidden, classes, generator)
        self.column_weights = [self.x.weight]  # (R, d, H): a row for each column of X

    def forward(self, x: Tensor, y: Tensor, shifts: list[int]) -> tuple[Tensor, Tensor]:
        """Scores of the rows' own classes, and ln sum_c p(c) e^f(x, c): (R, B) each.

        x is (R, B, d), y one-hot (R, B, C), p(c) the frequency in these rows; the sum over classes
        stands for all shuffles at once, so ``shifts`` are not used.
        """
        scores = self.rest(self.x(x))  # (R, B, C)
        share = y.mean(1, keepdim=True).clamp_min(1e-30)  # (R, 1, C); a class may be missing here
        return (scores * y).sum(-1), torch.logsumexp(scores + share.log(), -1)


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
    """

    def __init__(self, networks: int, columns: int, outputs: int, config: CriticConfig, generator):
        super().__init__()
        self.g = Embedding(networks, columns, config, generator)
        self.h = Embedding(networks, outputs, config, generator)
        self.x = BatchedLinear(networks, columns, config.hidden, generator)
        self.y = BatchedLinear(networks, outputs, config.hidden, generator)
        self.rest = _two_layers(networks, config.hidden, 1, generator)
        self.column_weights = [self.x.weight, self.g.linear.weight, self.g.first.weight]

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
        return scores[:, 0], torch.logsumexp(scores[:, 1:], 1) - math.log(len(shifts))


def _shifted(rows: Tensor, shifts: list[int]) -> Tensor:
    """Cyclic shifts of the rows: (R, B, k) to (R, S, B, k)."""
    return torch.stack([rows.roll(s, 1) for s in shifts], 1)


def split(groups: np.ndarray, repeats: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Row numbers (repeats, ·) for training, stopping and reporting, in random order.

    Rows of one group (n,), numbered from 0, are never in different parts. Parts of all repeats
    have the length of the shortest: with groups of unequal size a few rows drop out.

    Raises:
        DataError: a part has fewer than 5 rows, since a few groups hold nearly all rows.
    """
    cuts = np.cumsum(SHARES)[:2]
    n_groups = groups.max() + 1
    parts: list[list[np.ndarray]] = [[], [], []]
    for _ in range(repeats):
        place = rng.permutation(n_groups) / n_groups
        part = np.searchsorted(cuts, place, side="right")[groups]  # (n,) 0, 1 or 2
        order = rng.permutation(len(groups))
        for p, rows in enumerate(parts):
            rows.append(order[part[order] == p])
    sizes = [min(map(len, rows)) for rows in parts]
    if min(sizes) < 5:
        raise DataError(
            f"groups: a few hold nearly all rows; a part of the split has {min(sizes)}."
        )
    return [np.stack([row[:size] for row in rows]) for rows, size in zip(parts, sizes, strict=True)]


def fit(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, config: CriticConfig, repeats: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Train the critics of all repeats and evaluate each on its own test part.

    Takes x (n, d), standardised, y (n, e), standardised, or labels (n,) from 0, and groups (n,)
    from 0. Returns the bound of each repeat (repeats,) in nats, and the curve: columns step,
    repeat, train (the bound of single batches, averaged) and valid.
    """
    rng = np.random.default_rng(seed)
    train, valid, test = split(groups, repeats, rng)
    critics = Critics(x, y, config, repeats, seed)
    size = min(config.batch, train.shape[1])
    per_epoch = train.shape[1] // size
    with tqdm(range(config.steps), "estimate information", leave=False, disable=None) as bar:
        for done in bar:
            place = done % per_epoch
            train = rng.permuted(train, axis=1) if place == 0 else train
            critics.step(train[:, place * size : (place + 1) * size])
            due = critics.done % config.eval_every == 0 or critics.done == config.steps
            if due and not critics.improves(valid):
                break
    return critics.result(test)


class Critics:
    """Networks for each penalty and repeat, trained at once; each one's best weights are kept.

    Everywhere ``rows`` (repeats, B) are row numbers, seen by the networks of that repeat.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, config: CriticConfig, repeats: int, seed: int):
        self.config = config
        self.repeats = repeats
        discrete = y.ndim == 1
        self.x = torch.from_numpy(x).float()
        self.y = F.one_hot(torch.from_numpy(y)).float() if discrete else torch.from_numpy(y).float()
        d = x.shape[1]
        # With many columns, most rows are needed to find out which of them matter.
        levels = config.penalties or ((0.0,) if d <= 50 else (0.0, 0.4))
        self.penalties = torch.tensor(levels).repeat_interleave(repeats)  # (R,)
        kind = ClassCritic if discrete else PairCritic
        generator = torch.Generator().manual_seed(seed)
        self.network = kind(len(self.penalties), d, self.y.shape[1], config, generator)
        self.mine_loss = MineLoss(config.moving_average) if isinstance(config, MineConfig) else None
        self.value = donsker_varadhan if self.mine_loss else info_nce
        # Strong ties of single columns need large weights, weak ones of many columns small weights.
        decay = min(1.0, 0.05 * d) if config.weight_decay is None else config.weight_decay
        self.optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=decay)
        # The first candidate is the constant critic, whose bound is 0: only a better one is kept.
        self.best = {name: torch.zeros_like(p) for name, p in self.network.named_parameters()}
        self.best_bound = torch.zeros(len(self.penalties))
        self.best_step = torch.zeros(len(self.penalties))
        self.done = 0
        self._recent: list[Tensor] = []
        self._curve: list[tuple[int, Tensor, Tensor]] = []

    def _scores(self, rows: np.ndarray, shifts: list[int]) -> tuple[Tensor, Tensor]:
        index = torch.from_numpy(rows).repeat(len(self.penalties) // self.repeats, 1)  # (R, B)
        return self.network(F.embedding(index, self.x), F.embedding(index, self.y), shifts)

    def _shifts(self, rows: np.ndarray, shuffles: int) -> list[int]:
        """Evenly spaced cyclic shifts; InfoNCE counts the own y (shift 0) among the candidates."""
        if isinstance(self.network, ClassCritic):
            return [0]
        most = rows.shape[1] - 1
        others = np.unique(np.linspace(1, most, min(shuffles, most)).astype(int)).tolist()
        return others if self.mine_loss else [0, *others]

    def step(self, rows: np.ndarray) -> None:
        """One step of AdamW and of the group lasso, for every network on its own batch."""
        fraction = self.done / self.config.steps
        rate = self.config.learning_rate * (1 + math.cos(math.pi * fraction)) / 2
        self.optimizer.param_groups[0]["lr"] = rate
        joint, log_mean = self._scores(rows, self._shifts(rows, self.config.shuffles))
        loss = self.mine_loss(joint, log_mean) if self.mine_loss else -self.value(joint, log_mean)
        self.optimizer.zero_grad()
        loss.sum().backward()
        _clip(list(self.network.parameters()))
        self.optimizer.step()
        if self.penalties.any():
            self._shrink_columns(rate)
        self._recent.append(self.value(joint.detach(), log_mean.detach()))
        self.done += 1

    @torch.no_grad()
    def _shrink_columns(self, rate: float) -> None:
        """The proximal step of the group lasso: columns of X that do not help get weight 0."""
        for weight in self.network.column_weights:
            norm = weight.norm(dim=2, keepdim=True).clamp_min(1e-12)  # (R, d, 1)
            threshold = rate * self.penalties.view(-1, 1, 1) * math.sqrt(weight.shape[2])
            weight *= (1 - threshold / norm).clamp_min(0)

    def improves(self, rows: np.ndarray) -> bool:
        """Keep what is best on these rows so far; false if no network improved for `patience`."""
        bound = self.bound(rows, self.config.shuffles)
        better = bound > self.best_bound
        for name, weights in self.network.named_parameters():
            self.best[name][better] = weights.detach()[better]
        self.best_bound[better] = bound[better]
        self.best_step[better] = self.done
        self._curve.append((self.done, torch.stack(self._recent).mean(0), bound))
        self._recent = []
        waited = self.done - self.best_step.max().item()
        return waited < self.config.patience * self.config.eval_every

    @torch.no_grad()
    def bound(self, rows: np.ndarray, shuffles: int) -> Tensor:
        """The bound on these rows in nats, (R,), with the pairings a few at a time."""
        shifts = self._shifts(rows, shuffles)
        parts = []
        for some in torch.tensor(shifts).split(SHIFTS_AT_ONCE):
            joint, log_mean = self._scores(rows, some.tolist())
            parts.append(log_mean + math.log(len(some) / len(shifts)))
        return self.value(joint, torch.logsumexp(torch.stack(parts), 0))

    def result(self, rows: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
        """The bound (repeats,) of the best weights on the rows to report, and the curve."""
        # The penalty of each repeat is chosen on validation, never on what is reported.
        level = self.best_bound.view(-1, self.repeats).argmax(0)
        chosen = level * self.repeats + torch.arange(self.repeats)
        self.network.load_state_dict(self.best)
        found = self.bound(rows, self.config.test_shuffles)[chosen]
        steps, *bounds = zip(*self._curve, strict=True)
        rows = pd.MultiIndex.from_product([steps, range(self.repeats)], names=["step", "repeat"])
        bounds = [torch.stack(each)[:, chosen].flatten().double() for each in bounds]
        curve = pd.DataFrame(dict(zip(("train", "valid"), bounds, strict=True)), rows)
        return found.double().numpy(), curve.reset_index()


def _clip(parameters: list[nn.Parameter], largest: float = 1.0) -> None:
    """Scale each network's gradient to norm 1 at most: one pair with a huge e^f must not decide."""
    squares = torch.stack([p.grad.square().flatten(1).sum(1) for p in parameters]).sum(0)  # (R,)
    factor = (largest / squares.sqrt().clamp_min(1e-12)).clamp_max(1)
    for p in parameters:
        p.grad *= factor.view(-1, *[1] * (p.dim() - 1))
