"""The runner of the book, on tiny chapters written here. A kernel costs about a second: few tests start one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from gensr_lib.book.cli import main, resolve_dataset
from gensr_lib.book.run import BookError, chapters, copy_outputs, fingerprints, run_book
from gensr_lib.book.run import _installed as installed
from gensr_lib.book.run import _library as library
from gensr_lib.book.status import read_status
from gensr_lib.errors import ConfigError, DataError

DEFAULTS = {"DATASET": "pocket", "PROFILE": "pocket", "SEED": 0}
LOG = "import os, pathlib\nwith open('log.txt', 'a') as file:\n    file.write('{} ')"


@pytest.fixture
def folder(tmp_path, write_chapter) -> Path:
    """Two chapters that note in ``log.txt``, in their working directory, that they were run."""
    folder = tmp_path / "notebooks"
    write_chapter(folder / "01_first.ipynb", LOG.format("first"), "PROFILE, SEED, os.environ.get('GENSR_PROFILE')")
    write_chapter(folder / "02_second.ipynb", LOG.format("second"))
    return folder


@pytest.fixture(autouse=True)
def still_library(monkeypatch):
    """The library as if nobody edited it during these tests; what follows it has a test of its own."""
    monkeypatch.setattr("gensr_lib.book.run._library", list)


def log(folder: Path) -> list[str]:
    return (folder / "log.txt").read_text().split()


def edit(path: Path, change) -> None:
    """Apply a function to a notebook file."""
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


# ---- which chapters ----------------------------------------------------------------------------


def test_chapters_are_the_numbered_notebooks_in_order(folder, write_chapter):
    for name in ("10_tenth", "scratch", "3_wrong", "01_first.partial"):
        write_chapter(folder / f"{name}.ipynb")
    assert [p.stem for p in chapters(folder)] == ["01_first", "02_second", "10_tenth"]


def test_a_folder_without_chapters_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no chapters"):
        chapters(tmp_path)


def test_an_unknown_chapter_is_an_error_with_a_suggestion(folder, tmp_path):
    with pytest.raises(ConfigError, match="unknown chapter '02_secund'; did you mean '02_second'"):
        run_book(folder, DEFAULTS, tmp_path / "out", only=["02_secund"])


def test_an_unknown_parameter_is_an_error_before_anything_runs(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"01_first.ipynb: unknown parameter 'PROFIL'; did you mean 'PROFILE'"):
        run_book(folder, {"PROFIL": "smoke"}, tmp_path / "out")
    assert not (folder / "log.txt").exists()


# ---- running and skipping ----------------------------------------------------------------------


def test_runs_in_order_then_skips_then_runs_what_changed(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENSR_PROFILE", "paper")  # would override the parameter in a real chapter
    out, parameters = tmp_path / "out", {**DEFAULTS, "PROFILE": "smoke", "SEED": 3}
    records = run_book(folder, parameters, out)
    assert [(r.chapter, r.outcome) for r in records] == [("01_first", "ran"), ("02_second", "ran")]
    assert log(folder) == ["first", "second"]
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["01_first", "ran"],
        ["02_second", "ran"],
    ]
    last = nbformat.read(out / "01_first.ipynb", as_version=4).cells[-1]
    assert last.outputs[0].data["text/plain"] == "('smoke', 3, None)"
    assert os.environ["GENSR_PROFILE"] == "paper"  # hidden from the chapters only
    assert sorted(p.name for p in out.glob("*.ipynb")) == ["01_first.ipynb", "02_second.ipynb"]

    again = run_book(folder, parameters, out)
    assert [r.outcome for r in again] == ["skipped", "skipped"]
    assert again[0].seconds == records[0].seconds  # still those of the run that made the notebook

    edit(folder / "02_second.ipynb", lambda notebook: notebook.cells[0].update(source="# New title"))
    assert [r.outcome for r in run_book(folder, parameters, out)] == ["skipped", "ran"]
    (out / "01_first.ipynb").unlink()
    assert [r.outcome for r in run_book(folder, parameters, out, only=["01"])] == ["ran"]
    assert [r.outcome for r in run_book(folder, parameters, out, only=["02_second"], force=True)] == ["ran"]
    assert log(folder) == ["first", "second", "second", "first", "second"]


def test_the_status_page_tells_what_ran_with_what(folder, tmp_path):
    import torch

    out = tmp_path / "out"
    run_book(folder, DEFAULTS, out, only=["02"])
    (record,) = json.loads((out / "status.json").read_text())["chapters"]
    assert record["parameters"] == DEFAULTS
    assert record["seconds"] > 0
    assert set(record["machine"]) == {"device", "python", "torch", "transformers", "gensr-lib", "commit"}
    page = (out / "status.md").read_text().splitlines()
    head, row = page[2].strip("| ").split(" | "), page[4].strip("| ").split(" | ")
    cells = dict(zip(head, row, strict=True))
    assert cells["chapter"] == "02_second"
    assert cells["outcome"] == "ran"
    assert (cells["profile"], cells["data set"], cells["seed"]) == ("pocket", "pocket", "0")
    assert cells["torch"] == torch.__version__
    assert cells["commit"] == "unknown", "the folder is in no checkout"


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "items.csv").write_text("item_id,title\n1,a\n")
    return folder


def changed(folder: Path, before: dict, parameters: dict) -> list[str]:
    after = fingerprints(chapters(folder), parameters)
    return [name for name in after if after[name] != before[name]]


def test_a_fingerprint_follows_cells_parameters_and_data_not_outputs(folder, data):
    first, parameters = folder / "01_first.ipynb", {**DEFAULTS, "DATASET": str(data)}
    both, before = ["01_first", "02_second"], fingerprints(chapters(folder), parameters)
    assert changed(folder, before, parameters) == []
    assert changed(folder, before, {**parameters, "SEED": 1}) == both

    output = nbformat.v4.new_output("stream", text="hello")
    edit(first, lambda notebook: notebook.cells[2].update(outputs=[output], execution_count=7))
    assert changed(folder, before, parameters) == []

    os.utime(data / "items.csv", (0, 0))  # a copy of a small file has another time, and is the same file
    assert changed(folder, before, parameters) == []
    (data / "items.csv").write_text("item_id,title\n1,b\n")
    assert changed(folder, before, parameters) == both
    (data / "items.csv").write_text("item_id,title\n1,a\n")

    edit(folder / "02_second.ipynb", lambda notebook: notebook.cells[2].update(source="1 + 1"))
    assert changed(folder, before, parameters) == ["02_second"]
    before = fingerprints(chapters(folder), parameters)
    edit(first, lambda notebook: notebook.cells[2].update(source="1 + 1"))
    assert changed(folder, before, parameters) == both  # the second chapter may use what the first one made


def test_a_fingerprint_follows_the_library_and_the_versions(folder, monkeypatch):
    before = fingerprints(chapters(folder), DEFAULTS)
    with monkeypatch.context() as patch:
        patch.setattr("gensr_lib.book.run._installed", lambda: ["torch==0.0"])
        assert changed(folder, before, DEFAULTS) == ["01_first", "02_second"]
    with monkeypatch.context() as patch:
        patch.setattr("gensr_lib.book.run._library", lambda: [["losses.py", "another hash"]])
        assert changed(folder, before, DEFAULTS) == ["01_first", "02_second"]
    assert changed(folder, before, DEFAULTS) == []


def test_the_library_is_its_code_and_its_profiles():
    assert {"book/run.py", "data/schema.py", "config/smoke.yaml"} <= {name for name, _ in library()}
    assert f"pytest=={pytest.__version__}" in installed()


def test_a_large_data_file_is_known_by_size_and_time(folder, data, monkeypatch):
    monkeypatch.setattr("gensr_lib.book.run.SMALL_FILE", 3)
    parameters = {**DEFAULTS, "DATASET": str(data)}
    before = fingerprints(chapters(folder), parameters)
    os.utime(data / "items.csv", (0, 0))
    assert changed(folder, before, parameters) == ["01_first", "02_second"]


def test_a_fingerprint_follows_the_raw_files_behind_a_name(folder, home):
    raw, parameters = home / "data" / "raw" / "amazon-kindle", {**DEFAULTS, "DATASET": "amazon-kindle"}
    before = fingerprints(chapters(folder), parameters)
    raw.mkdir(parents=True)
    (raw / "reviews.json.gz").write_bytes(b"1")
    assert changed(folder, before, parameters) == ["01_first", "02_second"]


def test_an_unreadable_status_file_only_means_running_again(tmp_path):
    (tmp_path / "status.json").write_text('{"chapters": [{"chapter": "01_first"}]}')
    assert read_status(tmp_path) == {}
    (tmp_path / "status.json").write_text("{")
    assert read_status(tmp_path) == {}


# ---- failing -----------------------------------------------------------------------------------


def test_a_failure_names_the_place_and_the_next_run_goes_on_there(folder, tmp_path, write_chapter):
    out, second = tmp_path / "out", folder / "02_second.ipynb"
    write_chapter(second, "x = 1", "width = 3\nraise ValueError('width 3 is odd\\nsecond line')", "x + 1")
    write_chapter(folder / "03_third.ipynb", LOG.format("third"))
    with pytest.raises(BookError) as caught:
        run_book(folder, {**DEFAULTS, "SEED": 1}, out)
    failed = out / "02_second.failed.ipynb"
    assert str(caught.value).splitlines() == [
        "chapter 02_second failed at cell 4:",
        "    width = 3",
        "    raise ValueError('width 3 is odd\\nsecond line')",
        "ValueError: width 3 is odd",
        f"The notebook up to there: {failed}",
    ]
    assert failed.exists()
    assert not (out / "02_second.ipynb").exists()
    assert {r.chapter: r.outcome for r in read_status(out).values()} == {"01_first": "ran", "02_second": "failed"}
    assert "ValueError: width 3 is odd" in (out / "status.md").read_text()
    assert log(folder) == ["first"]

    write_chapter(second, "x = 1")
    outcomes = [r.outcome for r in run_book(folder, {**DEFAULTS, "SEED": 1}, out)]
    assert outcomes == ["skipped", "ran", "ran"]
    assert not failed.exists()


@pytest.mark.parametrize(
    ("code", "error"),
    [("import time; time.sleep(60)", "CellTimeoutError"), ("import os; os._exit(1)", "DeadKernelError")],
)
def test_a_cell_that_hangs_or_kills_its_kernel_is_named(folder, tmp_path, write_chapter, code, error):
    write_chapter(folder / "01_first.ipynb", "x = 1", code, "x")
    with pytest.raises(BookError, match=rf"(?s)chapter 01_first failed at cell 4:.*import .*{error}"):
        run_book(folder, {}, tmp_path / "out", timeout=2, only=["01"])


def test_a_killed_run_goes_on_and_two_at_once_are_refused(folder, tmp_path, write_chapter):
    out = tmp_path / "out"
    write_chapter(folder / "02_second.ipynb", "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.1)")
    code = "import sys; from gensr_lib.book import run as book; book._library = list; "
    code += "book.run_book(sys.argv[1], {'SEED': 0}, sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), str(out)], start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while "01_first" not in read_status(out):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with pytest.raises(ConfigError, match="another run of the book is writing to"):
            run_book(folder, {"SEED": 0}, out)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (folder / "go").touch()  # also ends the orphaned kernel, if it was started
    assert [r.outcome for r in run_book(folder, {"SEED": 0}, out)] == ["skipped", "ran"]


# ---- the committed notebooks -------------------------------------------------------------------


def test_in_place_brings_back_outputs_and_nothing_else(folder, tmp_path):
    first = folder / "01_first.ipynb"
    before = nbformat.read(first, as_version=4)
    run_book(folder, DEFAULTS, tmp_path / "out", only=["01"], in_place=True)
    after = nbformat.read(first, as_version=4)
    assert after.metadata == before.metadata
    assert [(c.id, c.source, c.metadata) for c in after.cells] == [(c.id, c.source, c.metadata) for c in before.cells]
    assert [c.execution_count for c in after.cells[1:]] == [1, 2, 3]
    assert after.cells[-1].outputs[0].data["text/plain"] == "('pocket', 0, None)"
    assert after.cells[-1].outputs[0].execution_count == 3
    assert "papermill" not in first.read_text()
    assert str(tmp_path) not in first.read_text()


def test_in_place_is_refused_for_other_than_the_default_parameters(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"PROFILE is 'smoke', and 01_first.ipynb has 'pocket'"):
        run_book(folder, {**DEFAULTS, "PROFILE": "smoke"}, tmp_path / "out", in_place=True)
    assert not (folder / "log.txt").exists()


def test_progress_bars_do_not_come_back(folder, tmp_path, write_chapter):
    executed, target = tmp_path / "done.ipynb", write_chapter(folder / "05_bars.ipynb", "1")
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "100%"}
    outputs = [nbformat.v4.new_output("display_data", data=data) for data in (widget, {"text/plain": "kept"})]
    notebook = nbformat.read(target, as_version=4)
    notebook.cells[2].update(outputs=outputs, execution_count=9)
    nbformat.write(notebook, executed)
    copy_outputs(executed, target)
    (left,) = nbformat.read(target, as_version=4).cells[2].outputs
    assert left.data["text/plain"] == "kept"


# ---- the command line --------------------------------------------------------------------------


@pytest.fixture
def home(folder, monkeypatch) -> Path:
    """The fake book as the project that the command line works on."""
    monkeypatch.setenv("GENSR_HOME", str(folder.parent))
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("gensr_lib.config.available_profiles", lambda: ["paper", "pocket", "smoke"])
    return folder.parent


def test_book_run_and_status(home, data, capsys):
    assert main(["book", "status"]) == 0
    assert "has not been run here yet" in capsys.readouterr().out
    assert main(["book", "run", "--profile", "smoke", "--dataset", "tables", "--seed", "2", "--only", "01_first"]) == 0
    out = home / "runs" / "book" / "tables" / "smoke"
    assert read_status(out)["01_first"].parameters == {"DATASET": str(data), "PROFILE": "smoke", "SEED": 2}
    capsys.readouterr()
    assert main(["book", "status"]) == 0
    assert "| 01_first | ran |" in capsys.readouterr().out


def test_a_failed_chapter_is_exit_code_1(home, write_chapter, capsys):
    write_chapter(home / "notebooks" / "01_first.ipynb", "1 / 0")
    assert main(["book", "run", "--profile", "smoke"]) == 1
    error = capsys.readouterr().err
    assert "chapter 01_first failed at cell 3:\n    1 / 0\nZeroDivisionError: division by zero" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "smok"], "unknown profile 'smok'; did you mean 'smoke'? Known: paper, pocket, smoke"),
        (["--dataset", "./tabels"], "no folder './tabels'"),
        (["--only", "99_none"], "unknown chapter '99_none'"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_and_exit_code_2(home, capsys, arguments, message):
    assert main(["book", "run", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_folder_becomes_absolute(home, data):
    assert resolve_dataset("tables") == str(data)
    assert resolve_dataset("./tables/") == str(data)
    with pytest.raises(DataError, match="no folder"):
        resolve_dataset("tables/none")
