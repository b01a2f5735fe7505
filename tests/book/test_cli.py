"""The command line: what it refuses, in one line and with exit code 2, and the new trainings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gensr_lib.book.cli import main, parse_options, resolve_dataset
from gensr_lib.book.doctor import NOTE, check_data
from gensr_lib.book.status import read_status
from gensr_lib.errors import ConfigError, DataError
from gensr_lib.experiments.workspace import Workspace
from tests.notebooks.folders import FOLDERS, write_folder


@pytest.fixture
def home(tmp_path, monkeypatch, write_chapter) -> Path:
    """A book of one chapter, as the project that the command line works on."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_chapter(tmp_path / "notebooks" / "01_first.ipynb", "1 / SEED")
    return tmp_path


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--seed", "-1"], ["--seed", "1.5"], ["--timeout", "0"]])
def test_numbers_out_of_range_are_refused(home, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(["book", "run", *arguments])
    assert caught.value.code == 2 and f"'{arguments[1]}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["book", "run"], ["fit", "popularity"]])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--profile", "smok"], "did you mean 'smoke'?"),
        (["--dataset", "poket"], "did you mean 'pocket'?"),
        (["--dataset", "./tabels"], "no folder './tabels'"),
        (["--dataset", "amazon-books"], "amazon-books: no such folder"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_runs(home, capsys, command, arguments, words):
    assert main([*command, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
    assert not (home / "runs").exists()


def test_a_data_set_is_a_name_or_a_folder(home):
    for name in ("pocket", "shop", "amazon-kindle"):
        (home / name).mkdir()
    assert resolve_dataset("shop") == str(home / "shop")
    assert resolve_dataset("pocket") == "pocket"  # built-in names are always names
    assert resolve_dataset("./pocket/") == str(home / "pocket")
    with pytest.raises(DataError, match="amazon-kindle"):
        resolve_dataset("amazon-kindle")
    raw = home / "data" / "raw" / "amazon-kindle"
    raw.mkdir(parents=True)
    for name in ("reviews_Kindle.json.gz", "meta_Kindle.json.gz"):
        (raw / name).touch()
    assert resolve_dataset("amazon-kindle") == "amazon-kindle"
    with pytest.raises(ConfigError, match="amazon-kindle, pocket"):
        resolve_dataset("amazonas")


def test_a_missing_package_is_named_with_what_to_do(home, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "papermill", None)  # import raises
    assert main(["book", "run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "papermill" in line and "make venv" in line


def test_a_fault_of_the_library_is_no_missing_package(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensr_lib.book.run", None)
    with pytest.raises(ImportError):
        main(["book", "run"])


def test_an_interrupt_says_that_the_run_can_go_on(home, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("gensr_lib.book.run.run_book", interrupted)
    assert main(["book", "run"]) == 130 and "goes on" in capsys.readouterr().err


# ---- the book ------------------------------------------------------------------------------------


def test_full_makes_the_studies_anew_first_and_is_for_the_default_book(home, monkeypatch, capsys):
    done = []
    monkeypatch.setattr("gensr_lib.book.cli.remake_studies", lambda: done.append("studies"))
    monkeypatch.setattr("gensr_lib.book.run.run_book", lambda *a, force, **k: done.append(force) or [])
    assert main(["book", "run", "--full"]) == 0 and done == ["studies", True]
    assert main(["book", "run"]) == 0 and done[2:] == [False]
    for other in (["--profile", "smoke"], ["--dataset", "pocket-plain"]):
        assert main(["book", "run", "--full", *other]) == 2
        assert "--full: the studies are of" in capsys.readouterr().err
    assert done[3:] == []


def test_book_run_and_status(home, capsys):
    (home / "tables").mkdir()
    command = ["book", "run", "--profile", "smoke", "--dataset", "tables", "--only", "01"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error and "Traceback" not in error
    assert main([*command, "--seed", "2"]) == 0
    parameters = {"DATASET": str(home / "tables"), "PROFILE": "smoke", "SEED": 2}
    assert read_status(home / "runs/book/tables/smoke/seed-2")["01_first"].parameters == parameters
    capsys.readouterr()
    assert main(["book", "status"]) == 0
    assert "| 01_first | ran |" in capsys.readouterr().out


# ---- trainings -----------------------------------------------------------------------------------


def test_options_are_yaml_scalars():
    found = parse_options(["lr=1e-3", "tau=0.1", "name=a=b", "on=false", "every=null"])
    # YAML's floats need a dot: 1e-3 is a text, which pydantic reads as a number.
    assert found == {"lr": "1e-3", "tau": 0.1, "name": "a=b", "on": False, "every": None}
    for pair in ("tau", "=1", "tau=[", "a b=1"):
        with pytest.raises(ConfigError, match="option=value"):
            parse_options([pair])


def test_fit_trains_a_system_and_runs_lists_it(home, capsys):
    command = ["fit", "lightgcn", "--profile", "smoke", "--seed", "1"]
    options = ["--set", "epochs=1", "width=4", "--set", "learning_rate=1e-2"]
    assert main([*command, *options]) == 0
    printed = capsys.readouterr().out
    folder = home / "runs/pocket/smoke/lightgcn/seed-1"
    record = json.loads((folder / "metrics.json").read_text())
    assert record["options"]["width"] == 4
    assert (record["training"]["epochs"], record["training"]["learning_rate"]) == (1, 0.01)
    value = f"{record['metrics']['rec']['N@10']:.4f}"
    assert f"N@10 {value}" in printed and str(folder) in printed
    assert main([*command, *options]) == 0
    assert "loaded" in capsys.readouterr().out

    (folder.with_name("seed-2.0123456789abcdef")).mkdir()  # moved aside
    (folder.with_name("seed-2.0123456789abcdef") / "metrics.json").write_text("{}")
    (folder.with_name("seed-3")).mkdir()
    (folder.with_name("seed-3") / "metrics.json").write_text("{}")  # cannot be used
    assert main(["runs"]) == 0
    head, row, *more = (captured := capsys.readouterr()).out.splitlines()
    assert row.split()[:5] == ["pocket", "smoke", "lightgcn", "1", value] and more == []
    assert "N@10 rec" in head and "seed-3" in captured.err and "seed-2" not in captured.err
    assert main(["runs", "--profile", "paper"]) == 0
    assert "lightgcn" not in capsys.readouterr().out


def test_compare_makes_the_missing_runs_and_shows_all(home, capsys):
    command = ["compare", "popularity", "ease", "--profile", "smoke", "--seed", "1", "--jobs", "1"]
    assert main(command) == 0
    record = json.loads((home / "runs/pocket/smoke/ease/seed-1/metrics.json").read_text())
    printed = capsys.readouterr().out
    assert f"{record['metrics']['rec']['N@10']:.4f}" in printed and "popularity" in printed
    assert main(["compare", "popularty", "--profile", "smoke"]) == 2
    assert "did you mean 'popularity'" in capsys.readouterr().err


def test_what_was_made_up_is_one_line(home, capsys):
    shop = str(write_folder(home / "shop", *FOLDERS["made-searches"]))
    assert main(["fit", "popularity", "--profile", "smoke", "--dataset", shop]) == 0
    about = [line for line in capsys.readouterr().out.splitlines() if "about the data" in line]
    assert len(about) == 1 and "searches were made" in about[0]
    assert [check.text for check in check_data(shop) if check.status == NOTE] == about


def test_fit_names_an_option_that_does_not_exist(home, capsys):
    assert main(["fit", "lightgcn", "--profile", "smoke", "--set", "epocs=2"]) == 2
    assert "did you mean 'epochs'?" in capsys.readouterr().err


@pytest.mark.parametrize("pair", ["seed=3", "variant=x", "model=gensr", "epochs", "=3"])
def test_set_refuses_what_is_no_option(home, capsys, pair):
    assert main(["fit", "popularity", "--profile", "smoke", "--set", pair]) == 2
    assert pair in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_of_a_launcher_train_one_run(home, root):
    """As the page on GPUs says it: both take part, one writes, the first speaks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["-m", "gensr_lib", "fit", "lightgcn", "--profile", "smoke"]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("N@10") == 1 and done.stdout.count("trained:") == 1
    assert done.stdout.count("processes: 2") == 1
    folders = [path.parent for path in home.glob("runs/pocket/smoke/*/*/metrics.json")]
    assert folders == [home / "runs/pocket/smoke/lightgcn/seed-0"]
    record = json.loads((folders[0] / "metrics.json").read_text())
    assert record["processes"] == record["provenance"]["processes"] == 2
    alone = Workspace("pocket", "smoke")
    assert alone.fit("lightgcn").loaded and alone.specify("lightgcn").hash == record["alike"] != record["hash"]
    assert "[rank0]" in done.stderr and "[rank1]" in done.stderr  # torch warns in each of them
