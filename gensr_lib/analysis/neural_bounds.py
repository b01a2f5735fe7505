"""Two lower bounds of mutual information that a critic f(x, y) maximises: Donsker-Varadhan and InfoNCE.

The Donsker-Varadhan bound (paper eq. 12; MINE, Belghazi et al. 2018) is
``I >= E_joint[f] - ln E_marginals[e^f]``; InfoNCE (van den Oord et al. 2018) normalises e^f row by row.
All repeats are trained at once, as one batched network (`neural_critics`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from tqdm.auto import tqdm

from ..errors import DataError
from .neural_critics import ClassCritic, CriticConfig, MineConfig, PairCritic

SHARES = (0.7, 0.1, 0.2)  # of the groups: training, early stopping, the reported value
SHIFTS_AT_ONCE = 8  # keeps the evaluation of many shuffles within tens of megabytes


# --- bounds -----------------------------------------------------------------------------------


def donsker_varadhan(joint: Tensor, log_mean: Tensor) -> Tensor:
    """E[f] - ln E[e^f] (paper eq. 12) of scores (R, B) and rowwise log means (R, B): (R,) in nats."""
    return joint.mean(1) - (torch.logsumexp(log_mean, 1) - math.log(log_mean.shape[1]))


def info_nce(joint: Tensor, log_mean: Tensor) -> Tensor:
    """E[f - ln mean e^f], the mean over a row's own y and its negatives: (R,) in nats."""
    return (joint - log_mean).mean(1)


class MineLoss:
    """Minus the Donsker-Varadhan bound; its gradient divides by a moving average of E[e^f].

    The gradient of the logarithm of a batch mean is biased; with the moving average in the denominator
    the bias goes down (Belghazi et al. 2018, section 3.2).
    """

    def __init__(self, decay: float):
        self.decay = decay
        self.log_average: Tensor | None = None

    def __call__(self, joint: Tensor, log_mean: Tensor) -> Tensor:
        """The sum over networks, whose gradient is the bias-corrected one; its value is of no use."""
        log_batch = torch.logsumexp(log_mean, 1) - math.log(log_mean.shape[1])  # (R,)
        now = log_batch.detach()
        if self.log_average is None or self.decay == 0:
            self.log_average = now
        else:
            kept = self.log_average + math.log(self.decay)
            self.log_average = torch.logaddexp(kept, now + math.log1p(-self.decay))
        return ((now - self.log_average).exp() * log_batch - joint.mean(1)).sum()


# --- data of all repeats ----------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """Row numbers (R, ·) of the three parts of each repeat's split, in random order."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


def split(groups: np.ndarray, repeats: int, rng: np.random.Generator) -> Parts:
    """A random split for each repeat; rows of one group (n,), numbered from 0, are never in different parts.

    Parts of all repeats have the length of the shortest: with groups of unequal size a few rows drop out.

    Raises:
        DataError: a part has fewer than 5 rows, since a few groups hold nearly all rows.
    """
    cuts, n_groups = np.cumsum(SHARES)[:2], groups.max() + 1
    found: list[list[np.ndarray]] = [[], [], []]
    for _ in range(repeats):
        part = np.searchsorted(cuts, rng.permutation(n_groups) / n_groups, side="right")[groups]  # (n,)
        order = rng.permutation(len(groups))
        for p in range(3):
            found[p].append(order[part[order] == p])
    shortest = [min(map(len, rows)) for rows in found]
    if min(shortest) < 5:
        raise DataError(f"groups: a part of the split has {min(shortest)} rows; a few groups hold nearly all rows.")
    return Parts(*(np.stack([rows[:size] for rows in lists]) for lists, size in zip(found, shortest, strict=True)))


def _batches(rows: np.ndarray, size: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches (R, size) of shuffled training rows, epoch after epoch."""
    place = len(rows[0])
    for _ in range(steps):
        if place + size > len(rows[0]):
            rows, place = rng.permuted(rows, axis=1), 0
        yield rows[:, place : place + size]
        place += size


# --- training ---------------------------------------------------------------------------------


def fit(
    x: np.ndarray, y: np.ndarray, discrete: bool, groups: np.ndarray, config: CriticConfig, repeats: int, seed: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Train the critics of all repeats and evaluate each on its own test part.

    Args:
        x: (n, d) standardised.
        y: (n, e) standardised, or (n, C) one-hot where ``discrete``.
        groups: (n,) numbers from 0.

    Returns:
        The bound of each repeat on its test part (R,) in nats, and the curve
        (columns step, repeat, train, valid; the train bound is of single batches, averaged).
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    parts, levels = split(groups, repeats, rng), config.levels(x.shape[1])
    kind = ClassCritic if discrete else PairCritic
    critic = kind(len(levels) * repeats, x.shape[1], y.shape[1], config, generator)
    trainer = Trainer(critic, config, config.decay(x.shape[1]), torch.tensor(levels).repeat_interleave(repeats))
    tables = torch.from_numpy(x).float(), torch.from_numpy(y).float()

    def rows(index: np.ndarray) -> tuple[Tensor, ...]:
        chosen = torch.from_numpy(index)
        return tuple(F.embedding(chosen, table).repeat(len(levels), 1, 1) for table in tables)  # (levels * R, rows, ·)

    valid = rows(parts.valid)
    size = min(config.batch, parts.train.shape[1])
    batches = _batches(parts.train, size, config.steps, rng)
    with tqdm(batches, "estimate information", config.steps, leave=False, disable=None) as steps:
        for index in steps:
            trainer.step(*rows(index))
            if trainer.done % config.eval_every == 0 or trainer.done == config.steps:
                trainer.validate(*valid)
                if trainer.stopped():
                    break
    found = trainer.bound(trainer.best, *rows(parts.test), config.test_shuffles).reshape(len(levels), repeats)
    chosen = trainer.best_bound.reshape(len(levels), repeats).argmax(0)  # on validation, never on what is reported
    networks = (chosen * repeats + torch.arange(repeats)).tolist()
    return found.flatten()[networks].double().numpy(), trainer.curve(networks)


class Trainer:
    """AdamW on all networks at once, with the weights of each network's best validation kept apart."""

    def __init__(self, critic: nn.Module, config: CriticConfig, decay: float, penalties: Tensor):
        self.critic, self.config, self.penalties = critic, config, penalties.view(-1, 1, 1)
        self.mine = isinstance(config, MineConfig)
        self.mine_loss = MineLoss(config.moving_average) if self.mine else None
        self.optimizer = torch.optim.AdamW(critic.parameters(), lr=config.learning_rate, weight_decay=decay)
        self.average = {name: p.detach().clone() for name, p in critic.named_parameters()}
        # The first candidate is the constant critic, whose bound is 0: what beats it on validation is kept.
        self.best = {name: torch.zeros_like(p) for name, p in self.average.items()}
        self.best_bound = torch.zeros(len(penalties))
        self.best_step = torch.zeros(len(penalties))
        self.done = 0
        self._recent: list[Tensor] = []
        self._curve: list[tuple[int, Tensor, Tensor]] = []

    def step(self, x: Tensor, y: Tensor) -> None:
        """One step of every network on its own batch (R, B, ·)."""
        rate = self.config.learning_rate * (1 + math.cos(math.pi * self.done / self.config.steps)) / 2
        self.optimizer.param_groups[0]["lr"] = rate
        joint, log_mean = self.critic(x, y, self._shifts(x.shape[1], self.config.shuffles))
        loss = self.mine_loss(joint, log_mean) if self.mine else -info_nce(joint, log_mean).sum()
        self.optimizer.zero_grad()
        loss.backward()
        _clip(list(self.critic.parameters()))
        self.optimizer.step()
        self._shrink_columns(rate)
        self._recent.append(self._value(joint.detach(), log_mean.detach()))
        self._follow()
        self.done += 1

    @torch.no_grad()
    def _shrink_columns(self, rate: float) -> None:
        """The proximal step of a group lasso: columns of X that do not help get weight 0."""
        if not self.penalties.any():
            return
        for weight in self.critic.column_weights():
            norm = weight.norm(dim=2, keepdim=True).clamp_min(1e-12)  # (R, d, 1)
            weight *= (1 - rate * self.penalties * math.sqrt(weight.shape[2]) / norm).clamp_min(0)

    def _follow(self) -> None:
        """The averaged weights; the average is short at first, when the weights move fast."""
        decay = min(self.config.average, (1 + self.done) / (10 + self.done))
        for name, p in self.critic.named_parameters():
            self.average[name].lerp_(p.detach(), 1 - decay)

    def validate(self, x: Tensor, y: Tensor) -> None:
        """Evaluate the averaged weights, and keep those of the networks that are better than before."""
        bound = self.bound(self.average, x, y, self.config.shuffles)
        better = bound > self.best_bound
        for name, kept in self.best.items():
            kept[better] = self.average[name][better]
        self.best_bound = torch.where(better, bound, self.best_bound)
        self.best_step = torch.where(better, float(self.done), self.best_step)
        self._curve.append((self.done, torch.stack(self._recent).mean(0), bound))
        self._recent = []

    def stopped(self) -> bool:
        """Whether no network has improved for `patience` validations."""
        return bool((self.done - self.best_step).min() >= self.config.patience * self.config.eval_every)

    @torch.no_grad()
    def bound(self, weights: dict[str, Tensor], x: Tensor, y: Tensor, shuffles: int) -> Tensor:
        """The bound on rows (R, B, ·) in nats, (R,), with the pairings a few at a time."""
        shifts = self._shifts(x.shape[1], shuffles)
        total = None
        for start in range(0, len(shifts), SHIFTS_AT_ONCE):
            some = shifts[start : start + SHIFTS_AT_ONCE]
            joint, log_mean = functional_call(self.critic, weights, (x, y, some))
            part = log_mean + math.log(len(some) / len(shifts))
            total = part if total is None else torch.logaddexp(total, part)
        return self._value(joint, total)

    def _value(self, joint: Tensor, log_mean: Tensor) -> Tensor:
        return donsker_varadhan(joint, log_mean) if self.mine else info_nce(joint, log_mean)

    def _shifts(self, rows: int, shuffles: int) -> list[int]:
        """Evenly spaced cyclic shifts; InfoNCE counts the own y (shift 0) among the candidates."""
        if isinstance(self.critic, ClassCritic):
            return [0]
        others = np.unique(np.linspace(1, rows - 1, min(shuffles, rows - 1)).astype(int)).tolist()
        return others if self.mine else [0, *others]

    def curve(self, networks: list[int]) -> pd.DataFrame:
        """One row per validation and repeat, for the chosen network of each repeat."""
        rows = [
            {"step": step, "repeat": repeat, "train": float(train[k]), "valid": float(valid[k])}
            for step, train, valid in self._curve
            for repeat, k in enumerate(networks)
        ]
        return pd.DataFrame(rows, columns=["step", "repeat", "train", "valid"])


def _clip(parameters: list[nn.Parameter], largest: float = 1.0) -> None:
    """Scale the gradient of each network to norm 1 at most: one rare pair with a huge e^f must not decide."""
    squares = torch.stack([p.grad.square().flatten(1).sum(1) for p in parameters]).sum(0)  # (R,)
    factor = (largest / squares.sqrt().clamp_min(1e-12)).clamp_max(1)
    for p in parameters:
        p.grad *= factor.view(-1, *[1] * (p.dim() - 1))
