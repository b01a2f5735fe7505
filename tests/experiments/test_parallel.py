"""Runs in parallel processes: those of `fit` to the last digit, made once, and what fails is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest
import torch

from gensr_lib.errors import ConfigError
from gensr_lib.experiments import finished, fit_all, parallel, store
from gensr_lib.experiments.workspace import RESULT, Workspace

RUNS = {"sasrec": {}, "narrow": {"model": "sasrec", "width": 16}, "lightgcn": {}}


@pytest.fixture(scope="module")
def done(home):
    """Three runs, made in two processes."""
    return fit_all(Workspace("pocket", "smoke"), RUNS, jobs=2)


# --- what comes back --------------------------------------------------------------------------


def test_runs_come_by_name_and_are_those_of_fit(done, home, tmp_path, monkeypatch):
    assert list(done) == list(RUNS)
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    torch.set_num_threads(1)
    elsewhere = Workspace("pocket", "smoke")
    for name, run in done.items():
        options = {"model": name, **RUNS[name]}
        alone = elsewhere.fit(variant=name, **options)
        assert not alone.loaded and alone.evaluation.table.equals(run.evaluation.table)
    assert done["narrow"].model.config.width == 16 != done["sasrec"].model.config.width


def test_what_is_there_is_not_made_again(done, home, monkeypatch):
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained"))
    monkeypatch.setattr(parallel, "Parallel", lambda **options: pytest.fail("a process was started"))
    again = fit_all(Workspace("pocket", "smoke"), RUNS, jobs=2)
    assert all(run.loaded for run in again.values())
    assert Workspace("pocket", "smoke").fit("sasrec").loaded, "a plain run is that of `fit`"


def test_a_process_that_has_read_the_files_reads_them_anew_when_they_change(home, tmp_path):
    rows = [f"u{u},i{(u * 12 + t) % 160},{t}" for u in range(80) for t in range(12)]
    (tmp_path / "items.csv").write_text("\n".join(["item_id", *(f"i{number}" for number in range(200))]))
    hashes = []
    for last in ("", "u0,i99,99\n"):
        (tmp_path / "interactions.csv").write_text("user_id,item_id,time\n" + "\n".join(rows) + "\n" + last)
        mine = Workspace(str(tmp_path), "smoke")
        hashes.append(mine.dataset.hash)
        assert parallel._workspace(*parallel._address(mine)).dataset.hash == hashes[-1]
    assert hashes[0] != hashes[1]


def test_names_alone_are_plain_runs(done, home):
    named = fit_all(Workspace("pocket", "smoke"), ["lightgcn", "sasrec"], jobs=1)
    assert list(named) == ["lightgcn", "sasrec"]
    assert named["sasrec"].record["hash"] == done["sasrec"].record["hash"]


def test_what_is_finished_is_found_and_nothing_is_trained(done, home, monkeypatch):
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained"))
    found = finished(Workspace("pocket", "smoke"), {**RUNS, "wide": {"model": "sasrec", "width": 48}, "din": {}})
    assert list(found) == list(RUNS) and found["narrow"].model.config.width == 16


# --- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        (["sasrek"], "did you mean 'sasrec'"),
        ({"mine": {"model": "sasrec", "widht": 8}}, "did you mean 'width'"),
        ({"a/b": {"model": "sasrec"}}, "names a folder"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(home, monkeypatch, runs, says):
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained"))
    with pytest.raises(ConfigError, match=says):
        fit_all(Workspace("pocket", "smoke"), runs, jobs=1)


def test_a_run_that_fails_is_named_and_the_others_are_made(home, monkeypatch):
    train = Workspace._make

    def breaks(self, folder, spec, *args):
        if spec.model == "din":
            raise ValueError("the loss is nan")
        return train(self, folder, spec, *args)

    monkeypatch.setattr(Workspace, "_make", breaks)
    workspace = Workspace("pocket", "smoke")
    with pytest.raises(ConfigError, match=r"(?s)1 of 2 runs failed.*'din' \(din/seed-0\): ValueError: the loss"):
        fit_all(workspace, ["din", "popularity"], jobs=1)
    assert workspace.fit("popularity").loaded


@pytest.mark.parametrize("jobs", [0, -3, 1.5])
def test_jobs_must_be_a_number_of_processes(home, jobs):
    with pytest.raises(ConfigError, match="must be a whole number from 1 on"):
        fit_all(Workspace("pocket", "smoke"), ["sasrec"], jobs=jobs)


@pytest.mark.slow
def test_what_was_killed_goes_on_and_ends_with_the_same_numbers(done, home, tmp_path, monkeypatch):
    program = (
        f"from gensr_lib.experiments import Workspace, fit_all\nfit_all(Workspace('pocket', 'smoke'), {RUNS}, jobs=2)"
    )
    environment = {**os.environ, "CI": "1", "GENSR_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not list(tmp_path.rglob(RESULT)) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "killed before it was done"
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    again = fit_all(Workspace("pocket", "smoke"), RUNS, jobs=1)
    for name, run in again.items():
        assert run.evaluation.table.equals(done[name].evaluation.table)


def test_two_at_once_in_one_folder_make_a_run_once(home, monkeypatch, caplog):
    workspace, train, started, calls = Workspace("pocket", "smoke"), Workspace._make, threading.Event(), []

    def slow(self, *args):
        calls.append(args)
        started.set()
        time.sleep(0.5)
        return train(self, *args)

    monkeypatch.setattr(Workspace, "_make", slow)
    monkeypatch.setattr(store, "LOADING", 0.1)
    shared = {"shared": {"model": "sasrec", "max_steps_per_epoch": 1}}
    found = {}
    first = threading.Thread(target=lambda: found.update(a=fit_all(workspace, shared, jobs=1)["shared"]))
    first.start()
    started.wait(60)
    found["b"] = fit_all(Workspace("pocket", "smoke"), shared, jobs=1)["shared"]
    first.join()
    assert len(calls) == 1 and found["a"].evaluation.table.equals(found["b"].evaluation.table)
    assert "another process is making this run" in caplog.text


def test_processes_train_with_the_profile_of_the_workspace_and_not_with_its_file(home):
    workspace, rate = Workspace("pocket", "smoke"), 0.00042
    block = workspace.profile.models["lightgcn"]
    slow = block.replace(training={**block.training, "learning_rate": rate})
    workspace.profile = workspace.profile.replace(models={**workspace.profile.models, "lightgcn": slow})
    runs = {f"slow-{width}": {"model": "lightgcn", "width": width} for width in (4, 8)}
    for run in fit_all(workspace, runs, jobs=2).values():
        config = json.loads((run.folder / "config.json").read_text())
        assert config["training"]["learning_rate"] == rate


def test_processes_build_on_the_backbone_of_the_workspace(home):
    """The settings of a run come with it; those of its language model are the profile's alone."""
    workspace = Workspace("pocket", "smoke")
    workspace.profile = workspace.profile.replace(backbone=workspace.profile.backbone.replace(d_ff=48))
    runs = {f"slow-{rate}": {"model": "bsr", "learning_rate": rate, "epochs": 1} for rate in (0.001, 0.002)}
    for run in fit_all(workspace, runs, jobs=2).values():
        assert any(48 in parameter.shape for parameter in run.model.parameters())


def test_what_the_processes_warn_of_is_said_here_and_once(home, caplog):
    small = {"model": "sasrec", "loss": "ce", "full_softmax": 5, "sampled_items": 4}
    two = {f"ce-{width}": {**small, "width": width} for width in (4, 8)}
    fit_all(Workspace("pocket", "smoke"), two, jobs=2)
    said = [record.getMessage() for record in caplog.records if record.name == parallel.__name__]
    assert len(said) == 1 and "full_softmax=5" in said[0]


def test_a_process_that_dies_is_explained(home, monkeypatch):
    class Dies:
        def __init__(self, **options):
            pass

        def __call__(self, tasks):
            raise BrokenExecutor("killed")
            yield

    monkeypatch.setattr(parallel, "Parallel", Dies)
    with pytest.raises(ConfigError, match=r"a process died.*jobs=1"):
        fit_all(Workspace("pocket", "smoke"), ["nrhub", "fmlp"], jobs=2)


# --- processes and threads --------------------------------------------------------------------


def test_jobs_fit_into_cores_and_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(parallel, "cpu_count", lambda: 64)
    own = parallel.psutil.Process().memory_info().rss
    available = lambda n: type("Memory", (), {"available": n})  # noqa: E731
    monkeypatch.setattr(parallel.psutil, "virtual_memory", lambda: available(own * 7))
    assert parallel._most_jobs() == 3, "each may take twice what this process takes"
    monkeypatch.setattr(parallel.psutil, "virtual_memory", lambda: available(0))
    assert parallel._most_jobs() == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert parallel._most_jobs() == 4


def test_a_run_is_made_on_one_thread_and_the_threads_are_given_back(home, monkeypatch):
    workspace, train, before, seen = Workspace("pocket", "smoke"), Workspace._make, torch.get_num_threads(), []
    monkeypatch.setattr(Workspace, "_make", lambda *args: seen.append(torch.get_num_threads()) or train(*args))
    torch.set_num_threads(2)
    try:
        fit_all(workspace, {"short": {"model": "sasrec", "max_steps_per_epoch": 2}}, jobs=1)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)
