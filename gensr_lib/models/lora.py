"""LoRA (Hu et al., ICLR 2022): a frozen linear map learns a correction of low rank."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError


class LoRALinear(nn.Linear):
    """W x + alpha / r B A x, where W is frozen: A (r, in) is random and B (out, r) begins as 0.

    Args:
        linear: the map that is corrected; its weight becomes W.
        rank: r.
        alpha: the correction counts alpha / r.
        dropout: of what A reads, in training.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, dropout: float):
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None)
        self.weight = linear.weight
        self.bias = linear.bias
        self.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(rank, linear.in_features))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))
        self.scale = alpha / rank
        self.dropout = nn.Dropout(dropout)

    def merged(self) -> Tensor:
        """W + alpha / r B A, (out, in): without dropout the whole map is this one matrix."""
        return self.weight + self.scale * self.b @ self.a

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        if not self.training:
            return F.linear(x, self.merged(), self.bias)
        correction = F.linear(F.linear(self.dropout(x), self.a), self.b)
        return super().forward(x) + self.scale * correction


def add_lora(
    model: nn.Module, names: Collection[str], rank: int, alpha: float, dropout: float
) -> None:
    """Freeze a model and correct its linear maps of some names, such as ``q`` and ``v`` in T5.

    Raises:
        ConfigError: the model has no linear map of one of the names.
    """
    model.requires_grad_(False)
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if name in names and isinstance(child, nn.Linear)
    ]
    if missing := sorted(set(names) - {name for _, name, _ in found}):
        raise ConfigError(
            f"lora_on: the language model has no linear map named '{missing[0]}'; take names of "
            f"its own, such as 'q' and 'v' of a T5."
        )
    for parent, name, child in found:
        setattr(parent, name, LoRALinear(child, rank, alpha, dropout))
