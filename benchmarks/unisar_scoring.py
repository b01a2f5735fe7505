"""What it is worth that UniSAR encodes a history once per user and not once per candidate.

    python benchmarks/unisar_scoring.py [--quick] [--out FILE]

Random weights, the data of profile ``pocket``, one thread. The two sides are timed one right after
the other in each repeat, and the ratio is the median of the ratios within the repeats.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from command import command
from throughput import per_candidate
from torch import Tensor

from gensr_lib.data.batches import Batch
from gensr_lib.experiments.workspace import Workspace
from gensr_lib.models.joint.unisar import UniSAR, UniSARConfig


@dataclass(frozen=True)
class Load:
    """How much is scored in one timed call, and how often."""

    users: int = 256
    candidates: int = 100
    rows_at_once: int = 2560  # of the side with a row per candidate, which would need gigabytes in one piece
    repeats: int = 3


def score_per_candidate(model: UniSAR, batch: Batch, rows_at_once: int) -> Tensor:
    """The scores (B, C) of a batch in which each candidate encodes the history anew."""
    rows = torch.arange(batch.cand.numel()).split(rows_at_once)
    spread = per_candidate(batch)
    return torch.cat([model.score(spread.rows(part)) for part in rows]).reshape(batch.cand.shape)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@torch.inference_mode()
def measure(model: UniSAR, batch: Batch, load: Load) -> dict:
    """Seconds of both ways, their ratio, and the part of the encoding in the cheaper one."""
    calls = {
        "once per user": lambda: model.score(batch),
        "once per candidate": lambda: score_per_candidate(model, batch, load.rows_at_once),
        "encoding alone, once per user": lambda: model.encode(batch),
    }
    for call in calls.values():
        call()  # warm-up
    found = [{name: _seconds(call) for name, call in calls.items()} for _ in range(load.repeats)]
    ratios = [row["once per candidate"] / row["once per user"] for row in found]
    shares = [row["encoding alone, once per user"] / row["once per user"] for row in found]
    return {
        "per_candidate_over_per_user": statistics.median(ratios),
        "share_of_encoding": statistics.median(shares),
        "seconds": {name: [row[name] for row in found] for name in calls},
    }


def make(load: Load, profile: str) -> tuple[UniSAR, Batch]:
    """UniSAR with its published shape, and search rows of the profile's data set."""
    dataset = Workspace("pocket", profile).dataset
    torch.manual_seed(0)
    model = UniSAR.from_dataset(dataset, UniSARConfig()).eval()
    batch = dataset.batch("test", "src", np.arange(load.users))
    return model, batch.with_candidates(batch.cand[:, : load.candidates])


def table(result: dict) -> str:
    """The figures for a terminal."""
    found, load = result["scoring"], result["load"]
    lines = [f"{load['users']} users x {load['candidates']} candidates, median of {load['repeats']} repeats"]
    lines += [f"{name:34}{statistics.median(s):10.3f} s" for name, s in found["seconds"].items()]
    lines.append(f"{'per candidate / per user':34}{found['per_candidate_over_per_user']:10.2f}")
    lines.append(f"{'share of encoding, once per user':34}{found['share_of_encoding']:10.1%}")
    return "\n".join(lines)


def run(quick: bool) -> dict:
    """One model, one thread."""
    torch.set_num_threads(1)
    load = Load(users=4, candidates=6, rows_at_once=10, repeats=2) if quick else Load()
    model, batch = make(load, "smoke" if quick else "pocket")
    return {"load": vars(load), "scoring": measure(model, batch, load)}


main = partial(command, __doc__, run, table, "unisar_scoring")

if __name__ == "__main__":
    main()
