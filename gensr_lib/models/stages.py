"""Training in stages: which one a model is in, and weights that rest while others are trained.

The loop says how many epochs lie behind, before each step; the stage follows from that, and `loss`
and `score` ask for it. It is kept with the weights, so that a model that is loaded scores as in the
stage in which it was saved. The loop selects within a stage: what an earlier one left behind is not
what the training is for, however well it validates.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import nn


class Stages(nn.Module):
    """Which stage of its training a model is in.

    Args:
        epochs: how many epochs each stage lasts, but for the last one, which has no end. A stage
            may begin within an epoch.
    """

    def __init__(self, epochs: Sequence[float]):
        super().__init__()
        self.starts = [0.0, *accumulate(epochs)]
        self.register_buffer("stage", torch.zeros((), dtype=torch.long))

    @property
    def now(self) -> int:
        """The stage, from 0; a validation is of that of the last step before it."""
        return int(self.stage)

    @property
    def is_last(self) -> bool:
        """Whether no other stage follows."""
        return self.now == len(self.starts) - 1

    def enter(self, stage: int) -> None:
        """Be in a stage."""
        self.stage.fill_(stage)

    def go_on(self, epochs: float) -> None:
        """Be in the stage of a step that begins when so many epochs lie behind."""
        self.enter(bisect_right(self.starts, epochs) - 1)


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
