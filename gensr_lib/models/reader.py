"""The reader: who knows the law of a simulated world, and reads what a model is given to read.

Between the floors and the oracle there is a question: how far can anybody get with *this* history,
these texts, these clicks? A reader knows the items as well as text or clicks allow
(`data.pocket.knowledge`), computes from them what the law is made of, and weighs it by a
conditional logit (McFadden 1974) fitted on training rows. It takes seconds, and shares no code with
the systems that it bounds. Switching off one of its abilities gives the ceiling of the mechanism
that stands for it in GenSR: see `analysis.ceilings`.

B rows, C candidates, N clicks of the history, K topics, d directions, F features.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ..config import Config
from ..data.batches import Batch, merged_history
from ..data.dataset import Dataset
from ..data.pocket import knowledge
from ..data.schema import BEHAVIORS, REC, SRC
from ..data.split import TRAIN
from .base import RankingModel

ITEMS = ("law", "text", "clicks", "views", "views apart")


class ReaderConfig(Config):
    """What a reader knows and reads."""

    items: Literal[ITEMS] = Field(
        "law",
        description="what is known of items: everything; what text says, or what clicks tell; "
        "both as one, or both without comparing one with the other",
    )
    clicks_of: Literal["rec", "src", "both"] = Field("both", description="whose clicks tell")
    history: int = Field(40, ge=1, description="N, newest clicks of both behaviors, merged")
    history_of: Literal["both", "rec", "src"] = Field("both", description="behaviors that are read")
    types: bool = Field(False, description="tell searches and recommendations apart in a history")
    filter: bool = Field(True, description="weigh the clicks by the candidate, not all alike")
    one_law: bool = Field(False, description="one set of weights for both tasks")
    rows: int = Field(4000, ge=10, description="training rows of a task that the weights fit")
    negatives: int = Field(19, ge=1, description="beside each positive of these rows")


class Reader(RankingModel):
    """A conditional logit on the features of somebody who knows the law of the world.

    Args:
        config: options.
        dataset: a simulated one; its training rows fit the weights.
    """

    name = "reader"
    family = "anchor"
    Config = ReaderConfig
    saved = False  # its items are the simulation itself
    tiny: ClassVar = {"rows": 60, "negatives": 3}

    def __init__(self, config: ReaderConfig, dataset: Dataset):
        super().__init__(config)
        self.dataset = dataset
        truth = dataset.truth
        numbers = truth.item_index(dataset.item_ids[1:])
        self.views = [self._padded(known, numbers) for known in self._known(numbers)]
        self.popularity = _rows(truth.popularity[numbers])
        self.shown = _rows(truth.shown[numbers])
        self.weights = {}
        for tasks in [BEHAVIORS] if config.one_law else [(task,) for task in BEHAVIORS]:
            rows = [made for task in tasks for made in self._training_features(task)]
            self.weights |= dict.fromkeys(tasks, conditional_logit(rows) if rows else None)

    @classmethod
    def obstacle(cls, dataset: Dataset, config: ReaderConfig) -> str:
        """It knows the law of a simulated world, and of no other."""
        return "" if dataset.truth else "it needs a simulated world, whose law is known"

    @classmethod
    def from_dataset(cls, dataset: Dataset, config: ReaderConfig | None = None) -> Reader:
        """A reader of a simulated data set, its weights fitted."""
        return cls(config or cls.Config(), dataset)

    def score(self, batch: Batch) -> Tensor:
        """The weighted sum of the features, (B, C) float32."""
        features = self.features(batch)
        weights = self.weights[batch.task]
        if weights is None:  # no training row of this task
            weights = torch.zeros(features.shape[-1], dtype=features.dtype)
        return (features @ weights).float()

    # --- what is known -----------------------------------------------------------------------

    def _known(self, numbers: np.ndarray) -> list[knowledge.Knowledge]:
        truth = self.dataset.truth
        kind = self.config.items
        if kind == "law":
            return [knowledge.law(truth)]
        if kind == "text":
            return [knowledge.from_text(truth)]
        rows = self._training_events()
        clicks = knowledge.from_clicks(truth, rows, use_text=kind == "views")
        return [knowledge.from_text(truth), clicks] if kind == "views apart" else [clicks]

    def _training_events(self) -> np.ndarray:
        """Numbers, in the simulation, of the training clicks of the behaviors that tell."""
        data = self.dataset
        tasks = BEHAVIORS if self.config.clicks_of == "both" else (self.config.clicks_of,)
        events = np.concatenate([data.rows[TRAIN][task].event for task in tasks])
        behavior = np.where(data.is_search[events], SRC, REC)
        return data.truth.rows(data.user_ids[data.user[events]], data.time[events], behavior)

    def _padded(self, known: knowledge.Knowledge, numbers: np.ndarray) -> dict[str, Tensor]:
        return {name: _rows(value[numbers]) for name, value in vars(known).items()}

    # --- what is read ------------------------------------------------------------------------

    def features(self, batch: Batch) -> Tensor:
        """What the law is made of, as far as it can be read: (B, C, F) float64."""
        cand = batch.cand.cpu()
        columns = [self.popularity[cand], self.shown[cand]]
        if batch.task == SRC:  # g is recommendation's
            columns[1] = torch.zeros_like(columns[1])
        for view in self.views:
            columns += self._history_features(view, batch, cand)
            columns += self._query_features(view, batch, cand)
        return torch.stack(columns, dim=-1)

    def _history_features(self, view: dict[str, Tensor], batch: Batch, cand: Tensor) -> list:
        items, is_search = merged_history(batch, self.config.history, self.config.history_of)
        items = items.cpu()
        real = items != 0
        parts = [real]
        if self.config.types:
            parts = [real & ~is_search.cpu(), real & is_search.cpu()]
        columns = []
        for part in parts:
            columns += self._of_clicks(view, items, part, cand)
        return columns

    def _of_clicks(self, view, items: Tensor, real: Tensor, cand: Tensor) -> list[Tensor]:
        """Clicks of the candidate's topic, and how its vector agrees with the clicks' vectors.

        The second in two halves of the directions, since the tasks may weigh them differently; of
        all clicks alike, and, with the filter, of those of the candidate's own topic.
        """
        topic = view["topic"]
        latent = view["latent"]
        real = real.double().unsqueeze(1)  # (B, 1, N)
        same = topic[cand] @ topic[items].transpose(1, 2) * real  # (B, C, N)
        n = items.shape[1]
        newer = 0.5 ** (torch.arange(n - 1, -1, -1) / 10.0)  # padding at the end counts 0 anyway
        columns = [torch.log(same.sum(-1) + 0.3), torch.log((same * newer).sum(-1) + 0.1)]
        half = (latent.shape[1] + 1) // 2
        for part in (latent[:, :half], latent[:, half:]):
            agree = part[cand] @ part[items].transpose(1, 2) * real  # (B, C, N)
            columns.append(agree.sum(-1) / (real.sum(-1) + 4))
            if self.config.filter:
                columns.append((agree * same).sum(-1) / (same.sum(-1) + 2))
        return columns

    def _query_features(self, view: dict[str, Tensor], batch: Batch, cand: Tensor) -> list:
        """Words that query and candidate share, and whether the words are of its topic."""
        if batch.task == REC:
            zero = torch.zeros(cand.shape, dtype=torch.float64)
            return [zero, zero]
        truth = self.dataset.truth
        words = torch.from_numpy(knowledge.query_words(truth, batch.query_text))  # (B, V)
        topics = words @ torch.from_numpy(knowledge.topic_of_words(truth))  # (B, K)
        asked = topics / topics.sum(1, keepdim=True).clamp(min=1)
        match = view["topic"][cand] @ asked.unsqueeze(-1)  # (B, C, 1)
        overlap = view["words"][cand] @ words.unsqueeze(-1)
        return [overlap.squeeze(-1), torch.log(match.squeeze(-1) + 1e-3)]

    def _training_features(self, task: str) -> list[Tensor]:
        """Features of some training rows, the positive in column 0, in batches."""
        data = self.dataset
        config = self.config
        n = len(data.rows[TRAIN][task])
        rng = np.random.default_rng([data.seed, 5, BEHAVIORS.index(task)])
        index = np.sort(rng.permutation(n)[: config.rows])
        if not n:
            return []
        event = data.rows[TRAIN][task].event[index]
        negatives = data.sampler.draw(data.user[event], config.negatives, rng)
        shown = np.concatenate([data.item[event][:, None], negatives], axis=1)
        parts = np.array_split(np.arange(len(index)), 1 + len(index) // 500)
        return [self.features(data.batch(TRAIN, task, index[p], shown[p])) for p in parts]


def conditional_logit(rows: list[Tensor], ridge: float = 1.0) -> Tensor:
    """Weights (F,) under which the first of each row's candidates is the likely one.

    Maximises sum log softmax(x w)[0] - ridge / 2 |w|^2 over rows of features (B, C, F): concave, so
    that the answer does not depend on where the search begins.
    """
    x = torch.cat(rows)  # (N, C, F)
    spread = x.std(dim=(0, 1)).clamp(min=1e-9)  # the ridge is fair to features of any unit
    x = (x - x.mean(dim=1, keepdim=True)) / spread
    weights = torch.zeros(x.shape[-1], dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=200, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )
    first = torch.zeros(len(x), dtype=torch.long)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weights, first, reduction="sum")
        loss = (loss + ridge / 2 * weights.square().sum()) / len(x)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weights.detach() / spread


def _rows(values: np.ndarray) -> Tensor:
    """Values of items (I, …), with a row of zeros for the padding in front."""
    padded = np.concatenate([np.zeros_like(values[:1]), values])
    return torch.from_numpy(padded.astype(np.float64))
