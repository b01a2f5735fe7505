"""Two models without training, at the two ends of every table: popularity and the oracle."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..config import Config
from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS
from .base import RankingModel


class Popularity(RankingModel):
    """Ranks by the number of training clicks of the same behavior: what every system must beat."""

    name = "popularity"
    family = "anchor"

    def __init__(self, config: Config, n_items: int):
        super().__init__(config, n_items=n_items)
        self.n_items = n_items
        self.register_buffer("clicks", torch.zeros(2, n_items + 1))  # row 0 rec, row 1 src

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: Config | None = None) -> Popularity:
        """Count the clicks of the training part."""
        model = cls(config or cls.Config(), dataset.n_items)
        for row, task in enumerate(BEHAVIORS):
            items = dataset.item[dataset.rows["train"][task].event]
            counts = np.bincount(items, minlength=dataset.n_items + 1)
            model.clicks[row] = torch.from_numpy(counts).float()
        return model

    def score(self, batch: Batch) -> Tensor:
        """Clicks of each candidate."""
        return self.clicks[BEHAVIORS.index(batch.task)][batch.cand]


class Oracle(RankingModel):
    """Ranks by the true click law of a simulated world: no system can be better on average."""

    name = "oracle"
    family = "anchor"
    serves_new_users = False
    reads_event = True
    saved = False  # it is the simulation itself

    def __init__(self, config: Config, dataset: Dataset):
        super().__init__(config)
        self.law = dataset.law

    @classmethod
    def obstacle(cls, dataset: Dataset, config: Config) -> str:
        """It knows the law of a simulated world, and of no other."""
        return "" if dataset.truth else "it needs a simulated world, whose law is known"

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: Config | None = None) -> Oracle:
        """An oracle of a simulated data set."""
        return cls(config or cls.Config(), dataset)

    def score(self, batch: Batch) -> Tensor:
        """log P(click | user's state, item, query), known by construction."""
        log_prob = self.law.log_prob(batch.event.cpu().numpy(), batch.cand.cpu().numpy())
        return torch.from_numpy(log_prob.astype(np.float32)).to(batch.cand.device)
