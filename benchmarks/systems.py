"""How fast every trained system scores and trains, at the size that profile ``pocket`` gives it.

    python benchmarks/systems.py [--quick] [--out FILE]

Random weights, recommendation rows (search rows for a system that only searches), batches made
beforehand. Scoring: 64 rows of 100 candidates. Training: loss and gradient of 64 rows with the system's own number of
negatives. Systems that a language model reads for get a quarter of the rows; one that is trained in stages is in its
last. Systems are timed in turn in each repeat; figures are medians over the repeats.
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
from gensr_lib.data.schema import REC, SRC
from gensr_lib.experiments.workspace import Workspace
from gensr_lib.models import available_models
from gensr_lib.models.base import RankingModel
from gensr_lib.models.recommendation.lightgcn import LightGCN
from gensr_lib.models.registry import build_model
from gensr_lib.training.steps import training_batch

SLOW = 4  # rows of systems that are scored by a language model are this many times fewer


@dataclass(frozen=True)
class Load:
    """How much is done in one timed call, and how often."""

    rows: int = 64
    candidates: int = 100
    repeats: int = 5


@dataclass(frozen=True)
class Bench:
    """An untrained system and what it is timed on."""

    model: RankingModel
    train: Batch
    score: Batch


def make_bench(workspace: Workspace, name: str, load: Load) -> Bench:
    """A system as the workspace's profile specifies it."""
    dataset, spec = workspace.dataset, workspace.specify(name)
    given = {
        "lightgcn": lambda: LightGCN.from_dataset(dataset, workspace.specify("lightgcn").options),
        "language_model": lambda: workspace.language_model(name),
    }
    torch.manual_seed(0)
    needs = {need: given[need]() for need in spec.built_on}
    model = build_model(name, dataset, spec.options, **needs)
    if model.stages is not None:
        model.stages.enter(len(model.stages.starts) - 1)
    task = REC if REC in model.tasks else SRC
    rows = np.arange(max(2, load.rows // SLOW if model.family == "generative" else load.rows))
    negatives = dataset.training_negatives(task, spec.training.negatives, (0, 0))
    scored = dataset.batch("test", task, rows)
    return Bench(
        model,
        training_batch(dataset, task, rows, negatives[rows]),
        scored.with_candidates(scored.cand[:, : load.candidates]),
    )


def train_step(bench: Bench) -> None:
    """Loss and gradient; no optimizer."""
    bench.model.train()
    sum(bench.model.loss(bench.train).values()).backward()
    bench.model.zero_grad()


@torch.inference_mode()
def score(bench: Bench) -> None:
    """Scores of all candidates."""
    bench.model.eval().score(bench.score)


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(benches: dict[str, Bench], load: Load) -> dict[str, dict]:
    """Candidates scored and rows trained in a second, by system."""
    calls = {(name, call): partial(call, bench) for name, bench in benches.items() for call in (score, train_step)}
    for call in calls.values():
        call()  # warm-up
    found = [{key: _seconds(call) for key, call in calls.items()} for _ in range(load.repeats)]
    result = {}
    for name, bench in benches.items():
        spent = {call: [row[name, call] for row in found] for call in (score, train_step)}
        result[name] = {
            "candidates_per_second": bench.score.cand.numel() / statistics.median(spent[score]),
            "training_rows_per_second": len(bench.train) / statistics.median(spent[train_step]),
            "parameters": sum(p.numel() for p in bench.model.parameters() if p.requires_grad),
            "seconds": {"score": spent[score], "training": spent[train_step]},
        }
    return result


def table(result: dict) -> str:
    """The figures for a terminal."""
    lines = [f"{'system':12}{'parameters':>14}{'candidates/s':>16}{'training rows/s':>18}"]
    for name, found in result["systems"].items():
        speeds = f"{found['candidates_per_second']:16,.0f}{found['training_rows_per_second']:18,.0f}"
        lines.append(f"{name:12}{found['parameters']:14,}{speeds}")
    return "\n".join(lines)


def run(quick: bool) -> dict:
    """All systems that are trained, on the threads that torch was given."""
    load = Load(rows=4, candidates=6, repeats=2) if quick else Load()
    workspace = Workspace("pocket", "smoke" if quick else "pocket")
    names = [name for name, cls in available_models().items() if cls.loss is not RankingModel.loss]
    benches = {name: make_bench(workspace, name, load) for name in names}
    return {"load": vars(load), "systems": measure(benches, load)}


main = partial(command, __doc__, run, table, "systems")

if __name__ == "__main__":
    main()
