"""What the tests run in processes of their own; not a test file.

python tests/processes.py train FOLDER     a slow LightGCN run that somebody is going to kill
python tests/processes.py parallel FOLDER  two steps of training and an evaluation, in one of several processes
python tests/processes.py gradients FOLDER the gradient of one step of each system, likewise
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gensr_lib.config import BackboneConfig, TrainingConfig
from gensr_lib.models import Popularity, build_model
from gensr_lib.models.gensr.model import GenSR, GenSRConfig
from gensr_lib.models.graph import search_graph
from gensr_lib.models.joint.unisar import UniSAR, UniSARConfig
from gensr_lib.models.language_model import load_backbone
from gensr_lib.models.recommendation.lightgcn import LightGCN, LightGCNConfig
from gensr_lib.models.search.copps import CoPPS, CoPPSConfig
from gensr_lib.training import loop as training
from gensr_lib.training.evaluation import evaluate
from tests.worlds import Vectors, pocket

SHORT = TrainingConfig(epochs=3, batch_size=200, negatives=2, learning_rate=0.02, checkpoint_steps=2, warmup_steps=3)


def lightgcn() -> LightGCN:
    """A tiny LightGCN, always with the same initial weights."""
    torch.manual_seed(0)
    return LightGCN.from_dataset(pocket(), LightGCNConfig(width=8, layers=2))


def unisar() -> UniSAR:
    """A tiny UniSAR without the loss that draws random partners, which each process does for itself."""
    torch.manual_seed(0)
    options = {"width": 8, "id_width": 4, "align_negatives": 4, "dropout": 0, "lambda_qi": 0, "lambda_tr": 1}
    return UniSAR.from_dataset(pocket(), UniSARConfig(**options))


def gensr() -> GenSR:
    """A tiny GenSR in which eq. 10 counts as much as eq. 9."""
    backbone = load_backbone(BackboneConfig(d_model=16, d_ff=16, heads=2, vocabulary=100), pocket().item_text)
    torch.manual_seed(0)
    table = torch.randn(pocket().n_items + 1, 8)
    return GenSR.from_dataset(pocket(), GenSRConfig(history=4, dropout=0, beta=1), backbone, Vectors(table))


def generative(name: str, **options):
    """A tiny model on a language model, or on that and LightGCN."""
    backbone = load_backbone(BackboneConfig(d_model=16, d_ff=16, heads=2, vocabulary=200), pocket().item_text)
    torch.manual_seed(0)
    return build_model(name, pocket(), options, language_model=backbone, lightgcn=lightgcn())


def of_stage(name: str, stage: int, **options):
    """A tiny model that is trained in stages, in one of them."""
    model = generative(name, **options)
    model.stages.enter(stage)
    return model


def recommender(name: str, **options):
    """A tiny recommender of which nothing is random in a step."""
    torch.manual_seed(0)
    return build_model(name, pocket(), {"width": 8, "dropout": 0, **options})


def copps() -> CoPPS:
    """A tiny CoPPS without what each process draws for itself: words of texts, and other histories."""
    torch.manual_seed(0)
    as_it_is = {"substitute": 0, "crop": 1, "reorder": 0, "mask": 0}
    config = CoPPSConfig(width=8, inner=8, dropout=0, beta=1, **as_it_is)
    graph = search_graph(pocket())
    texts = torch.zeros(pocket().n_items + 1, 0, dtype=torch.int32)
    return CoPPS(config, pocket().n_words, texts, graph["by_item"], graph["by_query"])


SYSTEMS = {
    "gru4rec": lambda: recommender("gru4rec"),
    "sasrec": lambda: recommender("sasrec"),
    "sasrec, softmax": lambda: recommender("sasrec", loss="ce"),
    "fmlp": lambda: recommender("fmlp", history=6),
    "nrhub": lambda: recommender("nrhub"),
    "seqrec": lambda: recommender("seqrec", replace_items=0, replace_queries=0),
    "lightgcn": lightgcn,
    "unisar": unisar,
    "copps": copps,
    "gensr": gensr,
    "collm, LoRA": lambda: of_stage("collm", 0, history=4, lora_dropout=0),
    "collm, vectors": lambda: of_stage("collm", 1, history=4, lora_dropout=0),
    "idgenrec, at first": lambda: of_stage("idgenrec", 0, history=4, text_tokens=8),
    "idgenrec, the generator": lambda: of_stage("idgenrec", 1, history=4, text_tokens=8),
    "bsr": lambda: generative("bsr"),
    # Without the tasks that each process draws for itself; each trains the quantiser, to the same codes.
    "gensar": lambda: generative("gensar", codes=8, code_layers=(), code_epochs=5, text_tokens=6, other_tasks=False),
}
ROWS = 8  # of each task in the step below; the first is a user's first event, which has no history


def step_gradient(name: str, accelerator) -> dict[str, torch.Tensor]:
    """The gradient of a step of `ROWS` rows of each task, as the optimizer is given it."""
    model = SYSTEMS[name]()
    loop = training.Loop(model, pocket(), SHORT, 0, None, accelerator)
    loop.sizes = dict.fromkeys(loop.tasks, ROWS)
    plans = {task: loop._plan(task, 0) for task in loop.tasks}
    plans = {task: (np.r_[0, order], negatives) for task, (order, negatives) in plans.items()}
    total, _ = loop.objective([loop.batch(plan, task, 0) for task, plan in plans.items()])
    accelerator.backward(total)
    return {key: p.grad for key, p in model.named_parameters() if p.grad is not None}


def gradients(folder: Path) -> None:
    """One process of several: the gradients that it would step by."""
    accelerator = training.make_accelerator(cpu=True)
    found = {name: step_gradient(name, accelerator) for name in SYSTEMS}
    torch.save(found, folder / f"process-{accelerator.process_index}.pt")
    accelerator.end_training()


def start_two(what: str, folder: Path) -> list[dict]:
    """What each of two processes saved that train together, on CPUs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    shared = {
        **os.environ, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, __file__, what, str(folder)]
    started = [subprocess.Popen(command, env={**shared, "RANK": str(k), "LOCAL_RANK": str(k)}) for k in range(2)]
    try:
        assert [p.wait(timeout=240) for p in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    return [torch.load(folder / f"process-{k}.pt", weights_only=True) for k in range(2)]


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
    {"train": slow_run, "parallel": parallel, "gradients": gradients}[sys.argv[1]](Path(sys.argv[2]))
