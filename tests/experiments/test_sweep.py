"""Sweeps: equal settings are one run, nothing is lost, nothing is done twice, and mistakes are found first."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gensr_lib.data.dataset import Dataset
from gensr_lib.errors import ConfigError
from gensr_lib.experiments import spec as specs
from gensr_lib.experiments import store
from gensr_lib.experiments import sweep as module
from gensr_lib.experiments import workspace as runs
from gensr_lib.experiments.significance import compare, metrics_of
from gensr_lib.experiments.sweep import Sweep, grid, sweep
from gensr_lib.experiments.workspace import RESULT, Workspace
from gensr_lib.experiments.worlds import compare_worlds
from tests.worlds import TINY, tables, twin_events

VARIANTS = {"whole": {}, "tau=0.07": {"tau": 0.07}, "no filter": {"history_slot": "mean"}}  # the first two are equal


@pytest.fixture(scope="module")
def done(home) -> Sweep:
    """A finished sweep, in this process; tests copy its folder."""
    return sweep(Workspace("pocket", "smoke"), VARIANTS, jobs=1)


@pytest.fixture
def fresh(done, home, tmp_path, monkeypatch):
    """Function that gives a workspace over LightGCN and the stored negatives, without the runs of the sweep."""

    def make(keep: str = "lightgcn") -> Workspace:
        shutil.copytree(home, tmp_path / "home")
        for folder in (tmp_path / "home" / "runs" / "pocket" / "smoke").iterdir():
            if not folder.name.startswith(keep):
                shutil.rmtree(folder)
        monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
        return Workspace("pocket", "smoke")

    return make


def same(a: Sweep, b: Sweep) -> bool:
    return a.ranks.equals(b.ranks) and a.runs["run"].equals(b.runs["run"])


# --- results ----------------------------------------------------------------------------------


def test_every_variant_and_seed_is_in_the_tables(done):
    assert done.runs[["variant", "seed"]].values.tolist() == [[name, seed] for name in VARIANTS for seed in (0, 1)]
    assert done.ranks.groupby(["variant", "seed", "task"]).size().eq(60).all() and len(done.ranks) == 3 * 2 * 2 * 60
    assert len(done.table) == 3 * 2 * 2 * 8, "four metrics, plain and expected"


def test_the_table_agrees_with_what_the_runs_recorded(done, home):
    for row in done.runs.itertuples():
        folder = home / "runs" / "pocket" / "smoke" / row.run / f"seed-{row.seed}"
        record = json.loads((folder / RESULT).read_text())
        own = done.table[(done.table["variant"] == row.variant) & (done.table["seed"] == row.seed)]
        for number in own.itertuples():
            kind = "expected" if number.metric.startswith("expected") else "metrics"
            value = record[kind][number.task][number.metric.removeprefix("expected ")]
            assert number.value == pytest.approx(value, abs=1e-12)


def test_equal_settings_are_one_run(done, home):
    folder = done.runs.drop_duplicates("variant").set_index("variant")["run"]
    assert folder["whole"] == folder["tau=0.07"] != folder["no filter"]
    made = [f for f in (home / "runs" / "pocket" / "smoke").iterdir() if f.name.startswith("gensr-")]
    assert len(made) == 2
    part = {v: done.ranks[done.ranks["variant"] == v]["rank"].tolist() for v in VARIANTS}
    assert part["whole"] == part["tau=0.07"] != part["no filter"]


def test_seeds_change_the_training_and_not_the_data(done):
    own = done.ranks[done.ranks["variant"] == "whole"]
    first, second = (own[own["seed"] == seed].reset_index(drop=True) for seed in (0, 1))
    assert first[["task", "row", "user", "item"]].equals(second[["task", "row", "user", "item"]])
    assert not first["rank"].equals(second["rank"])


def test_options_of_the_profile_hold_for_every_run(done, home):
    config = json.loads((home / "runs/pocket/smoke" / done.runs["run"][0] / "seed-0" / "config.json").read_text())
    swept = Workspace("pocket", "smoke").profile.studies.options["gensr"]
    assert config["options"]["one_way"] is swept["one_way"] is True
    assert config["training"]["max_steps_per_epoch"] == swept["max_steps_per_epoch"]


def test_two_processes_give_the_numbers_of_one(done, fresh):
    again = sweep(fresh(), VARIANTS, jobs=2)
    assert same(done, again) and not again.runs["loaded"].any()


def test_a_grid_is_all_combinations():
    points = grid(tau=[0.05, 0.07], beta=[0.0, 0.1])
    assert list(points) == [f"beta={b}, tau={t}" for b in (0.0, 0.1) for t in (0.05, 0.07)]
    assert points["beta=0.1, tau=0.05"] == {"tau": 0.05, "beta": 0.1}


# --- nothing twice, nothing lost --------------------------------------------------------------


def test_a_second_sweep_trains_nothing(done, home, monkeypatch):
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained again"))
    more = {"other name": {}, **grid(tau=[0.07])}
    again = sweep(Workspace("pocket", "smoke"), more, jobs=1)
    assert again.runs["loaded"].all() and set(again.runs["run"]) == {done.runs["run"][0]}


def test_a_sweep_that_was_stopped_goes_on(done, fresh, monkeypatch):
    workspace, train, calls = fresh(), Workspace._make, []

    def stopped(self, *args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(self, *args)

    monkeypatch.setattr(Workspace, "_make", stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep(workspace, VARIANTS, jobs=1)
    assert same(done, sweep(workspace, VARIANTS, jobs=1))
    assert len(calls) == 5, "two finished, one broken off and done again, one new"


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_ends_with_the_same_numbers(done, fresh):
    workspace = fresh()
    program = ("from gensr_lib import Workspace; from gensr_lib.experiments.sweep import sweep; "
               f"sweep(Workspace('pocket', 'smoke'), {VARIANTS!r}, jobs=2)")  # fmt: skip
    environment = {**os.environ, "CI": "1", "PYTHONPATH": str(Path(runs.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not list(workspace.folder.glob(f"gensr-*/seed-*/{RESULT}")) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "killed before it was done"
    assert same(done, sweep(workspace, VARIANTS, jobs=1))


def test_two_at_once_in_one_folder_make_a_run_once(fresh, monkeypatch, caplog):
    workspace, train, started, calls = fresh(), Workspace._make, threading.Event(), []

    def slow(self, *args):
        calls.append(args)
        started.set()
        time.sleep(0.5)
        return train(self, *args)

    monkeypatch.setattr(Workspace, "_make", slow)
    monkeypatch.setattr(store, "LOADING", 0.1)
    found, options = {}, {"variant": "shared", "max_steps_per_epoch": 1}
    first = threading.Thread(target=lambda: found.update(a=workspace.fit("gensr", **options)))
    first.start()
    started.wait(60)
    second = Workspace("pocket", "smoke")
    found["b"] = second.fit("gensr", **options)
    first.join()
    assert len(calls) == 1 and found["b"].loaded and not found["a"].loaded
    assert found["a"].evaluation.table.equals(found["b"].evaluation.table)
    assert "another process is making this run" in caplog.text


def test_a_run_of_other_numbers_is_made_anew(done, fresh, monkeypatch):
    workspace = fresh(keep="")
    monkeypatch.setattr(specs, "NUMBERS", specs.NUMBERS + 1)
    again = sweep(workspace, {"whole": {}}, jobs=1, seeds=[0])
    assert not again.runs["loaded"].any() and again.runs["run"][0] == done.runs["run"][0]
    kept = [f.name for f in (workspace.folder / again.runs["run"][0]).iterdir() if f.name.startswith("seed-0.")]
    assert len(kept) == 1, "the old run was moved aside"


# --- worlds -----------------------------------------------------------------------------------

GRAPHS = {"narrow": {"width": 8}, "wide": {"width": 16}}


@pytest.fixture(scope="module")
def redrawn(home) -> Sweep:
    """LightGCN in the worlds of seeds 1 and 2, from a workspace of seed 1."""
    return sweep(Workspace("pocket", "smoke", 1), GRAPHS, model="lightgcn", seeds=[1, 2], jobs=1, worlds=True)


def test_each_seed_is_the_workspace_of_that_seed(redrawn, home, monkeypatch):
    for seed in (1, 2):
        own = Workspace("pocket", "smoke", seed).fit("lightgcn", width=8)
        part = redrawn.ranks[(redrawn.ranks["variant"] == "narrow") & (redrawn.ranks["seed"] == seed)]
        table = own.evaluation.table
        assert part[list(table)].reset_index(drop=True).equals(table)


def test_variants_share_the_world_of_a_seed_and_seeds_do_not(redrawn, home):
    questions = {key: own[["row", "user", "item"]].values.tolist()
                 for key, own in redrawn.ranks.groupby(["variant", "seed"])}  # fmt: skip
    for seed in (1, 2):
        assert questions["narrow", seed] == questions["wide", seed]
    assert questions["wide", 1] != questions["wide", 2]
    table = compare_worlds(redrawn.ranks, "wide", metrics_of(redrawn.ranks))
    assert set(table["worlds"]) == {2} and len(table) == 8
    with pytest.raises(ConfigError, match="compare_worlds"):
        compare(redrawn.ranks, "wide")


def test_the_run_in_the_own_world_is_that_of_an_ordinary_sweep(redrawn, home, monkeypatch):
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained again"))
    plain = sweep(Workspace("pocket", "smoke", 1), GRAPHS, model="lightgcn", seeds=[1], jobs=1)
    assert plain.runs["loaded"].all()
    again = sweep(Workspace("pocket", "smoke", 1), GRAPHS, model="lightgcn", seeds=[1, 2], jobs=1, worlds=True)
    assert again.runs["loaded"].all() and same(again, redrawn)


def test_a_training_with_a_seed_and_the_world_of_that_seed_keep_apart(redrawn, home, monkeypatch):
    trained = sweep(Workspace("pocket", "smoke", 1), GRAPHS, model="lightgcn", seeds=[1, 2], jobs=1)
    assert trained.runs["loaded"].tolist() == [True, False, True, False], "seed 2 in the world of seed 1 is new"
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained again"))
    again = sweep(Workspace("pocket", "smoke", 1), GRAPHS, model="lightgcn", seeds=[1, 2], jobs=1, worlds=True)
    assert same(again, redrawn) and not same(again, trained)


def test_lightgcn_is_trained_once_in_each_world(fresh, monkeypatch):
    workspace, train, made = fresh(), Workspace._make, []

    def counted(self, folder, spec, *args):
        made.append((spec.model, self.seed, spec.seed, spec.built_on.get("lightgcn")))
        return train(self, folder, spec, *args)

    monkeypatch.setattr(Workspace, "_make", counted)
    sweep(workspace, {"whole": {}, "no filter": {"history_slot": "mean"}}, seeds=[0, 1], jobs=1, worlds=True)
    graphs = [seeds for model, *seeds, _ in made if model == "lightgcn"]
    assert graphs == [[1, 1]], "that of the workspace's world was there"
    runs = [(world, seed, graph) for model, world, seed, graph in made if model == "gensr"]
    assert [run[:2] for run in runs] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    assert runs[0][2] == runs[1][2] != runs[2][2] == runs[3][2], "and each world's runs are built on its own"


def test_two_processes_draw_the_same_worlds(redrawn, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    again = sweep(Workspace("pocket", "smoke", 1), GRAPHS, model="lightgcn", seeds=[1, 2], jobs=2, worlds=True)
    assert same(again, redrawn) and not again.runs["loaded"].any()


def test_only_a_simulated_world_can_be_redrawn(home):
    workspace = Workspace("pocket", "smoke")
    workspace.dataset = Dataset.from_tables(tables(*twin_events("a"), *twin_events("b")), TINY, name="mine")
    with pytest.raises(ConfigError, match=r"mine is not simulated.*without worlds=True"):
        sweep(workspace, GRAPHS, model="lightgcn", worlds=True)


# --- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variants", "says"),
    [
        ({"whole": {}, "hot": {"tau": 0}}, "variant 'hot'.*option 'tau'.*greater than 0"),
        ({"hot": {"tua": 0.1}}, "variant 'hot'.*did you mean 'tau'"),
        ({"blind": {"cf_view": False, "semantic_view": False}}, "variant 'blind'.*both off"),
        ({"eager": {"epochs": -1}}, "variant 'eager'.*option 'epochs'"),
        ({}, "a sweep needs variants"),
        (["whole"], "a sweep needs variants"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(home, monkeypatch, variants, says):
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained"))
    with pytest.raises(ConfigError, match=says):
        sweep(Workspace("pocket", "smoke"), variants, jobs=1)


@pytest.mark.parametrize("seeds", [[], 2, [0, -1], ["a"]])
def test_seeds_must_be_listed(home, seeds):
    with pytest.raises(ConfigError, match=r"seeds is .* at least one"):
        sweep(Workspace("pocket", "smoke"), VARIANTS, seeds=seeds)


@pytest.mark.parametrize("jobs", [0, -3, 1.5])
def test_jobs_must_be_a_number_of_processes(home, jobs):
    with pytest.raises(ConfigError, match="jobs is"):
        sweep(Workspace("pocket", "smoke"), VARIANTS, jobs=jobs)


@pytest.mark.parametrize("values", [0.1, "rec", []])
def test_the_values_of_a_grid_must_be_listed(values):
    with pytest.raises(ConfigError, match="values of history_of must be a list"):
        grid(history_of=values)


def test_a_seed_given_twice_counts_once(done, home):
    again = sweep(Workspace("pocket", "smoke"), VARIANTS, seeds=[0, 0], jobs=1)
    assert again.table.groupby(["variant", "task", "metric"]).size().eq(1).all()


def test_an_unknown_model_is_an_error(home):
    with pytest.raises(ConfigError, match="did you mean 'gensr'"):
        sweep(Workspace("pocket", "smoke"), VARIANTS, model="gensrr")


def test_a_run_that_fails_is_named_and_the_others_are_made(done, fresh, monkeypatch):
    workspace, train = fresh(), Workspace._make

    def breaks(self, folder, spec, *args):
        if spec.options.history_slot == "mean":
            raise ValueError("gensr: the loss is nan at step 3; lower the rate.")
        return train(self, folder, spec, *args)

    monkeypatch.setattr(Workspace, "_make", breaks)
    with pytest.raises(ConfigError, match=r"(?s)2 of 4 runs failed.*'no filter'.*seed-0.*the loss is nan"):
        sweep(workspace, VARIANTS, jobs=1)
    monkeypatch.setattr(Workspace, "_make", train)
    again = sweep(workspace, VARIANTS, jobs=1)
    assert same(done, again) and again.runs.groupby("variant")["loaded"].all().to_dict() == {
        "whole": True, "tau=0.07": True, "no filter": False}  # fmt: skip


def test_a_damaged_result_is_named(done, fresh):
    workspace = fresh(keep="")
    path = workspace.folder / done.runs["run"][0] / "seed-0" / RESULT
    path.write_text("{")
    with pytest.raises(ConfigError, match=f"{RESULT}: missing or damaged"):
        sweep(workspace, VARIANTS, jobs=1)


def test_processes_train_with_the_profile_of_the_sweep_and_not_with_its_file(fresh):
    workspace, rate = fresh(), 0.00042
    block = workspace.profile.models["gensr"]
    slow = block.replace(training={**block.training, "learning_rate": rate})
    workspace.profile = workspace.profile.replace(models={**workspace.profile.models, "gensr": slow})
    found = sweep(workspace, {"whole": {}, "mean": {"history_slot": "mean"}}, jobs=2, seeds=[0])
    for folder in found.runs["run"]:
        config = json.loads((workspace.folder / folder / "seed-0" / "config.json").read_text())
        assert config["training"]["learning_rate"] == rate
    assert sweep(workspace, {"whole": {}}, jobs=1, seeds=[0]).runs["loaded"].all()


def test_a_run_that_is_replaced_meanwhile_is_not_taken_for_the_one_asked_for(done, fresh, monkeypatch):
    workspace = fresh(keep="")
    path = workspace.folder / done.runs["run"][0] / "seed-0" / RESULT

    def replace(*args):
        path.write_text(json.dumps({**json.loads(path.read_text()), "hash": "another", "alike": "another"}))

    monkeypatch.setattr(module, "make", replace)
    with pytest.raises(ConfigError, match="was replaced during the sweep"):
        sweep(workspace, VARIANTS, jobs=1)


def test_options_of_the_profile_are_those_of_the_model(home):
    """LightGCN knows none of GenSR's options."""
    found = sweep(Workspace("pocket", "smoke"), {"narrow": {"width": 8}}, model="lightgcn", seeds=[0], jobs=1)
    assert found.table["task"].unique().tolist() == ["rec"]
