"""The command line refuses what cannot work before anything runs: one line that says what to do, and exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gensr_lib.book.cli import main, resolve_dataset
from gensr_lib.errors import ConfigError, DataError


@pytest.fixture
def home(tmp_path, monkeypatch, write_chapter) -> Path:
    """A book of one chapter, as the project that the command line works on."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_chapter(tmp_path / "notebooks" / "01_first.ipynb", "1 / 0")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "argument --seed: '-1' is no whole number from 0 on"),
        (["--seed", "1.5"], "argument --seed: '1.5' is no whole number from 0 on"),
        (["--timeout", "-5"], "argument --timeout: '-5' is no whole number from 1 on"),
        (["--timeout", "0"], "argument --timeout: '0' is no whole number from 1 on"),
    ],
)
def test_numbers_out_of_range_are_refused(home, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(["book", "run", *arguments])
    assert caught.value.code == 2 and message in capsys.readouterr().err
    assert not (home / "runs").exists()


def test_an_unknown_data_set_is_refused_before_the_first_chapter(home, capsys):
    (home / "data" / "raw" / "amazon-kindle").mkdir(parents=True)
    for name, message in {
        "nope": "unknown data set 'nope'; Known: amazon-kindle, pocket, or a folder with your tables",
        "poket": "did you mean 'pocket'?",
        "amazon-books": "amazon-books: no such folder. Download",
        "amazon-kindle": "no file reviews_*.json.gz",
    }.items():
        assert main(["book", "run", "--dataset", name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and message in line
    assert not (home / "runs").exists()


def test_a_data_set_is_a_name_or_a_folder(home):
    for name in ("pocket", "kuaisar", "amazon-kindle"):
        (home / name).mkdir()
    assert resolve_dataset("kuaisar") == str(home / "kuaisar"), "a name of no data set is that of a folder"
    assert resolve_dataset("pocket") == "pocket" and resolve_dataset("./pocket/") == str(home / "pocket")
    with pytest.raises(DataError, match="amazon-kindle: no such folder"):
        resolve_dataset("amazon-kindle")
    raw = home / "data" / "raw" / "amazon-kindle"
    raw.mkdir(parents=True)
    for name in ("reviews_Kindle.json.gz", "meta_Kindle.json.gz"):
        (raw / name).touch()
    assert resolve_dataset("amazon-kindle") == "amazon-kindle"
    with pytest.raises(ConfigError, match="unknown data set 'amazonas'"):
        resolve_dataset("amazonas")


def test_a_missing_package_is_named_with_what_to_do(home, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "papermill", None)  # import raises
    assert main(["book", "run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "papermill" in line
    assert "make venv installs the packages" in line and "python -m gensr_lib doctor" in line


def test_a_fault_of_the_library_is_no_missing_package(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensr_lib.book.run", None)
    with pytest.raises(ImportError, match=r"gensr_lib\.book"):
        main(["book", "run"])


@pytest.mark.parametrize(
    ("command", "place", "printed"),
    [
        (["book", "run"], "book.run.run_book", "interrupted; the same command goes on from the chapter it was in\n"),
        (["site", "check"], "book.site_check.check_site", "interrupted\n"),
        (["doctor"], "book.doctor.doctor", "interrupted\n"),
    ],
)
def test_an_interrupt_speaks_of_chapters_only_where_there_are_some(home, monkeypatch, capsys, command, place, printed):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"gensr_lib.{place}", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err == printed
