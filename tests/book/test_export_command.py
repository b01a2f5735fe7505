"""``gensr data export``: what it writes and prints, and what it refuses before anything is read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gensr_lib.book.cli import main
from gensr_lib.data import load_dataset, read_manifest
from gensr_lib.data.export.folder import MANIFEST
from gensr_lib.data.sources import load
from tests.notebooks.folders import FOLDERS, write_folder

SMOKE = ["--profile", "smoke", "--seed", "1"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A project of its own, and the folder that commands run in."""
    monkeypatch.setenv("GENSR_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["recbole", "huggingface"])
def test_a_data_set_is_written_and_its_files_are_listed(home, capsys, form):
    assert main(["data", "export", "pocket", "--to", form, "--out", "shared/out", *SMOKE]) == 0
    dataset = load_dataset("pocket", "smoke", 1)
    manifest = read_manifest(home / "shared" / "out")
    assert (manifest["format"], manifest["data"]["hash"]) == (form, dataset.hash)
    assert manifest["data"]["seed"] == 1
    *files, last = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in files] == list(manifest["files"])
    assert f"{len(dataset.rows['train']['rec']):,} rows" in "\n".join(files)
    assert dataset.hash in last and str(home / "shared" / "out") in last


def test_the_users_own_tables_with_what_was_left_out(home, capsys):
    shop = home / "my shop"
    write_folder(shop, *FOLDERS["random"])
    items = pd.read_csv(shop / "items.csv", dtype=str, keep_default_na=False).assign(price=1)
    items.to_csv(shop / "items.csv", index=False)
    assert main(["data", "export", "./my shop", "--to", "recbole", "--out", "out", *SMOKE]) == 0
    assert "columns that were not used: price" in capsys.readouterr().out
    assert (home / "out" / "my-shop" / "my-shop.item").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pocket", "--to", "surprise", "--out", "out"], "invalid choice: 'surprise'"),
        (["pocket", "--to", "recbole"], "--out"),
        (["pocket", "--to", "recbole", "--out", "out", "--seed", "-1"], "'-1' is no whole number"),
    ],
)
def test_an_option_that_cannot_be_is_refused(home, capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        main(["data", "export", *arguments])
    assert caught.value.code == 2 and words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pockt", "--out", "new"], "did you mean 'pocket'?"),
        (["pocket", "--out", "new", "--profile", "smok"], "did you mean 'smoke'?"),
        (["pocket", "--out", "theirs"], "theirs is not empty"),
        (["pocket", "--out", "theirs", "--force"], "theirs is not empty"),
        (["pocket", "--out", "theirs/file"], "is a file"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_is_read(home, capsys, monkeypatch, arguments, words):
    (home / "theirs").mkdir()
    (home / "theirs" / "file").write_text("precious")
    monkeypatch.setattr(load.Dataset, "from_tables", lambda *given: pytest.fail("the data were read"))
    assert main(["data", "export", "--to", "recbole", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
    assert (home / "theirs" / "file").read_text() == "precious" and not (home / "new").exists()


def test_an_older_export_is_replaced_with_force(home, capsys):
    command = ["data", "export", "pocket", "--out", "out", "--profile", "smoke"]
    assert main([*command, "--to", "recbole"]) == 0
    assert main([*command, "--to", "huggingface"]) == 2
    assert "--force" in capsys.readouterr().err and (home / "out" / "rec.yaml").exists()
    assert main([*command, "--to", "huggingface", "--force"]) == 0
    assert not (home / "out" / "rec.yaml").exists() and (home / "out" / MANIFEST).exists()
