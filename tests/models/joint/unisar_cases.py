"""UniSAR made small, and batches whose histories are of every shape."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from gensr_lib.data.batches import Batch
from gensr_lib.models.joint.unisar import UniSAR, UniSARConfig
from tests.worlds import pocket

SMALL = {"width": 16, "id_width": 8, "align_negatives": 12}
SIDES = {"rec": ("rec_items", "rec_time"), "src": ("ses_clicks", "ses_time", "ses_words")}


def unisar(**options) -> UniSAR:
    torch.manual_seed(0)
    return UniSAR.from_dataset(pocket(), UniSARConfig(**{**SMALL, **options})).eval()


def batch(task: str = "src", rows: int = 6, candidates: int = 5) -> Batch:
    made = pocket().batch("test", task, np.arange(rows))
    return made.with_candidates(made.cand[:, :candidates])


def without(made: Batch, *sides: str, rows: slice = slice(None)) -> Batch:
    """The batch in which some rows have lost one side of their history."""
    changed = {}
    for field in (field for side in sides for field in SIDES[side]):
        changed[field] = getattr(made, field).clone()
        changed[field][rows] = 0
    return replace(made, **changed)


@cache
def interleaved() -> Batch:
    """Rows whose histories are of all lengths, two clicks in some sessions, in any order of time."""
    g = torch.Generator().manual_seed(3)
    made = batch(rows=6)
    lengths = {"rec": torch.tensor([12, 5, 1, 3, 7, 2]), "src": torch.tensor([4, 12, 1, 6, 2, 8])}
    real = {side: torch.arange(12) < n[:, None] for side, n in lengths.items()}
    draw = lambda high, *shape: torch.randint(1, high, shape, generator=g)  # noqa: E731
    clicks = torch.stack([draw(200, 6, 12), draw(200, 6, 12) * (draw(3, 6, 12) - 1)], dim=-1)
    words = draw(pocket().n_words, 6, 12, 4) * (torch.arange(4) < draw(5, 6, 12)[..., None])
    both = torch.cat([real["rec"], real["src"]], dim=1)
    merge = torch.stack([_in_any_order(row, g) for row in both])
    return replace(made, rec_items=draw(200, 6, 12) * real["rec"], ses_clicks=clicks * real["src"][..., None],
                   ses_words=words * real["src"][..., None], merge_index=merge)  # fmt: skip


def _in_any_order(real: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Real tokens first, in an order that keeps that of each side; padding behind in any order."""
    order = torch.randperm(len(real), generator=generator)
    rec, src = (sorted(i for i in order.tolist() if real[i] and (i >= 12) == side) for side in (False, True))
    merged = [(rec if i < 12 else src).pop(0) for i in order.tolist() if real[i]]
    return torch.tensor(merged + [i for i in order.tolist() if not real[i]])
