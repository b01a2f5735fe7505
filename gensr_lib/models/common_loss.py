"""The systems of the book with one loss for all: what is the system, and what is its loss?

``gensr_lib.models.common_loss:sasrec`` is SASRec, trained by the binary cross-entropy of each
candidate, the positive and its negatives, as DIN, GenSR and UniSAR are. So it is with any other
system that scores candidates, by its name. What comes is called ``sasrec_click``: a profile's
settings of SASRec are not its, unless a caller hands them on.
"""

from __future__ import annotations

from functools import cache
from typing import ClassVar

from torch import Tensor

from ..data.batches import Batch
from .base import RankingModel
from .losses import click
from .registry import MODELS, model_class


class ByClick:
    """Mixed in before a model: its loss is that of clicks alone."""

    task_term = "click"
    loss_weights: ClassVar[dict[str, float]] = {}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``click``: binary cross-entropy of each candidate."""
        return {"click": click(self.score(batch))}


@cache
def __getattr__(name: str) -> type[RankingModel]:
    if name not in MODELS:
        raise AttributeError(f"no model of the library is called '{name}'")
    own = {"__module__": __name__, "__doc__": ByClick.__doc__, "name": f"{name}_click"}
    return type(name, (ByClick, model_class(name)), own)
