"""Do search and recommendation pull shared parameters in different directions? (paper §1 and
§6.3.1)

In a step of training both tasks have a gradient for each shared layer. A cosine below zero means
that
the step which helps one task hurts the other: gradient conflict. Gradients of small batches are
mostly noise, and noise of many dimensions is orthogonal, so each batch is split into halves, and
the angle between the *tasks* stands beside the angle between two halves of one task.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batches import Batch
from ..data.schema import REC, SRC

ALL = "all shared"  # the row of all shared layers laid end to end


def measure(model: nn.Module, batches: Sequence[Batch]) -> list[dict]:
    """Angles between the tasks' gradients for each layer that both tasks train.

    A layer is a module with parameters of its own; it is shared if both tasks give it a gradient
    other than zero. The gradients of the model's parameters (``.grad``) are left alone.

    Args:
        model: with ``loss(batch)`` and ``loss_weights``, as it is (train or eval mode).
        batches: one of each task.

    Returns:
        One dict per shared layer, and one for `ALL` of them: ``layer``, ``size`` (parameters),
        ``cosine`` of the tasks' gradients over the whole batches, ``norm_rec`` and ``norm_src``,
        and three cosines of
        half batches: ``between`` tasks (mean of the four pairs) and within ``rec`` and ``src``.
        Empty unless there are batches of both tasks with two rows at least.
    """
    by_task = {batch.task: batch for batch in batches if len(batch) > 1}
    if set(by_task) != {REC, SRC}:
        return []
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    halves = {
        task: [_gradients(model, half, named) for half in _split(batch)]
        for task, batch in by_task.items()
    }
    layers: dict[str, list] = {}  # inner products and sizes
    for i, (name, parameter) in enumerate(named):
        gram, size = layers.get(layer_of(name), (0, 0))
        layers[layer_of(name)] = (gram + _products(halves, i), size + parameter.numel())
    shared = {
        name: own
        for name, own in layers.items()
        if own[0][:2, :2].sum() > 0 and own[0][2:, 2:].sum() > 0
    }
    if shared:
        shared[ALL] = tuple(map(sum, zip(*shared.values(), strict=True)))
    return [_row(name, size, gram) for name, (gram, size) in shared.items()]


def layer_of(parameter: str) -> str:
    """The module that owns a parameter.

    >>> layer_of("encoder.block.0.attention.in_proj_weight")
    'encoder.block.0.attention'
    >>> layer_of("positions")
    'positions'
    """
    return parameter.rpartition(".")[0] or parameter


def _split(batch: Batch) -> list[Batch]:
    """Every other row, so that both halves hold as many."""
    at = torch.arange(len(batch) // 2 * 2, device=batch.user.device)
    return [batch.rows(at[0::2]), batch.rows(at[1::2])]


def _gradients(
    model: nn.Module, batch: Batch, named: list[tuple[str, Tensor]]
) -> list[Tensor | None]:
    weights = model.loss_weights
    loss = sum(weights.get(name, 1.0) * term for name, term in model.loss(batch).items())
    return torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)


def _products(halves: dict[str, list[list[Tensor | None]]], i: int) -> Tensor:
    """Inner products (4, 4) of the gradients of parameter i: two rec halves, two src halves."""
    found = [half[i] for task in (REC, SRC) for half in halves[task]]
    known = next((g for g in found if g is not None), None)
    if known is None:
        return torch.zeros(4, 4, dtype=torch.float64)
    flat = (
        torch.stack([torch.zeros_like(known) if g is None else g for g in found])
        .reshape(4, -1)
        .double()
    )
    return (flat @ flat.T).cpu()


def _row(layer: str, size: int, gram: Tensor) -> dict:
    """Cosines from inner products of half batches; a whole batch's gradient is their mean."""
    pair = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]], dtype=gram.dtype)
    whole = pair @ gram @ pair.T  # (2, 2)
    between = [_cosine(gram[[i, j]][:, [i, j]]) for i in (0, 1) for j in (2, 3)]
    return {
        "layer": layer,
        "size": size,
        "cosine": _cosine(whole),
        "norm_rec": float(whole[0, 0].sqrt()),
        "norm_src": float(whole[1, 1].sqrt()),
        "between": sum(between) / 4,
        REC: _cosine(gram[:2, :2]),
        SRC: _cosine(gram[2:, 2:]),
    }


def _cosine(gram: Tensor) -> float:
    """Cosine of two vectors from their inner products (2, 2); 0 where one of them is zero."""
    norms = float((gram[0, 0] * gram[1, 1]).sqrt())
    return float(gram[0, 1]) / norms if norms > 0 else 0.0
