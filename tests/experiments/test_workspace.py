"""`Workspace`: runs are found again, never overwritten, finished after a kill, and say where they come from."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from copy import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gensr_lib.config import ModelBlock, Profile
from gensr_lib.data.split import Rows
from gensr_lib.errors import ConfigError, DataError
from gensr_lib.experiments import spec as specs
from gensr_lib.experiments import workspace as runs
from gensr_lib.experiments.provenance import PACKAGES, code_hash, digits
from gensr_lib.experiments.store import RANKS, RESULT, load_run, result_table, save_run
from gensr_lib.experiments.workspace import Workspace
from gensr_lib.models import build_model
from gensr_lib.training.loop import TrainingRun
from gensr_lib.training.metrics import EXPECTED, METRICS


@pytest.fixture(scope="module")
def trained(home) -> Workspace:
    """A workspace with a finished LightGCN run; tests copy or load it, none changes it."""
    workspace = Workspace("pocket", "smoke")
    workspace.fit("lightgcn")
    return workspace


@pytest.fixture
def copied(trained, tmp_path, monkeypatch):
    """Function that gives a new workspace over a copy of the finished run."""
    shutil.copytree(trained.folder.parents[2], tmp_path / "copy")
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "copy"))

    def fresh() -> Workspace:
        workspace = Workspace("pocket", "smoke")
        workspace.dataset = trained.dataset
        return workspace

    return fresh


def scores(run) -> torch.Tensor:
    with torch.no_grad():
        batch = DATASET["smoke"].batch("test", "rec", np.arange(8), with_event=run.model.reads_event)
        return run.model.score(batch)


DATASET = {}


@pytest.fixture(autouse=True)
def _dataset(trained):
    DATASET["smoke"] = trained.dataset


def folder_of(workspace: Workspace, name: str = "lightgcn"):
    return workspace.folder / name / "seed-0"


def test_systems_that_the_data_do_not_allow_are_left_out_with_a_sentence(trained, monkeypatch, capsys):
    everything = ["popularity", "category_count", "bm25", "lightgcn", "oracle"]
    assert trained.able(*everything) == everything and capsys.readouterr().out == ""
    bare = copy(trained.dataset)
    bare.items = bare.items.assign(categories="")
    bare.truth = None
    monkeypatch.setitem(vars(trained), "dataset", bare)
    assert trained.able(*everything) == ["popularity", "bm25", "lightgcn"]
    assert capsys.readouterr().out.splitlines() == [
        "The system category_count is left out: it counts categories, and no item has one.",
        "The system oracle is left out: it needs a simulated world, whose law is known.",
    ]
    with pytest.raises(ConfigError, match="'oracle' cannot be made for pocket: it needs a simulated world"):
        build_model("oracle", bare)
    with pytest.raises(ConfigError, match="did you mean 'ease'"):
        trained.able("eas")


def test_systems_of_a_task_that_cannot_be_tested_are_left_out_together(trained, monkeypatch, capsys):
    bare = copy(trained.dataset)
    none = Rows(np.arange(0), np.arange(0))
    bare.rows = bare.rows | {"test": bare.rows["test"] | {"src": none}}
    monkeypatch.setitem(vars(trained), "dataset", bare)
    assert trained.able("qem", "din", "zam", "jsr") == ["din", "jsr"]
    assert capsys.readouterr().out == "The systems qem, zam are left out: the data have no searches to test.\n"


# --- found again ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["popularity", "oracle", "ease", "lightgcn"])
def test_a_second_fit_loads_the_run(copied, name):
    first, second = copied().fit(name), copied().fit(name)
    assert second.loaded and (name == "lightgcn" or not first.loaded)
    pd.testing.assert_frame_equal(first.evaluation.table, second.evaluation.table)
    pd.testing.assert_frame_equal(first.history, second.history, check_column_type=len(first.history) > 0)
    assert torch.equal(scores(first), scores(second)) and not second.model.training
    assert json.loads(json.dumps(first.record, default=str)) == second.record


def test_the_same_workspace_keeps_the_run_in_memory(trained):
    assert trained.fit("lightgcn") is trained.fit("lightgcn")


def test_metrics_on_disk_are_those_of_the_ranks(trained):
    run = trained.fit("lightgcn")
    assert run.record["metrics"] == run.evaluation.metrics
    assert run.evaluation.table["task"].unique().tolist() == ["rec"]


def tiny_profile() -> Profile:
    """The smoke profile with a GenSR that takes four steps."""
    smoke = specs.load_profile("smoke")
    gensr = ModelBlock(
        model={"history": 6}, training={"epochs": 1, "batch_size": 8, "max_steps_per_epoch": 4, "eval_batch_size": 20}
    )
    data = smoke.data.replace(max_valid_rows=10, max_test_rows=10)
    backbone = smoke.backbone.replace(d_model=16, d_ff=16, vocabulary=500)
    return smoke.replace(data=data, backbone=backbone, models={**smoke.models, "gensr": gensr})


def test_gensr_with_its_backbone_and_lightgcn(home):
    first = Workspace("pocket", "smoke")
    first.profile = tiny_profile()
    first.folder = home / "runs" / "tiny"
    run = first.fit("gensr", variant="gensr-tiny")
    assert not run.loaded and run.folder == home / "runs" / "tiny" / "gensr-tiny" / "seed-0"
    assert torch.equal(run.model.cf_table[0], torch.zeros_like(run.model.cf_table[0]))
    second = Workspace("pocket", "smoke")
    second.profile, second.folder, second.dataset = first.profile, first.folder, first.dataset
    again = second.fit("gensr", variant="gensr-tiny")
    assert again.loaded and second.fit("lightgcn").loaded
    batch = first.dataset.batch("test", "src", np.arange(3))
    with torch.no_grad():
        assert torch.equal(run.model.score(batch), again.model.score(batch))


# --- never overwritten ------------------------------------------------------------------------


def test_a_changed_option_trains_anew_and_moves_the_old_run_aside(copied):
    old = copied().fit("lightgcn")
    files = {p.name: p.read_bytes() for p in old.folder.iterdir() if p.is_file()}
    new = copied().fit("lightgcn", epochs=1)
    assert not new.loaded and new.record["training"]["epochs"] == 1
    aside = old.folder.with_name(f"seed-0.{old.record['hash']}")
    assert {p.name: p.read_bytes() for p in aside.iterdir() if p.is_file()} == files
    assert (aside / "model").is_dir()


def test_going_back_to_an_earlier_configuration_finds_its_run(copied):
    loaded = [copied().fit("lightgcn", **options).loaded for options in ({}, {"epochs": 1}, {}, {"epochs": 1})]
    assert loaded == [True, False, True, True]
    assert len(list(folder_of(copied()).parent.glob("seed-*"))) == 2, "one is in place, the other aside"


def test_variants_have_their_own_folder(copied):
    plain, variant = copied().fit("lightgcn"), copied().fit("lightgcn", variant="lightgcn-flat", layers=0)
    assert plain.loaded and not variant.loaded
    assert variant.folder.parent.name == "lightgcn-flat" and variant.model.config.layers == 0
    assert copied().fit("lightgcn").loaded


def test_other_numbers_are_another_run(copied, monkeypatch):
    monkeypatch.setattr(specs, "NUMBERS", specs.NUMBERS + 1)
    assert not copied().fit("lightgcn").loaded


def test_another_seed_is_another_folder(home):
    assert folder_of(Workspace("pocket", "smoke")).parent / "seed-1" != folder_of(Workspace("pocket", "smoke"))
    other = Workspace("pocket", "smoke", seed=1)
    run = other.fit("popularity")
    assert run.folder.name == "seed-1" and run.record["provenance"]["seed"] == 1
    assert run.record["provenance"]["dataset_hash"] != DATASET["smoke"].hash


# --- killed and damaged -----------------------------------------------------------------------


@pytest.mark.parametrize("missing", [[RESULT], [RESULT, RANKS], [RESULT, RANKS, "model"]])
def test_a_run_killed_while_saving_is_finished_by_the_next_fit(copied, trained, missing):
    for name in missing:
        path = folder_of(copied()) / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = copied().fit("lightgcn")
    assert not run.loaded
    pd.testing.assert_frame_equal(run.evaluation.table, trained.fit("lightgcn").evaluation.table)
    assert copied().fit("lightgcn").loaded


def test_killed_while_training(copied, trained, monkeypatch):
    shutil.rmtree(folder_of(copied()))
    save = runs.save_run

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "save_run", killed)
    with pytest.raises(KeyboardInterrupt):
        copied().fit("lightgcn")
    monkeypatch.setattr(runs, "save_run", save)
    run = copied().fit("lightgcn")
    assert not run.loaded and run.record["resumed_at"] > 0, "the checkpoint was taken up, no step repeated"
    assert not (run.folder / "checkpoint").exists(), "a finished run needs none"
    pd.testing.assert_frame_equal(run.evaluation.table, trained.fit("lightgcn").evaluation.table)


@pytest.mark.parametrize("name", [RESULT, RANKS, "history.parquet", "config.json", "model/model.safetensors"])
def test_a_damaged_file_of_a_run_is_named(copied, name):
    path = folder_of(copied()) / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ConfigError) as error:
        copied().fit("lightgcn")
    assert str(path) in str(error.value) and "delete" in str(error.value)


@pytest.mark.parametrize("name", ["model/config.json", RESULT])
def test_a_file_without_what_belongs_in_it_is_named(copied, name):
    path = folder_of(copied()) / name
    path.write_text("[]")
    with pytest.raises(ConfigError) as error:
        copied().fit("lightgcn")
    assert str(path.parent if "model" in name else path) in str(error.value) and "delete" in str(error.value)


def test_a_run_without_its_configuration_is_known_by_its_result(copied):
    (folder_of(copied()) / "config.json").unlink()
    assert copied().fit("lightgcn").loaded
    changed = copied().fit("lightgcn", width=24)
    assert not changed.loaded and changed.model.config.width == 24


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True, 2**32, 2**64])
def test_a_seed_is_a_whole_number(copied, seed):
    with pytest.raises(ConfigError, match="seed is"):
        Workspace("pocket", "smoke", seed)
    with pytest.raises(ConfigError, match="seed is"):
        copied().fit("lightgcn", seed=seed)


@pytest.mark.parametrize("variant", ["../x", "/tmp/x", "a/b", "a\\b", "..", ".x", "a\0b", "a\nb", "x" * 300, "é" * 150])
def test_a_variant_is_the_name_of_a_folder_in_its_place(copied, variant):
    with pytest.raises(ConfigError, match=r"variant .* names a folder"):
        copied().fit("lightgcn", variant=variant)


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 5000, "amazon-" + "x" * 5000, "./" + "x" * 300])
def test_a_data_set_has_no_endless_name(home, name):
    with pytest.raises(ConfigError, match=r"no data set .* has a name as long as"):
        Workspace(name, "smoke").fit("popularity")


# --- disks ------------------------------------------------------------------------------------


def read_only(monkeypatch, below) -> None:
    """Every file below a folder is refused to who wants to write it, also to the administrator."""
    real = os.open

    def refuse(path, flags, *args, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(below)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)


def test_a_finished_run_loads_from_a_read_only_folder_and_another_is_refused(copied, monkeypatch):
    folder = folder_of(copied())
    files = sorted(folder.rglob("*"))
    read_only(monkeypatch, folder.parents[2])
    assert copied().fit("lightgcn").loaded and sorted(folder.rglob("*")) == files
    with pytest.raises(ConfigError) as error:
        copied().fit("lightgcn", epochs=1)
    assert str(folder) in str(error.value) and "Read-only" in str(error.value)
    assert json.loads((folder / RESULT).read_text())["training"]["epochs"] == 2, "it is still there"


def test_a_disk_that_fills_up_anywhere_is_said_so_and_the_run_goes_on_afterwards(copied, trained, monkeypatch):
    """At each file of a run in turn."""
    folder = folder_of(copied())
    real = os.replace
    refused = 0
    while True:
        shutil.rmtree(folder)
        left = refused

        def fail(source, target):
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(source, target)

        monkeypatch.setattr(os, "replace", fail)
        try:
            copied().fit("lightgcn")
            break
        except ConfigError as error:
            assert f"{folder}" in str(error) and "disk full" in str(error)  # noqa: PT017
        monkeypatch.setattr(os, "replace", real)
        run = copied().fit("lightgcn")
        pd.testing.assert_frame_equal(run.evaluation.table, trained.fit("lightgcn").evaluation.table)
        refused += 1
    assert refused >= 8


def test_what_killed_processes_left_is_swept(copied):
    folder = folder_of(copied())
    litter = [folder / ".config.json.31447.part", folder / "model" / ".README.md.29117.part"]
    for path in litter:
        path.touch()
    (folder / "checkpoint").mkdir()
    assert copied().fit("lightgcn").loaded
    assert not any(path.exists() for path in litter) and not (folder / "checkpoint").exists()


def test_a_run_of_several_processes_is_known_by_its_own_hash_and_not_repeated(copied, caplog):
    """What `fit` under a launcher made is found by the chapters, which are one process, and said so."""
    folder = folder_of(copied())
    spec = copied().specify("lightgcn")
    four = replace(spec, processes=4)
    record = json.loads((folder / RESULT).read_text())
    record |= {"hash": four.hash, "alike": four.alike, "processes": 4}
    for name in (RESULT, "config.json"):
        (folder / name).write_text(json.dumps(record))
    with caplog.at_level(logging.WARNING):
        assert copied().fit("lightgcn").loaded
    assert "4 processes trained it, not 1" in caplog.text and str(folder) in caplog.text
    assert not copied().fit("lightgcn", epochs=1).loaded
    assert copied().fit("lightgcn").record["training"]["epochs"] == 2


def test_tables_that_leave_nobody_to_test_are_refused_at_once(home, tmp_path):
    """Six users with one click each, of which none can be held out."""
    pd.DataFrame({"user_id": list("abcdef"), "item_id": "x", "time": range(6)}).to_csv(tmp_path / "interactions.csv")
    pd.DataFrame({"item_id": ["x"], "title": ["a thing"]}).to_csv(tmp_path / "items.csv")
    workspace = Workspace(str(tmp_path), "smoke")
    workspace.profile = workspace.profile.replace(data=workspace.profile.data.replace(min_interactions=1))
    with pytest.raises(DataError, match="no user has enough events"):
        workspace.fit("popularity")


@pytest.mark.parametrize("name", [RANKS, "model", "model/model.safetensors"])
def test_a_missing_file_of_a_finished_run_is_named(copied, name):
    """Above all: never a fresh, untrained model in place of the one that is gone."""
    path = folder_of(copied()) / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ConfigError) as error:
        copied().fit("lightgcn")
    assert str(path.parent if "model" in name and path.suffix else path) in str(error.value)


def test_weights_of_another_configuration_are_refused(copied):
    wider = copied().fit("lightgcn", variant="wide", width=24)
    weights = "model/model.safetensors"
    shutil.copy(wider.folder / weights, folder_of(copied()) / weights)
    with pytest.raises(ConfigError, match="another configuration"):
        copied().fit("lightgcn")


# --- options and names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"widht": 8}, "did you mean 'width'"),
        ({"epoch": 8}, "did you mean 'epochs'"),
        ({"epochs": -1}, "'epochs'.*greater than or equal to 0, got -1"),
        ({"width": 0}, "'width'.*greater than or equal to 1, got 0"),
        ({"learning_rate": "fast"}, "'learning_rate'.*got 'fast'"),
    ],
)
def test_options_are_checked_before_anything_is_done(home, options, says):
    workspace = Workspace("pocket", "smoke")
    with pytest.raises(ConfigError, match=says):
        workspace.fit("lightgcn", variant="never", **options)
    assert "dataset" not in vars(workspace) and not (workspace.folder / "never").exists()


def test_options_go_to_the_model_and_to_the_training():
    spec = Workspace("pocket", "smoke").specify("lightgcn", width=8, epochs=7)
    assert (spec.options.width, spec.options.layers) == (8, 2) and spec.training.epochs == 7
    assert spec.training.batch_size == 512, "the profile's"


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda: Workspace("pocket", "smoke").fit("lightgnc"), "unknown model 'lightgnc'; did you mean 'lightgcn'"),
        (lambda: Workspace("pocket", "smok").fit("popularity"), "unknown profile 'smok'; did you mean 'smoke'"),
        (lambda: Workspace("poket", "smoke").fit("popularity"), "unknown data set 'poket'; did you mean 'pocket'"),
    ],
)
def test_unknown_names_are_errors_with_a_hint(home, use, says):
    with pytest.raises(ConfigError, match=says):
        use()


# --- what is written --------------------------------------------------------------------------


def test_the_mark_of_rounding_is_one_for_any_number_of_threads():
    marks = set()
    threads = torch.get_num_threads()
    for number in (1, 2):
        digits.cache_clear()
        torch.set_num_threads(number)
        marks.add(digits())
        assert torch.get_num_threads() == number
    torch.set_num_threads(threads)
    assert len(marks) == 1 and len(marks.pop()) == 8


def test_provenance_in_the_record(trained):
    record = json.loads((folder_of(trained) / RESULT).read_text())
    where = record["provenance"]
    assert record["name"] == "lightgcn"
    assert where["dataset_hash"] == trained.dataset.hash and where["seed"] == 0
    assert where["code_hash"] == code_hash() and where["versions"]["torch"] == torch.__version__
    assert set(where["versions"]) == set(PACKAGES)
    assert where["device"] and where["dataset_config"] == trained.dataset.config.model_dump(mode="json")
    seconds = record["seconds"]
    assert 0 < seconds["train"] <= seconds["all"] and 0 < seconds["test"] <= seconds["all"]
    assert 50 < where["peak_memory_mb"] < 100_000
    assert record["model"] == "lightgcn" and record["options"]["width"] == 16
    assert record["training"]["epochs"] == 2


def test_figures_of_the_default_run_alone_are_the_committed_ones(home):
    assert Workspace().figures == home / "figures"
    for other in (Workspace("pocket", "smoke"), Workspace("pocket", "paper")):
        assert other.figures == other.folder / "figures"
    assert Workspace(seed=1).figures == Workspace().folder / "seed-1" / "figures", "no seed replaces another's"


def test_runs_are_sorted_by_data_set_and_profile(home, monkeypatch, tmp_path):
    assert Workspace("pocket", "smoke").folder == home / "runs" / "pocket" / "smoke"
    data = tmp_path / "mine"
    data.mkdir()
    monkeypatch.chdir(data)
    assert Workspace(".", "smoke").folder == Workspace(str(data), "smoke").folder == home / "runs" / "mine" / "smoke"


def test_what_a_chapter_found_is_recorded_with_its_provenance(copied):
    path = copied().record("05_results", {"rec": {"N@5": 0.5}, "note": "fine"})
    assert path == copied().folder / "chapters" / "05_results.json"
    other = copied()
    other.seed = 3
    assert other.record("05_results", {}) == copied().folder / "seed-3/chapters/05_results.json", "not in its place"
    written = json.loads(path.read_text())
    assert written["chapter"] == "05_results" and written["results"] == {"rec": {"N@5": 0.5}, "note": "fine"}
    assert written["provenance"]["dataset_hash"] == DATASET["smoke"].hash


def test_a_record_says_whether_data_were_read_and_of_which_seeds_it_speaks(copied):
    unread, read = copied(), copied()  # these have their data
    del unread.dataset
    first, second = unread.record("a", {}), read.record("b", {}, seeds=pd.Series([2, 0, 2]))
    first, second = (json.loads(path.read_text())["provenance"] for path in (first, second))
    assert (first["data_read"], first["seeds"]) == (False, [unread.seed])
    assert (second["data_read"], second["seeds"]) == (True, [0, 2])


def test_result_table(trained):
    popularity, lightgcn = trained.fit("popularity"), trained.fit("lightgcn")
    table = result_table({"Popularity": popularity, "LightGCN": lightgcn})
    assert list(table.index) == ["Popularity", "LightGCN"] and table.shape == (2, 8)
    assert table.loc["Popularity", ("src", "N@5")] == popularity.evaluation.metrics["src"]["N@5"]
    assert table.loc["LightGCN", "src"].isna().all(), "it does not search"


def test_a_table_of_some_metrics(trained):
    run = trained.fit("popularity")
    whole, some = result_table({"a": run}, expected=True), result_table({"a": run}, metrics=("N@10", "expected R@5"))
    assert some.columns.tolist() == [(t, m) for t in ("rec", "src") for m in ("N@10", "expected R@5")]
    assert some.equals(whole[some.columns])
    with pytest.raises(ConfigError, match="unknown metric 'N@1'; did you mean"):
        result_table({"a": run}, metrics=("N@1",))


def test_plain_and_expected_metrics_beside_each_other(trained):
    runs = {"Popularity": trained.fit("popularity"), "LightGCN": trained.fit("lightgcn")}
    table = result_table(runs, expected=True)
    assert list(table["rec"]) == list(table["src"]) == [*METRICS, *EXPECTED]
    assert table[list(result_table(runs))].equals(result_table(runs))
    found = runs["Popularity"].evaluation.expected["src"]["N@5"]
    assert table.loc["Popularity", ("src", "expected N@5")] == found != table.loc["Popularity", ("src", "N@5")]
    assert table.loc["LightGCN", "src"].isna().all()


def test_expected_metrics_come_back_with_the_run(copied):
    run = copied().fit("lightgcn")
    assert run.loaded and run.record["expected"] == run.evaluation.expected
    stored = pd.read_parquet(run.folder / RANKS)
    assert stored["expected N@10"].mean() == pytest.approx(run.record["expected"]["rec"]["N@10"], abs=1e-12)


def test_a_run_without_expected_metrics_still_loads(trained, tmp_path):
    run = trained.fit("lightgcn")
    older = replace(run.evaluation, table=run.evaluation.table.drop(columns=list(EXPECTED)))
    record = {name: value for name, value in run.record.items() if name != "expected"}
    save_run(tmp_path, run.model, older, TrainingRun(run.model, run.history, 1, 0.0, gradients=run.gradients), record)
    loaded = load_run(tmp_path, trained.dataset)
    assert loaded.evaluation.expected == {} and loaded.evaluation.metrics == run.evaluation.metrics
    assert result_table({"older": loaded}, expected=True).equals(result_table({"older": loaded}))


def test_measured_gradients_come_back_with_the_run(trained, tmp_path):
    run = trained.fit("lightgcn")
    gradients = pd.DataFrame({"step": [0, 25], "layer": ["a", "a"], "cosine": [0.5, -0.25]})
    left = TrainingRun(run.model, run.history, 1, 0.0, gradients=gradients)
    save_run(tmp_path, run.model, run.evaluation, left, run.record)
    loaded = load_run(tmp_path, trained.dataset)
    pd.testing.assert_frame_equal(loaded.gradients, gradients)
    pd.testing.assert_frame_equal(loaded.history, run.history)


def test_a_seed_of_its_own_changes_the_training_and_not_the_data(copied, trained):
    workspace = copied()
    run = workspace.fit("lightgcn", seed=5)
    assert run.folder == folder_of(workspace).with_name("seed-5") and not run.loaded
    assert run.record["provenance"]["seed"] == 5
    assert run.record["provenance"]["dataset_hash"] == trained.dataset.hash
    first = workspace.fit("lightgcn").model.item_vectors()
    assert not torch.allclose(run.model.item_vectors(), first)


def test_a_seed_of_its_own_draws_the_weights_of_the_backbone(copied):
    workspace = copied()
    run = workspace.fit("gensr", seed=5, epochs=0)  # as it starts
    own, usual = (workspace.language_model("gensr", seed).model.get_input_embeddings().weight for seed in (5, None))
    assert torch.equal(run.model.lm.get_input_embeddings().weight, own) and not torch.equal(own, usual)


def test_what_a_model_is_built_on_is_part_of_its_hash(copied):
    workspace, other = copied(), copied()
    shorter = other.profile.models["lightgcn"].replace(training={"epochs": 1})
    other.profile = other.profile.replace(models={**other.profile.models, "lightgcn": shorter})
    here, there = (w.specify("gensr") for w in (workspace, other))
    assert here.options == there.options and here.hash != there.hash
    assert workspace.specify("popularity") == other.specify("popularity")


def test_forgotten_models_are_loaded_again(copied):
    workspace = copied()
    first = workspace.fit("lightgcn")
    workspace.forget()
    again = workspace.fit("lightgcn")
    assert again is not first and again.loaded
