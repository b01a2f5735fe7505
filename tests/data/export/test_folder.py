"""The folder of an export: whole or not at all, known by its manifest, and never somebody else's."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
import tomllib
from pathlib import Path

import pytest

from gensr_lib.data.dataset import Dataset
from gensr_lib.data.export import folder as export_folder
from gensr_lib.data.export.folder import MANIFEST, read_manifest, refuse_folder, write_export
from gensr_lib.data.export.huggingface import export_huggingface
from gensr_lib.data.export.recbole import export_recbole
from gensr_lib.errors import ConfigError, DataError
from tests.worlds import TINY, pocket, tables

EXPORTS = {"recbole": export_recbole, "huggingface": export_huggingface}


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def written(folder: Path, text: str = "one", force: bool = False, **files: str) -> Path:
    """An export of a few texts, in place of the tables of a real one."""

    def write(part: Path) -> dict[str, int]:
        (part / "deep").mkdir()
        for name, content in {"deep/table": text, **files}.items():
            (part / name).write_text(content)
        return {"deep/table": 7}

    return write_export(folder, pocket(), "text", write, force)


@pytest.mark.parametrize("form", EXPORTS)
def test_the_same_data_give_the_same_bytes(tmp_path, form, monkeypatch):
    first = contents(EXPORTS[form](pocket(), tmp_path / "first"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.chdir(tmp_path)
    assert contents(EXPORTS[form](pocket(), "second")) == first


@pytest.mark.parametrize("form", EXPORTS)
def test_the_manifest_knows_the_data_and_every_file(tmp_path, form):
    folder = EXPORTS[form](pocket(), tmp_path / "out")
    manifest = read_manifest(folder)
    assert manifest["format"] == form and manifest["data"]["hash"] == pocket().hash
    assert manifest["data"]["config"]["eval_negatives"] == 99
    assert set(manifest["versions"]) == {"gensr_lib", "numbers", "python", "numpy", "pandas", "pyarrow"}
    found = contents(folder)
    del found[MANIFEST]
    assert set(manifest["files"]) == set(found)
    for name, content in found.items():
        known = manifest["files"][name]
        assert (known["bytes"], known["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert ("rows" in known) == (not name.endswith((".md", ".yaml")))


@pytest.mark.parametrize("damage", [lambda p: p.write_text("two"), lambda p: p.unlink()], ids=["changed", "missing"])
def test_a_damaged_file_is_named(tmp_path, damage):
    folder = written(tmp_path / "out")
    (folder / "mine.txt").write_text("not of the export")
    read_manifest(folder)
    damage(folder / "deep" / "table")
    with pytest.raises(DataError, match=r"deep.table: the file (was changed|is missing)"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "[]",
            "{}",
            '{"written_by": "gensr data export"}',
            '{"written_by": 1, "data": {"hash": "0"}, "files": {}}',
        ),
        '{"written_by": "gensr data export", "data": {"hash": "0"}, "files": []}',
    ],
)
def test_what_is_no_manifest_is_named(tmp_path, content):
    with pytest.raises(DataError, match=re.escape(str(tmp_path / MANIFEST))):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(DataError, match="no manifest"):
        read_manifest(tmp_path)
    with pytest.raises(DataError, match="no manifest"):
        refuse_folder(tmp_path, force=True)


def test_an_export_is_replaced_only_if_asked_to(tmp_path):
    folder = written(tmp_path / "new" / "out")
    with pytest.raises(ConfigError, match=rf"export of the data {pocket().hash}.*--force"):
        written(folder, "two")
    assert (folder / "deep" / "table").read_text() == "one"
    written(folder, "two", force=True)
    assert (folder / "deep" / "table").read_text() == "two"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_what_was_not_written_by_an_export_stays(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        written(tmp_path, force=force)
    with pytest.raises(ConfigError, match=r"thesis\.tex is a file"):
        written(tmp_path / "thesis.tex", force=force)
    assert contents(tmp_path) == {"thesis.tex": b"mine"}


def test_files_beside_those_of_an_export_keep_it_from_being_replaced(tmp_path):
    folder = written(tmp_path / "out")
    (folder / "saved").mkdir()
    (folder / "saved" / "model.pth").write_text("three days of training")
    before = contents(folder)
    with pytest.raises(ConfigError, match=r"saved/model\.pth was not written by .* \(1 such files\)"):
        written(folder, "two", force=True)
    assert contents(folder) == before


def test_an_empty_folder_is_as_good_as_none(tmp_path):
    (tmp_path / "out").mkdir()
    assert written(tmp_path / "out") == tmp_path / "out"
    assert refuse_folder(tmp_path / "nowhere") == tmp_path / "nowhere"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=os.strerror)
def test_a_disk_that_fails_is_one_line_and_leaves_the_old_export(tmp_path, monkeypatch, number):
    folder = written(tmp_path / "out")
    before = contents(tmp_path)

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(export_folder, "sync", fail)
    with pytest.raises(ConfigError) as error:
        written(folder, "two", force=True)
    said = str(error.value)
    assert str(folder) in said and os.strerror(number) in said and "\n" not in said
    assert contents(tmp_path) == before, "and no part of the new one"


@pytest.mark.parametrize("form", EXPORTS)
def test_a_full_disk_while_tables_are_written(tmp_path, form):
    """A limit on the size of files stands in for a full disk; it holds for this process, so another one meets it."""
    if process := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, (tmp_path / "said").read_text()
        return
    import resource  # from here on in the child

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
        try:
            EXPORTS[form](pocket(), tmp_path / "out")
        except ConfigError as error:
            (tmp_path / "said").write_text(str(error))
            is_clear = f"{tmp_path / 'out'}: cannot be written" in str(error)
            os._exit(0 if is_clear and [p.name for p in tmp_path.iterdir()] == ["said"] else 1)
        (tmp_path / "said").write_text("no error")
    finally:
        os._exit(2)


def test_a_write_that_is_killed_leaves_the_old_export_and_no_remains(tmp_path):
    folder = written(tmp_path / "out")
    before = contents(tmp_path)

    def killed(part: Path):
        (part / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_export(folder, pocket(), "text", killed, force=True)
    assert contents(tmp_path) == before


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    old, fresh, other = (tmp_path / name for name in (".o[u]t.1.part", ".o[u]t.2.part", ".out.3.part"))
    for left in (old, fresh, other):
        left.mkdir()
        (left / "half").write_text("half")
    for left in (old, other):
        os.utime(left, (time.time() - 2 * 24 * 3600,) * 2)
    written(tmp_path / "o[u]t")
    assert not old.exists() and fresh.exists() and other.exists()


@pytest.mark.parametrize("form", EXPORTS)
def test_data_without_a_test_row_are_refused(tmp_path, form):
    short = Dataset.from_tables(tables(("u", "a", 1, "rec")), TINY.replace(eval_negatives=1), name="short")
    with pytest.raises(DataError, match="short: no user has enough events"):
        EXPORTS[form](short, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_manifest_is_plain_json(tmp_path):
    manifest = json.loads((written(tmp_path / "out") / MANIFEST).read_text())
    counts = manifest["data"]["counts"]
    assert [row["step"] for row in counts] == list(pocket().count_table().index)
    assert all(isinstance(row["rec events"], int) for row in counts)
    assert manifest["files"]["deep/table"]["rows"] == 7


def test_the_templates_are_in_the_built_package(root):
    package = root / "gensr_lib"
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["gensr_lib"]
    templates = [path.relative_to(package) for path in (package / "data" / "export").glob("*.md")]
    assert len(templates) == 2 and all(any(t.match(pattern) for pattern in patterns) for t in templates)
