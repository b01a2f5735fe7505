"""What one-way attention is worth: GenSR's training and scoring with prompts encoded once, against once per candidate.

    python benchmarks/one_way.py [--quick] [--out FILE]

Random weights, the data of profile ``pocket``, one thread, no dropout. The two sides are timed one right
after the other in each repeat, and the ratio is the median of the ratios within the repeats.
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

from gensr_lib.data.batches import Batch
from gensr_lib.experiments.workspace import Workspace
from gensr_lib.models.gensr.model import GenSR, GenSRConfig
from gensr_lib.models.recommendation.lightgcn import LightGCN, LightGCNConfig

SIDES = {"two-way": False, "one-way": True}


@dataclass(frozen=True)
class Load:
    """How much is done in one timed call, and how often."""

    train_rows: int = 64
    score_rows: int = 64
    score_candidates: int = 100
    repeats: int = 7


@dataclass(frozen=True)
class Bench:
    """Both models with the same weights, and the rows that they get."""

    models: dict[str, GenSR]
    train: dict[str, Batch]
    score: dict[str, Batch]


def make_bench(workspace: Workspace, load: Load) -> Bench:
    """Models of the workspace's profile and rows of its data set, by task."""
    dataset, models = workspace.dataset, {}
    untrained = LightGCN.from_dataset(dataset, LightGCNConfig())
    for name, one_way in SIDES.items():
        torch.manual_seed(0)
        config = GenSRConfig(one_way=one_way, dropout=0)
        models[name] = GenSR.from_dataset(dataset, config, workspace.language_model("gensr"), untrained)
    train, score = {}, {}
    for task in ("rec", "src"):
        rows = np.arange(load.train_rows)
        positive = dataset.item[dataset.rows["train"][task].event[rows]]
        candidates = np.c_[positive, dataset.training_negatives(task, 4, (0, 0))[rows]]
        train[task] = dataset.batch("train", task, rows, candidates)
        tested = dataset.batch("test", task, np.arange(load.score_rows))
        score[task] = tested.with_candidates(tested.cand[:, : load.score_candidates])
    return Bench(models, train, score)


def train_step(model: GenSR, batch: Batch) -> None:
    """Forward and backward; no optimizer, which costs the same on both sides."""
    model.train()
    sum(model.loss(batch).values()).backward()
    model.zero_grad()


@torch.no_grad()
def score(model: GenSR, batch: Batch) -> torch.Tensor:
    """Scores of all candidates."""
    return model.eval().score(batch)


def measure(bench: Bench, load: Load) -> dict[str, dict]:
    """Seconds of both sides and their ratio, by what is done and task."""
    found = {}
    for part, call, batches in (("training", train_step, bench.train), ("scoring", score, bench.score)):
        for task, batch in batches.items():
            for model in bench.models.values():
                call(model, batch)  # warm-up
            repeats = [{n: _seconds(lambda m=m: call(m, batch)) for n, m in bench.models.items()}  # noqa: B023
                       for _ in range(load.repeats)]  # fmt: skip
            found[f"{part}, {task}"] = {
                "two_way_over_one_way": statistics.median(r["two-way"] / r["one-way"] for r in repeats),
                "seconds": {name: [r[name] for r in repeats] for name in SIDES},
            }
    return found


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def table(result: dict) -> str:
    """The figures for a terminal."""
    lines = [f"{'':16}{'two-way':>12}{'one-way':>12}{'ratio':>8}"]
    for name, part in result["one_way"].items():
        seconds = [f"{statistics.median(part['seconds'][side]) * 1000:10.1f}ms" for side in SIDES]
        lines.append(f"{name:16}{''.join(seconds)}{part['two_way_over_one_way']:8.2f}")
    return "\n".join(lines)


def run(quick: bool) -> dict:
    """Both tasks, training and scoring, on one thread."""
    torch.set_num_threads(1)
    load = Load(3, 3, 6, 2) if quick else Load()
    bench = make_bench(Workspace("pocket", "smoke" if quick else "pocket"), load)
    return {"load": vars(load), "one_way": measure(bench, load)}


main = partial(command, __doc__, run, table, "one_way")

if __name__ == "__main__":
    main()
