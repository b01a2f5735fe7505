"""Atomic writes, the project's root and commit, and when progress bars are silent."""

from __future__ import annotations

import os
import subprocess
import time
from errno import EACCES, EIO, ENOSPC, EROFS
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from gensr_lib.errors import ConfigError
from gensr_lib.files import git_commit, project_root, remove_litter, write_atomically, write_json, writing


def test_a_write_that_fails_leaves_the_old_file_and_no_remains(tmp_path):
    path = tmp_path / "deep" / "result.json"
    write_atomically(path, lambda part: part.write_text("old"))

    def fails(part):
        part.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_atomically(path, fails)
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def fails_at(monkeypatch, name: str, number: int) -> None:
    def fail(*args, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("number", [ENOSPC, EROFS, EACCES, EIO], ids=os.strerror)
@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_a_disk_that_fails_is_one_line_with_the_path(tmp_path, monkeypatch, name, number):
    path = tmp_path / "result.json"
    write_json(path, {"a": "old"})
    fails_at(monkeypatch, name, number)
    with pytest.raises(ConfigError) as error:
        write_json(path, {"a": "new"})
    said = str(error.value)
    assert str(path) in said and os.strerror(number) in said and "read-only" in said and "\n" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"] and "old" in path.read_text()


WRITERS = {
    "text": lambda path: path.write_text("x" * 50_000),
    "safetensors": lambda path: save_file({"a": torch.zeros(50_000)}, path),
    "torch": lambda path: torch.save({"a": torch.zeros(50_000)}, path),
    "parquet": lambda path: pd.DataFrame({"a": np.random.default_rng(0).random(50_000)}).to_parquet(path),
    "npz": lambda path: np.savez(path, a=np.zeros(50_000)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_each_library_without_room_says_which_file(tmp_path, kind):
    """A limit on the size of files stands in for a full disk; it holds for this process, so another one meets it."""
    if process := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, (tmp_path / "said").read_text()
        return
    import resource  # from here on in the child

    path = tmp_path / "weights"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            write_atomically(path, WRITERS[kind], suffix=".npz" if kind == "npz" else "")
        except ConfigError as error:
            is_clear = str(path) in str(error) and not path.exists() and not list(tmp_path.glob(".*"))
            (tmp_path / "said").write_text(str(error))
            os._exit(0 if is_clear else 1)
        except BaseException as error:
            (tmp_path / "said").write_text(repr(error))
    finally:
        os._exit(1)


def test_what_is_no_fault_of_the_disk_keeps_its_name(tmp_path):
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        1 / 0  # noqa: B018


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux says which file a handle is of")
def test_a_part_is_synced_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda h: done.append(os.readlink(f"/proc/self/fd/{h}")) or fsync(h))
    monkeypatch.setattr(os, "replace", lambda a, b: done.append("renamed") or replace(a, b))
    write_atomically(tmp_path / "a", lambda part: part.write_text("new"))
    assert len(done) == 3 and ".a." in done[0] and done[1:] == ["renamed", str(tmp_path)]


def test_litter_goes_and_nothing_else(tmp_path):
    for name in (".a.json.123.part", "model/.b.123.part.npz", "a.json", ".seed-0.lock", "c.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    old = tmp_path / ".old.5.part"
    old.touch()
    os.utime(old, (time.time() - 1000,) * 2)
    remove_litter(tmp_path, age=500)
    assert not old.exists() and (tmp_path / ".a.json.123.part").exists()
    remove_litter(tmp_path)
    assert {p.name for p in tmp_path.rglob("*")} == {"model", "a.json", ".seed-0.lock", "c.part"}
    remove_litter(tmp_path / "missing")


def test_root_is_found_from_inside_or_named(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert project_root() == tmp_path.resolve()
    monkeypatch.setenv("GENSR_HOME", str(tmp_path / "elsewhere"))
    assert project_root() == (tmp_path / "elsewhere").resolve()


def test_the_commit_is_known_only_where_there_is_one(tmp_path, monkeypatch):
    run = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert git_commit(tmp_path) == "unknown", "no repository"
    run(["git", "init", "--quiet"])
    assert git_commit(tmp_path) == "unknown", "no commit yet"
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    run(["git", *own, "commit", "--quiet", "--allow-empty", "--message", "first"])
    assert git_commit(tmp_path) == run(["git", "log", "-1", "--format=%H"]).stdout.strip()
    (tmp_path / "a").write_text("new")
    run(["git", "add", "a"])
    assert git_commit(tmp_path).endswith("-dirty"), "changed since"
    run(["git", *own, "commit", "--quiet", "--message", "second"])
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01_one.ipynb").write_text("outputs")
    run(["git", "add", "."])
    assert "dirty" not in git_commit(tmp_path / "notebooks"), "a run's own outputs"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) == "unknown", "no git"
