"""Kill a run at every operation on its files, or at random, and see that nothing is lost.

A run is started in a process of its own and killed (SIGKILL) right before, or in the middle of, its
k-th operation on a file. The same call is then made again, undisturbed. It must end with the numbers of
a run that nobody killed, need no hand, and leave the same files: anything else counts as lost.

python -m tests.torture.kills every FOLDER MODEL   each k in turn; prints tried and lost as JSON
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gensr_lib.config import Profile
from gensr_lib.data.sources.load import find
from gensr_lib.data.sources.source import Source
from gensr_lib.experiments.spec import checked, load_profile
from gensr_lib.experiments.workspace import Workspace

MODELS = ("lightgcn", "unisar", "gensr")
MOST_KILLS = 8  # of one run, at random
OLD = 2 * 24 * 3600  # seconds; the machine is used again days later
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def tiny() -> Profile:
    """The smoke profile, with two steps of each model and a checkpoint after either."""
    smoke = load_profile("smoke")
    steps = {"epochs": 1, "max_steps_per_epoch": 2, "checkpoint_steps": 1, "batch_size": 8, "eval_batch_size": 20}
    options = {"lightgcn": {"width": 8}, "unisar": {"width": 8, "id_width": 8}, "gensr": {"history": 4}}
    blocks = {name: {"model": options[name], "training": {**steps, "negatives": 1}} for name in MODELS}
    values = smoke.model_dump()
    values["models"] = blocks
    values["pocket"] = {"n_users": 40, "n_items": 200, "n_events": 1000}
    values["data"] |= {"max_valid_rows": 5, "max_test_rows": 5, "eval_negatives": 9}
    values["backbone"] |= {"d_model": 8, "d_ff": 8, "vocabulary": 200}
    return checked(Profile.parse(values))


def prepare() -> None:
    """What is alike in all processes that are started from here is done once: tables, imports, templates."""
    torch.set_num_threads(1)  # before any fork
    Workspace.profile = tiny()
    tables = find("pocket").read(Workspace.profile, 0)
    Source.read = lambda *_: tables
    with tempfile.TemporaryDirectory() as home:
        os.environ["GENSR_HOME"] = home
        Workspace("pocket", "smoke").fit("popularity")
    gc.freeze()  # or each fork copies what it collects


# --- one run in a process of its own ------------------------------------------------------------


def outcome(home: Path, model: str) -> dict:
    """What must be the same however often the run was killed."""
    run = Workspace("pocket", "smoke").fit(model)
    history = run.history.drop(columns="seconds").to_json()
    weights = hashlib.sha256((run.folder / "model" / "model.safetensors").read_bytes()).hexdigest()
    ranks = hashlib.sha256(run.evaluation.table.to_csv().encode()).hexdigest()
    files = sorted(str(path.relative_to(home)) for path in home.rglob("*"))
    numbers = {"metrics": run.record["metrics"], "best_epoch": run.record["best_epoch"]}
    return {**numbers, "history": history, "weights": weights, "ranks": ranks, "files": files}


def start(home: Path, model: str, kill_at: int | None = None) -> int:
    """The process id of a run under way; it kills itself right before its ``kill_at``-th operation."""
    if process := os.fork():
        return process
    try:
        os.environ["GENSR_HOME"] = str(home)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)  # progress bars
        os.fsync = lambda handle: None  # a kill, other than a power cut, loses nothing that was written
        if kill_at is not None:
            watch(home, kill_at)
        found = outcome(home, model)
        home.with_suffix(".json").write_text(json.dumps(found))
        os._exit(0)
    except BaseException as error:
        home.with_suffix(".error").write_text(f"{type(error).__name__}: {error}")
    finally:
        os._exit(1)


def watch(home: Path, kill_at: int) -> None:
    """Count this process's operations on files below ``home``, and die at one of them.

    Python reports operations before they happen. Libraries in Rust and C++ write without a report, but all that
    they wrote is synced before it gets its name: there the file is cut in half first, then left whole.
    """
    left = kill_at

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, args: tuple) -> None:
        if _will_change(event, args) and _is_below(args[0], home):
            count()

    def fsync(handle: int) -> None:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return
        if left == 0:
            os.truncate(f"/proc/self/fd/{handle}", os.fstat(handle).st_size // 2)
        count()
        count()

    os.fsync = fsync
    sys.addaudithook(hook)


def _will_change(event: str, args: tuple) -> bool:
    """Whether an event of Python's audit changes files; asking to make what is there does not."""
    if event == "open":
        return isinstance(args[2], int) and bool(args[2] & WRITES)
    if event == "os.mkdir":
        return not os.path.exists(args[0])
    if event == "os.remove":  # shutil.rmtree names a file relative to its open folder
        return not os.path.isabs(args[0]) or os.path.lexists(args[0])
    return event in {"os.rename", "os.rmdir", "os.truncate"}


def _is_below(path: object, home: Path) -> bool:
    """Whether a path of an audit event is ours; `shutil.rmtree` names files relative to their folder."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    return not os.path.isabs(text) or text.startswith(str(home))


def ended(process: int) -> bool:
    """Wait for a run; whether it ended by itself, and well."""
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise AssertionError("the run ended with an error")
    return True


def undisturbed(home: Path, model: str) -> dict:
    """The outcome of a run that goes to its end, from whatever is in ``home``."""
    for part in home.rglob("data/**/.*.part*"):  # shared by all runs: only what is old is removed there
        os.utime(part, (time.time() - OLD,) * 2)
    try:
        ended(start(home, model))
    except AssertionError:
        return {"error": home.with_suffix(".error").read_text()}
    return json.loads(home.with_suffix(".json").read_text())


# --- many of them -------------------------------------------------------------------------------


def at_every_operation(folder: Path, model: str) -> dict:
    """Kill a fresh run at each of its operations in turn: how often, and which were lost."""
    expected = undisturbed(folder / "whole", model)
    lost = []
    k = 0
    while True:
        home = folder / f"{k}"
        if ended(start(home, model, kill_at=k)):
            break
        found = undisturbed(home, model)
        lost += [f"operation {k}: {said}" for said in differences(expected, found)]
        shutil.rmtree(home)
        k += 1
    return {"model": model, "tried": k, "lost": lost, "outcome": expected}


def differences(expected: dict, found: dict) -> list[str]:
    """In what an outcome differs, one line each."""
    if "error" in found:
        return [found["error"]]
    names = [name for name, value in expected.items() if found[name] != value and name != "files"]
    litter = sorted(set(found["files"]) ^ set(expected["files"]))
    return names + ([f"files {litter}"] if litter else [])


def chain(folder: Path, model: str, expected: dict, operations: int, seconds: float) -> tuple[int, list[str]]:
    """Kill one run up to `MOST_KILLS` times, at random operations and at random moments."""
    home = folder / "chain"
    kills = 0
    for _ in range(random.randint(1, MOST_KILLS)):
        by_operation = random.random() < 0.5
        process = start(home, model, random.randrange(operations) if by_operation else None)
        if not by_operation:
            time.sleep(random.uniform(0, seconds))
            os.kill(process, signal.SIGKILL)
        kills += not ended(process)
    found = differences(expected, undisturbed(home, model))
    shutil.rmtree(home, ignore_errors=True)
    return kills, found


def report(minutes: float = 10) -> None:
    """Random chains of kills over all models for some minutes; prints how many, and what was lost."""
    prepare()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known: dict[str, tuple[dict, float]] = {}
        for model in MODELS:
            began = time.monotonic()
            known[model] = undisturbed(folder / model, model), time.monotonic() - began
        tried = dict.fromkeys(MODELS, 0)
        lost: list[str] = []
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            model = random.choice(MODELS)
            expected, seconds = known[model]
            kills, found = chain(folder, model, expected, operations=150, seconds=seconds)
            tried[model] += kills
            lost += [f"{model}: {said}" for said in found]
    print(f"kills tried {tried}, lost {len(lost)}", *lost, sep="\n")


def every(folder: str, model: str) -> None:
    """`at_every_operation`, printed as JSON."""
    prepare()
    print(json.dumps(at_every_operation(Path(folder), model)))


if __name__ == "__main__":
    actions: dict[str, Callable] = {"every": every, "chains": lambda minutes: report(float(minutes))}
    actions[sys.argv[1]](*sys.argv[2:])
