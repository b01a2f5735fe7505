"""Training of critics and the value that is reported: splits, early stopping, group lasso.

The columns of each split are turned into normal scores of its own training rows, so that neither
the scale of a column nor anything of the rows that are reported enters the training.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..errors import DataError
from .critics import (
    ClassCritic,
    CriticConfig,
    MineConfig,
    MineLoss,
    PairCritic,
    donsker_varadhan,
    info_nce,
    product_directions,
)
from .normal_scores import normal_scores

SHARES = (0.7, 0.1, 0.2)  # of the groups: training, early stopping, the reported value
LEAST_DECAY = 0.05  # of AdamW: for one column, and for weights whose number the columns leave alone
SHIFTS_AT_ONCE = 8  # keeps the evaluation of many shuffles within tens of megabytes


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

    Takes x (n, d), y (n, e) or labels (n,) from 0, and groups (n,) from 0. Returns the bound of
    each repeat (repeats,) in nats, and the curve: columns step, repeat, train (the bound of single
    batches, averaged) and valid.
    """
    rng = np.random.default_rng(seed)
    train, valid, test = split(groups, repeats, rng)
    x = np.stack([normal_scores(x, rows) for rows in train])
    if y.ndim == 2:
        y = np.stack([normal_scores(y, rows) for rows in train])
    critics = Critics(x, y, config, repeats, seed)
    critics.start(train)
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

    Everywhere ``rows`` (repeats, B) are row numbers, seen by the networks of that repeat. x is
    (repeats, n, d), y (repeats, n, e) or labels (n,), the same ones for all repeats.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, config: CriticConfig, repeats: int, seed: int):
        self.config = config
        self.repeats = repeats
        discrete = y.ndim == 1
        self.x = torch.from_numpy(x).float()
        y = torch.from_numpy(y)
        self.y = F.one_hot(y).expand(repeats, -1, -1).float() if discrete else y.float()
        d = x.shape[2]
        # With many columns, most rows are needed to find out which of them matter.
        levels = config.penalties or ((0.0,) if d <= 50 else (0.0, 0.4))
        # A step from no to yes, where ranks leave no gap, needs large weights.
        self.rate = config.learning_rate or (1e-2 if discrete else 2e-3)
        self.penalties = torch.tensor(levels).repeat_interleave(repeats)  # (R,)
        kind = ClassCritic if discrete else PairCritic
        generator = torch.Generator().manual_seed(seed)
        self.network = kind(len(self.penalties), d, self.y.shape[2], config, generator)
        self.mine_loss = MineLoss(config.moving_average) if isinstance(config, MineConfig) else None
        self.value = donsker_varadhan if self.mine_loss else info_nce
        # Strong ties of single columns need large weights, weak ones of many columns small weights.
        decay = min(1.0, LEAST_DECAY * d) if config.weight_decay is None else config.weight_decay
        many = {id(weight) for weight in self.network.decayed}
        others = [p for p in self.network.parameters() if id(p) not in many]
        groups = [
            {"params": self.network.decayed},
            {"params": others, "weight_decay": min(decay, LEAST_DECAY)},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.rate, weight_decay=decay)
        # The first candidate is the constant critic, whose bound is 0: only a better one is kept.
        self.best = {name: torch.zeros_like(p) for name, p in self.network.named_parameters()}
        self.best_bound = torch.zeros(len(self.penalties))
        self.best_step = torch.zeros(len(self.penalties))
        self.best_most = torch.zeros(len(self.penalties))
        self.done = 0
        self._recent: list[Tensor] = []
        self._curve: list[tuple[int, Tensor, Tensor]] = []

    def start(self, rows: np.ndarray) -> None:
        """Start the products of a discrete Y where the training rows show some."""
        if not isinstance(self.network, ClassCritic):
            return
        pairs = [
            product_directions(self.x[r, own], self.y[r, own], self.config.products)
            for r, own in enumerate(rows)
        ]
        a, b = (torch.stack(side) for side in zip(*pairs, strict=True))  # (repeats, d, K) each
        levels = len(self.penalties) // self.repeats
        self.network.start_products(a.repeat(levels, 1, 1), b.repeat(levels, 1, 1))

    def _scores(self, rows: np.ndarray, shifts: list[int]) -> tuple[Tensor, Tensor]:
        repeat = torch.arange(self.repeats)[:, None]
        levels = len(self.penalties) // self.repeats
        x, y = (each[repeat, rows].repeat(levels, 1, 1) for each in (self.x, self.y))  # (R, B, ·)
        return self.network(x, y, shifts)

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
        rate = self.rate * (1 + math.cos(math.pi * fraction)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate
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
        bound, most = self.bound(rows, self.config.shuffles)
        better = bound > self.best_bound
        for name, weights in self.network.named_parameters():
            self.best[name][better] = weights.detach()[better]
        self.best_bound[better] = bound[better]
        self.best_step[better] = self.done
        self.best_most[better] = most[better]
        self._curve.append((self.done, torch.stack(self._recent).mean(0), bound))
        self._recent = []
        waited = self.done - self.best_step.max().item()
        return waited < self.config.patience * self.config.eval_every

    @torch.no_grad()
    def bound(self, rows: np.ndarray, shuffles: int) -> tuple[Tensor, Tensor]:
        """The bound on these rows in nats, (R,), with the pairings a few at a time, and the highest
        score of a row with its own y (R,).
        """
        shifts = self._shifts(rows, shuffles)
        parts = []
        for some in torch.tensor(shifts).split(SHIFTS_AT_ONCE):
            joint, log_mean = self._scores(rows, some.tolist())
            parts.append(log_mean + math.log(len(some) / len(shifts)))
        return self.value(joint, torch.logsumexp(torch.stack(parts), 0)), joint.amax(1)

    def result(self, rows: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
        """The bound (repeats,) of the best weights on the rows to report, and the curve."""
        # The penalty of each repeat is chosen on validation, never on what is reported.
        level = self.best_bound.view(-1, self.repeats).argmax(0)
        chosen = level * self.repeats + torch.arange(self.repeats)
        self.network.load_state_dict(self.best)
        if isinstance(self.network, PairCritic):
            # No pair is scored higher than the best of the rows that chose the weights.
            self.network.most = self.best_most
        found = self.bound(rows, self.config.test_shuffles)[0][chosen]
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
