"""Training in stages: which one a model is in, and weights that rest while others are trained.

The loop knows no stages: every step asks for a loss and trains what it has a gradient for. So a
model that is trained in stages counts for itself, in buffers that checkpoints keep beside its
weights: a run that is taken up goes on in the stage where it was. It counts rows and not steps,
because papers give their stages in passes over the training rows, which are the same number of
rows whatever the batch size. How long the training is it does not know: one that is shorter than
the stages ends within one of them, and the model is then what it was trained to be by then.
"""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import nn

from ..data.batches import Batch
from .losses import of_all_processes


class Stages(nn.Module):
    """Which stage of its training a model is in, by the number of rows that it was trained on.

    Args:
        rows: training rows of the data set, one epoch of them.
        epochs: how many epochs each stage lasts, but for the last one, which has no end.
    """

    def __init__(self, rows: int, epochs: Sequence[float]):
        super().__init__()
        self.starts = [0, *accumulate(math.ceil(rows * length) for length in epochs)]
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("stage", torch.zeros((), dtype=torch.long))

    @property
    def now(self) -> int:
        """The stage of the last step of training, from 0: a validation is still of that one."""
        return int(self.stage)

    def step(self, batch: Batch) -> int:
        """The stage of the step that trains a batch; its rows are counted."""
        self.stage.fill_(bisect_right(self.starts, int(self.seen)) - 1)
        self.seen += len(of_all_processes(batch.user))
        return self.now

    def enter(self, stage: int) -> None:
        """Be where a stage begins."""
        self.seen.fill_(self.starts[stage])
        self.stage.fill_(stage)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within, what is computed has no gradient for the module's weights, but one for its inputs.

    The optimizer leaves alone what has no gradient, so that weights rest without its knowing.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
