"""`train`: one loop for every model, on accelerate (CPU, one GPU, several processes).

A step takes one batch of each task that the model serves, sized so that both run out together.
Everything random in a step (order, negatives, dropout) is seeded by (seed, epoch, step), so a run
that was killed goes on from its last checkpoint and ends with the same numbers.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..config import TrainingConfig, digest
from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, SRC
from ..data.split import TRAIN, VALID
from ..errors import ConfigError
from ..models.base import RankingModel
from ..models.losses import together
from ..models.saving import weights_of
from .checkpoints import Checkpoints
from .evaluation import evaluate
from .gradients import measure, probe_batches
from .steps import plan_steps, rate_of, training_batch

LOG = logging.getLogger(__name__)


@dataclass
class TrainingRun:
    """What training left behind.

    Attributes:
        model: with the weights of the best epoch, in eval mode.
        history: one row per epoch: mean of each loss term by task, validation metrics, seconds, and
            the stage, from 1, of a model that is trained in stages.
        best_epoch: 1-based; 0 if nothing was trained.
        seconds: wall time, without the part before a resume.
        resumed_at: the step a killed run was taken up at; 0 for a fresh one.
        gradients: the tasks' gradients every ``probe_steps``, as `gradients.measure` gives them,
            with the ``step``; empty without probes or with a single task.
    """

    model: RankingModel
    history: pd.DataFrame
    best_epoch: int
    seconds: float
    resumed_at: int = 0
    gradients: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass
class _Progress:
    """Where a run stands; plain values only, stored as JSON in each checkpoint."""

    step: int = 0
    best_epoch: int = 0
    best_value: float = -math.inf
    best_stage: int = 0  # from 1, of a model that is trained in stages: the best epoch is one of it
    sums: dict[str, float] = field(default_factory=dict)
    # Steps that had the term: the last steps of an epoch may lack the rows of the shorter task.
    counts: dict[str, int] = field(default_factory=dict)
    epochs: list[dict] = field(default_factory=list)
    probes: list[dict] = field(default_factory=list)


def make_accelerator(cpu: bool = False) -> Accelerator:
    """Accelerator for this machine: bfloat16 where a GPU has it, never float16 (T5 overflows).

    A GPU that is not CUDA's is left alone: LightGCN's sparse products do not run there.
    """
    cpu = cpu or not torch.cuda.is_available()
    bf16 = not cpu and torch.cuda.is_bf16_supported()
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    return Accelerator(cpu=cpu, mixed_precision="bf16" if bf16 else "no", kwargs_handlers=handlers)


def train(
    model: RankingModel,
    dataset: Dataset,
    training: TrainingConfig,
    *,
    seed: int = 0,
    folder: Path | None = None,
    accelerator: Accelerator | None = None,
) -> TrainingRun:
    """Train a model and give it the weights of its best epoch.

    The best epoch has the highest mean validation NDCG@5 over the model's tasks; without validation
    rows it is the last one. Of a model that is trained in stages it is one of the last stage, and
    patience counts in that alone. A model without parameters is returned as it is.

    Args:
        seed: of order, negatives and dropout (the initial weights are the model's own matter).
        folder: for checkpoints; a run found there is taken up, None keeps nothing on disk.

    Raises:
        ConfigError: the checkpoint in ``folder`` belongs to another configuration or is damaged,
            the data set has no training row for any task of the model, or it has no loss.
        ValueError: the loss is not finite.
    """
    if training.epochs == 0 or not any(p.requires_grad for p in model.parameters()):
        return TrainingRun(model.eval(), pd.DataFrame(), 0, 0.0)
    if not model.learns():
        raise ConfigError(f"{model.name} has parameters, and no loss(batch) to train them by.")
    accelerator = accelerator or make_accelerator()
    return Loop(model, dataset, training, seed, folder, accelerator).run()


class Objective(nn.Module):
    """All losses of a step in one forward call, as DistributedDataParallel needs it."""

    def __init__(self, model: RankingModel, search_weight: float):
        super().__init__()
        self.model = model
        self.search_weight = search_weight

    def forward(self, batches: list[Batch]) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 1 and 8: the weighted sum, and each term by task for the log."""
        total = 0.0
        log = {}
        for batch in batches:
            task_weight = self.search_weight if batch.task == SRC else 1.0
            with together():
                terms = self.model.loss(batch)
            for name, term in terms.items():
                total = total + task_weight * self.model.loss_weights.get(name, 1.0) * term
                log[f"{batch.task} {name}"] = term.detach()
        return total, log


class Loop:
    """One training: arguments as for `train`; `run` does it."""

    def __init__(
        self,
        model: RankingModel,
        dataset: Dataset,
        training: TrainingConfig,
        seed: int,
        folder: Path | None,
        accelerator: Accelerator,
    ):
        self.model = model
        self.dataset = dataset
        self.training = training
        self.seed = seed
        self.accelerator = accelerator
        self.sizes, self.steps = plan_steps(model, dataset, training)
        processes = accelerator.num_processes
        key = digest(model.name, model.config, training, dataset.hash, seed, processes)
        self.checkpoints = Checkpoints(folder, key, processes)
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
        )
        objective = Objective(model, training.search_weight)
        self.objective, self.optimizer = accelerator.prepare(objective, optimizer)
        self.state = _Progress()
        self.best: dict[str, Tensor] = {}

    @property
    def tasks(self) -> list[str]:
        """The tasks that are trained: served by the model, and with rows."""
        return list(self.sizes)

    def run(self) -> TrainingRun:
        """All epochs from where the run stands, then the best weights."""
        started = time.perf_counter()
        if found := self.checkpoints.restore(self.model, self.optimizer):
            self.best, state = found
            self.state = _Progress(**state)
        resumed_at = self.state.step
        total = self.training.epochs * self.steps
        bar = {"total": total, "initial": resumed_at, "leave": False, "disable": None}
        with tqdm(desc=f"train {self.model.name}", **bar) as progress:
            while self.state.step < total and not self._exhausted():
                self._epoch(self.state.step // self.steps, progress)
        if self.best:
            self.model.load_state_dict(self.best, strict=False)
        if self.model.stages is not None and not self.model.stages.is_last:
            said = "%s: training ended in stage %d of %d; give it more epochs, or the stages fewer."
            stages = self.model.stages
            LOG.warning(said, self.model.name, stages.now + 1, len(stages.starts))
        return TrainingRun(
            model=self.model.eval(),
            history=pd.DataFrame(self.state.epochs),
            best_epoch=self.state.best_epoch,
            seconds=time.perf_counter() - started,
            resumed_at=resumed_at,
            gradients=pd.DataFrame(self.state.probes),
        )

    def _exhausted(self) -> bool:
        """Whether patience is over; asked between epochs, and of validated ones only."""
        epochs = len(self.state.epochs)
        if self.state.step % self.steps or not self._is_validated(epochs):
            return False
        if self.model.stages is not None and not self.model.stages.is_last:
            return False
        # The first validated epoch is the best one so far: none before it is counted.
        return epochs - self.state.best_epoch >= self.training.patience

    def _is_validated(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, ends in a validation; the last one always does."""
        every = self.training.eval_every
        if every is None or epoch == 0:
            return False
        due = epoch >= self.training.first_validation and epoch % every == 0
        return due or epoch == self.training.epochs

    # --- one epoch ---------------------------------------------------------------------------

    def _epoch(self, epoch: int, progress: tqdm) -> None:
        started = time.perf_counter()
        plan = {task: self._plan(task, epoch) for task in self.tasks}
        self.objective.train()
        for step in range(self.state.step % self.steps, self.steps):
            batches = [self.batch(plan[task], task, step) for task in self.tasks]
            batches = [batch for batch in batches if len(batch)]
            # A task alone may run out before the last of the steps that joint training takes.
            terms = self.step(batches) if batches else {}
            for name, value in terms.items():
                self.state.sums[name] = self.state.sums.get(name, 0.0) + value
                self.state.counts[name] = self.state.counts.get(name, 0) + 1
            self.state.step += 1
            progress.update()
            shown = {name: f"{value:.3f}" for name, value in terms.items()}
            progress.set_postfix(shown, refresh=False)
            if (step + 1) % self.training.checkpoint_steps == 0 and step + 1 < self.steps:
                self._save()
        self._close_epoch(epoch, time.perf_counter() - started)
        self._save()

    def _plan(self, task: str, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Order of the rows and their negatives in this epoch."""
        rows = len(self.dataset.rows[TRAIN][task])
        rng = np.random.default_rng([self.seed, epoch, 7, BEHAVIORS.index(task)])
        negatives = self.training.negatives
        drawn = self.dataset.training_negatives(task, negatives, (self.seed, epoch))
        return rng.permutation(rows), drawn

    def batch(self, plan: tuple[np.ndarray, np.ndarray], task: str, step: int) -> Batch:
        """This process's part of the step's batch of one task."""
        order, negatives = plan
        size = self.sizes[task]
        index = order[step * size : (step + 1) * size]
        own = index[self.accelerator.process_index :: self.accelerator.num_processes]
        # More processes than rows: every process must take the step, or the others wait for ever.
        index = own if len(own) else index[:1]
        return training_batch(self.dataset, task, index, negatives[index])

    def _close_epoch(self, epoch: int, seconds: float) -> None:
        """Validate, remember the best weights, write a line of history."""
        means = {name: s / self.state.counts[name] for name, s in self.state.sums.items()}
        row = {"epoch": epoch + 1, **means}
        if self.model.stages is not None:
            row["stage"] = self.model.stages.now + 1
            if row["stage"] > self.state.best_stage:
                self.state.best_stage, self.state.best_value = row["stage"], -math.inf
        value = self.state.best_value
        if not self._selects():
            value = float(epoch)  # nothing to select by: the last epoch is the best
        elif self._is_validated(epoch + 1):
            size = self.training.eval_batch_size
            options = {"batch_size": size, "accelerator": self.accelerator}
            found = evaluate(self.model, self.dataset, VALID, **options)
            value = found.mean("N@5")
            for task, metrics in found.metrics.items():
                row |= {f"valid {task} {name}": metric for name, metric in metrics.items()}
        if value > self.state.best_value:
            self.state.best_value = value
            self.state.best_epoch = epoch + 1
            # A copy, not a reference: the next step overwrites the weights in place.
            self.best = {name: tensor.clone() for name, tensor in weights_of(self.model).items()}
        self.state.epochs.append({**row, "seconds": seconds})
        self.state.sums = {}
        self.state.counts = {}

    def _selects(self) -> bool:
        """Whether there is a validation to choose the best epoch by."""
        rows = self.dataset.rows[VALID]
        return self.training.eval_every is not None and any(len(rows[t]) for t in self.tasks)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            state = vars(self.state)
            self.checkpoints.save(self.state.step, self.model, self.best, self.optimizer, state)

    # --- one step ----------------------------------------------------------------------------

    def step(self, batches: list[Batch]) -> dict[str, float]:
        """One optimizer step; returns the loss terms."""
        batches = [batch.to(self.accelerator.device) for batch in batches]
        every = self.training.probe_steps
        if every and len(self.tasks) > 1 and self.state.step % every == 0:
            self._probe()
        self._seed_step()
        self._set_learning_rate()
        if self.model.stages is not None:
            self.model.stages.go_on(self.state.step / self.steps)
        total, terms = self.objective(batches)
        if not torch.isfinite(total):
            raise ValueError(
                f"{self.model.name}: the loss is {total.item()} at step {self.state.step}; lower "
                f"the rate."
            )
        # One backward for both tasks: in shared weights their gradients add up, as in eq. 1.
        self.accelerator.backward(total)
        self.accelerator.clip_grad_norm_(self.objective.parameters(), self.training.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: value.item() for name, value in terms.items()}

    def _seed_step(self) -> None:
        """All randomness of a step follows from its number: a resumed run draws the same."""
        key = digest(self.seed, self.state.step, self.accelerator.process_index)
        torch.manual_seed(int(key, 16) % 2**63)

    def _probe(self) -> None:
        """Measure the tasks' gradients on rows of their own; nothing else changes."""
        self._seed_step()
        processes = self.accelerator.num_processes
        sizes = {task: math.ceil(size / processes) for task, size in self.sizes.items()}
        seed = (self.seed, self.state.step)
        batches = probe_batches(self.dataset, sizes, self.training, seed)
        with self.accelerator.autocast():
            found = measure(self.model, (b.to(self.accelerator.device) for b in batches))
        self.state.probes += [{"step": self.state.step, **row} for row in found]

    def _set_learning_rate(self) -> None:
        rate = rate_of(self.state.step, self.steps, self.training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
