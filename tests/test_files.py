"""Atomic writes, the project's root and commit, and when progress bars are silent."""

from __future__ import annotations

import subprocess
from functools import partial

import pytest

from gensr_lib.files import git_commit, project_root, write_atomically


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
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) == "unknown", "no git"
