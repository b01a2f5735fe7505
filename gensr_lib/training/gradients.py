"""Do search and recommendation pull shared parameters in different directions? (paper §1 and
§6.3.1)

Each task has a gradient for each shared layer. A cosine below zero means that the step which helps
one task hurts the other: gradient conflict. Two things make such a cosine say something else:

- Auxiliary losses. Alignments are the same function in both tasks, and agree by construction. Only
  the term that asks for the click counts: `RankingModel.task_term`.
- Noise. The gradient of a sample is the gradient of all rows plus noise, and noise of many
  dimensions is orthogonal to everything. So the rows are split into halves: the cosine r of two
  halves of one task is the *reliability* of its gradient, and the cosine between halves of
  different tasks is that of the noiseless gradients times sqrt(r_rec r_src). Dividing by the root
  undoes the noise, as Spearman's (1904) correction for attenuation does for correlations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from ..data.batches import Batch
from ..data.dataset import Dataset
from ..data.schema import BEHAVIORS, REC, SRC
from ..data.split import TRAIN
from ..errors import ConfigError
from .steps import training_batch

ALL = "all shared"  # the row of all shared layers laid end to end
LEAST = 0.1  # reliability below which nothing is corrected: dividing would be mostly noise

Gradients = list[Tensor | None]  # of each parameter; None: not reached


def probe_batches(
    dataset: Dataset, sizes: Mapping[str, int], training: TrainingConfig, seed: tuple[int, ...]
) -> Iterator[Batch]:
    """``probe_rows`` random training rows of each task with fresh negatives, in small batches.

    Args:
        sizes: rows of each task that a process takes in a step; a batch has twice as many, since
            its halves are taken one by one. So a measurement needs no more memory than a step.
        seed: the same gives the same rows and negatives, whatever the model. A seed for each
            measurement makes their errors independent, so that a mean over them is worth more.
    """
    for task, size in sizes.items():
        rng = np.random.default_rng([*seed, 11, BEHAVIORS.index(task)])
        event = dataset.rows[TRAIN][task].event
        index = rng.permutation(len(event))[: training.probe_rows]
        negatives = dataset.sampler.draw(dataset.user[event[index]], training.negatives, rng)
        for start in range(0, len(index), 2 * size):
            part = slice(start, start + 2 * size)
            yield training_batch(dataset, task, index[part], negatives[part])


def measure(model: nn.Module, batches: Iterable[Batch]) -> list[dict]:
    """Angles between the gradients of the tasks' own losses, for each layer that both train.

    A layer is a module with parameters of its own; it is shared if both tasks give it a gradient
    other than zero. The model is measured in eval mode, since dropout would only add to the noise,
    and is left as it was, with its ``.grad``.

    Args:
        model: with ``loss(batch)``, a mean over the rows, and ``task_term``.
        batches: any number for each task, whose gradients add up to those of all their rows.

    Returns:
        One dict per shared layer, and one for `ALL` of them: ``layer``, ``size`` (parameters),
        ``cosine`` of the tasks' gradients over all rows, ``norm_rec`` and ``norm_src``; three
        cosines of half the rows, ``between`` tasks (mean of the four pairs) and within ``rec`` and
        ``src``; ``disattenuated`` and ``noise`` as `disattenuate` gives them. Empty unless both
        tasks have two rows at least.

    Raises:
        ConfigError: the model does not say which of its terms is the task's.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    was_training = model.training
    model.eval()
    try:
        halves = _half_gradients(model, batches, [p for _, p in named])
    finally:
        model.train(was_training)
    if set(halves) != {REC, SRC}:
        return []
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


def disattenuate(
    between: float, reliability: Mapping[str, float], error: Mapping[str, float] | None = None
) -> tuple[float, str]:
    """The cosine that the tasks' gradients would have without noise.

    Args:
        between: cosine of gradients of half the rows, of different tasks.
        reliability: by task, cosine of gradients of two halves of its rows.
        error: standard error of each reliability, where it is a mean over several measurements.

    Returns:
        ``between / sqrt(rec * src)``, which noise can lift over 1, and an empty text; or NaN and
        the tasks whose reliability, less two standard errors, is below `LEAST`.
    """
    error = {REC: 0.0, SRC: 0.0} if error is None else error
    noisy = [t for t in (REC, SRC) if not reliability[t] - 2 * error[t] >= LEAST]
    if noisy:
        return math.nan, ", ".join(noisy)
    return between / math.sqrt(reliability[REC] * reliability[SRC]), ""


def layer_of(parameter: str) -> str:
    """The module that owns a parameter.

    >>> layer_of("encoder.block.0.attention.in_proj_weight")
    'encoder.block.0.attention'
    >>> layer_of("positions")
    'positions'
    """
    return parameter.rpartition(".")[0] or parameter


def _half_gradients(
    model: nn.Module, batches: Iterable[Batch], parameters: list[Tensor]
) -> dict[str, list[Gradients]]:
    """By task, the gradients of the mean loss over each half of its rows."""
    sums: dict[str, list[Gradients]] = {}
    rows: dict[str, int] = {}
    for batch in batches:
        if len(batch) < 2:
            continue  # no halves
        both = sums.setdefault(batch.task, [[None] * len(parameters)] * 2)
        for number, half in enumerate(_split(batch)):
            loss = _task_loss(model, half)
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            both[number] = _add(both[number], found, len(half))
        rows[batch.task] = rows.get(batch.task, 0) + len(batch) // 2
    return {
        task: [[g if g is None else g / rows[task] for g in half] for half in both]
        for task, both in sums.items()
    }


def _split(batch: Batch) -> list[Batch]:
    """Every other row, so that both halves hold as many."""
    at = torch.arange(len(batch) // 2 * 2, device=batch.user.device)
    return [batch.rows(at[0::2]), batch.rows(at[1::2])]


def _task_loss(model: nn.Module, batch: Batch) -> Tensor:
    terms = model.loss(batch)
    name = model.task_term or (next(iter(terms)) if len(terms) == 1 else None)
    if name not in terms:
        raise ConfigError(
            f"{model.name}: task_term is {name!r}, and its loss has the terms {sorted(terms)}; "
            f"set task_term of the class to the one that asks for the click, or probe_steps to null"
        )
    return terms[name]


def _add(total: Gradients, gradients: Iterable[Tensor | None], rows: int) -> Gradients:
    """A sum over rows from the mean of some more rows."""
    return [
        old if new is None else rows * new if old is None else old + rows * new
        for old, new in zip(total, gradients, strict=True)
    ]


def _products(halves: dict[str, list[Gradients]], i: int) -> Tensor:
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
    pairs = [_cosine(gram[[i, j]][:, [i, j]]) for i in (0, 1) for j in (2, 3)]
    between = sum(pairs) / 4
    reliability = {REC: _cosine(gram[:2, :2]), SRC: _cosine(gram[2:, 2:])}
    corrected, noise = disattenuate(between, reliability)
    return {
        "layer": layer,
        "size": size,
        "cosine": _cosine(whole),
        "norm_rec": float(whole[0, 0].sqrt()),
        "norm_src": float(whole[1, 1].sqrt()),
        "between": between,
        **reliability,
        "disattenuated": corrected,
        "noise": noise,
    }


def _cosine(gram: Tensor) -> float:
    """Cosine of two vectors from their inner products (2, 2); 0 where one of them is zero."""
    norms = float((gram[0, 0] * gram[1, 1]).sqrt())
    return float(gram[0, 1]) / norms if norms > 0 else 0.0
