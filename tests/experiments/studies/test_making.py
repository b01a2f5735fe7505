"""Studies: cells are known without training, kept in one file each, made once, and read or refused."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import threading
import time
import zlib
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from gensr_lib.config.study import Study, available_studies, read_study
from gensr_lib.errors import ConfigError
from gensr_lib.experiments.spec import load_profile
from gensr_lib.experiments.studies import cells, checks, evidence, making, page, stored, whole
from gensr_lib.experiments.workspace import Workspace
from tests.notebooks.folders import write_folder

SHORT = {"epochs": 2, "max_steps_per_epoch": 3}
MEASURE = "tests.experiments.studies.test_making:asked"
DECLARED = {
    "name": "small",
    "title": "Which of two is wider?",
    "about": "A study of two systems for tests.",
    "profile": "smoke",
    "worlds": 2,
    "set": {**SHORT, "tau": 0.1},  # SASRec has no tau: it is for others
    "arms": {
        "whole": {"model": "sasrec", "measures": [MEASURE]},
        "narrow": {"model": "sasrec", "set": {"width": 16}},
        "counted": {"model": "popularity"},
    },
    "parts": {"pocket": {}, "turned": {"dials": {"task_angle": 90}, "arms": ["whole"], "worlds": 1}},
}


def asked(model, dataset) -> dict:
    """A measure."""
    return {"items": float(dataset.n_items), "name": model.name}


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.parse(DECLARED)


@pytest.fixture(scope="module")
def made(home, study) -> whole.Made:
    """The study, made in this process; tests that change something copy its folder."""
    return whole.make_study(study, jobs=1)


@pytest.fixture
def copied(made, home, tmp_path, monkeypatch) -> Path:
    """A home of its own with the cells and LightGCN's and the data's files; the folder of the cells."""
    shutil.copytree(home, tmp_path / "home")
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "home"))
    return making.study_folder("small")


# --- declarations -----------------------------------------------------------------------------


def test_every_study_of_the_package_can_be_planned_and_its_cells_differ():
    keys = {}
    for name in available_studies():
        planned = cells.cells_of(read_study(name))
        assert len({cell.key for cell in planned}) == len(planned), name
        for cell in planned:
            for measure in cell.measures:
                assert callable(making.measure_of(measure))
        keys[name] = {cell.key for cell in planned}
    assert keys["ablations"] & keys["prompts"], "the whole model is one cell of both"
    assert keys["doses"] & keys["sensitivity"]


def test_all_arms_of_a_world_come_before_the_next_world(study):
    planned = cells.cells_of(study)
    assert [(c.seed, c.part, c.arm) for c in planned[:5]] == [
        (0, "pocket", "whole"),
        (0, "pocket", "narrow"),
        (0, "pocket", "counted"),
        (0, "turned", "whole"),
        (1, "pocket", "whole"),
    ]
    assert planned[0].options == SHORT, "a setting that a model does not have is left out"
    assert planned[3].home.profile.pocket.task_angle == 90 != planned[0].home.profile.pocket.task_angle


def test_a_key_follows_from_all_that_decides_the_numbers(study, monkeypatch):
    def keys(**changes):
        return [cell.key for cell in cells.cells_of(study.replace(**changes))]

    same = keys()
    assert same == keys(title="Another title", about="More words")
    for changed in (
        keys(set={"epochs": 1}),
        keys(profile="pocket"),
        keys(arms={**DECLARED["arms"], "whole": {"model": "din"}}),
    ):
        assert changed[0] != same[0]
    assert same[0] != same[3] != same[4], "dials and worlds"
    monkeypatch.setattr(cells, "NUMBERS", 99)
    assert not set(keys()) & set(same)


def test_a_key_tells_the_draw_of_a_world_from_that_of_the_weights(study):
    def key(of_world: int, of_weights: int) -> str:
        home = cells.Home("pocket", load_profile("smoke"), of_world)
        arm = study.arms["whole"]
        return cells._cell(study, "pocket", "whole", arm, home, cells._data(home), of_weights).key

    assert len({key(world, weights) for world in (0, 1) for weights in (0, 1)}) == 4


def test_an_arms_own_settings_come_before_the_short_ones_and_these_before_the_studys(study):
    home = cells.Home("pocket", load_profile("smoke"), 0)
    short = {"width": 8, "epochs": 1}
    cell = cells._cell(study, "pocket", "narrow", study.arms["narrow"], home, [], 0, short)
    chosen = {name: cell.options[name] for name in ("width", "epochs", "max_steps_per_epoch")}
    assert chosen == {"width": 16, "epochs": 1, "max_steps_per_epoch": 3}


def test_a_key_knows_what_a_model_is_built_on(study):
    arms = {"gensr": {"model": "gensr"}}
    one = cells.cells_of(study.replace(arms=arms, parts={"pocket": {}}))[0]
    profile = one.home.profile
    wider = profile.replace(models={**profile.models, "lightgcn": {"model": {"width": 32, "layers": 2}}})
    again = cells._recipe(wider, "gensr", 0, 0, one.options)
    assert again["built_on"]["lightgcn"] != cells._recipe(profile, "gensr", 0, 0, one.options)["built_on"]["lightgcn"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arms": {}}, "needs an arm"),
        ({"parts": {}}, "needs a part"),
        ({"parts": {"p": {"arms": ["hole"]}}}, "part 'p': unknown arm 'hole'; did you mean 'whole'"),
        ({"worlds": 0}, "'worlds'.*greater than or equal to 1"),
        ({"armz": {}}, "did you mean 'arms'"),
        ({"arms": {"a": {"needs": ["words"]}}}, "rec"),
    ],
)
def test_a_declaration_at_fault_is_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        Study.parse({**DECLARED, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parts": {"p": {"dials": {"task_angel": 3}}}}, "study small, part 'p'.*did you mean 'pocket.task_angle'"),
        (
            {"parts": {"p": {"data": "pocket-plain", "dials": {"no_text": 0}}}},
            "part 'p': dials turn the data set 'pocket'",
        ),
        ({"parts": {"p": {"dials": {"task_angle": 999}}}}, "part 'p'.*less than or equal to 180"),
        ({"parts": {"p": {"data": "pockett"}}}, "part 'p', arm 'whole'.*did you mean 'pocket'|unknown data set"),
        ({"arms": {"a": {"model": "sasrek"}}, "parts": {"p": {}}}, "part 'p', arm 'a'.*did you mean 'sasrec'"),
        ({"arms": {"a": {"set": {"tua": 1}}}, "parts": {"p": {}}}, "arm 'a'.*did you mean 'tau'"),
    ],
)
def test_a_plan_at_fault_names_study_part_and_arm(changes, says):
    with pytest.raises(ConfigError, match=f"(?s){says}"):
        cells.cells_of(Study.parse({**DECLARED, **changes}))


def test_an_unknown_study_is_refused_and_so_is_a_file_that_is_none(tmp_path, monkeypatch):
    from gensr_lib.config import study as module

    with pytest.raises(ConfigError, match="did you mean 'ablations'"):
        read_study("ablation")
    monkeypatch.setattr(module.resources, "files", lambda package: tmp_path)
    for text, says in {"a: [": "no YAML", "- 1": "must hold title", "title: x": "'about'"}.items():
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ConfigError, match=f"(?s)study bad .*{says}"):
            read_study("bad")


# --- making -----------------------------------------------------------------------------------


def test_all_cells_are_made_and_no_model_is_kept(made, home):
    assert (made.stored, made.cells, made.changed) == (7, 7, [])
    files = sorted((home / "data" / "studies" / "small").glob("*.parquet"))
    assert len(files) == 7 and max(path.stat().st_size for path in files) < 10_000
    left = {path.name for path in (home / "runs" / "pocket" / "smoke").iterdir()}
    assert not any(name.startswith("cell-") for name in left)


def test_a_cell_has_the_numbers_of_the_run(made, home, study):
    cell = cells.cells_of(study)[0]
    kept = stored.load_cell(home / "data" / "studies" / "small" / f"{cell.key}.parquet")
    run = Workspace("pocket", "smoke").fit("sasrec", "again", **SHORT)
    pd.testing.assert_frame_equal(
        kept.ranks.drop(columns=stored.KEPT).astype({"task": object}),
        run.evaluation.table[["task", "row", "user", "item", "rank"]].astype({"task": object}),
        check_dtype=False,
    )
    assert np.abs(kept.ranks[stored.KEPT] - run.evaluation.table[stored.KEPT]).max() <= 0.5 / stored.STEPS + 1e-12
    assert kept.record["metrics"] == run.record["metrics"] and kept.record["expected"] == run.record["expected"]
    assert kept.record["data_hash"] == run.record["data"] and len(kept.record["history"]) == len(run.history)
    assert kept.record["measures"] == {
        MEASURE: {"items": float(Workspace("pocket", "smoke").dataset.n_items), "name": "sasrec"}
    }
    assert kept.record["provenance"]["digits"] and kept.record["provenance"]["numbers"]


def test_what_is_there_is_not_made_again(copied, study, monkeypatch):
    monkeypatch.setattr(making, "train_cell", lambda *a: pytest.fail("trained"))
    assert whole.make_study(study, jobs=1).stored == 7


def test_a_cell_of_another_study_is_copied(copied, study, monkeypatch):
    monkeypatch.setattr(making, "train_cell", lambda *a: pytest.fail("trained"))
    other = study.replace(name="other", parts={"here": {}})
    assert whole.make_study(other, jobs=1).stored == 6
    assert len(list((copied.parent / "other").glob("*.parquet"))) == 6


def test_a_cell_without_a_measure_that_is_asked_is_made_again(copied, study, monkeypatch):
    trained = []
    real = making.train_cell
    monkeypatch.setattr(making, "train_cell", lambda cell, anew: trained.append(cell.arm) or real(cell, anew))
    arms = {**DECLARED["arms"], "counted": {"model": "popularity", "measures": [MEASURE]}}
    whole.make_study(study.replace(arms=arms), jobs=1, worlds=[0])
    assert trained == ["counted"]


def test_damaged_and_half_written_cells_are_made_again(copied, study):
    paths = [copied / f"{cell.key}.parquet" for cell in cells.cells_of(study) if cell.arm == "counted"]
    before = paths[0].read_bytes()
    metrics = json.dumps(stored.load_cell(paths[0]).record["metrics"])
    paths[0].write_bytes(before[:300])
    paths[1].with_name(f".{paths[1].name}.1.part").write_bytes(b"half")
    paths[1].unlink()
    assert whole.make_study(study, jobs=1).stored == 7
    assert stored.load_cell(paths[0]).record["metrics"] == json.loads(metrics) and paths[1].exists()


def test_worlds_can_be_made_apart_and_put_together(copied, study, made):
    files = {path.name: path.read_bytes() for path in copied.glob("*.parquet")}
    for path in copied.glob("*.parquet"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"has the worlds \[0, 1\], and not \[5\]"):
        whole.make_study(study, jobs=1, worlds=[5])
    assert whole.make_study(study.replace(parts={"pocket": {"arms": ["counted"]}}), jobs=1, worlds=[1]).stored == 1
    for name, content in files.items():  # from the other machine
        (copied / name).write_bytes(content)
    assert making.state(study).stored == 7


def test_a_cell_that_fails_is_named_and_the_others_are_kept(copied, study, monkeypatch):
    real = making.train_cell

    def breaks(cell, anew):
        if cell.arm == "narrow":
            raise ValueError("the loss is nan")
        return real(cell, anew)

    monkeypatch.setattr(making, "train_cell", breaks)
    for path in copied.glob("*.parquet"):
        path.unlink()
    counted = study.replace(parts={"pocket": {"arms": ["narrow", "counted"]}})
    with pytest.raises(ConfigError, match=r"(?s)2 of 4 cells failed.*'narrow · pocket · seed 0': ValueError: the loss"):
        whole.make_study(counted, jobs=1)
    assert making.state(study).stored == 2 and (copied / "README.md").exists()


@contextlib.contextmanager
def held_for_a_second(folder: Path, cell: cells.Cell, last=lambda: None):
    """Another thread holds a cell as another process would, and does something before it lets go."""
    is_held = threading.Event()

    def hold():
        with FileLock(folder.parents[2] / "runs" / "studies" / f"{cell.key}.lock"):
            is_held.set()
            time.sleep(1)
            last()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    yield
    thread.join()


def test_a_cell_that_another_process_is_making_is_left_to_it_and_waited_for(copied, study, monkeypatch):
    monkeypatch.setattr(making, "train_cell", lambda *a: pytest.fail("trained"))
    cell = cells.cells_of(study)[2]
    path = copied / f"{cell.key}.parquet"
    content = path.read_bytes()
    path.unlink()
    with held_for_a_second(copied, cell, lambda: path.write_bytes(content)):
        making.make_cells([cell], copied, jobs=1)
        assert path.exists()


def test_a_cell_that_another_process_gave_up_is_made(copied, study):
    cell = cells.cells_of(study)[2]
    (copied / f"{cell.key}.parquet").unlink()
    with held_for_a_second(copied, cell):
        making.make_cells([cell], copied, jobs=1)
    assert making.is_stored(cell, copied)


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """The models that are trained or made in this process, as they come."""
    names = []
    real = Workspace._make

    def make(self, folder, spec, *rest):
        names.append(spec.model)
        return real(self, folder, spec, *rest)

    monkeypatch.setattr(Workspace, "_make", make)
    return names


def test_anew_and_checks_rest_on_no_run_that_is_there(tmp_path, monkeypatch, trained):
    """LightGCN, which GenSR is built on, is there: it is trained once more for each."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    small = {"model": "gensr", "set": {"reader": "mlp", "max_steps_per_epoch": 1, "probe_steps": None}}
    built = Study.parse({**DECLARED, "set": {}, "arms": {"gensr": small}, "parts": {"pocket": {}}, "worlds": 1})
    whole.make_study(built, jobs=1)
    assert trained == ["gensr", "lightgcn"]
    assert whole.make_study(built, jobs=1, anew=True).changed == [] and trained[2:] == ["gensr", "lightgcn"]
    (found,) = checks.spot_checks([built], jobs=1)
    assert found.verdict == checks.EQUAL and trained[4:] == ["gensr", "lightgcn"]
    left = [path.name for path in (tmp_path / "runs" / "studies").iterdir() if path.is_dir()]
    assert left == [], "a check leaves nothing behind"


def test_making_anew_says_what_changed(copied, study):
    cell = next(c for c in cells.cells_of(study) if c.arm == "counted")
    path = copied / f"{cell.key}.parquet"
    old = stored.load_cell(path)
    metrics = {**old.record["metrics"], "rec": {**old.record["metrics"]["rec"], "N@10": 0.9}}
    stored.save_cell(copied, stored.Stored(cell.key, {**old.record, "metrics": metrics}, old.ranks))
    found = whole.make_study(study.replace(parts={"pocket": {"arms": ["counted"]}}), jobs=1, anew=True)
    assert len(found.changed) == 1 and "counted · pocket · seed 0: test rec N@10 was 0.9000" in found.changed[0]
    assert stored.load_cell(path).record["metrics"] == old.record["metrics"]


def test_making_anew_clears_what_another_time_left_behind(copied, study):
    """A run that was killed then could hold models that were trained under other code."""
    counted = study.replace(parts={"pocket": {"arms": ["counted"]}})
    left = making._anew(cells.cells_of(counted)[0].home) / "lightgcn"
    left.mkdir(parents=True)
    whole.make_study(counted, jobs=1, anew=True)
    assert not left.exists()


def test_an_arm_whose_rows_are_not_kept_has_its_means_alone(copied, study):
    arms = {name: {**arm.model_dump(), "rows": name != "counted"} for name, arm in study.arms.items()}
    bare = study.replace(arms=arms, parts={"pocket": {"arms": ["counted"]}})
    whole.make_study(bare, jobs=1, anew=True)
    for cell in cells.cells_of(bare):
        kept = stored.load_cell(copied / f"{cell.key}.parquet")
        assert kept.ranks.empty and kept.record["metrics"]["rec"]["N@10"] > 0


def test_making_anew_makes_a_damaged_cell_too(copied, study):
    counted = study.replace(parts={"pocket": {"arms": ["counted"]}})
    path = copied / f"{cells.cells_of(counted)[0].key}.parquet"
    path.write_bytes(b"no parquet")
    assert whole.make_study(counted, jobs=1, anew=True).changed == []
    assert stored.load_cell(path).record["model"] == "popularity"


def test_a_folder_that_cannot_be_written_to_is_said(study, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    (tmp_path / "data").write_text("a file in the folder's place")
    with pytest.raises(ConfigError, match=r"studies.*cannot be written"):
        making.make_cells(cells.cells_of(study)[2:3], making.study_folder("small"), jobs=1)


def test_two_processes_end_in_the_same_numbers(home, made, study, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    one = study.replace(parts={"pocket": {"arms": ["whole"]}})
    whole.make_study(one, jobs=2)
    for cell in cells.cells_of(one):
        ours, theirs = (
            stored.load_cell(folder / "data" / "studies" / "small" / f"{cell.key}.parquet")
            for folder in (tmp_path, home)
        )
        assert ours.record["metrics"] == theirs.record["metrics"] and ours.ranks.equals(theirs.ranks)


def test_a_plain_run_that_is_there_is_taken_and_stays(tmp_path, home, monkeypatch):
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    run = Workspace("pocket", "smoke").fit("popularity")
    plain = Study.parse({**DECLARED, "set": {}, "parts": {"pocket": {"arms": ["counted"]}}, "worlds": 1})
    (cell,) = cells.cells_of(plain)
    assert making.is_trained(cell)
    monkeypatch.setattr(Workspace, "_make", lambda *a: pytest.fail("trained"))
    assert making.train_cell(cell).record["metrics"] == run.record["metrics"]
    assert (run.folder / "metrics.json").exists()


# --- files ------------------------------------------------------------------------------------


def test_a_cell_is_the_same_after_it_was_written(tmp_path):
    ranks = pd.DataFrame(
        {"task": ["rec", "src"], "row": [0, 1], "user": [3, 70000], "item": [5, 6_900_000], "rank": [1.5, 100]}
    )
    for table in (ranks, ranks.assign(**{stored.KEPT: [0.1234, 1.0]})):
        cell = stored.Stored("k", {"metrics": {"rec": {"N@10": 0.1}}, "text": "é", "none": None}, table)
        again = stored.load_cell(stored.save_cell(tmp_path, cell))
        assert again.record == cell.record
        pd.testing.assert_frame_equal(again.ranks, table, check_dtype=False)


def test_a_file_at_fault_is_named_with_the_command(tmp_path):
    cell = stored.Stored(
        "k", {"metrics": {}}, pd.DataFrame({n: [1] for n in ("row", "user", "item", "rank")} | {"task": ["rec"]})
    )
    path = stored.save_cell(tmp_path / "mine", cell)
    with pytest.raises(ConfigError, match=r"(?s)no\.parquet: missing or damaged.*gensr study run mine"):
        stored.load_cell(path.with_name("no.parquet"))
    shutil.copy(path, path.with_name("other.parquet"))
    with pytest.raises(ConfigError, match="layout 1 and key k"):
        stored.load_cell(path.with_name("other.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(ConfigError, match=r"(?s)damaged.*gensr study run mine"):
        stored.load_cell(path)
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        old = base64.b64encode(zlib.compress(b'{"format": 0, "key": "k"}')).decode()
        writer.add_key_value_metadata({stored.RECORD: old})
    with pytest.raises(ConfigError, match="layout 0"):
        stored.load_cell(path)


# --- reading ----------------------------------------------------------------------------------


@pytest.fixture
def read(made, home, study) -> evidence.Evidence:
    return evidence.evidence(Workspace("pocket", "smoke"), study)


def test_the_tables_hold_every_cell(read):
    assert read.is_stored and len(read.cells) == 7
    assert read.table.groupby(["part", "variant", "seed"]).ngroups == 7
    assert set(read.table["metric"]) >= {"N@10", "expected N@10"}
    trained = read.trainings.set_index(["part", "variant", "seed"])
    assert trained.loc[("pocket", "whole", 0), "epochs"] == 2 and trained.loc[("pocket", "counted", 0), "epochs"] == 0
    assert len(read.ranks) == sum(len(kept.ranks) for _, kept in read.cells)
    assert set(read.measures["name"]) == {"items", "name"} and set(read.measures["measure"]) == {"asked"}
    assert set(read.part("turned").table["variant"]) == {"whole"}
    assert list(dict.fromkeys(read.arms("counted", "whole").table["variant"])) == ["counted", "whole"]
    for wrong in (lambda: read.part("turnd"), lambda: read.arms("hole")):
        with pytest.raises(ConfigError, match="did you mean"):
            wrong()


def test_the_order_of_parts_does_not_decide_what_is_read(made, home, study):
    turned_first = study.replace(parts=dict(reversed(study.parts.items())))
    assert evidence.evidence(Workspace("pocket", "smoke"), turned_first).is_stored
    alone = study.replace(parts={"turned": study.parts["turned"]})
    assert not evidence._is_declared_for(alone, Workspace("pocket", "smoke"))


def test_cells_can_stand_where_runs_do(read):
    from gensr_lib.experiments import against, result_table, standing

    runs = read.part("pocket").as_runs()
    table = result_table(runs, expected=True)
    own = read.table.query("part == 'pocket' and seed == 0").set_index(["variant", "task", "metric"])["value"]
    for name in runs:
        assert table.loc[name, ("rec", "expected N@10")] == own[name, "rec", "expected N@10"]
        assert table.loc[name, ("rec", "N@10")] == own[name, "rec", "N@10"]
    assert against(runs, "rec", "counted", "expected N@10").index.tolist() == ["whole", "narrow"]
    assert set(standing(runs, "N@10", {})["rec"].index) == set(runs)
    assert runs["whole"].model is None and len(runs["whole"].history) == 2
    assert read.part("pocket").as_runs(1)["whole"].record["seed"] == 1


def test_missing_cells_are_refused_with_the_command(copied, study):
    cell = cells.cells_of(study)[1]
    (copied / f"{cell.key}.parquet").unlink()
    with pytest.raises(ConfigError, match=r"1 of 7 cells.*first: narrow · pocket · seed 0.*gensr study run small"):
        evidence.evidence(Workspace("pocket", "smoke"), study)


def test_evidence_of_other_numbers_or_settings_is_refused(copied, study, monkeypatch):
    # An epoch is nothing to popularity: its two cells are the same.
    with pytest.raises(ConfigError, match=r"5 of 7 cells are not.*settings or numbers may have changed"):
        evidence.evidence(Workspace("pocket", "smoke"), study.replace(set={"epochs": 1}))
    monkeypatch.setattr(cells, "NUMBERS", 99)
    with pytest.raises(ConfigError, match="7 of 7 cells are not"):
        evidence.evidence(Workspace("pocket", "smoke"), study)
    assert making.state(study).others == 7


def test_cells_of_one_world_that_were_made_with_different_data_are_refused(copied, study):
    cell = cells.cells_of(study)[1]
    path = copied / f"{cell.key}.parquet"
    old = stored.load_cell(path)
    stored.save_cell(copied, stored.Stored(cell.key, {**old.record, "data_hash": "other"}, old.ranks))
    with pytest.raises(ConfigError, match=r"made with different data.*--anew"):
        evidence.evidence(Workspace("pocket", "smoke"), study)


def test_a_measure_that_is_not_stored_is_refused(copied, study):
    arms = {**DECLARED["arms"], "counted": {"model": "popularity", "measures": [MEASURE]}}
    with pytest.raises(ConfigError, match=r"counted.*not measured: tests.*gensr study run small"):
        evidence.evidence(Workspace("pocket", "smoke"), study.replace(arms=arms))


def test_other_data_are_trained_on_the_spot_short_and_as_far_as_they_allow(tmp_path, monkeypatch):
    """No searches worth testing: the arm that needs both behaviors is left out; seeds share the data."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    folder = write_folder(tmp_path / "mine", ["rec"], ["title"])
    book = Workspace(str(folder), "smoke")
    arms = {
        "a": {"model": "popularity"},
        "both": {"model": "popularity", "needs": ["rec", "src"]},
        "no": {"model": "category_count"},
    }
    mine = Study.parse({**DECLARED, "profile": "pocket", "arms": arms, "parts": {"p": {}}})
    found = evidence.evidence(book, mine, missing="skip")
    assert found.cells == []
    found = evidence.evidence(book, mine, jobs=1)
    assert not found.is_stored and found.trainings["variant"].tolist() == ["a"] * book.profile.studies.seeds
    assert len({kept.record["data_hash"] for _, kept in found.cells}) == 1
    assert len(evidence.evidence(book, mine, missing="skip").cells) == len(found.cells)
    with pytest.raises(ConfigError, match="did you mean 'skip'"):
        evidence.evidence(book, mine, missing="skp")


@pytest.mark.parametrize(
    ("model", "own", "steps", "cap", "every"),
    [
        ("qem", {"epochs": 4}, 20, 5, 4),  # shared out among the epochs, validated behind the last one
        ("qem", {"epochs": 4, "max_steps_per_epoch": 3}, 20, 3, 4),  # the profile's own cap is lower
        ("qem", {"epochs": 40}, 20, 1, 40),  # an epoch has a step
        ("qem", {"epochs": 4, "eval_every": None}, 20, 5, None),
        ("qem", {"epochs": 0}, 20, 20, 1),
        ("qem", {"epochs": 4}, None, None, 1),
        ("popularity", {}, 20, None, 1),  # nothing to train
    ],
)
def test_trainings_on_the_spot_have_no_more_steps_than_the_profile_gives_them(model, own, steps, cap, every):
    profile = load_profile("smoke")
    for block in [*profile.families.values(), *profile.models.values()]:
        block.training.pop("max_steps_per_epoch", None)
    profile = profile.model_copy(update={"studies": profile.studies.model_copy(update={"steps": steps})})
    book = cells.Home("pocket", profile, 0).open()
    arms = {"arm": {"model": model, "set": own}}
    study = Study.parse({**DECLARED, "set": {}, "arms": arms, "parts": {"p": {}}, "short_elsewhere": False})
    (cell,) = cells.cells_here(study, book, "p")
    assert cell.options.get("max_steps_per_epoch") == cap
    assert book.specify(cell.model, **cell.options).training.eval_every == every


def test_an_arm_that_is_not_for_other_data_is_trained_there_only_when_asked_for(home, study):
    arms = {**DECLARED["arms"], "narrow": {"model": "sasrec", "set": {"width": 16}, "elsewhere": False}}
    declared = Study.parse({**DECLARED, "arms": arms})
    book = Workspace("pocket", "smoke", 7)  # a world that the study does not have
    assert {cell.arm for cell in cells.cells_here(declared, book, "pocket")} == {"whole", "counted"}
    assert {cell.arm for cell in cells.cells_here(declared, book, "pocket", whole=True)} == set(arms)
    keys = [[cell.key for cell in cells.cells_of(of)] for of in (declared, study)]
    assert keys[0] == keys[1], "what is stored is known by the same keys"


def test_what_was_trained_in_full_comes_before_what_was_trained_short(tmp_path, monkeypatch):
    """`skip` shows the runs of `gensr compare`; without one of them, those that a chapter has made."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    folder = write_folder(tmp_path / "mine", ["rec"], ["title"])
    book = Workspace(str(folder), "smoke")
    book.profile = book.profile.replace(studies={"steps": 2})
    arms = {"a": {"model": "gru4rec"}, "b": {"model": "popularity"}}
    mine = Study.parse(
        {**DECLARED, "profile": "pocket", "set": {}, "arms": arms, "short_elsewhere": False, "parts": {"p": {}}}
    )
    made = evidence.evidence(book, mine, jobs=1)
    shown = evidence.evidence(book, mine, missing="skip")
    assert [cell.key for cell, _ in shown.cells] == [cell.key for cell, _ in made.cells]
    book.fit("gru4rec")
    ((cell, full),) = evidence.evidence(book, mine, arms=["a"], missing="skip").cells
    assert cell.key not in {cell.key for cell, _ in made.cells}
    assert full.record["training"]["max_steps_per_epoch"] == 40, "as the profile has it"


def test_a_world_that_the_study_does_not_have_is_trained_on_the_spot(home, made, study):
    """Its cells must not stand beside what a chapter makes of another world."""
    counted = study.replace(parts={"pocket": {"arms": ["counted"]}}, short_elsewhere=False)
    assert evidence.evidence(Workspace("pocket", "smoke", 1), counted).is_stored
    found = evidence.evidence(Workspace("pocket", "smoke", 7), counted, jobs=1)
    assert not found.is_stored and found.trainings["seed"].tolist() == [7]
    (run,) = found.as_runs().values()
    assert run.record["data"] == Workspace("pocket", "smoke", 7).dataset.hash


def test_the_gain_of_the_last_fifth_is_the_rise_after_the_best_before_it():
    valid = pd.DataFrame({"valid rec N@5": [0.1, 0.3, 0.2, 0.2, 0.25], "valid src N@5": [0.1, 0.3, 0.2, 0.2, 0.25]})
    assert evidence.gain(valid) == pytest.approx(-0.05)
    assert evidence.gain(valid.iloc[:2]) == pytest.approx(0.2)
    long = pd.DataFrame({"valid rec N@5": [0.1] * 16 + [0.3, 0.2, 0.2, 0.2]})
    assert evidence.gain(long) == pytest.approx(0.2), "of twenty epochs, the last four"
    assert np.isnan(evidence.gain(valid.iloc[:1])) and np.isnan(evidence.gain(pd.DataFrame({"epoch": [1, 2]})))


# --- spot checks ------------------------------------------------------------------------------


def test_a_check_begins_a_cell_anew_and_finds_it_equal(copied, study):
    for cell in cells.cells_of(study)[:3]:
        alike = {cell.key: stored.load_cell(copied / f"{cell.key}.parquet")}
        found = checks.check_cell("small", cell, alike)
        assert found.verdict == checks.EQUAL and found.same_machine and found.is_good, found
        assert cell.arm in str(found) and "equal" in str(found)
    assert checks.check_cell(
        "small", cells.cells_of(study)[0], {cells.cells_of(study)[0].key: alike_of(copied, study, 0)}, True
    ).is_good


def alike_of(folder: Path, study: Study, number: int) -> stored.Stored:
    return stored.load_cell(folder / f"{cells.cells_of(study)[number].key}.parquet")


@pytest.mark.parametrize(
    ("off", "elsewhere", "verdict"),
    [(1e-9, False, checks.MISS), (1e-9, True, checks.WITHIN), (0.5, True, checks.MISS)],
)
def test_a_value_that_is_off_is_a_miss_here_and_elsewhere_beyond_the_spread(copied, study, off, elsewhere, verdict):
    cell, old = cells.cells_of(study)[1], alike_of(copied, study, 1)
    first, *rest = old.record["history"]
    loss = next(name for name in first if name.startswith("rec "))
    record = {**old.record, "history": [{**first, loss: first[loss] + off}, *rest]}
    if elsewhere:
        record["provenance"] = {**record["provenance"], "digits": "others"}
    found = checks.check_cell("small", cell, {cell.key: stored.Stored(cell.key, record, old.ranks)})
    assert found.verdict == verdict and loss in found.value and found.largest == pytest.approx(off)


def test_a_value_that_is_not_there_any_more_is_a_miss(copied, study):
    cell, old = cells.cells_of(study)[1], alike_of(copied, study, 1)
    first, *rest = old.record["history"]
    record = {**old.record, "history": [{**first, "rec gone": 0.5}, *rest]}
    found = checks.check_cell("small", cell, {cell.key: stored.Stored(cell.key, record, old.ranks)})
    assert found.verdict == checks.MISS and found.value == "epoch 1, rec gone"


def test_another_world_is_a_miss(copied, study):
    cell, old = cells.cells_of(study)[2], alike_of(copied, study, 2)
    kept = stored.Stored(cell.key, {**old.record, "data_hash": "other"}, old.ranks)
    assert checks.check_cell("small", cell, {cell.key: kept}).verdict == checks.MISS


def test_the_day_draws_the_cell(copied, study, monkeypatch):
    drawn = []
    monkeypatch.setattr(checks, "check_cell", lambda name, cell, alike, whole: drawn.append((cell.name, len(alike))))
    for day in range(1, 29):
        checks.spot_check(study, date(2026, 2, day))
        checks.spot_check(study, date(2026, 2, day))
    assert drawn[::2] == drawn[1::2] and len({name for name, _ in drawn}) > 4
    assert {seeds for name, seeds in drawn if "turned" not in name} == {2}
    for path in copied.glob("*.parquet"):
        path.unlink()
    with pytest.raises(ConfigError, match="nothing is stored; `gensr study run small`"):
        checks.spot_check(study)


# --- the page ---------------------------------------------------------------------------------


def test_the_page_says_what_is_there_and_how_it_was_made(copied, study):
    text = (copied / "README.md").read_text()
    for part in (
        "# Which of two is wider?",
        "7 of 7 cells",
        "gensr study run small",
        "| turned | whole | 0 |",
        "torch",
        "digits" and "rounds",
    ):
        assert part in text
    assert "None ended below" in text


def test_the_page_names_a_training_that_collapsed(copied, study):
    three = study.replace(worlds=3, parts={"pocket": {"arms": ["counted"]}})
    whole.make_study(three, jobs=1)
    cell = cells.cells_of(three)[0]
    old = stored.load_cell(copied / f"{cell.key}.parquet")
    low = {task: dict.fromkeys(of, 0.0001) for task, of in old.record["metrics"].items()}
    stored.save_cell(copied, stored.Stored(cell.key, {**old.record, "metrics": low}, old.ranks))
    assert "Collapsed: counted, pocket, seed 0, task rec" in page.page(three, copied)
