"""The runner of the book, on tiny chapters written here; a kernel costs about a second."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import gettempdir

import nbformat
import pytest

from gensr_lib.book.run import SOCKETS, BookError, chapters, copy_outputs, fingerprints, run_book
from gensr_lib.book.status import DEFAULT_RUN, read_status
from gensr_lib.errors import ConfigError

LOG = "import os\nwith open('log.txt', 'a') as file:\n    file.write('{} ')"
BOTH = ["01_first", "02_second"]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def folder(home, write_chapter) -> Path:
    """Two chapters that note in ``log.txt``, in their working directory, that they were run."""
    folder = home / "notebooks"
    seen = "PROFILE, SEED, os.environ.get('GENSR_PROFILE')"
    write_chapter(folder / "01_first.ipynb", LOG.format("first"), seen)
    write_chapter(folder / "02_second.ipynb", LOG.format("second"))
    return folder


def log(folder: Path) -> list[str]:
    return (folder / "log.txt").read_text().split()


def edit(path: Path, **changes) -> None:
    """Change the last cell of a notebook file."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].update(**changes)
    nbformat.write(notebook, path)


def test_chapters_are_the_numbered_notebooks_in_order(folder, write_chapter):
    for name in ("10_tenth", "scratch", "3_wrong", "01_first.partial"):
        write_chapter(folder / f"{name}.ipynb")
    assert [p.stem for p in chapters(folder)] == [*BOTH, "10_tenth"]
    with pytest.raises(ConfigError, match="no chapters"):
        chapters(folder.parent)


# ---- running and skipping ------------------------------------------------------------------------


def test_runs_in_order_then_skips_then_runs_what_changed(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSR_PROFILE", "paper")  # would override the parameter in a real chapter
    out = tmp_path / "out"
    parameters = {**DEFAULT_RUN, "PROFILE": "smoke", "SEED": 3}

    def outcomes(**options) -> list[str]:
        return [record.outcome for record in run_book(folder, parameters, out, **options)]

    assert outcomes() == ["ran", "ran"] and log(folder) == ["first", "second"]
    last = nbformat.read(out / "01_first.ipynb", as_version=4).cells[-1]
    assert last.outputs[0].data["text/plain"] == "('smoke', 3, None)"
    assert os.environ["GENSR_PROFILE"] == "paper"  # hidden from the chapters only
    seconds = read_status(out)["01_first"].seconds
    page = (out / "status.md").read_text()
    assert re.search(r"\| 02_second \| ran \| \d\.\d \| pocket \| smoke \| 3 \|", page)

    assert outcomes() == ["skipped", "skipped"]
    assert read_status(out)["01_first"].seconds == seconds  # of the run that made the notebook
    edit(folder / "02_second.ipynb", source="1 + 1")
    assert outcomes() == ["skipped", "ran"]
    (out / "01_first.ipynb").unlink()
    assert outcomes(only=["01"]) == ["ran"]
    assert outcomes(only=["02_second"], force=True) == ["ran"]
    assert log(folder) == ["first", "second", "first"]


@pytest.fixture
def data(home) -> Path:
    folder = home / "tables"
    folder.mkdir()
    (folder / "items.csv").write_text("item_id,title\n1,a\n")
    return folder


def changed(folder: Path, before: dict, parameters: dict = DEFAULT_RUN) -> list[str]:
    """Chapters that must run again."""
    after = fingerprints(chapters(folder), parameters)
    return [name for name in after if after[name] != before.get(name)]


def test_a_fingerprint_follows_cells_parameters_and_data_not_outputs(folder, data):
    parameters = {**DEFAULT_RUN, "DATASET": str(data)}
    before = fingerprints(chapters(folder), parameters)
    assert changed(folder, before, parameters) == []
    assert changed(folder, before, {**parameters, "SEED": 1}) == BOTH

    output = nbformat.v4.new_output("stream", text="hello")
    edit(folder / "01_first.ipynb", outputs=[output], execution_count=7)
    os.utime(data / "items.csv", (0, 0))
    assert changed(folder, before, parameters) == []
    (data / "items.csv").write_text("item_id,title\n1,b\n")
    assert changed(folder, before, parameters) == BOTH

    before = fingerprints(chapters(folder), parameters)
    edit(folder / "02_second.ipynb", source="1 + 1")
    assert changed(folder, before, parameters) == ["02_second"]
    edit(folder / "01_first.ipynb", source="1 + 1")
    assert changed(folder, before, parameters) == BOTH  # the second may use what the first made


def test_a_fingerprint_follows_the_raw_files_behind_a_name(folder, home):
    parameters = {**DEFAULT_RUN, "DATASET": "amazon-kindle"}
    before = fingerprints(chapters(folder), parameters)
    (home / "data/raw/amazon-kindle").mkdir(parents=True)
    (home / "data/raw/amazon-kindle/reviews.json.gz").write_bytes(b"1")
    assert changed(folder, before, parameters) == BOTH


def test_a_fingerprint_follows_numbers_and_the_lock(folder, home, monkeypatch):
    before = fingerprints(chapters(folder), DEFAULT_RUN)
    (home / "constraints.txt").write_text("torch==2.13.0\n")
    assert changed(folder, before) == BOTH
    before = fingerprints(chapters(folder), DEFAULT_RUN)
    monkeypatch.setattr("gensr_lib.book.run.NUMBERS", -1)
    assert changed(folder, before) == BOTH


def test_a_new_chapter_reruns_those_behind_it_only(folder, write_chapter):
    before = fingerprints(chapters(folder), DEFAULT_RUN)
    write_chapter(folder / "03_third.ipynb")
    assert changed(folder, before) == ["03_third"]
    write_chapter(folder / "01_further.ipynb")
    assert changed(folder, before) == ["01_further", "02_second", "03_third"]


PRINTS = """
from pathlib import Path
from gensr_lib.book.run import chapters, fingerprints
print(fingerprints(chapters(Path("notebooks")), {"DATASET": "pocket"}))
"""


def test_neither_the_library_s_source_nor_a_new_package_reruns_anything(root, folder, home):
    """A comment, a docstring, a new loader, a package installed for the site: in a copy."""
    copy = home / "lib"
    shutil.copytree(root / "gensr_lib", copy / "gensr_lib")
    env = {**os.environ, "PYTHONPATH": str(copy), "GENSR_HOME": str(home)}

    def prints() -> str:
        command = [sys.executable, "-c", PRINTS]
        done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    before = prints()
    for name in ("errors.py", "book/run.py", "data/schema.py"):
        with (copy / "gensr_lib" / name).open("a") as file:
            file.write('# A comment.\ndef added():\n    """A docstring."""\n')
    (copy / "gensr_lib/data/sources/mine.py").write_text("def read(): ...\n")
    (copy / "site_tool-1.0.dist-info").mkdir()
    (copy / "site_tool-1.0.dist-info/METADATA").write_text("Name: site-tool\nVersion: 1.0\n")
    assert prints() == before


def test_an_unreadable_status_file_only_means_running_again(tmp_path):
    for text in ('{"chapters": [{"chapter": "01_first"}]}', "{"):
        (tmp_path / "status.json").write_text(text)
        assert read_status(tmp_path) == {}


# ---- failing -------------------------------------------------------------------------------------


def test_a_failure_names_the_place_and_the_next_run_goes_on_there(folder, tmp_path, write_chapter):
    out = tmp_path / "out"
    second = folder / "02_second.ipynb"
    write_chapter(second, "x = 1", "width = 3\nraise ValueError('3 is odd\\nmore')", "x + 1")
    write_chapter(folder / "03_third.ipynb", LOG.format("third"))
    with pytest.raises(BookError) as caught:
        run_book(folder, {**DEFAULT_RUN, "SEED": 1}, out)
    failed = out / "02_second.failed.ipynb"
    first, *code, error, last = str(caught.value).splitlines()
    assert "02_second" in first and "cell 4" in first  # the injected cell does not count
    assert code == ["    width = 3", "    raise ValueError('3 is odd\\nmore')"]
    assert error == "ValueError: 3 is odd" and str(failed) in last
    assert failed.exists() and not (out / "02_second.ipynb").exists()
    assert [record.outcome for record in read_status(out).values()] == ["ran", "failed"]
    assert "ValueError: 3 is odd" in (out / "status.md").read_text()
    assert log(folder) == ["first"]

    write_chapter(second, "x = 1")
    outcomes = [r.outcome for r in run_book(folder, {**DEFAULT_RUN, "SEED": 1}, out)]
    assert outcomes == ["skipped", "ran", "ran"]
    assert not failed.exists()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import time; time.sleep(60)", "CellTimeoutError.* goes on from there.* --timeout"),
        ("import os; os._exit(1)", "DeadKernelError"),
    ],
)
def test_a_cell_that_hangs_or_kills_its_kernel_is_told(folder, tmp_path, write_chapter, code, error):
    write_chapter(folder / "01_first.ipynb", "x = 1", code, "x")
    with pytest.raises(BookError, match=rf"(?s)01_first .*cell 4:.*import .*{error}"):
        run_book(folder, {}, tmp_path / "out", timeout=2, only=["01"])


def test_a_killed_run_goes_on_and_two_at_once_are_refused(folder, tmp_path, write_chapter):
    out = tmp_path / "out"
    wait = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.1)"
    write_chapter(folder / "02_second.ipynb", wait)
    code = "import sys; from gensr_lib.book.run import run_book; "
    code += "run_book(sys.argv[1], {'SEED': 0}, sys.argv[2])"
    command = [sys.executable, "-c", code, str(folder), str(out)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        kernels = f"{SOCKETS}{process.pid}-*"
        while "01_first" not in read_status(out) or not list(Path(gettempdir()).glob(kernels)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        with pytest.raises(ConfigError, match="another run"):
            run_book(folder, {"SEED": 0}, out)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (folder / "go").touch()  # also ends the orphaned kernel, if it was started
    (out / "09_gone.partial.ipynb").touch()  # as of a chapter that was renamed since
    sockets = list(Path(gettempdir()).glob(kernels))
    assert [r.outcome for r in run_book(folder, {"SEED": 0}, out)] == ["skipped", "ran"]
    assert list(out.glob("*.partial.ipynb")) == []
    assert sockets and not any(path.exists() for path in sockets), "swept, as its process is dead"


# ---- executed notebooks --------------------------------------------------------------------------


def test_in_place_brings_back_outputs_and_nothing_else(folder, tmp_path):
    first = folder / "01_first.ipynb"
    before = nbformat.read(first, as_version=4)
    run_book(folder, DEFAULT_RUN, tmp_path / "out", only=["01"], in_place=True)
    after = nbformat.read(first, as_version=4)
    assert after.metadata == before.metadata
    for new, old in zip(after.cells, before.cells, strict=True):
        assert (new.id, new.source, new.metadata) == (old.id, old.source, old.metadata)
    assert [cell.execution_count for cell in after.cells[1:]] == [1, 2, 3]
    (output,) = after.cells[-1].outputs
    assert output.data["text/plain"] == "('pocket', 0, None)" and output.execution_count == 3
    assert str(tmp_path) not in first.read_text()
    with pytest.raises(ConfigError, match="in-place"):
        run_book(folder, {**DEFAULT_RUN, "PROFILE": "smoke"}, tmp_path / "out", in_place=True)


BAR = """
from tqdm.auto import tqdm
for _ in tqdm(range(2), disable=None):
    pass
print("kept")
"""


def test_progress_bars_stay_in_no_notebook(folder, tmp_path, write_chapter):
    path = write_chapter(folder / "05_bars.ipynb", BAR)
    run_book(folder, {"SEED": 0}, tmp_path / "out", only=["05"])
    executed = tmp_path / "out/05_bars.ipynb"
    notebook = nbformat.read(executed, as_version=4)
    (output,) = notebook.cells[-1].outputs
    assert output.text == "kept\n" and "widgets" not in notebook.metadata
    copy_outputs(executed, path)
    assert nbformat.read(path, as_version=4).cells[-1].outputs[0].text == "kept\n"
