"""What the tests run in processes of their own; not a test file.

python tests/processes.py train FOLDER     a slow LightGCN run that somebody is going to kill
python tests/processes.py parallel FOLDER  two steps of training and an evaluation, in one of several processes
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gensr_lib.config import TrainingConfig
from gensr_lib.models import Popularity
from gensr_lib.models.recommendation.lightgcn import LightGCN, LightGCNConfig
from gensr_lib.training import loop as training
from gensr_lib.training.evaluation import evaluate
from tests.worlds import pocket

SHORT = TrainingConfig(epochs=3, batch_size=200, negatives=2, learning_rate=0.02, checkpoint_steps=2, warmup_steps=3)


def lightgcn() -> LightGCN:
    """A tiny LightGCN, always with the same initial weights."""
    torch.manual_seed(0)
    return LightGCN.from_dataset(pocket(), LightGCNConfig(width=8, layers=2))


def slow_run(folder: Path) -> None:
    """Train as the tests do, with a pause after each step."""
    step = training.Loop.step

    def step_and_wait(loop, batches):
        terms = step(loop, batches)
        time.sleep(0.2)
        return terms

    training.Loop.step = step_and_wait
    training.train(lightgcn(), pocket(), SHORT, folder=folder)


def parallel(folder: Path) -> None:
    """One process of several: its weights after two steps, and the ranks that it was handed."""
    accelerator = training.make_accelerator(cpu=True)
    options = SHORT.replace(epochs=1, max_steps_per_epoch=2)
    model = lightgcn()
    run = training.train(model, pocket(), options, accelerator=accelerator, folder=folder / "checkpoint")
    ranks = {m.name: evaluate(m, pocket(), batch_size=7, accelerator=accelerator).table
             for m in (Popularity.from_dataset(pocket()), lightgcn())}  # fmt: skip
    found = {
        "processes": accelerator.num_processes,
        "weights": model.state_dict(),
        "history": run.history.drop(columns="seconds").to_dict("records"),
        "ranks": {name: table.to_dict("list") for name, table in ranks.items()},
    }
    torch.save(found, folder / f"process-{accelerator.process_index}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    {"train": slow_run, "parallel": parallel}[sys.argv[1]](Path(sys.argv[2]))
